// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

// Judge is pure: facts in, hops out.

// How members see connections, as NSX names it.
const (
	snatAutoMap  = "LBSnatAutoMap"
	snatDisabled = "LBSnatDisabled"
)

// firewallUnknown says why nothing is known of the firewall; nil when something
// is.
func (p pathFacts) firewallUnknown(name HopName) *Hop {
	var h Hop
	switch f := p.firewall; {
	case !f.given:
		h = unknown(name, whyNoNSX)
	case p.nsx.err != nil:
		h = unknown(name, fmt.Sprintf("NSX could not be asked: %v", p.nsx.err))
	case f.err != nil:
		h = unknown(name, fmt.Sprintf("the distributed firewall could not be read: %v", f.err))
	default:
		return nil
	}
	return &h
}

// judgeClientFirewall looks at the way out of the client's interface.
func (p pathFacts) judgeClientFirewall() Hop {
	if len(p.vips()) == 0 {
		return skipped(HopClientFirewall, "there is no virtual address")
	}
	if h := p.firewallUnknown(HopClientFirewall); h != nil {
		return *h
	}
	client := p.firewall.client
	if client == nil {
		return unknown(HopClientFirewall, "where clients connect from was not given (TraceFrom)")
	}
	if p.firewall.rules == nil {
		return unknown(HopClientFirewall, "the distributed firewall was not read")
	}
	var hops []Hop
	for _, vip := range p.vips() {
		for _, port := range p.vipPorts() {
			hops = append(hops, p.firewall.judge(HopClientFirewall, firewall.Out, client.Address, vip, port.Protocol, port.Port))
		}
	}
	return joinHops(HopClientFirewall, hops)
}

// judgePodFirewall looks at the way from the load balancer in to the members.
func (p pathFacts) judgePodFirewall() Hop {
	if h := p.firewallUnknown(HopPodFirewall); h != nil {
		return *h
	}
	servers, _ := p.nsx.serving(p.vips(), p.vipPorts())
	var hops []Hop
	for _, s := range servers {
		pool := p.nsx.pools[s.pool]
		if len(pool.members) == 0 {
			continue
		}
		sources, why := p.sources(pool)
		if len(sources) == 0 {
			hops = append(hops, unknown(HopPodFirewall, why))
			continue
		}
		for _, m := range pool.members {
			address, err := netip.ParseAddr(m.IPAddress)
			port, portErr := strconv.ParseUint(m.Port, 10, 16)
			if err != nil || portErr != nil {
				hops = append(hops, unknown(HopPodFirewall, fmt.Sprintf("member %s:%s is no address and port", m.IPAddress, m.Port)))
				continue
			}
			for _, source := range sources {
				hops = append(hops, p.firewall.judge(HopPodFirewall, firewall.In, source, address, corev1.Protocol(s.protocol), int32(port)))
			}
		}
	}
	switch {
	case len(hops) == 0:
		return skipped(HopPodFirewall, "there are no members")
	case p.firewall.rules == nil:
		return unknown(HopPodFirewall, "the distributed firewall was not read")
	default:
		return joinHops(HopPodFirewall, hops)
	}
}

// sources are the addresses from which the members of a pool see connections
// come, or why they are not known.
func (p pathFacts) sources(pool tracedPool) (sources []netip.Addr, why string) {
	texts := pool.snatAddresses
	why = fmt.Sprintf("which address the load balancer uses towards members (%s) is not known", pool.snat)
	switch pool.snat {
	case snatAutoMap:
		if p.exporting.vipService.live == nil {
			return nil, "the address that the load balancer uses towards members stands on the exporting Service, which is not known"
		}
		texts = []string{p.exporting.vipService.Annotations[annotationInternalAddress]}
		why = "the exporting Service does not tell which address the load balancer uses towards members (" + annotationInternalAddress + ")"
	case snatDisabled, "":
		why = "members see the client's own address, which was not given (TraceFrom)"
		if p.firewall.client != nil {
			return []netip.Addr{p.firewall.client.Address}, ""
		}
	}
	for _, text := range texts {
		first, _, _ := strings.Cut(text, "-")
		if address, err := netip.ParseAddr(strings.TrimSpace(first)); err == nil {
			sources = append(sources, address)
		}
	}
	return sources, why
}

// judge evaluates one flow at one interface.
func (f firewallFacts) judge(name HopName, direction firewall.Direction, from, to netip.Addr, protocol corev1.Protocol, port int32) Hop {
	if f.rules == nil {
		return unknown(name, "the distributed firewall was not read")
	}
	at := from
	if direction == firewall.In {
		at = to
	}
	flow := firewall.Flow{
		Source: from, Destination: to, Protocol: firewall.TCP, DestinationPort: uint16(port), //nolint:gosec // a port number
		Crosses: []firewall.Crossing{{Interface: f.interfaces[at.String()], Direction: direction}},
	}
	if protocol == corev1.ProtocolUDP {
		flow.Protocol = firewall.UDP
	}
	text := fmt.Sprintf("%s from %s to %s", protocol, from, netip.AddrPortFrom(to, flow.DestinationPort))
	verdict, err := f.rules.Evaluate(flow)
	if err != nil {
		return unknown(name, fmt.Sprintf("%s: %v", text, err))
	}
	d := verdict.Decisive()
	by := "no rule"
	if d.By.Policy != "" {
		by = strings.TrimSpace("rule " + d.By.Name + " " + d.By.Rule)
	}
	evidence := []string{fmt.Sprintf("%s: %s by %s", text, d.Action, by)}
	for _, c := range d.Conditional {
		evidence = append(evidence, "unless the condition of rule "+c.Rule+" holds")
	}
	for _, gap := range f.gaps {
		evidence = append(evidence, "not considered: "+gap)
	}
	if d.Action == firewall.Allow {
		return okay(name, evidence...)
	}
	remedy := fmt.Sprintf("let %s out with a rule of the distributed firewall before that one", text)
	if direction == firewall.In {
		remedy = fmt.Sprintf("let %s in with a NetworkPolicy for the exported pods", text)
	}
	return broken(name, fmt.Sprintf("the distributed firewall stops %s: %s by %s", text, d.Action, by), remedy, evidence...)
}
