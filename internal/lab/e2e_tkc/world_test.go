// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package e2e_tkc_test runs tkc on a lab: real API servers, a simulated TKG
// service.
package e2e_tkc_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct/internal/lab"
	"github.com/viaduct-sdk/viaduct/supervisor"
	"github.com/viaduct-sdk/viaduct/supervisor/supervisorsim"
	"github.com/viaduct-sdk/viaduct/tkc"
)

// patience bounds every wait of a test; nothing is asserted about time.
const patience = 4 * time.Minute

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// shared provides one API server for every TK cluster. Each still has an endpoint,
// an authority and credentials of its own.
type shared struct {
	config chan *rest.Config // holds it, once it is there
}

func (s shared) StartCluster(ctx context.Context, _, _ string) (*rest.Config, error) {
	select {
	case c := <-s.config:
		s.config <- c
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (shared) StopCluster(context.Context, string, string) error { return nil }

// The users of the lab's vCenter beside the administrator.
const (
	viewer         = "viewer@vsphere.local"
	viewerPassword = "Look-only-1"
)

// newLab starts a lab whose Supervisor serves these APIs for TK clusters, and has
// the vSphere Namespace acme-app.
func newLab(t *testing.T, apis []string) *lab.Lab {
	t.Helper()
	provider := shared{config: make(chan *rest.Config, 1)}
	l, err := lab.Start(t.Context(), lab.Config{
		TKClusters: []string{"guest"},
		Namespaces: []string{"acme-app"},
		Progress:   os.Stderr,
		SupervisorSim: supervisorsim.Config{
			TKG: supervisorsim.TKGConfig{Clusters: provider, APIs: apis},
			// Room for the networks of hundreds of clusters.
			PodCIDRs:    []netip.Prefix{netip.MustParsePrefix("10.224.0.0/12")},
			IngressCIDR: netip.MustParsePrefix("192.168.64.0/20"),
			EgressCIDR:  netip.MustParsePrefix("192.168.80.0/20"),
			Login: supervisorsim.WCPConfig{Users: []supervisorsim.User{
				{Name: supervisorsim.DefaultUser, Password: supervisorsim.DefaultPassword},
				{Name: viewer, Password: viewerPassword, Namespaces: map[string]supervisorsim.Role{"acme-app": supervisorsim.RoleView}},
			}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	provider.config <- l.TKCluster("guest").Config
	return l
}

// newLogin logs in at the lab's /wcp/login.
func newLogin(t *testing.T, l *lab.Lab, user, password string) *supervisor.Login {
	t.Helper()
	wcp := l.SupervisorSim.WCP()
	login, err := supervisor.NewLogin(wcp.URL(), supervisor.PasswordAuth(user, password),
		supervisor.WithCACert(wcp.CACertPEM()), supervisor.WithAPIServer(wcp.URL()))
	if err != nil {
		t.Fatal(err)
	}
	return login
}

// workloads are the namespaces that the user of a login may see.
func workloads(login *supervisor.Login) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		all, err := login.Workloads(ctx)
		names := make([]string, len(all))
		for i, w := range all {
			names[i] = w.Namespace
		}
		return names, err
	}
}

// newClient returns a client for the user of a login.
func newClient(t *testing.T, login *supervisor.Login) *tkc.Client {
	t.Helper()
	c, err := tkc.NewClient(login.Config(), tkc.WithGuestLogin(login), tkc.WithNamespaces(workloads(login)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// adminClient returns a client with the rights of the lab's administrator.
func adminClient(t *testing.T, l *lab.Lab) *tkc.Client {
	t.Helper()
	c, err := tkc.NewClient(l.Supervisor.Config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func spec(name string, api tkc.API) tkc.Spec {
	return tkc.Spec{
		Namespace: "acme-app", Name: name, API: api,
		Version: "v1.26.5+vmware.2-fips.1-tkg.1", VMClass: "best-effort-small", StorageClass: "gold",
		Pools: []tkc.PoolSpec{{Name: "web", Replicas: 1}},
	}
}

// collect runs a watch and hands its events out.
func collect(ctx context.Context, t *testing.T, c *tkc.Client, opts tkc.ListOptions) <-chan tkc.Event {
	t.Helper()
	events := make(chan tkc.Event, 100)
	go func() {
		defer close(events)
		for e, err := range c.Watch(ctx, opts) {
			if err != nil {
				if !errors.Is(err, context.Cause(ctx)) {
					t.Errorf("watch: %v", err)
				}
				return
			}
			select {
			case events <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	return events
}

// await reads events until one of this type comes for the cluster.
func await(ctx context.Context, t *testing.T, events <-chan tkc.Event, kind tkc.EventType, name string) {
	t.Helper()
	var seen []string
	for {
		select {
		case e := <-events:
			if e.Type == kind && e.Cluster.Name == name {
				return
			}
			seen = append(seen, string(e.Type)+" "+e.Cluster.Name)
		case <-ctx.Done():
			t.Fatalf("no event %q of %s; last ones: %v", kind, name, seen[max(0, len(seen)-10):])
		}
	}
}

func create(ctx context.Context, t *testing.T, c *tkc.Client, s tkc.Spec) tkc.Cluster {
	t.Helper()
	if _, err := c.Create(ctx, s); err != nil {
		t.Fatal(err)
	}
	ready, err := c.WaitReady(ctx, s.Namespace, s.Name, tkc.WaitOptions{OnProgress: func(p tkc.Progress) { t.Logf("%s: %s", s.Name, p.State) }})
	if err != nil {
		t.Fatal(err)
	}
	if s.API != "" && !slices.ContainsFunc(ready.APIs, func(a tkc.API) bool { return group(a) == group(s.API) }) {
		t.Errorf("made through %s, found under %v", s.API, ready.APIs)
	}
	return ready
}

func group(a tkc.API) string { return string(a)[:len("cluster")] }
