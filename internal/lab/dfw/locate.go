// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package dfw

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

// located are the segments of a manager and their ports.
type located struct {
	segments []nsx.Segment
	ports    map[nsx.Path][]nsx.SegmentPort
}

// locate reads all segments, those fixed to gateways too, and their ports.
func locate(ctx context.Context, source firewall.Source) (located, error) {
	l := located{ports: map[nsx.Path][]nsx.SegmentPort{}}
	lists := []string{"/infra/segments"}
	gateways, err := list[nsx.Resource](ctx, source, "/infra/tier-1s")
	if err != nil {
		return l, err
	}
	for _, g := range gateways {
		lists = append(lists, g.Path.String()+"/segments")
	}
	for _, path := range lists {
		found, err := list[nsx.Segment](ctx, source, path)
		if err != nil {
			return l, err
		}
		l.segments = append(l.segments, found...)
	}
	for _, s := range l.segments {
		if l.ports[s.Path], err = list[nsx.SegmentPort](ctx, source, s.Path.String()+"/ports"); err != nil {
			return l, err
		}
	}
	return l, nil
}

// list decodes a list; what has no list has nothing in it.
func list[T any](ctx context.Context, source firewall.Source, path string) ([]T, error) {
	var all []T
	for raw, err := range source.List(ctx, path) {
		if errors.Is(err, viaduct.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		var one T
		if err := json.Unmarshal(raw, &one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// attachment is the interface as rules name it: by its port, its segment, and
// its addresses.
func (l located) attachment(i Interface) firewall.Interface {
	f := firewall.Interface{ID: i.ID, Within: slices.Clone(i.Within)}
	for _, a := range i.Addresses {
		f.Within = append(f.Within, addressMember(a))
	}
	if i.ID != "" || len(i.Within) > 0 {
		return f
	}
	segment, ok := l.segment(i.Addresses[0])
	if !ok {
		return f
	}
	f.Within = append(f.Within, segment.String())
	for _, port := range l.ports[segment] {
		if slices.ContainsFunc(port.AddressBindings, func(b nsx.AddressBinding) bool {
			return b.IPAddress == i.Addresses[0].String()
		}) {
			f.ID = port.Path.String()
		}
	}
	return f
}

// segment returns the segment with the smallest subnet that has the address;
// false when there is none or no telling which.
func (l located) segment(address netip.Addr) (nsx.Path, bool) {
	best, bits, alone := nsx.Path(""), -1, false
	for _, s := range l.segments {
		for _, subnet := range s.Subnets {
			prefix, err := netip.ParsePrefix(cmp.Or(subnet.Network, subnet.GatewayAddress))
			if err != nil || !prefix.Masked().Contains(address) || prefix.Bits() < bits {
				continue
			}
			alone = prefix.Bits() > bits
			best, bits = s.Path, prefix.Bits()
		}
	}
	return best, alone
}

// addressMember is how a group names the interface with an address when it has
// nothing but addresses.
func addressMember(a netip.Addr) string { return "address " + a.String() }

// applyByAddress gives groups that hold nothing but addresses the interfaces
// with these addresses as members: a rule that is applied to such a group means
// those.
func applyByAddress(s *firewall.Snapshot, interfaces []Interface) {
	for n, g := range s.Groups {
		if len(g.Members) > 0 {
			continue
		}
		for _, i := range interfaces {
			for _, a := range i.Addresses {
				if slices.ContainsFunc(g.Addresses, func(r firewall.Range) bool { return r.Contains(a) }) {
					s.Groups[n].Members = append(s.Groups[n].Members, addressMember(a))
				}
			}
		}
	}
}
