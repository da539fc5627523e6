// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// slowServer answers after a while, or when the request ends.
type slowServer struct {
	next  http.RoundTripper
	takes time.Duration
}

func (s slowServer) RoundTrip(req *http.Request) (*http.Response, error) {
	select {
	case <-time.After(s.takes):
		return s.next.RoundTrip(req)
	case <-req.Context().Done():
		return nil, context.Cause(req.Context())
	}
}

// Whoever waits for what another is reading goes when their own time is up.
func TestWaitersKeepTheirDeadline(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]func(*Cluster, context.Context) error{
		"guard":      func(c *Cluster, ctx context.Context) error { _, err := c.ownGuard(ctx); return err },
		"guard anew": func(c *Cluster, ctx context.Context) error { _, err := c.Guard(ctx); return err },
		"apis":       func(c *Cluster, ctx context.Context) error { _, err := c.apis.endpoints(ctx); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := newListServer()
				server.answers["/apis/discovery.k8s.io"] = `{"kind":"APIGroup","versions":[{"groupVersion":"discovery.k8s.io/v1"}]}`
				c := clusterOf(t, slowServer{server, time.Hour})
				first := make(chan error, 1)
				go func() { first <- ask(c, t.Context()) }()
				synctest.Wait() // the first is on its way to the server

				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				began := time.Now()
				if err := ask(c, ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
					t.Errorf("the second: got %v after %v, want its own deadline after a second", err, time.Since(began))
				}
				if err := <-first; err != nil {
					t.Errorf("the first: got %v, want no error", err)
				}
				if err := ask(c, t.Context()); err != nil {
					t.Errorf("the third: got %v, want no error", err)
				}
			})
		})
	}
}

// The first one's end does not take along those who wait.
func TestWaitersOutliveTheFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := clusterOf(t, slowServer{newListServer(), time.Minute})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		first := make(chan error, 1)
		go func() {
			_, err := c.ownGuard(ctx)
			first <- err
		}()
		synctest.Wait()
		if _, err := c.ownGuard(t.Context()); err != nil {
			t.Errorf("the second: got %v, want no error", err)
		}
		if err := <-first; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the first: got %v, want its deadline", err)
		}
	})
}
