// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"encoding/json"
	"flag"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/supervisor"
	"github.com/viaduct-sdk/viaduct/vcenter"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got); go test -update accepts it\n%s", path, diff)
	}
}

func encode(t *testing.T, g *Graph) []byte {
	t.Helper()
	data, err := json.MarshalIndent(g, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(data, '\n')
}

func TestJoinShop(t *testing.T) {
	t.Parallel()
	golden(t, "shop.json", encode(t, join(shop().observed)))
}

// broken is the shop on a bad day.
func broken() *world {
	w := shop()
	c := &w.clusters[0]
	w.setMember("order-postgres-0", nsx.LBDown)
	c.pods[0].Status.Conditions[0].Status = corev1.ConditionFalse // cart-redis-0
	for i := range c.services {
		if s := &c.services[i]; s.Name == "users-redis-viaduct" {
			s.Status.LoadBalancer.Ingress = nil
			s.Annotations["ncp/error.loadbalancer"] = "IP_POOL_EXHAUSTED"
		}
	}
	// NCP took its virtual server away, and the import leads nowhere.
	w.nsx.virtualServers = slices.DeleteFunc(w.nsx.virtualServers, func(v nsx.VirtualServer) bool {
		return v.DisplayName == "vs-users-redis-viaduct"
	})
	w.vcenter.portGroups = nil
	w.vcenter.found = []Hole{{System: SystemVCenter, Object: objectPortGroups, Reason: "forbidden"}}
	return w
}

// setMember has the load balancer find a pod in this status.
func (w *world) setMember(pod string, status nsx.LBStatus) {
	address := ""
	for _, p := range w.clusters[0].pods {
		if p.Name == pod {
			address = p.Status.PodIP
		}
	}
	for path, lb := range w.nsx.status {
		for i := range lb.Pools {
			for k := range lb.Pools[i].Members {
				if lb.Pools[i].Members[k].IPAddress == address {
					lb.Pools[i].Members[k].Status, lb.Pools[i].Status = status, status
					lb.VirtualServers[i].Status = status
				}
			}
		}
		w.nsx.status[path] = lb
	}
}

func TestJoinBroken(t *testing.T) {
	t.Parallel()
	golden(t, "broken.json", encode(t, join(broken().observed)))
}

// name tells a node of a small world apart without its ID.
func name(g *Graph, id string) string {
	n, ok := g.Node(id)
	if !ok {
		return "?" + id
	}
	where := n.Cluster
	if where != "" {
		where += "/"
	}
	return where + string(n.Kind) + "/" + n.Label
}

func relationsByName(g *Graph, kinds ...EdgeKind) []string {
	var all []string
	for _, e := range g.Edges {
		if len(kinds) == 0 || slices.Contains(kinds, e.Kind) {
			all = append(all, name(g, e.From)+" "+string(e.Kind)+" "+name(g, e.To))
		}
	}
	slices.Sort(all)
	return all
}

// TestJoinIgnoresNames gives everything in vCenter and NSX the name of something
// else: all relations stay.
func TestJoinIgnoresNames(t *testing.T) {
	t.Parallel()
	want := join(shop().observed)
	w := shop()
	for i := range w.nsx.virtualServers {
		w.nsx.virtualServers[i].DisplayName = "vs-order-postgres"
	}
	for i := range w.nsx.pools {
		w.nsx.pools[i].DisplayName = "users-redis"
	}
	for i := range w.nsx.segments {
		w.nsx.segments[i].DisplayName = "vnet-elsewhere-0"
	}
	for i := range w.nsx.tier1s {
		w.nsx.tier1s[i].DisplayName = "t1"
	}
	for i := range w.vcenter.portGroups {
		w.vcenter.portGroups[i].Name = "VM Network"
	}
	if diff := cmp.Diff(want.Edges, join(w.observed).Edges, ignoreOrder()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func ignoreOrder() cmp.Option {
	return cmp.Transformer("sort", func(edges []Edge) []Edge {
		sorted := slices.Clone(edges)
		slices.SortFunc(sorted, func(a, b Edge) int {
			return strings.Compare(a.From+a.To+string(a.Kind), b.From+b.To+string(b.Kind))
		})
		return sorted
	})
}

func TestJoinRelations(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason string
		change func(*world)
		kinds  []EdgeKind
		// add and remove are the differences to the relations of the shop.
		add, remove []string
	}{
		"pods of another cluster": {
			reason: "addresses of pods repeat between clusters: a member is looked for in the cluster of the Service",
			change: func(w *world) {
				c := &w.clusters[1]
				for _, p := range w.clusters[0].pods {
					p.UID += "-twin"
					c.pods = append(c.pods, p)
				}
			},
			kinds: []EdgeKind{EdgeMember},
		},
		"pods on the host's network": {
			reason: "several pods have the host's address",
			change: func(w *world) { w.clusters[0].pods[0].Spec.HostNetwork = true },
			kinds:  []EdgeKind{EdgeMember},
			remove: []string{"pool/1 of 1 member up member supervisor/pod/cart-redis-0"},
		},
		"another vCenter": {
			reason: "the namespace's pool names the vCenter that it is of",
			change: func(w *world) { w.vcenter.instance = uid("another") },
			kinds:  []EdgeKind{EdgeRealizes},
			remove: []string{
				"vsphere-namespace/acme-app realizes supervisor/namespace/acme-app",
				"vsphere-namespace/acme-data realizes supervisor/namespace/acme-data",
			},
		},
		"another cluster of the vCenter": {
			reason: "a namespace's name is its key within one Supervisor",
			change: func(w *world) { w.vcenter.namespaces[0].Cluster = "domain-c99" },
			kinds:  []EdgeKind{EdgeRealizes},
			remove: []string{"vsphere-namespace/acme-data realizes supervisor/namespace/acme-data"},
		},
		"several switches": {
			reason: "a segment has a port group on each switch of its transport zone",
			change: func(w *world) {
				twin := w.vcenter.portGroups[0]
				twin.Ref.Value, twin.Name = "dvportgroup-99", "twin"
				w.vcenter.portGroups = append(w.vcenter.portGroups, twin)
			},
			kinds: []EdgeKind{EdgeRealizes},
			add:   []string{"segment/vnet-acme-data-0 realizes port-group/twin"},
		},
		"a segment that NSX names otherwise": {
			reason: "the port group knows the segment's path when the ids differ",
			change: func(w *world) {
				w.nsx.segments[0].UniqueID = uid("something else")
				w.nsx.segments[0].Tags = nil
			},
			kinds: []EdgeKind{EdgeAttaches, EdgeRealizes},
		},
		"the network of a TK cluster": {
			reason: "NCP tags what it makes for something in a namespace with the namespace's UID",
			change: func(w *world) {
				s := tagged("/infra/segments/vnet", "vnet-tk", "ncp/project_uid", uid("namespace", "acme-app"))
				w.nsx.segments = append(w.nsx.segments, nsx.Segment{Resource: s})
			},
			kinds: []EdgeKind{EdgeAttaches},
			add:   []string{"supervisor/namespace/acme-app attaches segment/vnet-tk"},
		},
		"the control plane of a TK cluster": {
			reason: "the address of its API server is that of a VirtualMachineService",
			change: func(w *world) {
				w.clusters[0].vmServices = []supervisor.VirtualMachineService{
					{Namespace: "acme-app", Name: "control-plane", UID: "cp", VIPs: []netip.Addr{netip.MustParseAddr("192.168.40.1")}},
					{Namespace: "acme-app", Name: "another", UID: "other", VIPs: []netip.Addr{netip.MustParseAddr("192.168.40.2")}},
				}
			},
			kinds: []EdgeKind{EdgeRealizes},
			add:   []string{"supervisor/tk-cluster/acme-fitness realizes supervisor/vm-service/control-plane"},
		},
		"no port groups": {
			reason: "the segment is known by its unique id",
			change: func(w *world) { w.vcenter.portGroups = nil },
			kinds:  []EdgeKind{EdgeAttaches},
			remove: []string{
				"supervisor/namespace/acme-app attaches port-group/vnet-acme-app-0",
				"supervisor/namespace/acme-data attaches port-group/vnet-acme-data-0",
			},
		},
		"a range of ports": {
			reason: "a virtual server may serve ranges",
			change: func(w *world) { w.nsx.virtualServers[0].Ports = []string{"80", "6000-7000"} },
			kinds:  []EdgeKind{EdgeResolves},
			add:    []string{"acme-fitness/import/cart-redis resolves virtual-server/192.168.0.4:80,6000-7000"},
			remove: []string{"acme-fitness/import/cart-redis resolves virtual-server/192.168.0.4:6379"},
		},
		"another port": {
			reason: "the address alone does not make it the same service",
			change: func(w *world) { w.nsx.virtualServers[0].Ports = []string{"6380"} },
			kinds:  []EdgeKind{EdgeResolves},
			remove: []string{"acme-fitness/import/cart-redis resolves virtual-server/192.168.0.4:6379"},
		},
		"another protocol": {
			reason: "a virtual server for UDP does not serve TCP",
			change: func(w *world) { w.nsx.virtualServers[0].ApplicationProfilePath = nsx.DefaultUDPProfilePath },
			kinds:  []EdgeKind{EdgeResolves},
			remove: []string{"acme-fitness/import/cart-redis resolves virtual-server/192.168.0.4:6379"},
		},
		"a policy for a virtual server": {
			reason: "a rule's destination may be an address",
			change: func(w *world) {
				path := "/infra/domains/default/security-policies/import"
				p := nsx.SecurityPolicy{Resource: nsx.Resource{Path: nsx.Path(path), ID: "import", DisplayName: "import of cart-redis"}}
				r := nsx.Rule{Action: nsx.RuleAllow, DestinationGroups: []nsx.Path{"192.168.0.4"}}
				r.ParentPath = p.Path
				w.nsx.policies, w.nsx.rules = append(w.nsx.policies, p), append(w.nsx.rules, r)
			},
			kinds: []EdgeKind{EdgeGuards},
			add:   []string{"firewall-policy/import of cart-redis guards virtual-server/192.168.0.4:6379"},
		},
		"the endpoint of another cluster": {
			reason: "a cluster is the object's when its API server has the object's address",
			change: func(w *world) { w.tkClusters[0].Endpoint.Host = "192.168.40.99" },
			kinds:  []EdgeKind{EdgeRealizes},
			remove: []string{"supervisor/tk-cluster/acme-fitness realizes acme-fitness/cluster/acme-fitness"},
		},
		"a companion's marks copied": {
			reason: "marks are bound to the object's own name: a copy is a Service like any other",
			change: func(w *world) {
				for i := range w.clusters[0].services {
					if s := &w.clusters[0].services[i]; s.Name == "cart-redis-viaduct" {
						s.Name = "copy"
					}
				}
			},
			kinds:  []EdgeKind{EdgeExports, EdgeResolves},
			remove: []string{"supervisor/service/cart-redis exports supervisor/export/cart-redis-viaduct"},
		},
	}
	all := join(shop().observed)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := shop()
			tc.change(w)
			want := append(relationsByName(all, tc.kinds...), tc.add...)
			for _, gone := range tc.remove {
				i := slices.Index(want, gone)
				if i < 0 {
					t.Fatalf("the shop has no %q", gone)
				}
				want = slices.Delete(want, i, i+1)
			}
			slices.Sort(want)
			if diff := cmp.Diff(want, relationsByName(join(w.observed), tc.kinds...)); diff != "" {
				t.Errorf("%s (-want +got)\n%s", tc.reason, diff)
			}
		})
	}
}

