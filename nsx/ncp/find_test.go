// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package ncp_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/page"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

const cluster = "domain-c8:0a1b"

// putCluster puts what NCP makes for two namespaces, a Service in each, the
// cluster itself, and another cluster.
func putCluster(put func(string, any)) {
	for _, ns := range []string{"data", "app"} {
		of := tags("ncp/project", ns, "ncp/project_uid", "ns-"+ns)
		put("/infra/tier-1s/t1-"+ns, nsx.Tier1{Resource: nsx.Resource{Tags: of}})
		put("/infra/tier-1s/t1-"+ns+"/segments/fixed-"+ns, nsx.Segment{Resource: nsx.Resource{Tags: of}})
		put("/infra/segments/seg-"+ns, nsx.Segment{Resource: nsx.Resource{Tags: of}})
		put("/infra/ip-pools/pool-"+ns, nsx.IPPool{Resource: nsx.Resource{Tags: of}})
		put("/infra/domains/default/security-policies/sp-"+ns, nsx.SecurityPolicy{Resource: nsx.Resource{Tags: of}})
		putService(put, "vs-"+ns, of.With("ncp/service_uid", "svc-"+ns))
	}
	put("/infra/lb-services/dlb", nsx.LBService{Resource: nsx.Resource{Tags: tags("ncp/created_for", "DLB")}})
	put("/infra/ip-pools/ingress", nsx.IPPool{Resource: nsx.Resource{
		Tags: tags("ncp/shared_resource", "true", "ncp/project_uid", "gone"),
	}})
	other := nsx.Tags{{Scope: "ncp/cluster", Tag: "domain-c9:0a1b"}, {Scope: "ncp/project", Tag: "data"}}
	put("/infra/segments/seg-other", nsx.Segment{Resource: nsx.Resource{Tags: other}})
	put("/infra/segments/nobody's", nsx.Segment{})
}

func paths[T any](objects []T, path func(T) nsx.Path) []nsx.Path {
	var all []nsx.Path
	for _, o := range objects {
		all = append(all, path(o))
	}
	return all
}

