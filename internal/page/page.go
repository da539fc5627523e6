// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package page turns calls that fetch one page into sequences of elements.
package page

import "iter"

// Page is one page of a list and the cursor of the next. An empty Next means
// that this page is the last.
type Page[T any] struct {
	Items []T
	Next  string
}

// Seq iterates over the elements of all pages, fetching each page when the
// loop arrives there; the first cursor is empty. Breaking out of the loop
// fetches nothing more. An error is yielded once, last, with the zero T. All
// state is local to one range, so that the sequence may be ranged over again
// and starts from the first page each time.
func Seq[T any](fetch func(cursor string) (Page[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var cursor string
		for {
			p, err := fetch(cursor)
			if err != nil {
				var zero T
				yield(zero, err)
				return
			}
			for _, item := range p.Items {
				if !yield(item, nil) {
					return
				}
			}
			if p.Next == "" {
				return
			}
			cursor = p.Next
		}
	}
}

// Collect returns the elements of seq as a slice, or the first error and no
// elements.
func Collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var items []T
	for item, err := range seq {
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}
