// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// compiled is a NetworkPolicy in terms of the distributed firewall.
type compiled struct {
	// pods are the addresses of the pods that the policy applies to.
	pods []string
	// allow are the rules for what the policy lets through.
	allow []rule
	// in and out say in which directions the rest is dropped.
	in, out bool
}

// world is what a NetworkPolicy can speak of.
type world struct {
	// namespaces are the labels of namespaces by their names.
	namespaces map[string]map[string]string
	pods       []*corev1.Pod
}

// compile translates a NetworkPolicy. group is the path of the group that will
// hold the policy's pods. A rule whose peers or named ports match nothing yet
// lets nothing through and is left out.
func compile(p *networkingv1.NetworkPolicy, group string, w world) compiled {
	selected := w.matching([]string{p.Namespace}, &p.Spec.PodSelector)
	c := compiled{pods: addresses(selected)}
	for _, t := range p.Spec.PolicyTypes {
		c.in = c.in || t == networkingv1.PolicyTypeIngress
		c.out = c.out || t == networkingv1.PolicyTypeEgress
	}
	for i, r := range p.Spec.Ingress {
		if sources, entries, ok := w.side(p, r.From, r.Ports, selected); ok && c.in {
			c.allow = append(c.allow, rule{
				name: fmt.Sprintf("in-%d", i), action: "ALLOW", direction: "IN",
				sources: sources, destinations: []string{group}, entries: entries,
			})
		}
	}
	for i, r := range p.Spec.Egress {
		if destinations, entries, ok := w.side(p, r.To, r.Ports, w.peerPods(p, r.To)); ok && c.out {
			c.allow = append(c.allow, rule{
				name: fmt.Sprintf("out-%d", i), action: "ALLOW", direction: "OUT",
				sources: []string{group}, destinations: destinations, entries: entries,
			})
		}
	}
	return c
}

// side resolves the peers and the ports of one rule; named ports are those of
// servers. It reports false when one of them matches nothing.
func (w world) side(p *networkingv1.NetworkPolicy, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort, servers []*corev1.Pod) ([]string, []serviceEntry, bool) {
	who := anyone()
	if len(peers) > 0 {
		who = w.peers(p, peers)
	}
	entries := serviceEntries(ports, servers)
	return who, entries, len(who) > 0 && (len(ports) == 0 || len(entries) > 0)
}

// peers are the addresses and networks that the peers stand for, sorted.
func (w world) peers(p *networkingv1.NetworkPolicy, peers []networkingv1.NetworkPolicyPeer) []string {
	all := addresses(w.peerPods(p, peers))
	for _, peer := range peers {
		if peer.IPBlock != nil {
			all = append(all, block(peer.IPBlock)...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// peerPods are the pods that the peers select; all pods when there are no peers.
func (w world) peerPods(p *networkingv1.NetworkPolicy, peers []networkingv1.NetworkPolicyPeer) []*corev1.Pod {
	if len(peers) == 0 {
		return w.pods
	}
	var all []*corev1.Pod
	for _, peer := range peers {
		if peer.IPBlock != nil {
			continue
		}
		in := []string{p.Namespace}
		if peer.NamespaceSelector != nil {
			in = w.matchingNamespaces(peer.NamespaceSelector)
		}
		all = append(all, w.matching(in, cmp.Or(peer.PodSelector, &metav1.LabelSelector{}))...)
	}
	return all
}

func (w world) matchingNamespaces(selector *metav1.LabelSelector) []string {
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return nil
	}
	var names []string
	for name, l := range w.namespaces {
		if s.Matches(labels.Set(l)) {
			names = append(names, name)
		}
	}
	return names
}

// matching are the pods in these namespaces that the selector selects.
func (w world) matching(namespaces []string, selector *metav1.LabelSelector) []*corev1.Pod {
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return nil
	}
	var all []*corev1.Pod
	for _, pod := range w.pods {
		if serves(pod) && slices.Contains(namespaces, pod.Namespace) && s.Matches(labels.Set(pod.Labels)) {
			all = append(all, pod)
		}
	}
	return all
}

func addresses(pods []*corev1.Pod) []string {
	var all []string
	for _, pod := range pods {
		all = append(all, pod.Status.PodIP)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// serviceEntries are the ports of a rule as NSX writes them, one entry for each
// port, so that an entry can't hold more ports than NSX takes.
func serviceEntries(ports []networkingv1.NetworkPolicyPort, servers []*corev1.Pod) []serviceEntry {
	var all []serviceEntry
	for _, port := range ports {
		protocol := corev1.ProtocolTCP
		if port.Protocol != nil {
			protocol = *port.Protocol
		}
		if protocol != corev1.ProtocolTCP && protocol != corev1.ProtocolUDP {
			continue
		}
		numbers := portNumbers(port, protocol, servers)
		if numbers == nil {
			continue
		}
		name := fmt.Sprintf("%s-%d", protocol, len(all))
		all = append(all, serviceEntry{
			ResourceType: "L4PortSetServiceEntry", ID: name, DisplayName: name,
			Protocol: string(protocol), Ports: numbers,
		})
	}
	return all
}

// portNumbers are the numbers that a port of a NetworkPolicy stands for: those
// that the servers give the name when it is named. Nil when there are none.
func portNumbers(port networkingv1.NetworkPolicyPort, protocol corev1.Protocol, servers []*corev1.Pod) []string {
	switch {
	case port.Port == nil:
		return []string{"1-65535"}
	case port.Port.Type == intstr.Int && port.EndPort != nil:
		return []string{fmt.Sprintf("%d-%d", port.Port.IntVal, *port.EndPort)}
	case port.Port.Type == intstr.Int:
		return []string{strconv.Itoa(int(port.Port.IntVal))}
	}
	var numbers []string
	for _, pod := range servers {
		if n, ok := namedPort(port.Port.StrVal, protocol, pod); ok {
			numbers = append(numbers, strconv.Itoa(int(n)))
		}
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// block is an ipBlock as networks that leave its exceptions out.
func block(b *networkingv1.IPBlock) []string {
	whole, err := netip.ParsePrefix(b.CIDR)
	if err != nil {
		return nil
	}
	networks := []netip.Prefix{whole.Masked()}
	for _, e := range b.Except {
		except, err := netip.ParsePrefix(e)
		if err != nil {
			return nil
		}
		var rest []netip.Prefix
		for _, n := range networks {
			rest = append(rest, without(n, except.Masked())...)
		}
		networks = rest
	}
	all := make([]string, 0, len(networks))
	for _, n := range networks {
		all = append(all, n.String())
	}
	return all
}

// without cuts a network out of another and returns what is left of that.
func without(n, except netip.Prefix) []netip.Prefix {
	switch {
	case !n.Overlaps(except):
		return []netip.Prefix{n}
	case except.Bits() <= n.Bits():
		return nil
	}
	lower := netip.PrefixFrom(n.Addr(), n.Bits()+1)
	upper := netip.PrefixFrom(lastAddress(lower).Next(), n.Bits()+1)
	return append(without(lower, except), without(upper, except)...)
}
