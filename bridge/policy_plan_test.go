// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

// podWith returns a pod behind the Service of serviceWith.
func podWith(ip string, labels map[string]string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "postgres-0", Labels: map[string]string{"app": "order-postgres"}}}
	maps.Copy(pod.Labels, labels)
	pod.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "pg", ContainerPort: 5432}}}}
	if ip != "" {
		pod.Status.PodIPs = []corev1.PodIP{{IP: ip}}
	}
	return pod
}

// policyWith returns an ingress policy of the user's, changed.
func policyWith(t *testing.T, change func(*networkingv1.NetworkPolicy)) networkPolicy {
	t.Helper()
	p := &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: networkingV1, Kind: kindNetworkPolicy},
		ObjectMeta: metav1.ObjectMeta{Namespace: postgres.Namespace, Name: "theirs", UID: "uid-theirs"},
		Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}},
	}
	if change != nil {
		change(p)
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(p)
	if err != nil {
		t.Fatal(err)
	}
	observed, err := policyOf(&unstructured.Unstructured{Object: fields})
	if err != nil {
		t.Fatal(err)
	}
	return observed
}

func vipWith(internal string) *corev1.Service {
	return serviceWith(func(s *corev1.Service) {
		s.Name, s.UID = "order-postgres-viaduct", "uid-companion"
		if internal != "" {
			s.Annotations = map[string]string{annotationInternalAddress: internal}
		}
	})
}

func selects(labels map[string]string) func(*networkingv1.NetworkPolicy) {
	return func(p *networkingv1.NetworkPolicy) { p.Spec.PodSelector.MatchLabels = labels }
}

// rulesOf compiles policies for the segment of the pods.
func rulesOf(t *testing.T, policies ...firewall.Policy) *firewallState {
	t.Helper()
	const segment, other = "/infra/segments/data-0", "/infra/segments/app-0"
	snapshot := firewall.Snapshot{Policies: policies, Groups: []firewall.Group{
		{Path: "/infra/domains/default/groups/namespace", Members: []string{segment}, Addresses: []firewall.Range{addressRange(t, "10.244.0.16/28")}},
		{Path: "/infra/domains/default/groups/two-namespaces", Members: []string{segment, other}},
		{Path: "/infra/domains/default/groups/guests", Addresses: []firewall.Range{addressRange(t, "10.77.0.0/24")}},
	}}
	s := &firewallState{policies: map[string]firewall.Policy{}, groups: map[string]firewall.Group{}, segments: []nsx.Segment{
		{Resource: nsx.Resource{Path: segment}, ConnectivityPath: "/infra/tier-1s/data", Subnets: []nsx.SegmentSubnet{{Network: "10.244.0.16/28"}}},
		{Resource: nsx.Resource{Path: other}, ConnectivityPath: "/infra/tier-1s/app", Subnets: []nsx.SegmentSubnet{{Network: "10.244.0.32/28"}}},
	}}
	for _, p := range policies {
		s.policies[p.Path] = p
	}
	for _, g := range snapshot.Groups {
		s.groups[g.Path] = g
	}
	var err error
	if s.rules, err = firewall.Compile(snapshot); err != nil {
		t.Fatal(err)
	}
	return s
}

