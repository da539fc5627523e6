// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	kubetest "k8s.io/client-go/testing"

	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
	"github.com/viaduct-sdk/viaduct/tkc"
	"github.com/viaduct-sdk/viaduct/vcenter/vcentersim"
)

// TestCollectHoles takes away one thing at a time.
func TestCollectHoles(t *testing.T) {
	t.Parallel()
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("no"))
	cases := map[string]struct {
		reason string
		fault  func(*site)
		holes  []string
		// left is what the graph has all the same.
		left []Kind
		gone []Kind
	}{
		"NSX refuses virtual servers": {
			reason: "a role may hide load balancing",
			fault: func(s *site) {
				s.nsx.Inject(nsxsim.Fault{Route: "/infra/lb-virtual-servers", Kind: nsxsim.FaultStatus, Status: 403, Code: 289, Times: -1})
			},
			holes: []string{"nsx: virtual servers: forbidden"},
			left:  []Kind{KindPool, KindSegment, KindPod, KindImport, KindPortGroup},
			gone:  []Kind{KindVirtualServer},
		},
		"NSX cannot search": {
			reason: "the index may be rebuilt: policies are there without their rules",
			fault: func(s *site) {
				s.nsx.Inject(nsxsim.Fault{Route: "/search/query", Kind: nsxsim.FaultStatus, Status: 503, Times: -1})
			},
			holes: []string{"nsx: firewall rules: not reachable"},
			left:  []Kind{KindFirewallPolicy, KindVirtualServer},
		},
		"NSX does not know how load balancers are": {
			reason: "the way is there, its state is not known",
			fault: func(s *site) {
				s.nsx.Inject(nsxsim.Fault{Route: "/infra/lb-services/{id}/detailed-status", Kind: nsxsim.FaultStatus, Status: 403, Times: -1})
			},
			holes: []string{"nsx: status of load balancers: forbidden"},
			left:  []Kind{KindVirtualServer, KindPool, KindImport},
		},
		"NSX is dead": {
			reason: "everything of NSX is a hole, and nothing else is",
			fault:  func(s *site) { s.nsx.Managers()[0].Stop() },
			holes: []string{
				"nsx: firewall policies: not reachable", "nsx: firewall rules: not reachable", "nsx: groups: not reachable",
				"nsx: load balancers: not reachable", "nsx: pools: not reachable", "nsx: segments: not reachable",
				"nsx: tier-1 gateways: not reachable", "nsx: virtual servers: not reachable",
			},
			left: []Kind{KindVSphereNamespace, KindPortGroup, KindNamespace, KindService, KindPod, KindImport, KindTKCluster},
			gone: []Kind{KindVirtualServer, KindPool, KindSegment, KindTier1},
		},
		"vCenter refuses namespaces": {
			reason: "the privilege System.Read may be missing",
			fault: func(s *site) {
				s.vcenter.Inject(vcentersim.Fault{
					Method: http.MethodGet, Route: "/api/vcenter/namespaces/instances", Status: 403, Code: "UNAUTHORIZED", Times: -1,
				})
			},
			holes: []string{"vcenter: vSphere Namespaces: forbidden"},
			left:  []Kind{KindPortGroup, KindNamespace, KindVirtualServer},
			gone:  []Kind{KindVSphereNamespace},
		},
		"vCenter refuses the inventory": {
			reason: "namespaces come from REST, port groups from SOAP",
			fault: func(s *site) {
				s.vcenter.Inject(vcentersim.Fault{Route: "/sdk#RetrievePropertiesEx", Status: 500, Code: "NoPermission", Times: -1})
			},
			holes: []string{"vcenter: port groups: forbidden"},
			left:  []Kind{KindVSphereNamespace, KindSegment},
			gone:  []Kind{KindPortGroup},
		},
		"vCenter is dead": {
			reason: "all else is there",
			fault: func(s *site) {
				s.vcenter.Inject(vcentersim.Fault{Kind: vcentersim.FaultDrop, Times: -1})
			},
			holes: []string{"vcenter: port groups: not reachable", "vcenter: vSphere Namespaces: not reachable"},
			left:  []Kind{KindSegment, KindNamespace, KindVirtualServer, KindImport},
			gone:  []Kind{KindPortGroup, KindVSphereNamespace},
		},
		"the Supervisor refuses pods": {
			reason: "a user may see Services and no pods",
			fault: func(s *site) {
				s.kube["supervisor"].PrependReactor("list", "pods", func(kubetest.Action) (bool, runtime.Object, error) {
					return true, nil, forbidden
				})
			},
			holes: []string{"supervisor supervisor: pods: forbidden"},
			left:  []Kind{KindService, KindExport, KindVirtualServer, KindPool},
			gone:  []Kind{KindPod},
		},
		"the Supervisor refuses namespaces": {
			reason: "those with LoadBalancer Services are there without their annotations",
			fault: func(s *site) {
				s.kube["supervisor"].PrependReactor("list", "namespaces", func(kubetest.Action) (bool, runtime.Object, error) {
					return true, nil, forbidden
				})
			},
			holes: []string{"supervisor supervisor: namespaces: forbidden"},
			left:  []Kind{KindNamespace, KindService, KindPod, KindVirtualServer},
		},
		"the TK cluster is dead": {
			reason: "one dead cluster holds up no other",
			fault: func(s *site) {
				s.kube["acme-fitness"].PrependReactor("*", "*", func(kubetest.Action) (bool, runtime.Object, error) {
					return true, nil, errors.New("connection refused")
				})
			},
			holes: []string{
				"tk-cluster acme-fitness: Services: not reachable", "tk-cluster acme-fitness: endpoints of imports: not reachable",
				"tk-cluster acme-fitness: namespaces: not reachable", "tk-cluster acme-fitness: pods: not reachable",
			},
			left: []Kind{KindService, KindPod, KindVirtualServer, KindCluster, KindTKCluster},
			gone: []Kind{KindImport},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, shop())
			tc.fault(s)
			g := collect(t, s)
			var holes []string
			for _, h := range g.Holes {
				holes = append(holes, h.String())
				if h.Message == "" {
					t.Errorf("%s has no message", h)
				}
			}
			if diff := cmp.Diff(tc.holes, holes); diff != "" {
				t.Errorf("%s (-want +got)\n%s", tc.reason, diff)
			}
			kinds := map[Kind]int{}
			for _, n := range g.Nodes {
				kinds[n.Kind]++
			}
			for _, kind := range tc.left {
				if kinds[kind] == 0 {
					t.Errorf("%s: it lost each %s", tc.reason, kind)
				}
			}
			for _, kind := range tc.gone {
				if kinds[kind] > 0 {
					t.Errorf("%s: it has %d of %s", tc.reason, kinds[kind], kind)
				}
			}
			// What leads to what is not known is not said to be down for it.
			for _, n := range g.Nodes {
				if n.State == StateDown {
					t.Errorf("%s %s is down: %s", n.Kind, n.Label, n.Reason)
				}
			}
		})
	}
}

