// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestCompile(t *testing.T) {
	t.Parallel()
	const pods = "/infra/domains/default/groups/g"
	udp := corev1.ProtocolUDP
	named, number := intstr.FromString("redis"), intstr.FromInt32(7000)
	end := int32(7010)
	w := world{
		namespaces: map[string]map[string]string{"acme-data": {"tier": "data"}, "acme-app": {"tier": "app"}},
		pods: []*corev1.Pod{
			testPod("redis", "10.244.0.18", true),
			testPod("web", "10.244.0.34", true, func(p *corev1.Pod) { p.Namespace = "acme-app"; p.Labels = map[string]string{"app": "web"} }),
		},
	}
	ingress := func(rules ...networkingv1.NetworkPolicyIngressRule) networkingv1.NetworkPolicySpec {
		return networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}, Ingress: rules}
	}
	cases := map[string]struct {
		reason string
		spec   networkingv1.NetworkPolicySpec
		want   compiled
	}{
		"DenyAll": {
			reason: "no rules: everything is dropped",
			spec:   ingress(),
			want:   compiled{pods: []string{"10.244.0.18"}, in: true},
		},
		"NamedPort": {
			reason: "anyone may reach the named port, which has a number in each pod",
			spec:   ingress(networkingv1.NetworkPolicyIngressRule{Ports: []networkingv1.NetworkPolicyPort{{Port: &named}}}),
			want: compiled{pods: []string{"10.244.0.18"}, in: true, allow: []rule{{
				name: "in-0", action: "ALLOW", direction: "IN", sources: []string{"ANY"}, destinations: []string{pods},
				entries: []serviceEntry{{ResourceType: "L4PortSetServiceEntry", ID: "TCP-0", DisplayName: "TCP-0", Protocol: "TCP", Ports: []string{"6379"}}},
			}}},
		},
		"Peers": {
			reason: "a namespace's pods and a network without its exception",
			spec: ingress(networkingv1.NetworkPolicyIngressRule{
				From: []networkingv1.NetworkPolicyPeer{
					{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "app"}}},
					{IPBlock: &networkingv1.IPBlock{CIDR: "192.168.0.0/30", Except: []string{"192.168.0.1/32"}}},
				},
				Ports: []networkingv1.NetworkPolicyPort{{Port: &number, EndPort: &end, Protocol: &udp}},
			}),
			want: compiled{pods: []string{"10.244.0.18"}, in: true, allow: []rule{{
				name: "in-0", action: "ALLOW", direction: "IN", destinations: []string{pods},
				sources: []string{"10.244.0.34", "192.168.0.0/32", "192.168.0.2/31"},
				entries: []serviceEntry{{ResourceType: "L4PortSetServiceEntry", ID: "UDP-0", DisplayName: "UDP-0", Protocol: "UDP", Ports: []string{"7000-7010"}}},
			}}},
		},
		"NobodyIsNotAnyone": {
			reason: "peers that match nothing let nobody through: no rule, because NSX takes an empty list for anyone",
			spec: ingress(networkingv1.NetworkPolicyIngressRule{From: []networkingv1.NetworkPolicyPeer{
				{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "nobody"}}},
			}}),
			want: compiled{pods: []string{"10.244.0.18"}, in: true},
		},
		"Egress": {
			reason: "egress goes from the pods to the peers",
			spec: networkingv1.NetworkPolicySpec{
				PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
				Egress:      []networkingv1.NetworkPolicyEgressRule{{To: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}}},
			},
			want: compiled{pods: []string{"10.244.0.18"}, out: true, allow: []rule{{
				name: "out-0", action: "ALLOW", direction: "OUT", sources: []string{pods}, destinations: []string{"10.244.0.18"},
			}}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "acme-data", Name: "p"}, Spec: tc.spec}
			got := compile(p, pods, w)
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(compiled{}, rule{})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestWithout(t *testing.T) {
	t.Parallel()
	whole, except := netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("10.0.0.64/26")
	rest := without(whole, except)
	for a := whole.Addr(); whole.Contains(a); a = a.Next() {
		in := slices.ContainsFunc(rest, func(p netip.Prefix) bool { return p.Contains(a) })
		if in == except.Contains(a) {
			t.Fatalf("%s: in the rest %v is %v", a, rest, in)
		}
	}
	if rest := without(except, whole); rest != nil {
		t.Errorf("a network within its exception leaves %v", rest)
	}
}
