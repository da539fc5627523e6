// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	discoveryv1beta1 "k8s.io/api/discovery/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	kubetest "k8s.io/client-go/testing"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
	"github.com/viaduct-sdk/viaduct/tkc"
	"github.com/viaduct-sdk/viaduct/vcenter"
	"github.com/viaduct-sdk/viaduct/vcenter/vcentersim"
)

// site is a world on simulated servers.
type site struct {
	nsx     *nsxsim.Server
	vcenter *vcentersim.Server
	// kube are the clusters' API servers by name.
	kube    map[string]*fake.Clientset
	sources Sources
}

type listed []tkc.Cluster

func (l listed) List(context.Context, tkc.ListOptions) ([]tkc.Cluster, error) { return l, nil }

// serve puts a world onto simulated servers.
func serve(t *testing.T, w *world) *site {
	t.Helper()
	s := &site{nsx: nsxsim.NewServer(), kube: map[string]*fake.Clientset{}}
	t.Cleanup(s.nsx.Close)
	var err error
	if s.vcenter, err = vcentersim.NewServer(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.vcenter.Close)
	s.serveNSX(t, w)
	s.sources.VCenter, err = vcenter.NewClient(s.vcenter.URL(), vcenter.PasswordAuth(s.vcenter.Username(), s.vcenter.Password()),
		vcenter.WithHTTPClient(s.vcenter.Client()), vcenter.WithRetry(vcenter.RetryPolicy{Attempts: 1}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.sources.VCenter.Close(context.Background()) })
	for _, ns := range w.vcenter.namespaces {
		if err := s.sources.VCenter.Namespaces().Create(t.Context(), vcenter.NamespaceSpec{Name: ns.Name, Cluster: ns.Cluster}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range w.vcenter.portGroups {
		pg := &w.vcenter.portGroups[i]
		pg.LogicalSwitch = w.nsx.segments[i].UniqueID
		err := s.vcenter.AddSegmentPortGroup(t.Context(), vcentersim.SegmentPortGroup{
			Name: pg.Name, SegmentPath: pg.Segment, LogicalSwitchUUID: pg.LogicalSwitch,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range w.clusters {
		c := &w.clusters[i]
		s.kube[c.name] = fake.NewClientset(objects(c)...)
		one := Cluster{Name: c.name, Kubernetes: s.kube[c.name], Endpoint: c.endpoint}
		if i == 0 {
			s.sources.Supervisor = &one
		} else {
			s.sources.Clusters = append(s.sources.Clusters, one)
		}
	}
	s.sources.TKClusters = listed(w.tkClusters)
	s.sources.NSX, err = nsx.NewClient(s.nsx.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword),
		nsx.WithHTTPClient(s.nsx.Client()), nsx.WithRetry(nsx.RetryPolicy{Attempts: 1}))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serveNSX puts the world's NSX onto a simulated one, and takes over the ids that
// this gives to segments.
func (s *site) serveNSX(t *testing.T, w *world) {
	t.Helper()
	put := func(path nsx.Path, object any) {
		t.Helper()
		if err := s.nsx.Put(path.String(), object); err != nil {
			t.Fatal(err)
		}
	}
	bare := func(r nsx.Resource) nsx.Resource {
		return nsx.Resource{DisplayName: r.DisplayName, Tags: r.Tags}
	}
	for _, o := range w.nsx.tier1s {
		put(o.Path, nsx.Tier1{Resource: bare(o.Resource)})
	}
	for i := range w.nsx.segments {
		o := &w.nsx.segments[i]
		put(o.Path, nsx.Segment{
			Resource: bare(o.Resource), ConnectivityPath: o.ConnectivityPath,
			Subnets: []nsx.SegmentSubnet{{GatewayAddress: "10.244.0.17/28"}},
		})
		var live nsx.Segment
		if err := s.nsx.Read(o.Path.String(), &live); err != nil {
			t.Fatal(err)
		}
		for k := range w.clusters[0].namespaces {
			if a := w.clusters[0].namespaces[k].Annotations; a["ls_id-0"] == o.UniqueID {
				a["ls_id-0"] = live.UniqueID
			}
		}
		o.UniqueID = live.UniqueID
	}
	for _, o := range w.nsx.loadBalancers {
		put(o.Path, nsx.LBService{Resource: bare(o.Resource), ConnectivityPath: o.ConnectivityPath, Size: o.Size})
	}
	for _, o := range w.nsx.pools {
		put(o.Path, nsx.Pool{Resource: bare(o.Resource), Members: o.Members})
	}
	for _, o := range w.nsx.virtualServers {
		path := o.Path
		o.Resource = bare(o.Resource)
		put(path, o)
	}
	for _, o := range w.nsx.groups {
		put(o.Path, nsx.Group{Resource: bare(o.Resource), Expression: []nsx.Expression{nsx.Paths(o.Expression[0].Paths...)}})
	}
	for _, o := range w.nsx.policies {
		put(o.Path, nsx.SecurityPolicy{Resource: bare(o.Resource), Category: o.Category, Scope: o.Scope})
	}
	for _, o := range w.nsx.rules {
		scope := w.nsx.groups[0].Path
		put(o.Path, nsx.Rule{
			Resource: bare(o.Resource), Action: o.Action, Direction: "IN", Scope: []nsx.Path{nsx.Any},
			SourceGroups: []nsx.Path{scope}, DestinationGroups: []nsx.Path{nsx.Any}, Services: []nsx.Path{nsx.Any},
		})
	}
}

// objects are what the API server of a cluster has.
func objects(c *clusterSeen) []runtime.Object {
	var all []runtime.Object
	for i := range c.namespaces {
		all = append(all, &c.namespaces[i])
	}
	for i := range c.services {
		all = append(all, &c.services[i])
	}
	for i := range c.pods {
		all = append(all, &c.pods[i])
	}
	for _, s := range slicesOf(c) {
		all = append(all, s)
	}
	return all
}

// slicesOf are the slices that the cluster's imports have.
func slicesOf(c *clusterSeen) []*discoveryv1.EndpointSlice {
	var all []*discoveryv1.EndpointSlice
	yes := true
	for i := range c.backends {
		b := &c.backends[i]
		k := slices.IndexFunc(c.services, func(s corev1.Service) bool { return s.UID == b.service })
		all = append(all, &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: c.services[k].Namespace, Name: c.services[k].Name + "-slice", Labels: c.services[k].Labels,
				OwnerReferences: []metav1.OwnerReference{{Kind: "Service", UID: b.service, Controller: &yes}},
			},
			Endpoints: []discoveryv1.Endpoint{{Addresses: b.addresses}},
			Ports:     []discoveryv1.EndpointPort{{Protocol: &b.ports[0].protocol, Port: &b.ports[0].number}},
		})
	}
	return all
}

func collect(t *testing.T, s *site) *Graph {
	t.Helper()
	g, err := Collect(t.Context(), s.sources)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// shape is a graph without ids, which the servers choose.
func shape(g *Graph) []string {
	var all []string
	for _, n := range g.Nodes {
		all = append(all, strings.Join([]string{name(g, n.ID), n.Detail, string(n.State), n.Reason}, " | "))
	}
	return append(all, relationsByName(g)...)
}

func TestCollect(t *testing.T) {
	t.Parallel()
	w := shop()
	s := serve(t, w)
	w.vcenter.instance = s.vcenter.InstanceUUID()
	want := shape(join(w.observed))
	g := collect(t, s)
	if diff := cmp.Diff(want, shape(g)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if len(g.Holes) > 0 {
		t.Errorf("it has holes: %v", g.Holes)
	}
	for _, r := range append(s.nsx.Unsimulated(), s.vcenter.Unsimulated()...) {
		t.Errorf("not simulated: %s", r)
	}
	for _, r := range s.nsx.Requests() {
		if r.Method != http.MethodGet && !strings.HasPrefix(r.Path, "/api/session/") {
			t.Errorf("it wrote: %s %s", r.Method, r.Path)
		}
	}
}

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
		"NSX does not answer": {
			reason: "who does not answer in time holds up nobody",
			fault: func(s *site) {
				s.nsx.Inject(nsxsim.Fault{Route: "/infra/lb-pools", Kind: nsxsim.FaultDelay, Delay: time.Hour, Times: -1})
				s.sources.Timeout = 2 * time.Second
			},
			holes: []string{"nsx: pools: no answer"},
			left:  []Kind{KindVirtualServer, KindPod},
			gone:  []Kind{KindPool},
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

// TestCollectScoped reads the namespaces that a user may read, one by one.
func TestCollectScoped(t *testing.T) {
	t.Parallel()
	s := serve(t, shop())
	for _, resource := range []string{"namespaces", "services", "pods", "endpointslices"} {
		s.kube["supervisor"].PrependReactor("list", resource, func(a kubetest.Action) (bool, runtime.Object, error) {
			if a.GetNamespace() == testNS {
				return false, nil, nil
			}
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New("no"))
		})
	}
	s.sources.Supervisor.Namespaces = []string{testNS}
	g := collect(t, s)
	if len(g.Holes) > 0 {
		t.Errorf("it has holes: %v", g.Holes)
	}
	find(t, g, KindPod, "order-postgres-0")
	if n := find(t, g, KindNamespace, testNS); n.Detail == "" {
		t.Error("its annotations were not read")
	}

	s.sources.Supervisor.Namespaces = []string{testNS, "acme-app"}
	want := []string{
		"supervisor supervisor: Services of namespace acme-app: forbidden",
		"supervisor supervisor: endpoints of imports of namespace acme-app: forbidden",
		"supervisor supervisor: pods of namespace acme-app: forbidden",
	}
	var holes []string
	for _, h := range collect(t, s).Holes {
		holes = append(holes, h.String())
	}
	if diff := cmp.Diff(want, holes); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestCollectOldClusters reads imports where the API server has slices of
// v1beta1 only, or none.
func TestCollectOldClusters(t *testing.T) {
	t.Parallel()
	gone := func(client *fake.Clientset, version string) {
		client.PrependReactor("list", "endpointslices", func(a kubetest.Action) (bool, runtime.Object, error) {
			if a.GetResource().Version == version {
				return true, nil, apierrors.NewNotFound(a.GetResource().GroupResource(), "")
			}
			return false, nil, nil
		})
	}
	cases := map[string]func(c *clusterSeen, old *fake.Clientset){
		"v1beta1": func(c *clusterSeen, old *fake.Clientset) {
			gone(old, "v1")
			list := &discoveryv1beta1.EndpointSliceList{}
			for _, s := range slicesOf(c) {
				list.Items = append(list.Items, discoveryv1beta1.EndpointSlice{
					ObjectMeta: s.ObjectMeta,
					Endpoints:  []discoveryv1beta1.Endpoint{{Addresses: s.Endpoints[0].Addresses}},
					Ports:      []discoveryv1beta1.EndpointPort{{Port: s.Ports[0].Port}},
				})
			}
			old.PrependReactor("list", "endpointslices", func(a kubetest.Action) (bool, runtime.Object, error) {
				return a.GetResource().Version == "v1beta1", list, nil
			})
		},
		"Endpoints": func(c *clusterSeen, old *fake.Clientset) {
			gone(old, "v1")
			gone(old, "v1beta1")
			list := &corev1.EndpointsList{} // what clusters before 1.17 have
			for _, s := range slicesOf(c) {
				//nolint:staticcheck // what clusters before 1.17 have
				list.Items = append(list.Items, corev1.Endpoints{ObjectMeta: s.ObjectMeta, Subsets: []corev1.EndpointSubset{{
					Addresses: []corev1.EndpointAddress{{IP: s.Endpoints[0].Addresses[0]}},
					Ports:     []corev1.EndpointPort{{Port: *s.Ports[0].Port}},
				}}})
			}
			old.PrependReactor("list", "endpoints", func(kubetest.Action) (bool, runtime.Object, error) { return true, list, nil })
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := shop()
			s := serve(t, w)
			change(&w.clusters[1], s.kube["acme-fitness"])
			w.vcenter.instance = s.vcenter.InstanceUUID()
			if diff := cmp.Diff(relationsByName(join(w.observed), EdgeResolves), relationsByName(collect(t, s), EdgeResolves)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestCollectRefuses(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	for name, sources := range map[string]Sources{
		"nothing to ask":    {},
		"a cluster unnamed": {Clusters: []Cluster{{Kubernetes: client}}},
		"a cluster twice":   {Clusters: []Cluster{{Name: "a", Kubernetes: client}, {Name: "a", Kubernetes: client}}},
		"no client":         {Supervisor: &Cluster{Name: "supervisor"}},
	} {
		if g, err := Collect(t.Context(), sources); g != nil || !errors.Is(err, viaduct.ErrInvalid) {
			t.Errorf("%s: got %v, %v", name, g, err)
		}
	}
	for name, config := range map[string]*rest.Config{"": {}, "tk": nil, "bad": {Host: "https://h", TLSClientConfig: rest.TLSClientConfig{CAData: []byte("no")}}} {
		if _, err := NewCluster(name, config); !errors.Is(err, viaduct.ErrInvalid) {
			t.Errorf("NewCluster(%q): got %v", name, err)
		}
	}
	c, err := NewCluster("tk", &rest.Config{Host: "https://192.168.30.70:6443"})
	if err != nil || c.Endpoint != "192.168.30.70:6443" || c.Dynamic == nil {
		t.Errorf("got %+v, %v", c, err)
	}
}

// TestCollectEndsWithItsContext returns the cause, and no half of a graph.
func TestCollectEndsWithItsContext(t *testing.T) {
	t.Parallel()
	cause := errors.New("the user went home")
	s := serve(t, shop())
	ctx, cancel := context.WithCancelCause(t.Context())
	s.kube["supervisor"].PrependReactor("list", "pods", func(kubetest.Action) (bool, runtime.Object, error) {
		cancel(cause)
		return false, nil, nil
	})
	if g, err := Collect(ctx, s.sources); g != nil || !errors.Is(err, cause) {
		t.Errorf("got %v, %v", g, err)
	}
}
