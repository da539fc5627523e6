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

	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

// Judge is pure: what the firewall does with connections to an import.

// verdict is what the firewall does without Viaduct's rule and with it.
type verdict struct {
	before, after firewall.Action
	reason        string
}

// judge evaluates the connections from each known machine to each address and
// port. It reports the worst of them.
func (f firewallObserved) judge(e *Exported) verdict {
	v := verdict{before: firewall.Allow, after: firewall.Allow}
	judged := map[netip.Addr]bool{}
	for _, address := range sortedAddresses(e.Addresses) {
		for _, s := range f.state.sources {
			if s.address.BitLen() != address.BitLen() {
				continue
			}
			judged[address] = true
			for _, p := range e.sortedPorts() {
				v = v.worse(f.state.judge(s, address, p))
			}
		}
	}
	for _, address := range sortedAddresses(e.Addresses) {
		if !judged[address] {
			v.reason = join(v.reason, "not judged: the segments have no address of the family of "+address.String())
			v.before = cmp.Or(closed(v.before), firewall.Drop) // a policy does no harm
		}
	}
	for _, gap := range f.state.gaps {
		v.reason = join(v.reason, "not considered: "+gap)
	}
	return v
}

func closed(a firewall.Action) firewall.Action {
	if a == firewall.Allow {
		return ""
	}
	return a
}

// worse returns the verdict that stops more.
func (v verdict) worse(o verdict) verdict {
	badness := func(v verdict) int {
		switch {
		case v.after != firewall.Allow:
			return 2
		case v.before != firewall.Allow:
			return 1
		default:
			return 0
		}
	}
	if v.reason == "" || badness(o) > badness(v) {
		return o
	}
	return v
}

func join(clauses ...string) string {
	return strings.Join(slices.DeleteFunc(clauses, func(c string) bool { return c == "" }), "; ")
}

// judge evaluates one connection. The rule of Viaduct matches it by
// construction: it decides unless another does before it.
func (s *firewallState) judge(from firewallSource, to netip.Addr, port Port) verdict {
	f := firewall.Flow{
		Source: from.address, Destination: to, Protocol: firewall.TCP, DestinationPort: uint16(port.Port), //nolint:gosec // a port number
		Crosses: []firewall.Crossing{{Interface: from.at, Direction: firewall.Out}},
	}
	if port.Protocol == corev1.ProtocolUDP {
		f.Protocol = firewall.UDP
	}
	result, err := s.rules.Evaluate(f)
	if err != nil {
		return verdict{firewall.Drop, firewall.Allow, err.Error()}
	}
	d := result.Decisive()
	v := verdict{before: d.Action, after: firewall.Allow}
	if d.Action != firewall.Allow && s.before(d.By) {
		v.after = d.Action
	}
	v.reason = fmt.Sprintf("%s from %s to %s: %s by %s", port.Protocol, from.address, netip.AddrPortFrom(to, f.DestinationPort), d.Action, describe(d))
	for _, c := range d.Conditional {
		v.reason = join(v.reason, "unless the condition of rule "+c.Rule+" holds")
	}
	return v
}

func describe(d firewall.Decision) string {
	switch {
	case d.Excluded:
		return "the exclusion list"
	case d.By.Policy == "":
		return "no rule"
	default:
		return strings.TrimSpace("rule " + d.By.Name + " " + cmp.Or(d.By.Rule, d.By.Policy))
	}
}

// before reports whether a rule may be evaluated before Viaduct's. The order of
// equal numbers is not determined.
func (s *firewallState) before(by firewall.Ref) bool {
	p := s.policies[by.Policy]
	switch {
	case p.IsDefault:
		return false
	case p.Category == firewall.Emergency, p.Category == firewall.Infrastructure, p.Category == firewall.Environment:
		return true
	default:
		return p.Category == firewall.Application && p.Sequence <= firewallSequence
	}
}
