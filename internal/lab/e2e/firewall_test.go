// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/bridge"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

// fence is a segment for the nodes of the importing cluster, from which a policy
// of an administrator lets nothing out.
type fence struct {
	segment nsx.Path
	node    netip.Addr
}

// fenced makes a fence of its own for a test. number makes its network unique.
func fenced(t *testing.T, name string, number int) fence {
	t.Helper()
	network := fmt.Sprintf("10.129.%d.0/24", number)
	f := fence{segment: nsx.Path("/infra/segments/" + name), node: netip.MustParseAddr(fmt.Sprintf("10.129.%d.7", number))}
	group, policy := "/infra/domains/default/groups/"+name, "/infra/domains/default/security-policies/"+name
	must := func(path string, object map[string]any) {
		t.Helper()
		if err := world.NSX.Put(path, object); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := world.NSX.Remove(path); err != nil {
				t.Error(err)
			}
		})
	}
	must(f.segment.String(), map[string]any{"subnets": []any{map[string]any{"gateway_address": strings.Replace(network, ".0/", ".1/", 1)}}})
	must(group, map[string]any{"expression": []any{
		map[string]any{"resource_type": "PathExpression", "paths": []any{f.segment.String()}},
		map[string]any{"resource_type": "ConjunctionOperator", "conjunction_operator": "OR"},
		map[string]any{"resource_type": "IPAddressExpression", "ip_addresses": []any{network}},
	}})
	must(policy, map[string]any{"category": "Application", "sequence_number": 99, "scope": []any{group}, "rules": []any{map[string]any{
		"id": "nothing-out", "display_name": "nothing-out", "action": "DROP", "direction": "OUT", "source_groups": []any{group},
	}}})
	return f
}

// guarded is the importing cluster with its nodes behind the fence.
func guarded(t *testing.T, f fence, wrap wrapper) *bridge.Cluster {
	t.Helper()
	return end(t, "acme-fitness", world.TKCluster("acme-fitness").Config, wrap, bridge.WithDistributedFirewall(nsxClient(t, wrap), f.segment))
}

// verdict evaluates a connection by what NSX has now. change completes what was
// read of it.
func verdict(t *testing.T, from, to netip.Addr, port uint16, at firewall.Crossing, change func(*firewall.Snapshot)) firewall.Action {
	t.Helper()
	var v firewall.Verdict
	eventually(t, func(ctx context.Context) string {
		snapshot, err := firewall.Load(ctx, nsxClient(t, nil).Raw())
		if err != nil {
			return err.Error()
		}
		if change != nil {
			change(&snapshot)
		}
		rules, err := firewall.Compile(snapshot)
		if err != nil {
			return err.Error() // other tests change it meanwhile
		}
		if v, err = rules.Evaluate(firewall.Flow{
			Source: from, Destination: to, Protocol: firewall.TCP, DestinationPort: port, Crosses: []firewall.Crossing{at},
		}); err != nil {
			t.Fatal(err)
		}
		return ""
	})
	return v.Action
}

// out is the verdict on the way from the node.
func (f fence) out(t *testing.T, to netip.Addr, port uint16) firewall.Action {
	t.Helper()
	at := firewall.Crossing{Interface: firewall.Interface{Within: []string{f.segment.String()}}, Direction: firewall.Out}
	return verdict(t, f.node, to, port, at, nil)
}

// in is the verdict on the way from an address to a pod. NCP makes groups of the
// addresses of pods, by which a policy is applied to them.
func in(t *testing.T, from netip.Addr, pod *corev1.Pod, port uint16) firewall.Action {
	t.Helper()
	address := netip.MustParseAddr(pod.Status.PodIP)
	at := firewall.Crossing{Interface: firewall.Interface{ID: "the pod"}, Direction: firewall.In}
	return verdict(t, from, address, port, at, func(s *firewall.Snapshot) {
		for i, g := range s.Groups {
			if slices.ContainsFunc(g.Addresses, func(r firewall.Range) bool { return r.Contains(address) }) {
				s.Groups[i].Members = append(g.Members, "the pod")
			}
		}
	})
}

// pod returns the pod of a workload once it has an address.
func pod(t *testing.T, name types.NamespacedName) *corev1.Pod {
	t.Helper()
	var found *corev1.Pod
	eventually(t, func(ctx context.Context) string {
		var err error
		if found, err = supervisor(t).CoreV1().Pods(name.Namespace).Get(ctx, name.Name+"-0", metav1.GetOptions{}); err != nil {
			return err.Error()
		}
		if found.Status.PodIP == "" {
			return "waiting for the pod's address"
		}
		return ""
	})
	return found
}

