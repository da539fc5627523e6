// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/bridge"
	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

// deny makes a NetworkPolicy of the user's that lets nobody in to the pods with
// the labels.
func deny(t *testing.T, ns, name string, labels map[string]string) {
	t.Helper()
	policy := &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: labels},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		},
	}
	if _, err := supervisor(t).NetworkingV1().NetworkPolicies(ns).Create(testContext(t), policy, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// balancer is the address by which the load balancer reaches the pods of an
// export.
func balancer(t *testing.T, ns string, e *bridge.Exported) netip.Addr {
	t.Helper()
	service, err := supervisor(t).CoreV1().Services(ns).Get(testContext(t), e.VIPService.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return netip.MustParseAddr(service.Annotations["ncp/internal_ip_for_policy"])
}

// TestNetworkPolicyBesideOthers opens pods that a policy of the user isolates,
// and adds nothing else to what it admits.
func TestNetworkPolicyBesideOthers(t *testing.T) {
	t.Parallel()
	const ns = "acme-policy-beside"
	ctx := testContext(t)
	namespace(t, ns)
	deny(t, ns, "nobody", nil)
	before := policies(t, ns)
	name, beside := types.NamespacedName{Namespace: ns, Name: "dns"}, types.NamespacedName{Namespace: ns, Name: "order"}
	workload(t, beside, 8080, nil)
	workload(t, name, 5353, func(s *corev1.Service) {
		s.Spec.Type = corev1.ServiceTypeLoadBalancer // exported as it is
		s.Spec.Ports = []corev1.ServicePort{
			{Name: "dns-udp", Protocol: corev1.ProtocolUDP, Port: 53, TargetPort: intstr.FromInt32(5353)},
			{Name: "dns-tcp", Protocol: corev1.ProtocolTCP, Port: 53, TargetPort: intstr.FromInt32(5353)},
			{Name: "metrics", Protocol: corev1.ProtocolTCP, Port: 9153},
		}
	})
	// Without WithNSX, too: the user's policy says who reaches the pods.
	blind := end(t, "supervisor", world.Supervisor.Config, nil)
	monitoring := netip.MustParsePrefix("10.50.0.0/24")
	var exported *bridge.Exported
	for round := range 2 {
		var err error
		if exported, err = bridge.Export(ctx, blind, name, bridge.WithNetworkPolicy(monitoring)); err != nil {
			t.Fatal(err)
		}
		if got, want := len(exported.Plan().Steps), 1-round; got != want {
			t.Errorf("round %d: got %v, want %d steps", round, exported.Plan(), want)
		}
	}
	service, err := supervisor(t).CoreV1().Services(ns).Get(ctx, name.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	own, err := supervisor(t).NetworkingV1().NetworkPolicies(ns).Get(ctx, "dns-viaduct", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !metav1.IsControlledBy(own, service) {
		t.Errorf("got owners %v, want the Service that has the address", own.OwnerReferences)
	}
	database, neighbour := pod(t, name), netip.MustParseAddr(pod(t, beside).Status.PodIP)
	lb := balancer(t, ns, exported)
	eventually(t, func(context.Context) string {
		return cmp.Diff([]firewall.Action{firewall.Allow, firewall.Allow, firewall.Allow, firewall.Drop, firewall.Drop}, []firewall.Action{
			in(t, lb, database, 5353), in(t, lb, database, 9153), in(t, monitoring.Addr().Next(), database, 9153),
			in(t, lb, database, 53), in(t, neighbour, database, 5353),
		})
	})
	if diff := cmp.Diff(before, others(policies(t, ns))); diff != "" {
		t.Errorf("the user's policy changed (-before +after):\n%s", diff)
	}
	takeBack(t, ns, []string{name.Name})
	if diff := cmp.Diff(before, policies(t, ns)); diff != "" {
		t.Errorf("afterwards (-before +after):\n%s", diff)
	}
}

// others are the policies that Viaduct did not make.
func others(policies []string) []string {
	var found []string
	for _, p := range policies {
		if !strings.Contains(p, "viaduct-sdk.github.io/role") {
			found = append(found, p)
		}
	}
	return found
}

// TestNetworkPolicyOpen exports pods that nothing isolates: no policy is made,
// which would isolate them.
func TestNetworkPolicyOpen(t *testing.T) {
	t.Parallel()
	const ns = "acme-policy-open"
	ctx := testContext(t)
	namespace(t, ns)
	name := types.NamespacedName{Namespace: ns, Name: "db"}
	workload(t, name, 5432, nil)
	database := pod(t, name)
	// An administrator lets the load balancers in everywhere in the namespace.
	policy := "/infra/domains/default/security-policies/" + ns
	if err := world.NSX.Put(policy, map[string]any{"category": "Application", "sequence_number": 60, "rules": []any{map[string]any{
		"id": "in", "action": "ALLOW", "direction": "IN", "source_groups": []any{"100.64.0.0/10"}, "destination_groups": []any{database.Status.PodIP},
	}}}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := world.NSX.Remove(policy); err != nil {
			t.Error(err)
		}
	}()
	exported, err := bridge.Export(ctx, exporter(t, nil), name, bridge.WithNetworkPolicy())
	if err != nil {
		t.Fatal(err)
	}
	if got := policies(t, ns); len(got) > 0 || len(exported.Plan().Steps) != 1 {
		t.Errorf("got policies %v and plan %v, want the companion alone", got, exported.Plan())
	}
	takeBack(t, ns, []string{name.Name})
}

// TestNetworkPolicyRefuses is why pods are not opened. Nothing is written then.
func TestNetworkPolicyRefuses(t *testing.T) {
	t.Parallel()
	const ns = "acme-policy-refuses"
	namespace(t, ns)
	cases := map[string]struct {
		reason string
		name   string
		set    func(*testing.T, *corev1.Pod)
		source func(*testing.T) *bridge.Cluster
		want   error
		says   string
	}{
		"not known": {
			reason: "a policy may shut out anybody", name: "db-unknown", want: viaduct.ErrUnsupported, says: "no NetworkPolicy selects its pods",
			source: func(t *testing.T) *bridge.Cluster { return end(t, "supervisor", world.Supervisor.Config, nil) },
		},
		"taken": {
			reason: "the user's policy stays", name: "db-taken", want: viaduct.ErrNotOwned, says: ns + "/db-taken-viaduct",
			set: func(t *testing.T, _ *corev1.Pod) {
				deny(t, ns, "db-taken-viaduct", map[string]string{"app": "db-taken"})
			},
		},
		"others are let in": {
			reason: "whom an administrator lets in by a group would be shut out", name: "db-others", want: viaduct.ErrUnsupported, says: "rule guests",
			set: func(t *testing.T, database *corev1.Pod) { letInGroup(t, ns, database) },
		},
		"stopped before": {
			reason: "NCP writes to the category Application, after that of the rule", name: "db-vetoed", want: viaduct.ErrInvalid, says: "rule veto",
			set: func(t *testing.T, database *corev1.Pod) {
				put(t, "/infra/domains/default/security-policies/"+ns+"-veto", map[string]any{"category": "Environment", "sequence_number": 60, "rules": []any{map[string]any{
					"id": "veto", "display_name": "veto", "action": "DROP", "direction": "IN", "destination_groups": []any{database.Status.PodIP},
				}}})
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := types.NamespacedName{Namespace: ns, Name: tc.name}
			workload(t, key, 5432, nil)
			database := pod(t, key)
			if tc.set != nil {
				tc.set(t, database)
			}
			source := exporter(t, nil)
			if tc.source != nil {
				source = tc.source(t)
			}
			_, err := bridge.Export(testContext(t), source, key, bridge.WithNetworkPolicy())
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%s: got %v, want an error that matches %v and says %q", tc.reason, err, tc.want, tc.says)
			}
			for _, n := range names(t, supervisor(t), ns) {
				if n == "Service "+tc.name+"-viaduct" {
					t.Errorf("its companion was made all the same")
				}
			}
		})
	}
}

// letInGroup lets in a group whose members change, after NCP's policies.
func letInGroup(t *testing.T, ns string, database *corev1.Pod) {
	t.Helper()
	group := "/infra/domains/default/groups/" + ns
	put(t, group, map[string]any{"expression": []any{map[string]any{"resource_type": "IPAddressExpression", "ip_addresses": []any{"10.77.0.0/24"}}}})
	put(t, "/infra/domains/default/security-policies/"+ns, map[string]any{"category": "Application", "sequence_number": 60, "rules": []any{map[string]any{
		"id": "guests", "display_name": "guests", "action": "ALLOW", "direction": "IN", "source_groups": []any{group}, "destination_groups": []any{database.Status.PodIP},
	}}})
}

// put makes an object in the lab's NSX and removes it after the test.
func put(t *testing.T, path string, object map[string]any) {
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

// TestNetworkPolicyOfGuest is not made in a TK cluster.
func TestNetworkPolicyOfGuest(t *testing.T) {
	t.Parallel()
	const ns = "acme-policy-guest"
	name := types.NamespacedName{Namespace: ns, Name: "cart"}
	ctx := testContext(t)
	namespace(t, ns)
	if _, err := tkCluster(t).CoreV1().Services(ns).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name.Name},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "cart"}, Ports: []corev1.ServicePort{{Name: "http", Port: 8080}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	guest := end(t, "acme-fitness", world.TKCluster("acme-fitness").Config, nil, bridge.WithNSXOfGuest(finder(t), bridge.Guest{Namespace: ns, Name: "acme-fitness"}))
	if _, err := bridge.Export(ctx, guest, name, bridge.WithNetworkPolicy()); !errors.Is(err, viaduct.ErrUnsupported) {
		t.Errorf("got %v, want an error that matches ErrUnsupported", err)
	}
	if got := names(t, tkCluster(t), ns); len(got) != 1 {
		t.Errorf("got %v, want the Service alone", got)
	}
}

// TestSweepNetworkPolicy sweeps what opens the exporting side.
func TestSweepNetworkPolicy(t *testing.T) {
	t.Parallel()
	const ns = "sweep-network-policy"
	key := types.NamespacedName{Namespace: ns, Name: "order-postgres"}
	namespace(t, ns)
	deny(t, ns, "nobody", nil)
	workload(t, key, 5432, nil)
	exporting := func(ctx context.Context, wrap wrapper) error {
		_, err := bridge.Export(ctx, faultyExporter(t, wrap), key, bridge.WithNetworkPolicy())
		return err
	}
	unexporting := func(ctx context.Context, wrap wrapper) error {
		_, err := bridge.Unexport(ctx, faultyExporter(t, wrap), key)
		return err
	}
	state := func() string {
		list, err := supervisor(t).NetworkingV1().NetworkPolicies(ns).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		var text strings.Builder
		for _, p := range list.Items {
			fmt.Fprint(&text, p.Name, p.Labels, len(p.Spec.Ingress), "\n")
			if len(p.OwnerReferences) > 0 { // the address is chosen anew each time
				fmt.Fprint(&text, p.OwnerReferences[0].Name, len(p.Spec.Ingress[0].From), p.Spec.Ingress[0].Ports[0].Port, "\n")
			}
		}
		return text.String() + strings.Join(names(t, supervisor(t), ns), "\n")
	}
	cases := verb{"export", exporting, func(ctx context.Context) error { return unexporting(ctx, nil) }, state}.sweep(t)
	cases += verb{"unexport", unexporting, func(ctx context.Context) error { return exporting(ctx, nil) }, state}.sweep(t)
	t.Logf("%d cases", cases)
	if cases < 100 {
		t.Errorf("swept %d cases, want at least 100", cases)
	}
}

// TestNetworkPolicyMoves goes from a companion to the converted Service: the
// policy goes over to the Service that has the address, although Kubernetes
// collects what the companion had.
func TestNetworkPolicyMoves(t *testing.T) {
	t.Parallel()
	const ns = "acme-policy-moves"
	ctx := testContext(t)
	namespace(t, ns)
	name := types.NamespacedName{Namespace: ns, Name: "db"}
	service := workload(t, name, 5432, nil)
	pod(t, name)
	for _, opts := range [][]bridge.ExportOption{{bridge.WithNetworkPolicy()}, {bridge.WithNetworkPolicy(), bridge.WithConversion()}} {
		if _, err := bridge.Export(ctx, exporter(t, nil), name, opts...); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func(ctx context.Context) string {
		// Kubernetes may collect the policy with the companion before it is handed
		// over; exporting again then makes it anew.
		exported, err := bridge.Export(ctx, exporter(t, nil), name, bridge.WithNetworkPolicy(), bridge.WithConversion())
		if err != nil {
			t.Fatal(err)
		}
		policy, err := supervisor(t).NetworkingV1().NetworkPolicies(ns).Get(ctx, "db-viaduct", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if !metav1.IsControlledBy(policy, service) || policy.DeletionTimestamp != nil || !exported.Plan().Empty() {
			return fmt.Sprintf("owned by %v, after %v", policy.OwnerReferences, exported.Plan())
		}
		if from := policy.Spec.Ingress[0].From[0].IPBlock.CIDR; from != balancer(t, ns, exported).String()+"/32" {
			return "admitting " + from
		}
		if len(policy.Spec.Ingress) != 2 {
			t.Fatalf("got %v, want the namespace's own pods admitted still", policy.Spec.Ingress)
		}
		return ""
	})
	takeBack(t, ns, []string{name.Name})
	if left := policies(t, ns); len(left) > 0 {
		t.Errorf("afterwards there is %v", left)
	}
}

// TestNetworkPolicyAnew exports again as soon as an export is taken back, when
// NCP may not have removed what it made of the policy. The same policy comes of
// it each time.
func TestNetworkPolicyAnew(t *testing.T) {
	t.Parallel()
	const ns = "acme-policy-anew"
	ctx := testContext(t)
	namespace(t, ns)
	name := types.NamespacedName{Namespace: ns, Name: "db"}
	workload(t, name, 5432, nil)
	pod(t, name)
	for round := range 5 {
		if _, err := bridge.Export(ctx, exporter(t, nil), name, bridge.WithNetworkPolicy()); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		policy, err := supervisor(t).NetworkingV1().NetworkPolicies(ns).Get(ctx, "db-viaduct", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if in := policy.Spec.Ingress; len(in) != 2 || len(in[0].Ports) != 1 || len(in[1].From) != 1 || in[1].From[0].PodSelector == nil {
			t.Fatalf("round %d: got %+v, want the load balancer on one port and the namespace's own pods", round, in)
		}
		if _, err := bridge.Unexport(ctx, exporter(t, nil), name); err != nil {
			t.Fatal(err)
		}
	}
}