func TestObjectsOfEachKind(t *testing.T) {
	t.Parallel()
	_, finder, put := start(t)
	putCluster(put)
	ctx := t.Context()
	data := ncp.Selector{Cluster: cluster, Namespace: "data"}
	byUID := ncp.Selector{NamespaceUID: "ns-data"}
	cases := map[string]struct {
		find func() ([]nsx.Path, error)
		want []nsx.Path
	}{
		"segments": {func() ([]nsx.Path, error) {
			found, err := finder.Segments(ctx, data)
			return paths(found, func(s nsx.Segment) nsx.Path { return s.Path }), err
		}, []nsx.Path{"/infra/segments/seg-data", "/infra/tier-1s/t1-data/segments/fixed-data"}},
		"tier-1s": {func() ([]nsx.Path, error) {
			found, err := finder.Tier1s(ctx, byUID)
			return paths(found, func(g nsx.Tier1) nsx.Path { return g.Path }), err
		}, []nsx.Path{"/infra/tier-1s/t1-data"}},
		"ip pools": {func() ([]nsx.Path, error) {
			found, err := finder.IPPools(ctx, ncp.Selector{Cluster: cluster})
			return paths(found, func(p nsx.IPPool) nsx.Path { return p.Path }), err
		}, []nsx.Path{"/infra/ip-pools/ingress", "/infra/ip-pools/pool-app", "/infra/ip-pools/pool-data"}},
		"pools": {func() ([]nsx.Path, error) {
			found, err := finder.Pools(ctx, ncp.Selector{ServiceUID: "svc-app"})
			return paths(found, func(p nsx.Pool) nsx.Path { return p.Path }), err
		}, []nsx.Path{"/infra/lb-pools/vs-app"}},
		"load balancers": {func() ([]nsx.Path, error) {
			found, err := finder.LBServices(ctx, ncp.Selector{Cluster: cluster})
			return paths(found, func(s nsx.LBService) nsx.Path { return s.Path }), err
		}, []nsx.Path{"/infra/lb-services/dlb"}},
		"policies": {func() ([]nsx.Path, error) {
			found, err := finder.SecurityPolicies(ctx, data)
			return paths(found, func(p nsx.SecurityPolicy) nsx.Path { return p.Path }), err
		}, []nsx.Path{"/infra/domains/default/security-policies/sp-data"}},
		"a namespace of another cluster": {func() ([]nsx.Path, error) {
			found, err := finder.Segments(ctx, ncp.Selector{Cluster: "domain-c9:0a1b", Namespace: "app"})
			return paths(found, func(s nsx.Segment) nsx.Path { return s.Path }), err
		}, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := tc.find()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	if _, err := finder.Segments(ctx, ncp.Selector{}); !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("an empty selector: got %v, want invalid", err)
	}
}

func TestOwners(t *testing.T) {
	t.Parallel()
	_, finder, put := start(t)
	putCluster(put)
	got := map[ncp.OwnerKind]int{}
	for o, err := range finder.Objects(t.Context(), ncp.Selector{Cluster: cluster}) {
		if err != nil {
			t.Fatal(err)
		}
		got[o.Owner.Kind]++
		if o.Owner.Cluster != cluster {
			t.Errorf("%s belongs to cluster %q", o.Path, o.Owner.Cluster)
		}
		if o.Owner.Kind == ncp.OwnerService && o.Owner.NamespaceUID == "" {
			t.Errorf("%s: the namespace of its Service is not known", o.Path)
		}
	}
	want := map[ncp.OwnerKind]int{
		ncp.OwnerService: 4, ncp.OwnerNamespace: 10, ncp.OwnerCluster: 1, ncp.OwnerShared: 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if o := finder.Owner(nil); o.Kind != ncp.OwnerNone {
		t.Errorf("no tags: got %+v", o)
	}
}

func TestScopesCanBeExtended(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	client, err := nsx.NewClient(srv.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword), nsx.WithHTTPClient(srv.Client()))
	if err != nil {
		t.Fatal(err)
	}
	scopes := ncp.DefaultScopes()
	scopes.ServiceUID = append(scopes.ServiceUID, "acme/svc")
	finder := ncp.NewFinder(client, ncp.WithScopes(scopes))
	for id, scope := range map[string]string{"a": "ncp/service_uid", "b": "acme/svc", "c": "other"} {
		pool := nsx.Pool{Resource: nsx.Resource{Tags: nsx.Tags{{Scope: scope, Tag: uid}}}}
		if err := srv.Put("/infra/lb-pools/"+id, pool); err != nil {
			t.Fatal(err)
		}
	}
	pools, err := finder.Pools(t.Context(), ncp.Selector{ServiceUID: uid})
	if err != nil || len(pools) != 2 || pools[0].ID != "a" || pools[1].ID != "b" {
		t.Errorf("got %v, %v", pools, err)
	}
}

// live returns what lives in the cluster.
func live(namespaces, services []string) func(context.Context) (ncp.Live, error) {
	set := func(uids []string) map[string]bool {
		if uids == nil {
			return nil
		}
		s := map[string]bool{}
		for _, uid := range uids {
			s[uid] = true
		}
		return s
	}
	return func(context.Context) (ncp.Live, error) {
		return ncp.Live{NamespaceUIDs: set(namespaces), ServiceUIDs: set(services)}, nil
	}
}

func TestOrphans(t *testing.T) {
	t.Parallel()
	both, all := []string{"ns-data", "ns-app"}, []string{"svc-data", "svc-app"}
	cases := map[string]struct {
		reason string
		live   func(context.Context) (ncp.Live, error)
		want   []nsx.Path
	}{
		"all live":      {"", live(both, all), nil},
		"nobody looked": {"what was not looked at may live", live(nil, nil), nil},
		"a Service": {
			"its virtual server and pool remain", live(both, []string{"svc-app"}),
			[]nsx.Path{"/infra/lb-pools/vs-data", "/infra/lb-virtual-servers/vs-data"},
		},
		"a namespace": {
			"everything in it remains, and its Services can't live", live([]string{"ns-app"}, all),
			[]nsx.Path{
				"/infra/domains/default/security-policies/sp-data", "/infra/ip-pools/pool-data", "/infra/lb-pools/vs-data",
				"/infra/lb-virtual-servers/vs-data", "/infra/segments/seg-data", "/infra/tier-1s/t1-data",
				"/infra/tier-1s/t1-data/segments/fixed-data",
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, finder, put := start(t)
			putCluster(put)
			orphans, err := finder.Orphans(t.Context(), cluster, tc.live)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, paths(orphans, func(o ncp.Orphan) nsx.Path { return o.Path })); diff != "" {
				t.Errorf("%s: (-want +got)\n%s", tc.reason, diff)
			}
			for _, o := range orphans {
				if o.Reason == "" {
					t.Errorf("%s is an orphan for no reason", o.Path)
				}
			}
		})
	}
}

func TestOrphansAreReadAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv, finder, put := start(t, nsxsim.WithSearchLag(time.Minute))
		putCluster(put)
		time.Sleep(2 * time.Minute)
		// NCP cleans up while we look; the index does not know it yet.
		for _, path := range []string{"/infra/lb-virtual-servers/vs-data", "/infra/lb-pools/vs-data"} {
			if err := srv.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		orphans, err := finder.Orphans(t.Context(), cluster, live(nil, []string{"svc-app"}))
		if err != nil || len(orphans) != 0 {
			t.Errorf("got %v, %v; want none", orphans, err)
		}
	})
}

func TestOrphansOfAClusterThatCannotBeRead(t *testing.T) {
	t.Parallel()
	_, finder, put := start(t)
	putCluster(put)
	down := errors.New("the API server is down")
	orphans, err := finder.Orphans(t.Context(), cluster, func(context.Context) (ncp.Live, error) { return ncp.Live{}, down })
	if !errors.Is(err, down) || orphans != nil {
		t.Errorf("got %v, %v; want the error and no orphans", orphans, err)
	}
}

func TestLeakedAddresses(t *testing.T) {
	t.Parallel()
	for _, hidden := range []bool{false, true} {
		_, finder, put := start(t, nsxsim.WithSwitches(nsxsim.Switches{HideAllocatedIP: hidden}))
		putCluster(put)
		put("/infra/ip-pools/ingress/ip-subnets/s", nsx.IPSubnet{
			Resource: nsx.Resource{ResourceType: nsx.IPStaticSubnet}, CIDR: "192.168.30.64/27",
			AllocationRanges: []nsx.IPRange{{Start: "192.168.30.66", End: "192.168.30.94"}},
		})
		allocate := func(id, service string) {
			put("/infra/ip-pools/ingress/ip-allocations/"+id, nsx.IPAllocation{
				Resource: nsx.Resource{Tags: tags("ncp/service_uid", service, "ncp/project_uid", "ns-data")},
			})
		}
		allocate("a-used", "svc-data") // .66, the VIP of its virtual server
		allocate("b-twice", "svc-data")
		allocate("c-gone", "svc-gone")
		allocate("d-early", "svc-early") // its virtual server is yet to come
		leaked, err := finder.LeakedAddresses(t.Context(), cluster, live(nil, []string{"svc-data", "svc-app", "svc-early"}))
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, l := range leaked {
			got[l.Path.ID()] = l.IP + ": " + l.Reason
			if l.Pool != "/infra/ip-pools/ingress" {
				t.Errorf("%s is of pool %s", l.Path, l.Pool)
			}
		}
		want := map[string]string{
			"b-twice": "192.168.30.67: no virtual server of its Service has the address",
			"c-gone":  "192.168.30.68: no Service has the UID svc-gone",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("hidden %t: (-want +got)\n%s", hidden, diff)
		}
	}
}

func TestNothingIsWritten(t *testing.T) {
	t.Parallel()
	srv, finder, put := start(t)
	putCluster(put)
	ctx := t.Context()
	_, _ = finder.VirtualServers(ctx, "svc-data")
	_, _ = finder.Orphans(ctx, cluster, live([]string{}, []string{}))
	_, _ = finder.LeakedAddresses(ctx, cluster, live([]string{}, []string{}))
	_, _ = page.Collect(finder.Objects(ctx, ncp.Selector{Cluster: cluster}))
	for _, r := range srv.Requests() {
		if r.Method != http.MethodGet && r.Path != "/api/session/create" {
			t.Errorf("sent %s %s", r.Method, r.Path)
		}
	}
}
