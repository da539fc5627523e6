// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

// loads is how often the firewall is read when what was read contradicts
// itself, because somebody changed it meanwhile.
const loads = 3

// firewall reads the distributed firewall, and where the members of the pools
// and the client are attached.
func (r traceReader) firewall(ctx context.Context, p *pathFacts) {
	f := &p.firewall
	addresses := p.crossed()
	if len(addresses) == 0 {
		return
	}
	segments, err := r.segments(ctx, slices.Sorted(maps.Keys(p.nsx.gateways)))
	if err != nil {
		f.err = err
		return
	}
	f.interfaces = map[string]firewall.Interface{}
	for _, address := range addresses {
		if f.interfaces[address.String()], err = r.attached(ctx, p, segments, address); err != nil {
			f.err = err
			return
		}
	}
	for range loads {
		var snapshot firewall.Snapshot
		if snapshot, f.err = firewall.Load(ctx, r.Source); f.err == nil {
			applyByAddress(&snapshot, addresses)
			f.gaps = snapshot.Gaps
			f.rules, f.err = firewall.Compile(snapshot)
		}
		if !errors.Is(f.err, viaduct.ErrNotFound) && !errors.Is(f.err, viaduct.ErrInvalid) {
			return
		}
	}
}

// crossed are the addresses at whose interfaces the firewall is looked at.
func (p pathFacts) crossed() []netip.Addr {
	var all []netip.Addr
	if c := p.firewall.client; c != nil {
		all = append(all, c.Address)
	}
	servers, _ := p.nsx.serving(p.vips(), p.vipPorts())
	for _, s := range servers {
		for _, m := range p.nsx.pools[s.pool].members {
			if address, err := netip.ParseAddr(m.IPAddress); err == nil {
				all = append(all, address)
			}
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// segments lists the segments that may be attached to any gateway, and those
// that are fixed to the given ones.
func (r traceReader) segments(ctx context.Context, gateways []string) ([]nsx.Segment, error) {
	lists := []string{"/infra/segments"}
	for _, g := range gateways {
		lists = append(lists, g+"/segments")
	}
	var all []nsx.Segment
	for _, list := range lists {
		for raw, err := range r.List(ctx, list) {
			if errors.Is(err, viaduct.ErrNotFound) {
				break
			}
			if err != nil {
				return nil, err
			}
			var s nsx.Segment
			if err := json.Unmarshal(raw, &s); err != nil {
				return nil, err
			}
			all = append(all, s)
		}
	}
	return all, nil
}

// attached is the interface that has the address, as far as it can be known.
func (r traceReader) attached(ctx context.Context, p *pathFacts, segments []nsx.Segment, address netip.Addr) (firewall.Interface, error) {
	i := firewall.Interface{Within: []string{addressMember(address)}}
	path := ""
	if c := p.firewall.client; c != nil && c.Address == address && c.Interface != "" {
		path = c.Interface
	} else {
		path = segmentOf(segments, address, p.nsx.gateways)
	}
	if segment, _, isPort := strings.Cut(path, "/ports/"); isPort {
		i.ID, i.Within = path, append(i.Within, segment)
		return i, nil
	}
	if path == "" {
		return i, nil
	}
	i.Within = append(i.Within, path)
	for raw, err := range r.List(ctx, path+"/ports") {
		if errors.Is(err, viaduct.ErrNotFound) {
			break
		}
		if err != nil {
			return i, err
		}
		var port nsx.SegmentPort
		if err := json.Unmarshal(raw, &port); err != nil {
			return i, err
		}
		if slices.ContainsFunc(port.AddressBindings, func(b nsx.AddressBinding) bool { return b.IPAddress == address.String() }) {
			i.ID = port.Path.String()
		}
	}
	return i, nil
}

// segmentOf returns the path of the segment with the address, those behind the
// load balancers' own gateways first; empty when there is none, or no telling
// which it is.
func segmentOf(segments []nsx.Segment, address netip.Addr, gateways map[string]tracedGateway) string {
	var near, far []string
	for _, s := range segments {
		if !slices.ContainsFunc(s.Subnets, func(n nsx.SegmentSubnet) bool {
			prefix, err := netip.ParsePrefix(cmp.Or(n.Network, n.GatewayAddress))
			return err == nil && prefix.Masked().Contains(address)
		}) {
			continue
		}
		if _, ok := gateways[s.ConnectivityPath.String()]; ok {
			near = append(near, s.Path.String())
		} else {
			far = append(far, s.Path.String())
		}
	}
	switch {
	case len(near) == 1:
		return near[0]
	case len(near) == 0 && len(far) == 1:
		return far[0]
	default:
		return ""
	}
}

// addressMember is how a group names the interface with an address when it has
// nothing but addresses.
func addressMember(address netip.Addr) string { return "address " + address.String() }

// applyByAddress gives groups that hold nothing but addresses the interfaces
// with these addresses as members: a rule that is applied to such a group means
// those.
func applyByAddress(s *firewall.Snapshot, addresses []netip.Addr) {
	for i, g := range s.Groups {
		if len(g.Members) > 0 {
			continue
		}
		for _, address := range addresses {
			if slices.ContainsFunc(g.Addresses, func(r firewall.Range) bool {
				return r.From.Compare(address) <= 0 && address.Compare(r.To) <= 0
			}) {
				s.Groups[i].Members = append(s.Groups[i].Members, addressMember(address))
			}
		}
	}
}
