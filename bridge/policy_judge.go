// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

// Judge is pure: what the distributed firewall admits to pods that no
// NetworkPolicy selects.

// judge returns whom the firewall admits to the pods now, or that it admits the
// load balancer and the named sources already.
func (o policyObserved) judge(loadBalancer []netip.Prefix, opts *exportOptions) (admitted, *refusal) {
	a := admitted{open: true}
	if len(loadBalancer) == 0 { // both ends of its range stand for it
		first := internalRange().Addr().Next()
		loadBalancer = []netip.Prefix{netip.PrefixFrom(first, 32), netip.PrefixFrom(lastHost(internalRange()), 32)}
	}
	judged := 0
	for _, pod := range o.pods {
		if o.isolated(pod.Labels) {
			continue
		}
		for _, ip := range pod.Status.PodIPs {
			address, err := netip.ParseAddr(ip.IP)
			if err != nil {
				continue
			}
			at, r := o.firewall.interfaceOf(address)
			if r != nil {
				return a, r
			}
			for _, source := range slices.Concat(loadBalancer, opts.sources) {
				if source.Addr().BitLen() != address.BitLen() {
					continue
				}
				for _, port := range o.podPorts(pod) {
					judged++
					if r := o.firewall.admits(&a, source.Masked().Addr(), address, at, port); r != nil {
						return a, r
					}
				}
			}
		}
	}
	if judged == 0 {
		return admitted{waiting: "what else the pods admit, because no pod behind the Service has an address"}, nil
	}
	return a, nil
}

// podPorts are the ports of a pod that the Service leads to.
func (o policyObserved) podPorts(pod *corev1.Pod) []Port {
	var ports []Port
	for _, p := range sortedPorts(o.service.Service) {
		protocol := corev1.ProtocolTCP
		if p.Protocol == corev1.ProtocolUDP {
			protocol = p.Protocol
		}
		target := targetPort(p)
		if target.Type == intstr.Int {
			ports = append(ports, Port{Protocol: protocol, Port: target.IntVal})
			continue
		}
		for _, c := range pod.Spec.Containers {
			for _, named := range c.Ports {
				if named.Name == target.StrVal {
					ports = append(ports, Port{Protocol: protocol, Port: named.ContainerPort})
				}
			}
		}
	}
	return ports
}

// interfaceOf returns where a pod is attached, as rules name it.
func (s *firewallState) interfaceOf(pod netip.Addr) (firewall.Interface, *refusal) {
	segment := segmentOf(s.segments, pod, nil)
	if segment == "" {
		return firewall.Interface{}, &refusal{
			viaduct.ErrUnsupported, fmt.Sprintf("which segment pod %s is on is not known, and so not what the distributed firewall admits to it", pod),
			"make a NetworkPolicy that says who reaches the pods",
		}
	}
	return firewall.Interface{Within: []string{segment, addressMember(pod)}}, nil
}

// admits evaluates one connection to a pod. When it is stopped, it adds whom
// else the rules before the stopping one let in.
func (s *firewallState) admits(a *admitted, source, pod netip.Addr, at firewall.Interface, port Port) *refusal {
	f := firewall.Flow{
		Source: source, Destination: pod, Protocol: firewall.TCP, DestinationPort: uint16(port.Port), //nolint:gosec // a port number
		Crosses: []firewall.Crossing{{Interface: at, Direction: firewall.In}},
	}
	if port.Protocol == corev1.ProtocolUDP {
		f.Protocol = firewall.UDP
	}
	verdict, err := s.rules.Evaluate(f)
	if err != nil {
		return &refusal{viaduct.ErrUnsupported, "the distributed firewall cannot be judged: " + err.Error(), ""}
	}
	d := verdict.Decisive()
	if s.ofNCP[d.By.Policy] { // and none selects the pod any more
		a.stale, a.waiting = true, "what the firewall admits once NCP has removed "+d.By.Policy+", which it made of a NetworkPolicy that is gone"
		return nil
	}
	if d.Action == firewall.Allow {
		return nil
	}
	a.open = false
	if r := s.overruled(d, fmt.Sprintf("%s from %s to %s", port.Protocol, source, netip.AddrPortFrom(pod, f.DestinationPort))); r != nil {
		return r
	}
	for passed := range d.Passed() {
		if passed.Ref.Action != firewall.Allow {
			continue
		}
		switch passed.Reason {
		case firewall.OtherSource, firewall.OtherDestination, firewall.OtherService, firewall.Conditioned:
			if r := s.addAdmitted(a, passed.Ref, pod, at); r != nil {
				return r
			}
		default:
		}
	}
	return nil
}