// TestCollectNoAnswer: who does not answer in time holds up nobody. In a bubble,
// time passes only when all wait, so that nothing else can be late.
func TestCollectNoAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := nsxsim.NewServer()
		defer server.Close()
		web := nsx.VirtualServer{IPAddress: "192.168.30.66", Ports: []string{"80"}, ApplicationProfilePath: nsx.DefaultTCPProfilePath}
		if err := server.Put("/infra/lb-virtual-servers/web", web); err != nil {
			t.Fatal(err)
		}
		server.Inject(nsxsim.Fault{Route: "/infra/lb-pools", Kind: nsxsim.FaultDelay, Delay: time.Hour, Times: -1})
		client, err := nsx.NewClient(server.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword), nsx.WithHTTPClient(server.Client()))
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		g, err := Collect(t.Context(), Sources{NSX: client})
		if err != nil {
			t.Fatal(err)
		}
		if len(g.Holes) != 1 || g.Holes[0].String() != "nsx: pools: no answer" {
			t.Errorf("got %v", g.Holes)
		}
		find(t, g, KindVirtualServer, "192.168.30.66:80")
		if took := time.Since(begin); took != defaultTimeout {
			t.Errorf("it waited for %s, want %s", took, defaultTimeout)
		}
	})
}

// TestCollectNamesEachRefusal takes away one permission at a time, of all that
// are needed: the hole has its name, there is no other, and no error.
func TestCollectNamesEachRefusal(t *testing.T) {
	t.Parallel()
	refused := func(resource string) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New("no"))
	}
	policy := func(route string) func(*site) {
		return func(s *site) {
			s.nsx.Inject(nsxsim.Fault{Route: route, Kind: nsxsim.FaultStatus, Status: 403, Times: -1})
		}
	}
	kube := func(cluster, resource string) func(*site) {
		return func(s *site) {
			s.kube[cluster].PrependReactor("list", resource, func(kubetest.Action) (bool, runtime.Object, error) {
				return true, nil, refused(resource)
			})
		}
	}
	for want, fault := range map[string]func(*site){
		"nsx: tier-1 gateways: forbidden":          policy("/infra/tier-1s"),
		"nsx: segments: forbidden":                 policy("/infra/segments"),
		"nsx: load balancers: forbidden":           policy("/infra/lb-services"),
		"nsx: virtual servers: forbidden":          policy("/infra/lb-virtual-servers"),
		"nsx: pools: forbidden":                    policy("/infra/lb-pools"),
		"nsx: status of load balancers: forbidden": policy("/infra/lb-services/{id}/detailed-status"),
		"nsx: firewall policies: forbidden":        policy("/infra/domains/default/security-policies"),
		"nsx: groups: forbidden":                   policy("/infra/domains/default/groups"),
		"nsx: firewall rules: forbidden":           policy("/search/query"),
		"vcenter: vSphere Namespaces: forbidden": func(s *site) {
			s.vcenter.Inject(vcentersim.Fault{
				Method: http.MethodGet, Route: "/api/vcenter/namespaces/instances", Status: 403, Code: "UNAUTHORIZED", Times: -1,
			})
		},
		"vcenter: port groups: forbidden": func(s *site) {
			s.vcenter.Inject(vcentersim.Fault{Route: "/sdk#RetrievePropertiesEx", Status: 500, Code: "NoPermission", Times: -1})
		},
		"supervisor supervisor: namespaces: forbidden":             kube("supervisor", "namespaces"),
		"supervisor supervisor: Services: forbidden":               kube("supervisor", "services"),
		"supervisor supervisor: pods: forbidden":                   kube("supervisor", "pods"),
		"supervisor supervisor: endpoints of imports: forbidden":   kube("supervisor", "endpointslices"),
		"tk-cluster acme-fitness: namespaces: forbidden":           kube("acme-fitness", "namespaces"),
		"tk-cluster acme-fitness: Services: forbidden":             kube("acme-fitness", "services"),
		"tk-cluster acme-fitness: pods: forbidden":                 kube("acme-fitness", "pods"),
		"tk-cluster acme-fitness: endpoints of imports: forbidden": kube("acme-fitness", "endpointslices"),
		"supervisor supervisor: TK clusters: forbidden":            func(s *site) { s.sources.TKClusters = refusing{refused("tanzukubernetesclusters")} },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			s := serve(t, shop())
			fault(s)
			g := collect(t, s)
			var holes []string
			for _, h := range g.Holes {
				holes = append(holes, h.String())
			}
			if diff := cmp.Diff([]string{want}, holes); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if len(g.Nodes) < 20 {
				t.Errorf("only %d objects are left", len(g.Nodes))
			}
		})
	}
}

