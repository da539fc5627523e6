// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/viaduct-sdk/viaduct"
)

// entry is a compiled service entry.
type entry struct {
	protocol    Protocol
	source      []PortRange // empty: all
	destination []PortRange // empty: all
	icmpType    int         // -1: all
	icmpCode    int         // -1: all
}

// key tells apart entries that match different flows.
func (e entry) key() string {
	return fmt.Sprint(e.protocol, e.source, e.destination, e.icmpType, e.icmpCode)
}

// matches reports whether a flow of the entry's protocol matches, its
// destination port aside.
func (e entry) matches(f Flow) bool {
	if e.icmpType >= 0 && e.icmpType != int(f.ICMPType) || e.icmpCode >= 0 && e.icmpCode != int(f.ICMPCode) {
		return false
	}
	return len(e.source) == 0 || slices.ContainsFunc(e.source, func(r PortRange) bool { return r.Contains(f.SourcePort) })
}

// interner numbers entries so that equal ones share a number.
type interner struct {
	ids  map[string]int32
	list []entry
}

func (n *interner) id(e entry) int32 {
	key := e.key()
	id, ok := n.ids[key]
	if !ok {
		id = int32(len(n.list)) //nolint:gosec // the number of entries fits
		n.ids[key] = id
		n.list = append(n.list, e)
	}
	return id
}

// compileEntry compiles an entry; false when it matches nothing of layer 3.
func compileEntry(e Entry) (entry, bool, error) {
	compiled := entry{icmpType: -1, icmpCode: -1}
	var err error
	switch e.Kind {
	case L4PortSetEntry:
		compiled.protocol, err = l4Protocol(e.L4Protocol)
		return withPorts(compiled, e, err)
	case ALGEntry:
		compiled.protocol, err = algProtocol(e.ALG)
		return withPorts(compiled, e, err)
	case ICMPEntry:
		compiled, err = icmpEntry(compiled, e)
	case IPProtocolEntry:
		if e.Number == nil || *e.Number < 0 || *e.Number > 255 {
			return entry{}, false, fmt.Errorf("entry without a protocol number: %w", viaduct.ErrInvalid)
		}
		compiled.protocol = Protocol(*e.Number)
	case IGMPEntry:
		compiled.protocol = IGMP
	case EtherTypeEntry:
		return entry{}, false, nil
	default:
		err = fmt.Errorf("entry of kind %q: %w", e.Kind, viaduct.ErrInvalid)
	}
	return compiled, err == nil, err
}

// withPorts adds the ports; err is that of the protocol.
func withPorts(compiled entry, e Entry, err error) (entry, bool, error) {
	for _, ports := range [][]PortRange{e.SourcePorts, e.DestinationPorts} {
		for _, r := range ports {
			if r.Last < r.First {
				err = fmt.Errorf("port range %q: %w", r, viaduct.ErrInvalid)
			}
		}
	}
	compiled.source, compiled.destination = slices.Clone(e.SourcePorts), slices.Clone(e.DestinationPorts)
	return compiled, err == nil, err
}

func icmpEntry(compiled entry, e Entry) (entry, error) {
	switch e.ICMPProtocol {
	case "ICMPv4":
		compiled.protocol = ICMP
	case "ICMPv6":
		compiled.protocol = ICMPv6
	default:
		return entry{}, fmt.Errorf("entry with protocol %q: %w", e.ICMPProtocol, viaduct.ErrInvalid)
	}
	var err error
	if compiled.icmpType, err = icmpNumber(e.ICMPType); err != nil {
		return entry{}, err
	}
	if compiled.icmpCode, err = icmpNumber(e.ICMPCode); err != nil {
		return entry{}, err
	}
	return compiled, nil
}

// icmpNumber returns a type or code; -1 when there is none.
func icmpNumber(n *int) (int, error) {
	switch {
	case n == nil:
		return -1, nil
	case *n < 0 || *n > 255:
		return 0, fmt.Errorf("entry with ICMP type or code %d: %w", *n, viaduct.ErrInvalid)
	default:
		return *n, nil
	}
}

func l4Protocol(name string) (Protocol, error) {
	switch name {
	case "TCP":
		return TCP, nil
	case "UDP":
		return UDP, nil
	default:
		return 0, fmt.Errorf("entry with protocol %q: %w", name, viaduct.ErrInvalid)
	}
}

func algProtocol(name string) (Protocol, error) {
	switch name {
	case "FTP", "ORACLE_TNS", "SUN_RPC_TCP", "MS_RPC_TCP":
		return TCP, nil
	case "TFTP", "SUN_RPC_UDP", "MS_RPC_UDP", "NBNS_BROADCAST", "NBDG_BROADCAST":
		return UDP, nil
	default:
		return 0, fmt.Errorf("entry with gateway %q: %w", name, viaduct.ErrInvalid)
	}
}

// serviceIndex finds the entries that a flow matches.
type serviceIndex struct {
	entries []entry
	// portless holds, by protocol, the entries that any destination port or
	// none matches; ports the others.
	portless map[Protocol][]int32
	ports    map[Protocol]cover[uint16]
}

func newServiceIndex(entries []entry) serviceIndex {
	index := serviceIndex{entries: entries, portless: map[Protocol][]int32{}, ports: map[Protocol]cover[uint16]{}}
	spans := map[Protocol][]span[uint16]{}
	for i, e := range entries {
		id := int32(i) //nolint:gosec // the number of entries fits
		if len(e.destination) == 0 {
			index.portless[e.protocol] = append(index.portless[e.protocol], id)
		}
		for _, r := range e.destination {
			spans[e.protocol] = append(spans[e.protocol], span[uint16]{first: r.First, last: r.Last, set: id})
		}
	}
	for protocol, s := range spans {
		index.ports[protocol] = newCover(cmp.Compare[uint16], s)
	}
	return index
}

// each visits the entries that the flow matches.
func (s serviceIndex) each(f Flow, visit func(entry int32)) {
	check := func(id int32) {
		if s.entries[id].matches(f) {
			visit(id)
		}
	}
	for _, id := range s.portless[f.Protocol] {
		check(id)
	}
	if ports, ok := s.ports[f.Protocol]; ok {
		ports.sets(f.DestinationPort, check)
	}
}
