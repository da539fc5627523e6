// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package ncp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
)

// AddressPool is an IP pool from which NCP takes addresses that are routable
// outside of the cluster: those of LoadBalancer Services (ingress), and those
// that the traffic of namespaces leaves with (egress).
type AddressPool struct {
	Path        nsx.Path
	DisplayName string
	// Ranges are the addresses that may be given out.
	Ranges []nsx.IPRange
	// Cluster is the cluster that the pool is NCP's in, "" when it is tagged
	// for none: NCP may use such pools if its configuration names them.
	Cluster string
	// Egress says that a tier-1 gateway of the cluster has its address from
	// here. NCP may be configured to take both kinds from one pool.
	Egress bool
}

// AddressPools returns the pools that are tagged for the cluster, and of those
// with the ids named, such as [VirtualServer].IPPool, also those that are tagged
// for no cluster, sorted by path. Pools out of which namespaces get the
// addresses of their pods are left out.
//
// What NSX has no tag for is which pools are for ingress: that a pool is for
// egress, or that a virtual server has its address from there, is told.
func (f *Finder) AddressPools(ctx context.Context, cluster string, named ...string) ([]AddressPool, error) {
	if cluster == "" {
		return nil, fmt.Errorf("ncp: find address pools: %w: no cluster", viaduct.ErrInvalid)
	}
	candidates, err := f.poolsOf(ctx, cluster)
	if err != nil {
		return nil, fmt.Errorf("ncp: %w", err)
	}
	for _, id := range named {
		if id != "" && !slices.ContainsFunc(candidates, func(p nsx.IPPool) bool { return p.ID == id }) {
			candidates = append(candidates, nsx.IPPool{Resource: nsx.Resource{ID: id}})
		}
	}
	pools := make([]AddressPool, 0, len(candidates))
	for _, c := range candidates {
		pool, ok, err := f.addressPool(ctx, cluster, c.ID)
		if err != nil {
			return nil, fmt.Errorf("ncp: ip pool %s: %w", c.ID, err)
		}
		if ok && !slices.ContainsFunc(pools, func(p AddressPool) bool { return p.Path == pool.Path }) {
			pools = append(pools, pool)
		}
	}
	slices.SortFunc(pools, func(a, b AddressPool) int { return strings.Compare(string(a.Path), string(b.Path)) })
	return pools, nil
}

// poolsOf searches for pools with a tag of the cluster.
func (f *Finder) poolsOf(ctx context.Context, cluster string) ([]nsx.IPPool, error) {
	var found []nsx.IPPool
	for _, w := range []want{{f.scopes.Cluster, cluster}, {f.scopes.PoolOwner, poolOwner(cluster)}} {
		for _, scope := range w.scopes {
			for pool, err := range f.client.IPPools().Search(ctx, nsx.Query{}.Tag(scope, w.tag)) {
				if err != nil {
					return nil, err
				}
				found = append(found, pool)
			}
		}
	}
	return found, nil
}

func poolOwner(cluster string) string { return "cluster:" + cluster }

// addressPool reads a pool, and reports whether it is one for the cluster.
func (f *Finder) addressPool(ctx context.Context, cluster, id string) (AddressPool, bool, error) {
	found, err := f.client.IPPools().Get(ctx, id)
	if errors.Is(err, viaduct.ErrNotFound) {
		return AddressPool{}, false, nil
	}
	if err != nil {
		return AddressPool{}, false, err
	}
	owner := f.Owner(found.Tags)
	if owner.Cluster == "" && has(found.Tags, f.scopes.PoolOwner, poolOwner(cluster)) {
		owner.Cluster = cluster
	}
	if owner.Cluster != "" && owner.Cluster != cluster || owner.Kind == OwnerNamespace {
		return AddressPool{}, false, nil
	}
	pool := AddressPool{Path: found.Path, DisplayName: found.DisplayName, Cluster: owner.Cluster}
	if pool.Ranges, err = f.ranges(ctx, id); err != nil {
		return pool, false, err
	}
	pool.Egress, err = f.egress(ctx, cluster, id)
	return pool, err == nil, err
}

// ranges returns what the subnets of a pool give out. Those of a block tell in
// their realization which part of it they got.
func (f *Finder) ranges(ctx context.Context, pool string) ([]nsx.IPRange, error) {
	var ranges []nsx.IPRange
	for subnet, err := range f.client.IPPools().Subnets(pool).All(ctx, nsx.ListOptions{}) {
		if err != nil {
			return nil, err
		}
		if len(subnet.AllocationRanges) > 0 {
			ranges = append(ranges, subnet.AllocationRanges...)
			continue
		}
		cidr := subnet.CIDR
		if cidr == "" {
			entities, err := absent(f.client.RealizedState().Entities(ctx, subnet.Path))
			if err != nil {
				return nil, err
			}
			for _, e := range entities {
				if value, ok := e.Attribute("cidr"); ok {
					cidr = value
				}
			}
		}
		if r, ok := rangeOf(cidr); ok {
			ranges = append(ranges, r)
		}
	}
	return ranges, nil
}

// egress reports whether a gateway of the cluster has its address from the
// pool.
func (f *Finder) egress(ctx context.Context, cluster, pool string) (bool, error) {
	for _, scope := range f.scopes.EgressPool {
		for gateway, err := range f.client.Tier1s().Search(ctx, nsx.Query{}.Tag(scope, pool)) {
			if err != nil {
				return false, err
			}
			if f.Owner(gateway.Tags).Cluster == cluster {
				return true, nil
			}
		}
	}
	return false, nil
}

// rangeOf is the addresses of a network.
func rangeOf(cidr string) (nsx.IPRange, bool) {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return nsx.IPRange{}, false
	}
	last := prefix.Masked().Addr().AsSlice()
	for bit := prefix.Bits(); bit < len(last)*8; bit++ {
		last[bit/8] |= 1 << (7 - bit%8)
	}
	end, _ := netip.AddrFromSlice(last)
	return nsx.IPRange{Start: prefix.Masked().Addr().String(), End: end.String()}, true
}