// overruled returns why a NetworkPolicy does not help against the rule that
// stops a connection, or would close more than that rule does.
func (s *firewallState) overruled(d firewall.Decision, flow string) *refusal {
	rule, ok := s.rule(d.By)
	switch {
	case d.By.Policy == "":
		return nil // what stops everything
	case s.earlier(d.By):
		return &refusal{viaduct.ErrInvalid, fmt.Sprintf("the distributed firewall would stop %s all the same, by %s, before any NetworkPolicy", flow, describe(d)), "change that rule, or what it applies to"}
	case ok && (!isAny(rule.Sources) || !plain(rule)):
		return &refusal{
			viaduct.ErrUnsupported,
			fmt.Sprintf("the distributed firewall stops %s by %s and lets others in, whom a NetworkPolicy would shut out", flow, describe(d)),
			"change that rule, or make a NetworkPolicy that says who reaches the pods",
		}
	}
	return nil
}

// earlier reports whether a rule is of a category that NCP does not write to and
// that comes before its own.
func (s *firewallState) earlier(by firewall.Ref) bool {
	switch s.policies[by.Policy].Category {
	case firewall.Emergency, firewall.Infrastructure, firewall.Environment:
		return true
	default:
		return false
	}
}

func (s *firewallState) rule(by firewall.Ref) (firewall.Rule, bool) {
	rules := s.policies[by.Policy].Rules
	i := slices.IndexFunc(rules, func(r firewall.Rule) bool { return r.Path == by.Rule })
	if i < 0 {
		return firewall.Rule{}, false
	}
	return rules[i], true
}

// plain reports whether a rule is about all services, and excludes no sources.
func plain(r firewall.Rule) bool {
	return !r.SourcesExcluded && isAny(r.Services) && len(r.Entries) == 0
}

func isAny(list []string) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(e string) bool { return strings.EqualFold(e, firewall.Any) })
}

// addAdmitted adds whom one rule lets in to a pod. A rule that a NetworkPolicy
// does not come before goes on letting in.
func (s *firewallState) addAdmitted(a *admitted, ref firewall.Ref, pod netip.Addr, at firewall.Interface) *refusal {
	rule, ok := s.rule(ref)
	if s.earlier(ref) || ok && s.excludes(rule.Destinations, rule.DestinationsExcluded, pod) {
		return nil
	}
	untold := &refusal{
		viaduct.ErrUnsupported,
		fmt.Sprintf("no NetworkPolicy selects its pods, so that one of Viaduct's would shut out whom rule %s %s lets in", ref.Name, ref.Rule),
		"make a NetworkPolicy that says who reaches the pods",
	}
	if !ok || isAny(rule.Sources) || !plain(rule) || len(rule.Conditions) > 0 {
		return untold
	}
	for _, source := range rule.Sources {
		group, isGroup := s.groups[source]
		switch prefix, err := netip.ParsePrefix(source); {
		case isGroup && s.ofNamespace(group, at):
			a.namespace = true
		case err == nil:
			a.blocks = append(a.blocks, prefix.Masked().String())
		default:
			address, err := netip.ParseAddr(source)
			if err != nil {
				return untold
			}
			a.blocks = append(a.blocks, netip.PrefixFrom(address, address.BitLen()).String())
		}
	}
	return nil
}

// excludes reports whether a rule's destinations surely do not contain a pod.
func (s *firewallState) excludes(destinations []string, negated bool, pod netip.Addr) bool {
	if isAny(destinations) || negated {
		return false
	}
	for _, d := range destinations {
		ranges := s.groups[d].Addresses
		if r, err := firewall.ParseRange(d); err == nil {
			ranges = []firewall.Range{r}
		} else if _, known := s.groups[d]; !known {
			return false
		}
		if slices.ContainsFunc(ranges, func(r firewall.Range) bool { return r.Contains(pod) }) {
			return false
		}
	}
	return true
}

// ofNamespace reports whether a group is the pods of one vSphere Namespace, that
// of the interface: segments behind the same gateway, and addresses on those.
func (s *firewallState) ofNamespace(g firewall.Group, at firewall.Interface) bool {
	if !slices.Contains(g.Members, at.Within[0]) {
		return false
	}
	gateway := ""
	var subnets []netip.Prefix
	for _, segment := range s.segments {
		if segment.Path == nsx.Path(at.Within[0]) {
			gateway = segment.ConnectivityPath.String()
		}
	}
	for _, member := range g.Members {
		i := slices.IndexFunc(s.segments, func(n nsx.Segment) bool { return n.Path.String() == member })
		if i < 0 || gateway == "" || s.segments[i].ConnectivityPath.String() != gateway {
			return false
		}
		subnets = append(subnets, subnetsOf(s.segments[i])...)
	}
	return !slices.ContainsFunc(g.Addresses, func(r firewall.Range) bool {
		return !slices.ContainsFunc(subnets, func(p netip.Prefix) bool { return p.Contains(r.From) && p.Contains(r.To) })
	})
}
