// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	applynetworkingv1 "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/viaduct-sdk/viaduct"
)

// Plan is pure: values in, a Plan out.

// policyPlan is a plan for a NetworkPolicy.
type policyPlan struct {
	Plan
	// waiting says what is not known yet of what the plan holds; empty when it
	// can be carried out.
	waiting string
	// stale says that the firewall is to be read again.
	stale bool
}

// planNetworkPolicy opens the way from the load balancer to the exported pods,
// without closing another.
func planNetworkPolicy(cluster string, p exportPlan, o policyObserved, opts *exportOptions) (policyPlan, error) {
	name := types.NamespacedName{Namespace: p.source.Namespace, Name: p.source.Name}
	refuse := func(r *refusal) (policyPlan, error) { return policyPlan{}, r.of("export", cluster, name) }
	if o.guest {
		return refuse(&refusal{
			viaduct.ErrUnsupported, "its pods are those of a TK cluster, of which NCP knows nothing: the load balancer reaches nodes, and pods see the nodes' addresses",
			"make a NetworkPolicy in that cluster that admits its nodes, and export without WithNetworkPolicy",
		})
	}
	own := o.policy(companionOf(name).Name)
	switch {
	case own.live != nil && !ownPolicy(name, own):
		return refuse(&refusal{
			viaduct.ErrNotOwned,
			fmt.Sprintf("the policy's name is taken by NetworkPolicy %s, which belongs to %s", key(own.live), owner(own.live)),
			"rename or delete that NetworkPolicy",
		})
	case own.live != nil && own.DeletionTimestamp != nil:
		return policyPlan{waiting: "NetworkPolicy " + key(own.live).String() + " is still being deleted"}, nil
	}
	sources, waiting := o.loadBalancer(opts)
	also, r := o.alsoAdmitted(own, sources, opts)
	switch {
	case r != nil:
		return refuse(r)
	case also.stale:
		return policyPlan{waiting: also.waiting, stale: true}, nil
	case also.open:
		return policyPlan{}, nil
	}
	waiting = join(waiting, also.waiting)
	want, err := renderPolicy(p, o, append(sources, opts.sources...), also)
	if err != nil {
		return policyPlan{}, err
	}
	reason := "admits the load balancer"
	if waiting != "" {
		reason += ", as far as is known: " + waiting
	}
	return policyPlan{Plan: Plan{Steps: converge(cluster, own.object, want, reason)}, waiting: waiting}, nil
}

// policy returns the NetworkPolicy of this name.
func (o policyObserved) policy(name string) networkPolicy {
	i := slices.IndexFunc(o.policies, func(p networkPolicy) bool { return p.Name == name })
	if i < 0 {
		return networkPolicy{}
	}
	return o.policies[i]
}

// ownPolicy reports whether an observed NetworkPolicy is the one that Viaduct
// made for name.
func ownPolicy(name types.NamespacedName, p networkPolicy) bool {
	m, ok := readMark(p.live, companionOf(name))
	return ok && m.role == RoleNetworkPolicy && m.source.Namespace == name.Namespace && m.source.Name == name.Name
}

// loadBalancer returns the addresses by which the load balancer reaches pods, or
// what is missing to know them.
func (o policyObserved) loadBalancer(opts *exportOptions) (sources []netip.Prefix, waiting string) {
	if slices.ContainsFunc(opts.sources, func(p netip.Prefix) bool { return p.Overlaps(internalRange()) }) {
		return nil, "" // the caller knows them
	}
	if o.vip.live == nil {
		return nil, "the load balancer's source address, which NCP tells when it has made it"
	}
	texts := strings.Split(o.vip.Annotations[annotationInternalAddress], ",")
	for _, ingress := range o.vip.Status.LoadBalancer.Ingress {
		if address, err := netip.ParseAddr(ingress.IP); err == nil && internalRange().Contains(address) {
			texts = append(texts, ingress.IP) // older NCP puts it there
		}
	}
	for _, t := range texts {
		if address, err := netip.ParseAddr(strings.TrimSpace(t)); err == nil {
			sources = append(sources, netip.PrefixFrom(address, address.BitLen()))
		}
	}
	if len(sources) == 0 {
		return nil, fmt.Sprintf("the load balancer's source address, which NCP has not told (annotation %s on Service %s)", annotationInternalAddress, key(o.vip.live))
	}
	return sources, ""
}

// admitted is what a policy has to admit so that it closes nothing.
type admitted struct {
	// open says that nothing stands in the way, so that no policy is needed.
	open bool
	// namespace are the namespace's own pods, blocks are networks.
	namespace bool
	blocks    []string
	// waiting says what is missing to know it; it is stale when that was read
	// too early.
	waiting string
	stale   bool
}

// alsoAdmitted returns whom the pods admit now and no policy of theirs says.
func (o policyObserved) alsoAdmitted(own networkPolicy, sources []netip.Prefix, opts *exportOptions) (admitted, *refusal) {
	if !o.alone() {
		return admitted{}, nil
	}
	if own.live != nil {
		return unported(own), nil // as when it was made: by now it hides the rest
	}
	for _, p := range o.policies {
		if _, ours := OwnershipOf(p.live); ours && slices.ContainsFunc(o.pods, func(pod *corev1.Pod) bool { return isolates(p, pod) }) {
			return unported(p), nil // that of another export of the same pods
		}
	}
	if o.firewall == nil {
		return admitted{}, &refusal{
			viaduct.ErrUnsupported,
			"no NetworkPolicy selects its pods, so that one of Viaduct's would shut out everybody else, and what the distributed firewall admits is not known",
			"give NewCluster the option WithNSX with an *ncp.Finder, or make a NetworkPolicy that says who else reaches the pods",
		}
	}
	return o.judge(sources, opts)
}

