// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

const (
	tracedServerPath   = "/infra/lb-virtual-servers/vs"
	tracedBalancerPath = "/infra/lb-services/lb"
	tracedGatewayPath  = "/infra/tier-1s/t1"
	tracedPoolPath     = "/infra/lb-pools/pool"
)

// tracedService returns a Service as it is observed, with the marks of m if it
// has a role.
func tracedService(t *testing.T, m mark, spec corev1.ServiceSpec) service {
	t.Helper()
	s := &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: kindService},
		ObjectMeta: metav1.ObjectMeta{Namespace: m.target.Namespace, Name: m.target.Name, UID: types.UID("uid-" + m.target.Name)},
		Spec:       spec,
	}
	if m.role != "" {
		s.Labels, s.Annotations = m.labels(), m.annotations()
	}
	live, err := render(s)
	if err != nil {
		t.Fatal(err)
	}
	return service{object{live: live}, s}
}

// whole returns the facts of a path on which nothing is broken.
func whole(t *testing.T) *traceFacts {
	t.Helper()
	name := types.NamespacedName{Namespace: "acme-data", Name: "order-postgres"}
	source := Source{Cluster: "supervisor", Namespace: name.Namespace, Name: name.Name, UID: "uid-order-postgres"}
	ports := []corev1.ServicePort{{Name: "main", Protocol: corev1.ProtocolTCP, Port: 5432, TargetPort: intstr.FromInt32(5432)}}
	selector := map[string]string{"app": "order-postgres"}
	imported := tracedService(t, mark{role: RoleImport, source: source, target: name, name: name.Name},
		corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIP: "10.96.0.9", Ports: ports})
	original := tracedService(t, mark{target: name}, corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, Selector: selector, Ports: ports})
	companion := tracedService(t, mark{role: RoleCompanion, source: source, target: companionOf(name), name: companionOf(name).Name},
		corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Selector: selector, Ports: ports})
	companion.Annotations[annotationInternalAddress] = "100.64.0.3"
	companion.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.168.30.66"}}
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "db-0"}}
	pod.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: "10.244.0.5",
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	}
	realized := realization{state: string(nsx.Realized)}
	port := Port{Name: "main", Protocol: corev1.ProtocolTCP, Port: 5432}
	f := &traceFacts{
		cluster: "acme-fitness", target: name,
		importing: importingFacts{service: imported, backends: []traceBackend{{
			kind: kindEndpointSlice, name: "slice", ours: true, source: source, owner: imported.UID,
			addresses: []traceAddress{{"192.168.30.66", true}}, ports: []Port{port},
		}}},
	}
	f.paths = []pathFacts{{
		source: source, addresses: []netip.Addr{netip.MustParseAddr("192.168.30.66")}, ports: []Port{port},
		exporting: exportingFacts{
			given: true, exportObserved: exportObserved{service: original, companion: companion}, vipService: companion, pods: []corev1.Pod{pod},
		},
		nsx: nsxFacts{
			given: true, detailed: true, owned: map[string]bool{tracedServerPath: true},
			servers: []tracedServer{{
				path: tracedServerPath, ip: "192.168.30.66", protocol: "TCP", ports: []string{"5432"}, enabled: true,
				balancer: tracedBalancerPath, pool: tracedPoolPath, service: string(companion.UID), realization: realized,
			}},
			balancers: map[string]tracedBalancer{tracedBalancerPath: {enabled: true, gateway: tracedGatewayPath, status: "UP", realization: realized}},
			gateways:  map[string]tracedGateway{tracedGatewayPath: {advertises: []string{"TIER1_LB_VIP"}, realization: realized}},
			pools: map[string]tracedPool{tracedPoolPath: {
				realization: realized, snat: snatAutoMap,
				members: []nsx.MemberStatus{{IPAddress: "10.244.0.5", Port: "5432", Status: nsx.LBUp}},
			}},
		},
		firewall: firewallFacts{given: true, client: &TraceClient{Address: netip.MustParseAddr("10.128.0.7")}, rules: dropping(t, "10.9.9.9")},
	}}
	return f
}