// guestService makes a LoadBalancer Service in the TK cluster, with what stands
// for it on the Supervisor and in NSX.
func (w *world) guestService() {
	c := &w.clusters[1]
	guest := corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: testNS, Name: "frontend", UID: "guest"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
	}
	w.clusters[0].vmServices = []supervisor.VirtualMachineService{{
		Namespace: "acme-app", Name: "acme-fitness-d41d8", UID: "vm", GuestCluster: "acme-fitness",
		GuestService: types.NamespacedName{Namespace: testNS, Name: "frontend"},
	}}
	yes := true
	s := corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "acme-app", Name: "acme-fitness-d41d8", UID: "on-supervisor",
			OwnerReferences: []metav1.OwnerReference{{Kind: "VirtualMachineService", UID: "vm", Controller: &yes}},
		},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
	}
	vip := w.publish("acme-app", &s, 80, []nsx.PoolMember{{IPAddress: "10.244.1.9", Port: "30080"}})
	s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: vip}}
	guest.Status = s.Status
	c.services, w.clusters[0].services = append(c.services, guest), append(w.clusters[0].services, s)
}

// TestJoinGuestService follows a LoadBalancer Service of a TK cluster to the
// Supervisor and to NSX.
func TestJoinGuestService(t *testing.T) {
	t.Parallel()
	w := shop()
	w.guestService()
	got := relationsByName(Focus(join(w.observed), "supervisor:vm"), EdgeRealizes, EdgePublishes, EdgeForwards)
	want := []string{
		"acme-fitness/service/frontend realizes supervisor/vm-service/frontend",
		"supervisor/namespace/acme-app",
		"supervisor/service/acme-fitness-d41d8 publishes virtual-server/192.168.0.22:80",
		"supervisor/vm-service/frontend realizes supervisor/service/acme-fitness-d41d8",
		"virtual-server/192.168.0.22:80 forwards pool/1 of 1 member up",
	}
	for _, one := range want {
		if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, one) }) {
			t.Errorf("no %q in\n%s", one, strings.Join(got, "\n"))
		}
	}
}