// alone reports whether a policy of Viaduct's would be the first to isolate a
// pod behind the Service. Pods to come are taken to be like those that are
// there; without any, only policies count that select whatever the Service does.
func (o policyObserved) alone() bool {
	if len(o.pods) == 0 {
		return !o.isolated(o.service.Spec.Selector)
	}
	return slices.ContainsFunc(o.pods, func(pod *corev1.Pod) bool { return !o.isolated(pod.Labels) })
}

// isolated reports whether a policy that is not Viaduct's selects pods with these
// labels.
func (o policyObserved) isolated(labels map[string]string) bool {
	return slices.ContainsFunc(o.policies, func(p networkPolicy) bool {
		_, ours := OwnershipOf(p.live)
		return !ours && isolates(p, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: labels}})
	})
}

// isolates reports whether a NetworkPolicy selects a pod for ingress.
func isolates(p networkPolicy, pod *corev1.Pod) bool {
	if p.DeletionTimestamp != nil || len(p.Spec.PolicyTypes) > 0 && !slices.Contains(p.Spec.PolicyTypes, networkingv1.PolicyTypeIngress) {
		return false
	}
	selector, err := metav1.LabelSelectorAsSelector(&p.Spec.PodSelector)
	return err == nil && selector.Matches(labels.Set(pod.Labels))
}

// unported returns whom a policy of Viaduct's admits on all ports.
func unported(p networkPolicy) admitted {
	var a admitted
	for _, r := range p.Spec.Ingress {
		if len(r.Ports) > 0 {
			continue
		}
		for _, from := range r.From {
			if from.IPBlock != nil {
				a.blocks = append(a.blocks, from.IPBlock.CIDR)
			} else {
				a.namespace = true
			}
		}
	}
	return a
}

// renderPolicy renders the NetworkPolicy. The Service that has the virtual
// address owns it, so that it goes with that.
func renderPolicy(p exportPlan, o policyObserved, sources []netip.Prefix, also admitted) (*unstructured.Unstructured, error) {
	name := companionOf(types.NamespacedName{Namespace: p.source.Namespace, Name: p.source.Name})
	m := mark{role: RoleNetworkPolicy, source: p.source, target: name, name: name.Name}
	spec := applynetworkingv1.NetworkPolicySpec().
		WithPodSelector(applymetav1.LabelSelector().WithMatchLabels(o.service.Spec.Selector)).
		WithPolicyTypes(networkingv1.PolicyTypeIngress)
	if rule := exportedPorts(o.service.Service, sources); rule != nil {
		spec.WithIngress(rule)
	}
	if also.namespace || len(also.blocks) > 0 {
		rule := applynetworkingv1.NetworkPolicyIngressRule()
		if also.namespace {
			rule.WithFrom(applynetworkingv1.NetworkPolicyPeer().WithPodSelector(applymetav1.LabelSelector()))
		}
		for _, cidr := range slices.Compact(slices.Sorted(slices.Values(also.blocks))) {
			rule.WithFrom(applynetworkingv1.NetworkPolicyPeer().WithIPBlock(applynetworkingv1.IPBlock().WithCIDR(cidr)))
		}
		spec.WithIngress(rule)
	}
	policy := applynetworkingv1.NetworkPolicy(name.Name, name.Namespace).
		WithLabels(m.labels()).
		WithAnnotations(m.annotations()).
		WithOwnerReferences(ownedBy(p.vipService.Name, o.vipUID())).
		WithSpec(spec)
	return render(policy)
}

func (o policyObserved) vipUID() types.UID {
	if o.vip.live == nil {
		return ""
	}
	return o.vip.UID
}

// exportedPorts admits the sources on the ports that the Service leads to; nil
// when there are no sources yet.
func exportedPorts(s *corev1.Service, sources []netip.Prefix) *applynetworkingv1.NetworkPolicyIngressRuleApplyConfiguration {
	if len(sources) == 0 {
		return nil
	}
	sources = slices.SortedFunc(slices.Values(sources), func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	rule := applynetworkingv1.NetworkPolicyIngressRule()
	for _, prefix := range slices.Compact(sources) {
		rule.WithFrom(applynetworkingv1.NetworkPolicyPeer().WithIPBlock(applynetworkingv1.IPBlock().WithCIDR(prefix.Masked().String())))
	}
	seen := map[string]bool{}
	for _, p := range sortedPorts(s) {
		target, protocol := targetPort(p), cmp.Or(p.Protocol, corev1.ProtocolTCP)
		if k := string(protocol) + target.String(); !seen[k] {
			seen[k] = true
			rule.WithPorts(applynetworkingv1.NetworkPolicyPort().WithProtocol(protocol).WithPort(target))
		}
	}
	return rule
}

// targetPort is the pods' port behind a port of a Service.
func targetPort(p corev1.ServicePort) intstr.IntOrString {
	if p.TargetPort.Type == intstr.Int && p.TargetPort.IntVal == 0 {
		return intstr.FromInt32(p.Port)
	}
	return p.TargetPort
}
