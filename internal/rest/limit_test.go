// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/viaduct-sdk/viaduct/internal/rest"
)

// burst sends n requests at once and returns how long they took together.
func burst(t *testing.T, client *rest.Client, n int) time.Duration {
	t.Helper()
	start := time.Now()
	errs := make(chan error, n)
	for range n {
		go func() { errs <- client.Do(t.Context(), get()) }()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	return time.Since(start)
}

func TestThrottlingSlowsDownAndRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var served atomic.Int64
		client := newClient(t, func(*http.Request) (*http.Response, error) {
			if served.Add(1) == 101 {
				return answer(429, ""), nil
			}
			return answer(200, ""), nil
		}, func(c *rest.Config) { c.Limit = rest.Limit{PerSecond: 100} })
		full := burst(t, client, 100) // 10 at once, then 100 each second
		if full != 900*time.Millisecond {
			t.Errorf("got %v at the full rate, want 900ms", full)
		}
		time.Sleep(time.Second)
		slow := burst(t, client, 100) // the first is refused while others queue
		if slow < 1500*time.Millisecond {
			t.Errorf("got %v after a refusal, want about twice as long as %v", slow, full)
		}
		for range 60 {
			time.Sleep(time.Second)
			burst(t, client, 1)
		}
		if again := burst(t, client, 100); again > full+100*time.Millisecond {
			t.Errorf("got %v after a quiet minute, want %v again", again, full)
		}
	})
}

func TestInFlightIsLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		client := newClient(t, func(*http.Request) (*http.Response, error) {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Second)
			now.Add(-1)
			return answer(200, ""), nil
		}, func(c *rest.Config) { c.Limit = rest.Limit{InFlight: 4} })
		if took := burst(t, client, 12); took != 3*time.Second || most.Load() != 4 {
			t.Errorf("took %v with %d in flight, want 3s with 4", took, most.Load())
		}
	})
}

func TestWaitingForTheLimitEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newClient(t, func(*http.Request) (*http.Response, error) { return answer(200, ""), nil },
			func(c *rest.Config) { c.Limit = rest.Limit{PerSecond: 0.01} })
		if err := client.Do(t.Context(), get()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := client.Do(ctx, get()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		if got := time.Since(start); got != time.Second {
			t.Errorf("returned after %v, want 1s", got)
		}
	})
}