// inNSX is what NSX holds of Viaduct for the imports into a namespace.
func inNSX(t *testing.T, ns string) []string {
	t.Helper()
	var found []string
	for _, prefix := range []string{"/infra/domains/default/groups/", "/infra/domains/default/security-policies/"} {
		for _, path := range world.NSX.Paths(prefix) {
			var o nsx.Resource
			if err := world.NSX.Read(path, &o); err == nil && slices.Contains(o.Tags, nsx.Tag{Scope: "viaduct-sdk.github.io/namespace", Tag: ns}) {
				found = append(found, fmt.Sprintf("%s rv=%d", path, o.Revision))
			}
		}
	}
	return found
}

// TestFirewall opens both sides of an isolated service and closes them again.
func TestFirewall(t *testing.T) {
	t.Parallel()
	const ns = "acme-firewall"
	name := types.NamespacedName{Namespace: ns, Name: "order-postgres"}
	ctx := testContext(t)
	namespace(t, ns)
	workload(t, name, 5432, nil)
	nodes := fenced(t, ns+"-nodes", 1)
	database := pod(t, name)
	beside := types.NamespacedName{Namespace: ns, Name: "order"}
	workload(t, beside, 8080, nil)
	neighbour := netip.MustParseAddr(pod(t, beside).Status.PodIP)
	before := [][]string{names(t, supervisor(t), ns), names(t, tkCluster(t), ns), policies(t, ns), inNSX(t, ns)}

	var exported *bridge.Exported
	var imported *bridge.Imported
	run := func(wrap wrapper) bridge.Plan {
		t.Helper()
		var err error
		if exported, err = bridge.Export(ctx, exporter(t, wrap), name, bridge.WithNetworkPolicy()); err != nil {
			t.Fatal(err)
		}
		if imported, err = bridge.Import(ctx, guarded(t, nodes, wrap), shipped(t, exported), bridge.WithFirewall()); err != nil {
			t.Fatal(err)
		}
		return bridge.JoinPlans(exported.Plan(), imported.Plan())
	}
	plan := run(nil)
	var kinds []string
	for _, s := range plan.Steps {
		kinds = append(kinds, string(s.Action)+" "+s.Object.Kind)
	}
	want := []string{"create Service", "create Service", "create NetworkPolicy", "create Group", "create SecurityPolicy", "create EndpointSlice"}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if f := imported.Firewall; f == nil || f.Before != firewall.Drop || f.After != firewall.Allow || f.Policy == "" || !strings.Contains(f.Reason, "nothing-out") {
		t.Errorf("got firewall %+v, want it closed by nothing-out before and open after", f)
	}
	vip := exported.Addresses[0]
	service, err := supervisor(t).CoreV1().Services(ns).Get(ctx, exported.VIPService.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	lb := netip.MustParseAddr(service.Annotations["ncp/internal_ip_for_policy"])
	eventually(t, func(context.Context) string {
		return cmp.Diff(map[string]firewall.Action{
			"node to VIP": firewall.Allow, "node to VIP, other port": firewall.Drop, "node to another VIP": firewall.Drop,
			"balancer to pod": firewall.Allow, "balancer to pod, other port": firewall.Drop, "stranger to pod": firewall.Drop,
			"neighbour to pod": firewall.Allow, "neighbour to pod, other port": firewall.Allow,
		}, map[string]firewall.Action{
			"node to VIP": nodes.out(t, vip, 5432), "node to VIP, other port": nodes.out(t, vip, 5433), "node to another VIP": nodes.out(t, vip.Next(), 5432),
			"balancer to pod": in(t, lb, database, 5432), "balancer to pod, other port": in(t, lb, database, 5433),
			"stranger to pod":  in(t, netip.MustParseAddr("10.129.1.7"), database, 5432),
			"neighbour to pod": in(t, neighbour, database, 5432), "neighbour to pod, other port": in(t, neighbour, database, 22),
		})
	})

	written := [][]string{versions(t, supervisor(t), ns), versions(t, tkCluster(t), ns), policies(t, ns), inNSX(t, ns)}
	var count counter
	if plan := run(count.wrap); !plan.Empty() {
		t.Errorf("second time: got\n%s\nwant nothing to do", plan)
	}
	if writes := slices.DeleteFunc(count.writes, func(w string) bool { return strings.HasSuffix(w, "/api/session/create") }); len(writes) > 0 {
		t.Errorf("second time: got writes %v, want none", writes)
	}
	if diff := cmp.Diff(written, [][]string{versions(t, supervisor(t), ns), versions(t, tkCluster(t), ns), policies(t, ns), inNSX(t, ns)}); diff != "" {
		t.Errorf("second time: objects changed (-before +after):\n%s", diff)
	}

	if _, err := bridge.Unimport(ctx, importer(t, nil), name); !errors.Is(err, viaduct.ErrInvalid) || !strings.Contains(err.Error(), "WithDistributedFirewall") {
		t.Errorf("unimport without the option: got %v, want an error that matches ErrInvalid and names it", err)
	}
	if diff := cmp.Diff(written[1], versions(t, tkCluster(t), ns)); diff != "" {
		t.Errorf("unimport without the option changed something (-before +after):\n%s", diff)
	}
	for round := range 2 {
		plan, err := bridge.Unimport(ctx, guarded(t, nodes, nil), name)
		if err != nil || plan.Empty() == (round == 0) {
			t.Errorf("unimport, round %d: got %v, %v", round, plan, err)
		}
		plan, err = bridge.Unexport(ctx, exporter(t, nil), name)
		if err != nil || plan.Empty() == (round == 0) {
			t.Errorf("unexport, round %d: got %v, %v", round, plan, err)
		}
	}
	eventually(t, func(context.Context) string {
		return cmp.Diff(before, [][]string{names(t, supervisor(t), ns), names(t, tkCluster(t), ns), policies(t, ns), inNSX(t, ns)}) +
			cmp.Diff([]firewall.Action{firewall.Drop, firewall.Drop, firewall.Allow},
				[]firewall.Action{nodes.out(t, vip, 5432), in(t, lb, database, 5432), in(t, neighbour, database, 22)})
	})
}

// policies lists the NetworkPolicies of a namespace as the API server has them.
func policies(t *testing.T, ns string) []string {
	t.Helper()
	list, err := supervisor(t).NetworkingV1().NetworkPolicies(ns).List(testContext(t), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, p := range list.Items {
		data, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, string(data))
	}
	return found
}

// TestFirewallBySpec opens both sides for what a spec says.
func TestFirewallBySpec(t *testing.T) {
	t.Parallel()
	const ns = "acme-firewall-spec"
	ctx := testContext(t)
	namespace(t, ns)
	nodes := fenced(t, ns+"-nodes", 2)
	for _, name := range []string{"cart-redis", "users-redis"} {
		workload(t, types.NamespacedName{Namespace: ns, Name: name}, 6379, nil)
		pod(t, types.NamespacedName{Namespace: ns, Name: name})
	}
	var spec bridge.Spec
	err := json.Unmarshal([]byte(`{"services": [
		{"from": "supervisor", "namespace": "`+ns+`", "name": "cart-redis", "into": ["acme-fitness"], "networkPolicy": true, "firewall": true},
		{"from": "supervisor", "namespace": "`+ns+`", "name": "users-redis", "into": ["acme-fitness"], "networkPolicy": true, "sources": ["10.50.0.0/24"], "firewall": true}
	]}`), &spec)
	if err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		report, err := bridge.Apply(ctx, spec, []*bridge.Cluster{exporter(t, nil), guarded(t, nodes, nil)})
		if err != nil || report.Err() != nil {
			t.Fatal(err, report.Err())
		}
		for _, item := range report.Items {
			if item.Plan.Empty() == (round == 0) {
				t.Errorf("round %d: %s into %q: got %v", round, item.Service, item.Into, item.Plan)
			}
			if e := item.Exported; e != nil && nodes.out(t, e.Addresses[0], 6379) != firewall.Allow {
				t.Errorf("round %d: %s is not open", round, item.Service)
			}
		}
		if got, objects := len(policies(t, ns)), len(inNSX(t, ns)); got != 2 || objects != 4 {
			t.Errorf("round %d: got %d NetworkPolicies and %d objects in NSX, want 2 and 4", round, got, objects)
		}
	}
	for _, name := range []string{"cart-redis", "users-redis"} {
		key := types.NamespacedName{Namespace: ns, Name: name}
		if _, err := bridge.Unimport(ctx, guarded(t, nodes, nil), key); err != nil {
			t.Error(err)
		}
		if _, err := bridge.Unexport(ctx, exporter(t, nil), key); err != nil {
			t.Error(err)
		}
	}
	if left := append(policies(t, ns), inNSX(t, ns)...); len(left) > 0 {
		t.Errorf("at the end there is %v", left)
	}
}
