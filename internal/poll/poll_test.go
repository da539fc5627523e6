// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package poll_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/viaduct-sdk/viaduct/internal/poll"
)

func TestUntilBacksOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		looks := 0
		err := poll.Until(t.Context(), func(context.Context) (string, bool, error) {
			looks++
			return "waiting", looks == 7, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		// 0.1 + 0.2 + 0.4 + 0.8 + 1.6 + 2 seconds between seven looks.
		if got, want := time.Since(start), 5100*time.Millisecond; got != want {
			t.Errorf("took %v, want %v", got, want)
		}
	})
}

func TestUntilNamesTheLastState(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := poll.Until(ctx, func(context.Context) (string, bool, error) {
			return "virtual server is UNREALIZED", false, nil
		})
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "UNREALIZED") {
			t.Errorf("got %v, want a deadline error that names the last state", err)
		}
	})
}

func TestUntilReturnsTheCause(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	shutdown := errors.New("shutting down")
	cancel(shutdown)
	err := poll.Until(ctx, func(context.Context) (string, bool, error) { return "", false, nil })
	if !errors.Is(err, shutdown) {
		t.Errorf("got %v, want the cause of the cancellation", err)
	}
}

func TestUntilEndsAtOnceOnAnError(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	looks := 0
	err := poll.Until(t.Context(), func(context.Context) (string, bool, error) {
		looks++
		return "", false, boom
	})
	if !errors.Is(err, boom) || looks != 1 {
		t.Errorf("got %v after %d looks, want boom after one", err, looks)
	}
}
