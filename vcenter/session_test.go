// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vmware/govmomi/find"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/vcenter"
	"github.com/viaduct-sdk/viaduct/vcenter/vcentersim"
)

// workflow does what a program does: REST and SOAP, reads and writes.
func workflow(ctx context.Context, c *vcenter.Client) error {
	namespaces, clusters := c.Namespaces(), c.SupervisorClusters()
	access := vcenter.NamespaceAccess{SubjectType: vcenter.SubjectUser, Subject: "dev", Domain: "vsphere.local", Role: vcenter.AccessEdit}
	var id string
	steps := []func() error{
		func() error {
			list, err := clusters.List(ctx)
			if err == nil {
				id = list[0].ID
			}
			return err
		},
		func() error { _, err := clusters.Get(ctx, id); return err },
		func() error { _, err := c.About(ctx); return err },
		func() error { _, err := c.Compatibility().Clusters(ctx); return err },
		func() error { _, err := c.Compatibility().Switches(ctx, id); return err },
		func() error { _, err := c.Software().List(ctx); return err },
		func() error { _, err := c.Software().Get(ctx, id); return err },
		func() error { _, err := c.SegmentPortGroups().List(ctx); return err },
		func() error { return namespaces.Create(ctx, vcenter.NamespaceSpec{Name: "ns", Cluster: id}) },
		func() error { _, err := c.SegmentPortGroups().Index(ctx); return err },
		func() error {
			_, err := namespaces.Wait(ctx, "ns", vcenter.WaitOptions[vcenter.Namespace]{})
			return err
		},
		func() error { return namespaces.Grant(ctx, "ns", access) },
		func() error { return namespaces.Update(ctx, "ns", vcenter.NamespaceUpdate{Description: new("d")}) },
		func() error { _, err := namespaces.List(ctx); return err },
		func() error { _, err := c.SegmentPortGroups().List(ctx); return err },
		func() error { _, err := namespaces.Mine(ctx); return err },
		func() error { _, err := namespaces.GetAccess(ctx, "ns", access); return err },
		func() error { return namespaces.Revoke(ctx, "ns", access) },
		func() error { _, err := c.SegmentPortGroups().List(ctx); return err },
		func() error { return namespaces.Delete(ctx, "ns") },
		func() error { return namespaces.WaitGone(ctx, "ns", vcenter.WaitOptions[vcenter.Namespace]{}) },
		func() error { _, err := c.SegmentPortGroups().List(ctx); return err },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}

func isSOAP(r vcentersim.Request) bool { return strings.HasPrefix(r.Route, "/sdk") }

func isLogin(r vcentersim.Request) bool {
	return r.Route == "/sdk#Login" || r.Method == http.MethodPost && r.Route == "/api/session"
}

// TestExpiryAtEachRequest lets all sessions end just before each request of a
// workflow, one run for each.
func TestExpiryAtEachRequest(t *testing.T) {
	t.Parallel()
	clean := start(t)
	if err := workflow(deadline(t), connect(t, clean)); err != nil {
		t.Fatal(err)
	}
	plain := clean.Requests()
	if len(plain) < 20 {
		t.Fatalf("the workflow has %d requests", len(plain))
	}
	for i, at := range plain {
		if isLogin(at) {
			continue // it makes the session that it would lose
		}
		t.Run(fmt.Sprintf("%02d %s %s", i, at.Method, at.Route), func(t *testing.T) {
			t.Parallel()
			srv := start(t)
			c := connect(t, srv)
			srv.Inject(vcentersim.Fault{Kind: vcentersim.FaultExpire, Skip: i})
			if err := workflow(deadline(t), c); err != nil {
				t.Fatal(err)
			}
			// A session that was used before and is needed after is made once more.
			want := map[bool]int{}
			for _, soap := range []bool{false, true} {
				before, after := false, false
				for j, r := range plain {
					if isSOAP(r) == soap {
						before, after = before || j < i, after || j >= i
					}
				}
				want[soap] = 1
				if before && after {
					want[soap] = 2
				}
			}
			rest, soap := srv.Logins()
			if rest != want[false] || soap != want[true] {
				t.Errorf("got %d and %d logins, want %d and %d", rest, soap, want[false], want[true])
			}
		})
	}
	t.Logf("workflow of %d requests", len(plain))
}

// TestExpiryUnderConcurrency ends all sessions again and again while 32 callers
// use REST and SOAP.
func TestExpiryUnderConcurrency(t *testing.T) {
	t.Parallel()
	const callers, expiries = 32, 5
	ctx := deadline(t)
	srv := start(t)
	c := connect(t, srv)
	for round := range expiries + 1 {
		var wg sync.WaitGroup
		errs := make(chan error, callers)
		for i := range callers {
			wg.Go(func() {
				if i%2 == 0 {
					_, err := c.Namespaces().List(ctx)
					errs <- err
					return
				}
				_, err := c.SegmentPortGroups().List(ctx)
				errs <- err
			})
		}
		wg.Wait()
		for range callers {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if rest, soap := srv.Logins(); rest != round+1 || soap != round+1 {
			t.Fatalf("after %d expiries: %d and %d logins", round, rest, soap)
		}
		srv.ExpireSessions()
	}
}

func TestCloseLogsOut(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	srv := start(t)
	c := connect(t, srv)
	if _, err := c.Namespaces().List(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := c.About(ctx); err != nil {
		t.Fatal(err)
	}
	if rest, soap := srv.Sessions(); rest != 1 || soap != 1 {
		t.Fatalf("got %d and %d sessions", rest, soap)
	}
	for range 2 {
		if err := c.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	if rest, soap := srv.Sessions(); rest != 0 || soap != 0 {
		t.Errorf("after Close: %d and %d sessions", rest, soap)
	}
	if _, err := c.Namespaces().List(ctx); err != nil {
		t.Errorf("a closed client stays usable: %v", err)
	}
}

func TestOlderSessionEndpoint(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	srv := start(t, vcentersim.WithLegacySessionOnly())
	c := connect(t, srv)
	for range 2 {
		if _, err := c.Namespaces().List(ctx); err != nil {
			t.Fatal(err)
		}
		srv.ExpireSessions()
	}
	if err := c.Close(ctx); err != nil {
		t.Error(err)
	}
	if n := requestsOf(srv, http.MethodPost, "/api/session"); n > 1 {
		t.Errorf("the newer endpoint was asked %d times", n)
	}
	if rest, _ := srv.Sessions(); rest != 0 {
		t.Errorf("%d sessions left", rest)
	}
}

func TestKeepAlive(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		opts   []vcenter.Option
		logins int
	}{
		"with":    {[]vcenter.Option{vcenter.WithKeepAlive(10 * time.Minute)}, 1},
		"without": {nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := start(t, vcentersim.WithSessionTimeout(30*time.Minute))
				c := connect(t, srv, tc.opts...)
				use := func() {
					if _, err := c.Namespaces().List(t.Context()); err != nil {
						t.Error(err)
					}
					if _, err := c.SegmentPortGroups().List(t.Context()); err != nil {
						t.Error(err)
					}
				}
				use()
				time.Sleep(3 * time.Hour) // of the bubble
				use()
				if rest, soap := srv.Logins(); rest != tc.logins || soap != tc.logins {
					t.Errorf("got %d and %d logins, want %d", rest, soap, tc.logins)
				}
				if err := c.Close(t.Context()); err != nil {
					t.Error(err)
				}
				// synctest fails if the keeper is left behind.
			})
		})
	}
}

