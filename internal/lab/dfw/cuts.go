// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package dfw

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

// cuts are the places where the answer may change: rules can't tell flows apart
// that lie between the same cuts. Each list has the first values of intervals
// that together hold all values.
type cuts struct {
	sources, destinations         []netip.Addr // of both families
	sourcePorts, destinationPorts []uint16
	types, codes, protocols       []uint16
}

// cut finds the cuts of all rules, disabled ones included.
func cut(s firewall.Snapshot) cuts {
	c := cutter{
		groups: map[string]firewall.Group{}, services: map[string]firewall.Service{}, seen: map[string]bool{},
		cuts: cuts{
			sourcePorts: []uint16{0}, destinationPorts: []uint16{0},
			types: []uint16{0}, codes: []uint16{0}, protocols: []uint16{0},
		},
	}
	for _, g := range s.Groups {
		c.groups[g.Path] = g
	}
	for _, service := range s.Services {
		c.services[service.Path] = service
	}
	for _, p := range s.Policies {
		for _, r := range p.Rules {
			c.sources = c.addresses(c.sources, r.Sources)
			c.destinations = c.addresses(c.destinations, r.Destinations)
			c.entries(r.Entries)
			for _, path := range r.Services {
				c.service(path)
			}
		}
	}
	// Flows of these protocols are of kinds of their own.
	for _, p := range []firewall.Protocol{firewall.ICMP, firewall.TCP, firewall.UDP, firewall.ICMPv6} {
		number := int(p)
		c.protocols = around(c.protocols, &number)
	}
	for _, family := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		c.sources, c.destinations = append(c.sources, family), append(c.destinations, family)
	}
	slices.SortFunc(c.sources, netip.Addr.Compare)
	slices.SortFunc(c.destinations, netip.Addr.Compare)
	c.sources, c.destinations = slices.Compact(c.sources), slices.Compact(c.destinations)
	for _, list := range []*[]uint16{&c.sourcePorts, &c.destinationPorts, &c.types, &c.codes, &c.protocols} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return c.cuts
}

type cutter struct {
	cuts
	groups   map[string]firewall.Group
	services map[string]firewall.Service
	seen     map[string]bool
}

// addresses cuts around the ranges that groups and plain elements name.
func (c *cutter) addresses(at []netip.Addr, refs []string) []netip.Addr {
	for _, ref := range refs {
		ranges := c.groups[ref].Addresses
		if r, err := firewall.ParseRange(ref); err == nil {
			ranges = append(slices.Clip(ranges), r)
		}
		for _, r := range ranges {
			at = append(at, r.From.Unmap())
			if next := r.To.Unmap().Next(); next.IsValid() {
				at = append(at, next)
			}
		}
	}
	return at
}

func (c *cutter) service(path string) {
	if !c.seen[path] {
		c.seen[path] = true
		c.entries(c.services[path].Entries)
	}
}

// entries cuts around what the entries of services name.
func (c *cutter) entries(entries []firewall.Entry) {
	for _, e := range entries {
		switch e.Kind {
		case firewall.L4PortSetEntry, firewall.ALGEntry:
			c.sourcePorts = aroundPorts(c.sourcePorts, e.SourcePorts)
			c.destinationPorts = aroundPorts(c.destinationPorts, e.DestinationPorts)
		case firewall.ICMPEntry:
			c.types, c.codes = around(c.types, e.ICMPType), around(c.codes, e.ICMPCode)
		case firewall.IPProtocolEntry:
			c.protocols = around(c.protocols, e.Number)
		case firewall.IGMPEntry:
			number := int(firewall.IGMP)
			c.protocols = around(c.protocols, &number)
		case firewall.NestedServiceEntry:
			c.service(e.Nested)
		default: // nothing of layer 3
		}
	}
}

func aroundPorts(at []uint16, ranges []firewall.PortRange) []uint16 {
	for _, r := range ranges {
		at = append(at, r.First)
		if r.Last < 65535 {
			at = append(at, r.Last+1)
		}
	}
	return at
}

// around cuts around a number of one byte.
func around(at []uint16, value *int) []uint16 {
	if value == nil || *value < 0 || *value > 255 {
		return at
	}
	number := uint16(*value)
	at = append(at, number)
	if number < 255 {
		at = append(at, number+1)
	}
	return at
}

// span is an interval of numbers, both ends included.
type span[T any] struct{ first, last T }

// numbers are the intervals from the cuts up to a last number.
func numbers(at []uint16, last uint16) []span[uint16] {
	all := make([]span[uint16], len(at))
	for i, first := range at {
		all[i] = span[uint16]{first, last}
		if i+1 < len(at) {
			all[i].last = at[i+1] - 1
		}
	}
	return all
}

// hosts are the intervals of addresses of one family.
func hosts(at []netip.Addr, four bool) []span[netip.Addr] {
	var all []span[netip.Addr]
	for _, first := range at {
		if first.Is4() != four {
			continue
		}
		if n := len(all); n > 0 {
			all[n-1].last = first.Prev()
		}
		all = append(all, span[netip.Addr]{first, lastAddress(four)})
	}
	return all
}

func lastAddress(four bool) netip.Addr {
	if four {
		return netip.AddrFrom4([4]byte{255, 255, 255, 255})
	}
	b := [16]byte{}
	for i := range b {
		b[i] = 255
	}
	return netip.AddrFrom16(b)
}

// contains reports whether the value lies in the interval.
func contains[T cmp.Ordered](s span[T], value T) bool { return s.first <= value && value <= s.last }