// refusing lists no TK clusters.
type refusing struct{ err error }

func (r refusing) List(context.Context, tkc.ListOptions) ([]tkc.Cluster, error) { return nil, r.err }

// vmOperator is the API server of a Supervisor with nothing in it, that answers
// questions for VirtualMachineServices with a status.
type vmOperator int

func (status vmOperator) RoundTrip(r *http.Request) (*http.Response, error) {
	code, body := http.StatusOK, `{"items":[]}`
	if strings.HasPrefix(r.URL.Path, "/apis/vmoperator.vmware.com") {
		code, body = int(status), "{}"
	}
	return &http.Response{
		StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r,
	}, nil
}

// TestCollectVMServices: a Supervisor without VM Operator has none, and one that
// refuses leaves a hole.
func TestCollectVMServices(t *testing.T) {
	t.Parallel()
	for status, want := range map[vmOperator][]string{
		http.StatusNotFound:  nil,
		http.StatusForbidden: {"supervisor supervisor: VirtualMachineServices: forbidden"},
	} {
		c, err := NewCluster("supervisor", &rest.Config{Host: "https://supervisor.example.com", Transport: status})
		if err != nil {
			t.Fatal(err)
		}
		g, err := Collect(t.Context(), Sources{Supervisor: &c})
		if err != nil {
			t.Fatal(err)
		}
		var holes []string
		for _, h := range g.Holes {
			holes = append(holes, h.String())
		}
		if diff := cmp.Diff(want, holes); diff != "" {
			t.Errorf("%d (-want +got)\n%s", status, diff)
		}
	}
}