func addressRange(t *testing.T, text string) firewall.Range {
	t.Helper()
	r, err := firewall.ParseRange(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// policyOfRules is a policy for the namespace's pods, incoming.
func policyOfRules(name string, category firewall.Category, sequence int, rules ...firewall.Rule) firewall.Policy {
	p := firewall.Policy{
		Path: "/infra/domains/default/security-policies/" + name, Category: category, Sequence: sequence,
		Scope: []string{"/infra/domains/default/groups/namespace"},
	}
	for i, r := range rules {
		r.Path, r.Sequence, r.Direction = p.Path+"/rules/"+r.Name, i, firewall.In
		p.Rules = append(p.Rules, r)
	}
	return p
}

func letting(name string, from ...string) firewall.Rule {
	return firewall.Rule{Name: name, Action: firewall.Allow, Sources: from}
}

func banning(name string, from ...string) firewall.Rule {
	return firewall.Rule{Name: name, Action: firewall.Drop, Sources: from}
}

// TestPlanNetworkPolicy is what is made for whom, and that nothing is closed.
func TestPlanNetworkPolicy(t *testing.T) {
	t.Parallel()
	const namespace, guests = "/infra/domains/default/groups/namespace", "/infra/domains/default/groups/guests"
	baseline := func(rules ...firewall.Rule) []firewall.Policy {
		return []firewall.Policy{policyOfRules("baseline", firewall.Application, 99, append(rules, banning("drop-in"))...)}
	}
	exportedOnly := `
- from:
  - ipBlock: {cidr: 100.64.0.9/32}
  ports:
  - {port: 5432, protocol: TCP}
`
	covered := selects(map[string]string{"tier": "data"})
	tier := map[string]string{"tier": "data"}
	cases := map[string]struct {
		reason   string
		service  func(*corev1.Service)
		internal string
		theirs   []func(*networkingv1.NetworkPolicy)
		pods     []*corev1.Pod
		firewall []firewall.Policy
		guest    bool
		sources  []netip.Prefix

		want    string // ingress; empty for no policy
		waiting string
		refused error
		says    string
	}{
		"isolated by a policy": {
			reason: "ours only adds", internal: "100.64.0.9", pods: []*corev1.Pod{podWith("10.244.0.18", tier)},
			theirs: []func(*networkingv1.NetworkPolicy){covered}, want: exportedOnly,
		},
		"policy for all pods, none there yet": {
			reason: "what selects everything selects what will come", internal: "100.64.0.9", theirs: []func(*networkingv1.NetworkPolicy){nil}, want: exportedOnly,
		},
		"named port, UDP, both families, sources": {
			reason: "named ports are the pods'", internal: "100.64.0.9, fd00::9", theirs: []func(*networkingv1.NetworkPolicy){nil},
			sources: []netip.Prefix{netip.MustParsePrefix("10.50.0.7/24")},
			service: func(s *corev1.Service) {
				s.Spec.Ports = []corev1.ServicePort{
					{Name: "pg", Protocol: corev1.ProtocolTCP, Port: 5432, TargetPort: intstr.FromString("pg")},
					{Name: "alias", Protocol: corev1.ProtocolTCP, Port: 5433, TargetPort: intstr.FromString("pg")},
					{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53},
				}
			},
			want: `
- from:
  - ipBlock: {cidr: 10.50.0.0/24}
  - ipBlock: {cidr: 100.64.0.9/32}
  - ipBlock: {cidr: fd00::9/128}
  ports:
  - {port: 53, protocol: UDP}
  - {port: pg, protocol: TCP}
`,
		},
		"isolated namespace": {
			reason: "the namespace's own pods go on", internal: "100.64.0.9", pods: []*corev1.Pod{podWith("10.244.0.18", nil)},
			firewall: baseline(letting("allow-in", namespace)), want: exportedOnly + "- from: [{podSelector: {}}]\n",
		},
		"isolated cluster": {
			reason: "addresses that a rule names go on", internal: "100.64.0.9", pods: []*corev1.Pod{podWith("10.244.0.18", nil)},
			firewall: baseline(letting("allow-in", "10.244.0.0/20", "10.8.0.1")),
			want:     exportedOnly + "- from: [{ipBlock: {cidr: 10.244.0.0/20}}, {ipBlock: {cidr: 10.8.0.1/32}}]\n",
		},
		"let in by an earlier category": {
			reason: "no NetworkPolicy shuts those out", internal: "100.64.0.9", pods: []*corev1.Pod{podWith("10.244.0.18", nil)},
			firewall: append(baseline(), policyOfRules("infra", firewall.Infrastructure, 1, letting("guests", guests))), want: exportedOnly,
		},
		"open": {
			reason: "a policy would isolate what nothing isolates", internal: "100.64.0.9", pods: []*corev1.Pod{podWith("10.244.0.18", nil)},
			firewall: []firewall.Policy{},
		},
		"open to the load balancer, not to the sources": {
			reason: "what is asked for is not open", internal: "100.64.0.9", pods: []*corev1.Pod{podWith("10.244.0.18", nil)},
			sources:  []netip.Prefix{netip.MustParsePrefix("10.50.0.0/24")},
			firewall: baseline(letting("balancers", "100.64.0.0/10")),
			want: `
- from:
  - ipBlock: {cidr: 10.50.0.0/24}
  - ipBlock: {cidr: 100.64.0.9/32}
  ports:
  - {port: 5432, protocol: TCP}
- from: [{ipBlock: {cidr: 100.64.0.0/10}}]
`,
		},
		"one pod is not covered": {
			reason: "it would be isolated by ours alone", internal: "100.64.0.9", theirs: []func(*networkingv1.NetworkPolicy){covered},
			pods: []*corev1.Pod{podWith("10.244.0.18", tier), podWith("10.244.0.19", nil)}, refused: viaduct.ErrUnsupported, says: "no NetworkPolicy selects its pods",
		},
		"an egress policy isolates nobody": {
			reason: "it is about the way out", internal: "100.64.0.9", pods: []*corev1.Pod{podWith("10.244.0.18", nil)},
			theirs: []func(*networkingv1.NetworkPolicy){func(p *networkingv1.NetworkPolicy) {
				p.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
			}},
			refused: viaduct.ErrUnsupported, says: "what the distributed firewall admits is not known",
		},
		"group of two namespaces": {
			reason: "no selector says that", internal: "100.64.0.9", pods: []*corev1.Pod{podWith("10.244.0.18", nil)},
			firewall: baseline(letting("pair", "/infra/domains/default/groups/two-namespaces")), refused: viaduct.ErrUnsupported, says: "rule pair",
		},
		"group of others": {
			reason: "its members may change", internal: "100.64.0.9", pods: []*corev1.Pod{podWith("10.244.0.18", nil)},
			firewall: baseline(letting("guests", guests)), refused: viaduct.ErrUnsupported, says: "rule guests",
		},
		"some are stopped and others are not": {
			reason: "a policy would stop those too", internal: "100.64.0.9", pods: []*corev1.Pod{podWith("10.244.0.18", nil)},
			firewall: []firewall.Policy{policyOfRules("ban", firewall.Application, 20, banning("ban", "100.64.0.0/10"))}, refused: viaduct.ErrUnsupported, says: "rule ban",
		},
		"stopped in an earlier category": {
			reason: "a NetworkPolicy comes too late", internal: "100.64.0.9", pods: []*corev1.Pod{podWith("10.244.0.18", nil)},
			firewall: []firewall.Policy{policyOfRules("veto", firewall.Environment, 20, banning("veto"))}, refused: viaduct.ErrInvalid, says: "rule veto",
		},
		"pod on an unknown segment": {
			reason: "which rules apply is not known", internal: "100.64.0.9", pods: []*corev1.Pod{podWith("10.99.0.1", nil)},
			firewall: baseline(), refused: viaduct.ErrUnsupported, says: "10.99.0.1",
		},
		"no pod yet": {
			reason: "whom else it admits shows then", internal: "100.64.0.9", firewall: baseline(letting("allow-in", namespace)),
			want: exportedOnly, waiting: "no pod behind the Service has an address",
		},
		"source address not known": {
			reason: "NCP tells it later", theirs: []func(*networkingv1.NetworkPolicy){nil}, want: "null", waiting: annotationInternalAddress,
		},
		"source address given": {
			reason: "the caller knows it", theirs: []func(*networkingv1.NetworkPolicy){nil}, sources: []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10")},
			want: strings.Replace(exportedOnly, "100.64.0.9/32", "100.64.0.0/10", 1),
		},
		"name is taken": {
			reason: "it is the user's", internal: "100.64.0.9", refused: viaduct.ErrNotOwned, says: "acme-data/order-postgres-viaduct",
			theirs: []func(*networkingv1.NetworkPolicy){func(p *networkingv1.NetworkPolicy) { p.Name = "order-postgres-viaduct" }},
		},
		"TK cluster": {reason: "NCP does not see its pods", guest: true, refused: viaduct.ErrUnsupported, says: "TK cluster"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := policyObserved{service: observe(t, serviceWith(tc.service)), vip: observe(t, vipWith(tc.internal)), pods: tc.pods, guest: tc.guest}
			for _, change := range tc.theirs {
				o.policies = append(o.policies, policyWith(t, change))
			}
			if tc.firewall != nil {
				o.firewall = rulesOf(t, tc.firewall...)
			}
			opts := newExportOptions([]ExportOption{WithNetworkPolicy(tc.sources...)})
			export := exportPlan{source: exportedPostgres().Source, vipService: companionOf(postgres)}
			p, err := planNetworkPolicy("supervisor", export, o, opts)
			if tc.refused != nil {
				if !errors.Is(err, tc.refused) || !strings.Contains(err.Error(), tc.says) {
					t.Errorf("%s: got %v, want an error that matches %v and says %q", tc.reason, err, tc.refused, tc.says)
				}
				return
			}
			if err != nil || !strings.Contains(p.waiting, tc.waiting) || (p.waiting == "") != (tc.waiting == "") {
				t.Fatalf("%s: got waiting %q and %v, want %q", tc.reason, p.waiting, err, tc.waiting)
			}
			if tc.want == "" {
				if !p.Empty() {
					t.Errorf("%s: got %v, want nothing", tc.reason, p)
				}
				return
			}
			if diff := cmp.Diff(want(t, tc.want), p.Steps[0].After.Object["spec"].(map[string]any)["ingress"]); diff != "" {
				t.Errorf("%s: ingress (-want +got):\n%s", tc.reason, diff)
			}
			again(t, o, export, opts, p)
		})
	}
}

func want(t *testing.T, text string) any {
	t.Helper()
	var list []any
	if err := yaml.Unmarshal([]byte(text), &list); err != nil {
		t.Fatal(err)
	}
	if list == nil {
		return nil
	}
	return wholeNumbers(list)
}

// wholeNumbers turns the numbers of YAML into those of a plan.
func wholeNumbers(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = wholeNumbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = wholeNumbers(v[k])
		}
	case float64:
		return int64(v)
	}
	return v
}

// again plans once more with what the first plan made: nothing is left to do,
// although the firewall now has the policy's own rules.
func again(t *testing.T, o policyObserved, export exportPlan, opts *exportOptions, p policyPlan) {
	t.Helper()
	made, err := policyOf(p.Steps[0].After.DeepCopy())
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(o.policies)
	o.policies = append(o.policies, made)
	if o.firewall != nil {
		o.firewall = rulesOf(t, policyOfRules("isolate", firewall.Application, 50, banning("isolate")))
	}
	if p.waiting != "" {
		return
	}
	second, err := planNetworkPolicy("supervisor", export, o, opts)
	if err != nil || !second.Empty() {
		t.Errorf("again: got %v, %v; want nothing to do", second, err)
	}
}