// dropping returns a ruleset that drops what goes to or comes from an address.
func dropping(t *testing.T, address string) *firewall.Ruleset {
	t.Helper()
	rules, err := firewall.Compile(firewall.Snapshot{Policies: []firewall.Policy{{
		Path: "/p", Category: firewall.Emergency,
		Rules: []firewall.Rule{
			{Path: "/p/rules/to", Name: "to", Action: firewall.Drop, Destinations: []string{address}},
			{Path: "/p/rules/from", Name: "from", Action: firewall.Drop, Sources: []string{address}},
		},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func TestJudgeWhole(t *testing.T) {
	t.Parallel()
	traced := judgeTrace(*whole(t))
	if hop, isBroken := traced.Broken(); isBroken {
		t.Errorf("got %s broken: %s", hop.Name, hop.Cause)
	}
	var names []HopName
	for _, h := range traced.Hops {
		names = append(names, h.Name)
		if h.State != HopOK || len(h.Evidence) == 0 || h.Cause != "" {
			t.Errorf("%s: got %s with evidence %q and cause %q, want ok with evidence alone", h.Name, h.State, h.Evidence, h.Cause)
		}
	}
	if diff := cmp.Diff(hopNames(), names); diff != "" {
		t.Errorf("hops (-want +got):\n%s", diff)
	}
}

// TestJudge changes one fact at a time.
func TestJudge(t *testing.T) {
	t.Parallel()
	away := errors.New("connection refused")
	server := func(change func(*tracedServer)) func(*traceFacts) {
		return func(f *traceFacts) { change(&f.paths[0].nsx.servers[0]) }
	}
	balancer := func(change func(*tracedBalancer)) func(*traceFacts) {
		return func(f *traceFacts) {
			b := f.paths[0].nsx.balancers[tracedBalancerPath]
			change(&b)
			f.paths[0].nsx.balancers[tracedBalancerPath] = b
		}
	}
	pool := func(change func(*tracedPool)) func(*traceFacts) {
		return func(f *traceFacts) {
			p := f.paths[0].nsx.pools[tracedPoolPath]
			change(&p)
			f.paths[0].nsx.pools[tracedPoolPath] = p
		}
	}
	path := func(change func(*pathFacts)) func(*traceFacts) { return func(f *traceFacts) { change(&f.paths[0]) } }
	pod := func(change func(*corev1.Pod)) func(*traceFacts) {
		return path(func(p *pathFacts) { change(&p.exporting.pods[0]) })
	}
	cases := map[string]struct {
		reason string
		change func(*traceFacts)
		hop    HopName
		state  HopState
		says   string
	}{
		"service cannot be read": {"it may be there", func(f *traceFacts) { f.importing.err = away }, HopNamed, HopUnknown, "connection refused"},
		"service being deleted": {"its name will go", func(f *traceFacts) {
			f.importing.service.DeletionTimestamp = &metav1.Time{}
		}, HopNamed, HopBroken, "is being deleted"},
		"alias": {"DNS leads elsewhere", func(f *traceFacts) {
			f.importing.service.Spec.Type, f.importing.service.Spec.ExternalName = corev1.ServiceTypeExternalName, "db.example.com"
		}, HopImport, HopBroken, "alias of db.example.com"},
		"headless": {"clients get the bare address", func(f *traceFacts) {
			f.importing.service.Spec.ClusterIP = corev1.ClusterIPNone
		}, HopImport, HopBroken, "no cluster IP"},
		"slices cannot be read": {"they may be there", func(f *traceFacts) { f.importing.backendsErr = away }, HopSlice, HopUnknown, "refused"},
		"slice port without number": {"kube-proxy cannot use it", func(f *traceFacts) {
			f.importing.backends[0].ports[0].Port = 0
		}, HopSlice, HopBroken, "no number"},
		"endpoints beside, not copied yet": {"Kubernetes will", func(f *traceFacts) {
			f.importing.mirrored = &traceBackend{kind: kindEndpoints, name: "db", addresses: []traceAddress{{"10.1.1.1", true}}}
		}, HopSlice, HopBroken, "makes an EndpointSlice"},
		"loopback": {"the class of CVE-2021-25740", path(func(p *pathFacts) {
			p.addresses = []netip.Addr{netip.MustParseAddr("127.0.0.1")}
		}), HopAddress, HopBroken, "loopback"},
		"one of two addresses": {"the other still leads there", path(func(p *pathFacts) {
			ingress := &p.exporting.vipService.Status.LoadBalancer.Ingress
			*ingress = append(*ingress, corev1.LoadBalancerIngress{IP: "192.168.30.67"})
		}), HopAddress, HopOK, "192.168.30.66"},
		"exporter away": {"health comes from NSX", path(func(p *pathFacts) { p.exporting = exportingFacts{given: true, err: away} }), HopExport, HopUnknown, "refused"},
		"companion on its way out": {"its address goes with it", path(func(p *pathFacts) {
			p.exporting.vipService.DeletionTimestamp = &metav1.Time{}
		}), HopExport, HopBroken, "is being deleted"},
		"any error of NCP": {"the list of annotations is open", path(func(p *pathFacts) {
			p.exporting.vipService.Annotations["ncp/error.snat"] = "IP_POOL_EXHAUSTED"
		}), HopNCP, HopBroken, "ncp/error.snat: IP_POOL_EXHAUSTED"},
		"no address and no error": {"nobody serves it", path(func(p *pathFacts) {
			p.exporting.vipService.Status.LoadBalancer.Ingress = nil
		}), HopNCP, HopBroken, "nobody has given"},
		"NSX away":                   {"", path(func(p *pathFacts) { p.nsx.err = away }), HopVirtualServer, HopUnknown, "refused"},
		"realization not known":      {"", server(func(s *tracedServer) { s.realization = realization{err: away} }), HopVirtualServer, HopUnknown, "refused"},
		"realization not understood": {"", server(func(s *tracedServer) { s.realization = realization{state: "UNKNOWN"} }), HopVirtualServer, HopUnknown, "does not know"},
		"error without reason":       {"", server(func(s *tracedServer) { s.realization = realization{state: "ERROR"} }), HopVirtualServer, HopBroken, "gives no reason"},
		"range of ports":             {"5432 is in it", server(func(s *tracedServer) { s.ports = []string{"5000-6000"} }), HopVirtualServer, HopOK, "5000-6000"},
		"other protocol":             {"UDP is not TCP", server(func(s *tracedServer) { s.protocol = "UDP" }), HopVirtualServer, HopBroken, "192.168.30.66:5432/TCP"},
		"another UID, exporter without NSX": {"for a TK cluster the Supervisor's Service has it", path(func(p *pathFacts) {
			p.nsx.owned, p.nsx.servers[0].service = nil, "other"
		}), HopVirtualServer, HopOK, "is realized"},
		"index behind":               {"the tag says whose it is", path(func(p *pathFacts) { p.nsx.owned = map[string]bool{} }), HopVirtualServer, HopOK, "is realized"},
		"balancer without standby":   {"it still works", balancer(func(b *tracedBalancer) { b.status = "NO_STANDBY" }), HopLoadBalancer, HopOK, "NO_STANDBY"},
		"balancer of unknown status": {"", balancer(func(b *tracedBalancer) { b.status = "UNKNOWN" }), HopLoadBalancer, HopUnknown, "no status yet"},
		"balancer cannot be read":    {"", balancer(func(b *tracedBalancer) { *b = tracedBalancer{err: away} }), HopLoadBalancer, HopUnknown, "refused"},
		"distributed balancer": {"it runs on the hosts", balancer(func(b *tracedBalancer) {
			b.distributed, b.gateway = true, ""
		}), HopTier1, HopOK, "needs none"},
		"gateway cannot be read": {"", path(func(p *pathFacts) {
			p.nsx.gateways[tracedGatewayPath] = tracedGateway{err: away}
		}), HopTier1, HopUnknown, "refused"},
		"pool cannot be read":         {"", pool(func(p *tracedPool) { *p = tracedPool{err: away} }), HopPool, HopUnknown, "refused"},
		"empty though pods are ready": {"NCP lags, or the port's name is wrong", pool(func(p *tracedPool) { p.members = nil }), HopPool, HopBroken, "has no members"},
		"one of two members down": {"connections go to the other", pool(func(p *tracedPool) {
			p.members = append(p.members, nsx.MemberStatus{IPAddress: "10.244.0.6", Port: "5432", Status: nsx.LBDown, FailureCause: "Connect to Peer Failure"})
		}), HopMembers, HopOK, "10.244.0.6:5432 DOWN Connect to Peer Failure"},
		"unused members":               {"nothing checks them", pool(func(p *tracedPool) { p.members[0].Status = nsx.LBUnused }), HopMembers, HopUnknown, "does not say"},
		"member's status not readable": {"", pool(func(p *tracedPool) { p.members[0].Status, p.membersErr = "", away }), HopMembers, HopUnknown, "refused"},
		"pods forbidden":               {"", path(func(p *pathFacts) { p.exporting.podsErr = away }), HopPods, HopUnknown, "refused"},
		"crash loop": {"the reason is the container's", pod(func(p *corev1.Pod) {
			p.Status.Conditions[0].Status = corev1.ConditionFalse
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{
				Name: "main", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
			}}
		}), HopPods, HopBroken, "pod db-0 is not ready (main CrashLoopBackOff)"},
		"pending pod": {"", pod(func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }), HopPods, HopBroken, "is Pending"},
		"pod that need not be ready": {"the Service says so", path(func(p *pathFacts) {
			p.exporting.pods[0].Status.Conditions[0].Status = corev1.ConditionFalse
			p.exporting.vipService.Spec.PublishNotReadyAddresses = true
		}), HopPods, HopOK, "1 of 1 pods"},
		"members are nodes": {"a TK cluster has node ports", path(func(p *pathFacts) {
			p.exporting.vipService.Spec.Ports[0].NodePort = 31234
			p.nsx.pools[tracedPoolPath].members[0] = nsx.MemberStatus{IPAddress: "10.244.0.20", Port: "31234", Status: nsx.LBUp}
		}), HopPods, HopOK, "1 of 1 pods"},
		"client not given": {"", path(func(p *pathFacts) { p.firewall.client = nil }), HopClientFirewall, HopUnknown, "TraceFrom"},
		"client stopped":   {"", func(f *traceFacts) { f.paths[0].firewall.rules = dropping(t, "10.128.0.7") }, HopClientFirewall, HopBroken, "rule from /p/rules/from"},
		"balancer stopped": {"members see its internal address", func(f *traceFacts) { f.paths[0].firewall.rules = dropping(t, "100.64.0.3") }, HopPodFirewall, HopBroken, "TCP from 100.64.0.3"},
		"client seen at member": {"no SNAT", func(f *traceFacts) {
			f.paths[0].nsx.pools[tracedPoolPath] = tracedPool{
				realization: realization{state: "REALIZED"}, snat: snatDisabled, members: f.paths[0].nsx.pools[tracedPoolPath].members,
			}
		}, HopPodFirewall, HopOK, "TCP from 10.128.0.7 to 10.244.0.5:5432"},
		"SNAT from a pool": {"", pool(func(p *tracedPool) {
			p.snat, p.snatAddresses = "LBSnatIpPool", []string{"10.7.0.1-10.7.0.9"}
		}), HopPodFirewall, HopOK, "TCP from 10.7.0.1"},
		"internal address not known": {"older NCP does not write it", path(func(p *pathFacts) {
			delete(p.exporting.vipService.Annotations, annotationInternalAddress)
		}), HopPodFirewall, HopUnknown, annotationInternalAddress},
		"firewall not readable": {"", path(func(p *pathFacts) { p.firewall.err = away }), HopPodFirewall, HopUnknown, "refused"},
		"gaps are told":         {"a verdict may be wrong there", path(func(p *pathFacts) { p.firewall.gaps = []string{"layer 7"} }), HopPodFirewall, HopOK, "not considered: layer 7"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := whole(t)
			tc.change(f)
			traced := judgeTrace(*f)
			for _, h := range traced.Hops {
				said := strings.Join(append(h.Evidence, h.Cause), "; ")
				if h.Name == tc.hop && (h.State != tc.state || !strings.Contains(said, tc.says)) {
					t.Errorf("%s: got %s %s: %s; want %s that says %q", tc.reason, h.Name, h.State, said, tc.state, tc.says)
				}
				if (h.State == HopBroken) != (h.Cause != "" && h.Remedy != "") {
					t.Errorf("%s is %s with cause %q and remedy %q", h.Name, h.State, h.Cause, h.Remedy)
				}
			}
			first, isBroken := traced.Broken()
			if isBroken != (tc.state == HopBroken) || isBroken && first.Name != tc.hop {
				t.Errorf("%s: got %v broken first\n%s", tc.reason, first.Name, traced)
			}
		})
	}
}

// TestJudgeTwoExporters has one of two exporters broken: its hops say so.
func TestJudgeTwoExporters(t *testing.T) {
	t.Parallel()
	f := whole(t)
	second := whole(t).paths[0]
	second.source.Cluster = "supervisor-2"
	second.nsx.servers = nil
	f.paths = append(f.paths, second)
	traced := judgeTrace(*f)
	hop, isBroken := traced.Broken()
	if !isBroken || hop.Name != HopVirtualServer || hop.Exporter != "supervisor-2/acme-data/order-postgres" {
		t.Errorf("got %+v, want the virtual server of supervisor-2", hop)
	}
	if want := 3 + 2*(len(hopNames())-3); len(traced.Hops) != want {
		t.Errorf("got %d hops, want %d", len(traced.Hops), want)
	}
}

// TestJudgeWithoutService skips what there is nothing to follow to.
func TestJudgeWithoutService(t *testing.T) {
	t.Parallel()
	f := traceFacts{cluster: "acme-fitness", target: types.NamespacedName{Namespace: "a", Name: "b"}, paths: []pathFacts{{}}}
	for _, missing := range []bool{false, true} {
		f.importing.namespaceMissing = missing
		traced := judgeTrace(f)
		if hop, isBroken := traced.Broken(); !isBroken || hop.Name != HopNamed {
			t.Errorf("got %+v, want the name broken", hop)
		}
		for _, h := range traced.Hops[1:] {
			if h.State != HopSkipped {
				t.Errorf("%s: got %s, want skipped", h.Name, h.State)
			}
		}
	}
}

// TestApplyByAddress makes rules count that are applied to groups of addresses.
func TestApplyByAddress(t *testing.T) {
	t.Parallel()
	member := netip.MustParseAddr("10.244.0.5")
	in, err := firewall.ParseRange("10.244.0.0/28")
	if err != nil {
		t.Fatal(err)
	}
	snapshot := firewall.Snapshot{Groups: []firewall.Group{
		{Path: "addresses", Addresses: []firewall.Range{in}},
		{Path: "segment", Addresses: []firewall.Range{in}, Members: []string{"/infra/segments/s"}},
	}}
	applyByAddress(&snapshot, []netip.Addr{member, netip.MustParseAddr("10.9.9.9")})
	want := [][]string{{addressMember(member)}, {"/infra/segments/s"}}
	if diff := cmp.Diff(want, [][]string{snapshot.Groups[0].Members, snapshot.Groups[1].Members}); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}

func TestSegmentOf(t *testing.T) {
	t.Parallel()
	segment := func(path, gateway nsx.Path, network string) nsx.Segment {
		return nsx.Segment{Resource: nsx.Resource{Path: path}, ConnectivityPath: gateway, Subnets: []nsx.SegmentSubnet{{Network: network}}}
	}
	gateways := map[string]tracedGateway{tracedGatewayPath: {}}
	cases := map[string]struct {
		reason   string
		segments []nsx.Segment
		want     string
	}{
		"none":       {"no subnet has it", []nsx.Segment{segment("/a", tracedGatewayPath, "10.1.0.0/24")}, ""},
		"near":       {"the load balancer's own gateway first", []nsx.Segment{segment("/a", tracedGatewayPath, "10.244.0.0/28"), segment("/b", "/x", "10.244.0.0/28")}, "/a"},
		"far":        {"behind another gateway, and the only one", []nsx.Segment{segment("/b", "/x", "10.244.0.0/28")}, "/b"},
		"overlapped": {"no telling which", []nsx.Segment{segment("/b", "/x", "10.244.0.0/28"), segment("/c", "/y", "10.244.0.0/28")}, ""},
	}
	for name, tc := range cases {
		if got := segmentOf(tc.segments, netip.MustParseAddr("10.244.0.5"), gateways); got != tc.want {
			t.Errorf("%s: got %q, want %q: %s", name, got, tc.want, tc.reason)
		}
	}
}

// TestTraceBackends reads what stands behind a Service, of each kind.
func TestTraceBackends(t *testing.T) {
	t.Parallel()
	target := types.NamespacedName{Namespace: "acme-data", Name: "db"}
	slice := map[string]any{
		"kind": kindEndpointSlice, "metadata": map[string]any{
			"name": "s", "labels": map[string]any{"endpointslice.kubernetes.io/managed-by": mirroring},
			"ownerReferences": []any{map[string]any{"kind": kindService, "name": "db", "uid": "u", "controller": true}},
		},
		"endpoints": []any{
			map[string]any{"addresses": []any{"10.0.0.1"}},
			map[string]any{"addresses": []any{"10.0.0.2"}, "conditions": map[string]any{"ready": false}},
		},
		"ports": []any{map[string]any{"name": "main", "port": int64(5432)}, map[string]any{}},
	}
	endpoints := map[string]any{
		"kind": kindEndpoints, "metadata": map[string]any{"name": "db"},
		"subsets": []any{map[string]any{
			"addresses": []any{map[string]any{"ip": "10.0.0.1"}}, "notReadyAddresses": []any{map[string]any{"ip": "10.0.0.2"}},
			"ports": []any{map[string]any{"name": "main", "port": int64(5432)}},
		}},
	}
	addresses := []traceAddress{{"10.0.0.1", true}, {"10.0.0.2", false}}
	main := Port{Name: "main", Protocol: corev1.ProtocolTCP, Port: 5432}
	cases := map[string]struct {
		live map[string]any
		want traceBackend
	}{
		"slice": {slice, traceBackend{
			kind: kindEndpointSlice, name: "s", belongs: "Service db", owner: "u", managedBy: mirroring,
			addresses: addresses, ports: []Port{main, {Protocol: corev1.ProtocolTCP}},
		}},
		"endpoints": {endpoints, traceBackend{
			kind: kindEndpoints, name: "db", belongs: "somebody else", addresses: addresses, ports: []Port{main},
		}},
	}
	for name, tc := range cases {
		got, err := traceBackendOf(object{live: &unstructured.Unstructured{Object: tc.live}}, target)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(traceBackend{}, traceAddress{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestTracedIsStable fixes the text and the JSON by which programs read it.
func TestTracedIsStable(t *testing.T) {
	t.Parallel()
	f := whole(t)
	f.paths[0].nsx.pools[tracedPoolPath].members[0] = nsx.MemberStatus{
		IPAddress: "10.244.0.5", Port: "5432", Status: nsx.LBDown, FailureCause: "Connect to Peer Failure",
	}
	traced := judgeTrace(*f)
	data, err := json.MarshalIndent(traced, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/trace/member-down.json", string(data)+"\n")
	golden(t, "testdata/trace/member-down.txt", traced.String()+"\n")
}
