// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/viaduct-sdk/viaduct/internal/page"
)

// pages serves n pages of two numbers each and counts the fetches.
func pages(n int, fetches *int) func(string) (page.Page[int], error) {
	return func(cursor string) (page.Page[int], error) {
		*fetches++
		i := 0
		if cursor != "" {
			i, _ = strconv.Atoi(cursor)
		}
		p := page.Page[int]{Items: []int{2 * i, 2*i + 1}}
		if i+1 < n {
			p.Next = strconv.Itoa(i + 1)
		}
		return p, nil
	}
}

func TestSeqCanBeRangedOverAgain(t *testing.T) {
	t.Parallel()
	var fetches int
	seq := page.Seq(pages(3, &fetches))
	want := []int{0, 1, 2, 3, 4, 5}
	for round := range 2 {
		got, err := page.Collect(seq)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("round %d: got %v, %v; want %v", round, got, err, want)
		}
	}
	if fetches != 6 {
		t.Errorf("got %d fetches, want 6", fetches)
	}
}

func TestSeqStopsFetchingOnBreak(t *testing.T) {
	t.Parallel()
	var fetches int
	for n, err := range page.Seq(pages(3, &fetches)) {
		if err != nil {
			t.Fatal(err)
		}
		if n == 2 {
			break
		}
	}
	if fetches != 2 {
		t.Errorf("got %d fetches, want 2: the loop ended on the second page", fetches)
	}
}

func TestSeqYieldsOneErrorLast(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	seq := page.Seq(func(cursor string) (page.Page[int], error) {
		if cursor == "" {
			return page.Page[int]{Items: []int{1}, Next: "2"}, nil
		}
		return page.Page[int]{}, boom
	})
	var got []error
	for _, err := range seq {
		got = append(got, err)
	}
	if len(got) != 2 || got[0] != nil || !errors.Is(got[1], boom) {
		t.Errorf("got errors %v, want [nil boom]", got)
	}
	if items, err := page.Collect(seq); items != nil || !errors.Is(err, boom) {
		t.Errorf("Collect: got %v, %v; want no items and boom", items, err)
	}
}
