// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/viaduct-sdk/viaduct/vcenter"
	"github.com/viaduct-sdk/viaduct/vcenter/vcentersim"
)

// start starts a simulator that ends with the test.
func start(t testing.TB, opts ...vcentersim.Option) *vcentersim.Server {
	t.Helper()
	srv, err := vcentersim.NewServer(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	return srv
}

// connect makes a client of a simulator, closed with the test.
func connect(t testing.TB, srv *vcentersim.Server, opts ...vcenter.Option) *vcenter.Client {
	t.Helper()
	return connectAs(t, srv, srv.Username(), srv.Password(), opts...)
}

func connectAs(t testing.TB, srv *vcentersim.Server, user, password string, opts ...vcenter.Option) *vcenter.Client {
	t.Helper()
	opts = append([]vcenter.Option{
		vcenter.WithHTTPClient(srv.Client()),
		vcenter.WithRetry(vcenter.RetryPolicy{MinWait: time.Millisecond, MaxWait: 10 * time.Millisecond}),
	}, opts...)
	c, err := vcenter.NewClient(srv.URL(), vcenter.PasswordAuth(user, password), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		_ = c.Close(ctx) // the simulator may be gone
	})
	return c
}

// deadline bounds a test's wait.
func deadline(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// requestsOf counts the requests of a route.
func requestsOf(srv *vcentersim.Server, method, route string) int {
	n := 0
	for _, r := range srv.Requests() {
		if r.Method == method && strings.HasPrefix(r.Route, route) {
			n++
		}
	}
	return n
}