func find(t *testing.T, g *Graph, kind Kind, label string) Node {
	t.Helper()
	for _, n := range g.Nodes {
		if n.Kind == kind && n.Label == label {
			return n
		}
	}
	t.Fatalf("the graph has no %s %q", kind, label)
	return Node{}
}

// TestJoinKeepsToKubernetes leaves out what has nothing to do with it.
func TestJoinKeepsToKubernetes(t *testing.T) {
	t.Parallel()
	foreign := func(path string) nsx.Resource {
		return nsx.Resource{ID: "foreign", Path: nsx.Path(path), DisplayName: "foreign"}
	}
	other := foreign("/infra/lb-virtual-servers/other-supervisor")
	other.Tags = nsx.Tags{{Scope: "ncp/cluster", Tag: "domain-c99:" + vcenterUUID}}
	w := shop()
	w.nsx.segments = append(w.nsx.segments, nsx.Segment{Resource: foreign("/infra/segments/foreign")})
	w.nsx.virtualServers = append(w.nsx.virtualServers, nsx.VirtualServer{Resource: foreign("/infra/lb-virtual-servers/foreign")},
		nsx.VirtualServer{Resource: other})
	w.nsx.policies = append(w.nsx.policies, nsx.SecurityPolicy{Resource: foreign("/infra/domains/default/security-policies/foreign")})
	w.vcenter.portGroups = append(w.vcenter.portGroups, vcenter.SegmentPortGroup{Name: "foreign", Segment: "/infra/segments/foreign"})
	c := &w.clusters[1]
	c.namespaces = append(c.namespaces, corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: "kube-system"}})
	c.services = append(c.services, corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-dns", UID: "dns"}})
	if diff := cmp.Diff(join(shop().observed), join(w.observed)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}

	// With NSX alone, everything is wanted.
	alone := join(observed{nsx: w.nsx})
	for _, kind := range []Kind{KindSegment, KindFirewallPolicy} {
		find(t, alone, kind, "foreign")
	}
}

// TestJoinIsDeterministic shuffles what the servers said.
func TestJoinIsDeterministic(t *testing.T) {
	t.Parallel()
	want := encode(t, join(shop().observed))
	for seed := range uint64(20) {
		w := shop()
		r := rand.New(rand.NewPCG(seed, 0))
		shuffle(r, w.nsx.virtualServers)
		shuffle(r, w.nsx.pools)
		shuffle(r, w.nsx.segments)
		shuffle(r, w.nsx.policies)
		shuffle(r, w.nsx.rules)
		shuffle(r, w.vcenter.portGroups)
		shuffle(r, w.vcenter.namespaces)
		for i := range w.clusters {
			shuffle(r, w.clusters[i].services)
			shuffle(r, w.clusters[i].pods)
			shuffle(r, w.clusters[i].namespaces)
			shuffle(r, w.clusters[i].backends)
		}
		if diff := cmp.Diff(string(want), string(encode(t, join(w.observed)))); diff != "" {
			t.Fatalf("seed %d (-want +got)\n%s", seed, diff)
		}
	}
}

func shuffle[T any](r *rand.Rand, all []T) {
	r.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
}