func TestRefusedCredentials(t *testing.T) {
	t.Parallel()
	srv := start(t, vcentersim.WithUser(vcentersim.User{Name: "old@vsphere.local", Password: "right", PasswordExpired: true}))
	for name, tc := range map[string]struct{ user, password, text string }{
		"wrong password":   {vcentersim.DefaultUser, "wrong", "Authentication required"},
		"unknown user":     {"nobody@vsphere.local", "x", "Authentication required"},
		"expired password": {"old@vsphere.local", "right", "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			c := connectAs(t, srv, tc.user, tc.password)
			_, err := c.Namespaces().List(ctx)
			if !errors.Is(err, viaduct.ErrUnauthenticated) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("REST: got %v", err)
			}
			_, err = c.About(ctx)
			if !errors.Is(err, viaduct.ErrUnauthenticated) {
				t.Errorf("SOAP: got %v", err)
			}
			for _, secret := range []string{tc.password} {
				if len(secret) > 2 && strings.Contains(err.Error(), secret) {
					t.Errorf("the error holds the password: %v", err)
				}
			}
		})
	}
}

func TestSessionLimit(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	srv := start(t, vcentersim.WithMaxSessions(1))
	first := connect(t, srv)
	if _, err := first.Namespaces().List(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := connect(t, srv).Namespaces().List(ctx); !errors.Is(err, viaduct.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if err := first.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := connect(t, srv).Namespaces().List(ctx); err != nil {
		t.Errorf("after the first client logged out: %v", err)
	}
}

func TestSecretsStayOut(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	srv := start(t)
	var log bytes.Buffer
	var calls []vcenter.Call
	c := connect(t, srv,
		vcenter.WithLogger(slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))),
		vcenter.WithObserver(func(_ context.Context, call vcenter.Call) { calls = append(calls, call) }))
	if err := workflow(ctx, c); err != nil {
		t.Fatal(err)
	}
	auth := vcenter.PasswordAuth(srv.Username(), srv.Password())
	text := log.String() + fmt.Sprintf("%v %+v %#v %v", auth, auth, auth, calls)
	if strings.Contains(text, srv.Password()) || strings.Contains(text, "vmware_soap_session=") {
		t.Error("a secret was written")
	}
	routes := map[string]bool{}
	for _, call := range calls {
		routes[call.Route] = true
	}
	for _, want := range []string{"/api/session", "/sdk", "/sdk#RetrievePropertiesEx", "/api/vcenter/namespaces/instances/{namespace}"} {
		if !routes[want] {
			t.Errorf("the observer saw no %s, but %v", want, routes)
		}
	}
}

// TestVIM lends the session to govmomi.
func TestVIM(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	srv := start(t)
	c := connect(t, srv)
	vim, err := c.VIM(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		clusters, err := find.NewFinder(vim, false).ClusterComputeResourceList(ctx, "/DC0/host/*")
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, cluster := range clusters {
			ids = append(ids, cluster.Reference().Value)
		}
		if diff := cmp.Diff([]string{vcentersim.SupervisorCluster, vcentersim.SpareCluster}, ids); diff != "" {
			t.Error(diff)
		}
		srv.ExpireSessions()
	}
	if _, soap := srv.Logins(); soap != 2 {
		t.Errorf("got %d logins", soap)
	}
}
