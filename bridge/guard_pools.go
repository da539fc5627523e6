// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/firewall"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
)

// What is exported must be an address that NCP took from a pool of the
// exporting cluster for a Service. NSX tells, when it is asked.

// addressPools is what a [LoadBalancers] may tell too. *ncp.Finder and
// *manager.Finder do.
type addressPools interface {
	// AddressPools returns the pools of a cluster, as NCP names it, and of
	// those named also those that are no cluster's.
	AddressPools(ctx context.Context, cluster string, named ...string) ([]ncp.AddressPool, error)
}

// poolGuard keeps what NSX says of the exporting cluster's pools, so that many
// exports cost a few requests.
type poolGuard struct {
	from addressPools // nil when nobody tells
	gate gate
	kept map[string]keptPools // by cluster and pool named
}

type keptPools struct {
	pools []ncp.AddressPool
	read  time.Time
}

func newPoolGuard(lb LoadBalancers) *poolGuard {
	from, _ := lb.(addressPools)
	return &poolGuard{from: from, gate: newGate(), kept: map[string]keptPools{}}
}

// judge is judgePool with the pools that the virtual server's address may be
// from. Nothing is refused by memory alone: pools grow.
func (g *poolGuard) judge(ctx context.Context, address netip.Addr, s ncp.VirtualServer) (unknown string, err error) {
	began := time.Now()
	pools, err := g.pools(ctx, s, time.Time{})
	if err != nil {
		return "", err
	}
	if unknown, err = judgePool(address, s, pools); err == nil {
		return unknown, nil
	}
	if pools, err = g.pools(ctx, s, began); err != nil {
		return "", err
	}
	return judgePool(address, s, pools)
}

// pools returns what was read since then, and not too long ago.
func (g *poolGuard) pools(ctx context.Context, s ncp.VirtualServer, since time.Time) ([]ncp.AddressPool, error) {
	if err := g.gate.enter(ctx, "the pools of the exporting cluster"); err != nil {
		return nil, err
	}
	defer g.gate.leave()
	key := s.Owner.Cluster + " " + s.IPPool
	if k, ok := g.kept[key]; ok && time.Since(k.read) < guardAge && !k.read.Before(since) {
		return k.pools, nil
	}
	pools, err := g.from.AddressPools(ctx, s.Owner.Cluster, s.IPPool)
	if err == nil {
		g.kept[key] = keptPools{pools, time.Now()}
	}
	return pools, nsxError(err)
}

const holePools = "the load-balancer pools of the exporting cluster: "

// checkNSXPools refuses addresses that are not the exporting cluster's to give
// out. What could not be checked is named in the first result.
func (c *Cluster) checkNSXPools(ctx context.Context, addresses []netip.Addr, servers []ncp.VirtualServer) (unknown []string, err error) {
	if c.guards.pools == nil {
		return []string{holePools + "no NSX was given"}, nil
	}
	if c.guards.pools.from == nil {
		return []string{holePools + "who was asked for virtual servers does not tell them"}, nil
	}
	for _, address := range addresses {
		i := slices.IndexFunc(servers, func(s ncp.VirtualServer) bool {
			ip, err := netip.ParseAddr(s.IP)
			return err == nil && ip == address
		})
		if i < 0 || servers[i].Owner.Cluster == "" {
			unknown = append(unknown, holePools+"the virtual server on "+address.String()+" has no tag of a cluster")
			continue
		}
		hole, err := c.guards.pools.judge(ctx, address, servers[i])
		if errors.Is(err, viaduct.ErrForbidden) {
			hole, err = holePools+"no permission to read IP pools in NSX", nil
		}
		if err != nil {
			return nil, err
		}
		if hole != "" {
			unknown = append(unknown, hole)
		}
	}
	slices.Sort(unknown)
	return slices.Compact(unknown), nil
}

// judgePool says why an address is not from a pool of which NCP takes virtual
// addresses, or what is not known about that. It is pure.
func judgePool(address netip.Addr, s ncp.VirtualServer, pools []ncp.AddressPool) (unknown string, err error) {
	if len(pools) == 0 {
		return holePools + "NSX has no pool with the tag of cluster " + s.Owner.Cluster, nil
	}
	var names, egress []string
	var open string
	for _, p := range pools {
		name := cmp.Or(p.DisplayName, p.Path.ID())
		names = append(names, name)
		switch {
		case !holds(p, address):
		case p.Path.ID() == s.IPPool:
			return "", nil // NCP itself took it from there for this Service
		case p.Egress:
			egress = append(egress, name)
		default:
			open = name
		}
	}
	switch {
	case open != "":
		return fmt.Sprintf("%sthe virtual server on %s does not tell which it is from, and what pool %s is for is not known", holePools, address, open), nil
	case len(egress) > 0:
		return "", fmt.Errorf("address %s is in pool %s, from which namespaces get the address that their traffic leaves with: %w",
			address, strings.Join(egress, ", "), viaduct.ErrInvalid)
	default:
		return "", fmt.Errorf("address %s is in none of the exporting cluster's pools %s: %w", address, strings.Join(names, ", "), viaduct.ErrInvalid)
	}
}

// holds reports whether a pool gives out the address.
func holds(p ncp.AddressPool, address netip.Addr) bool {
	return slices.ContainsFunc(p.Ranges, func(r nsx.IPRange) bool {
		parsed, err := firewall.ParseRange(r.Start + "-" + r.End)
		return err == nil && parsed.Contains(address)
	})
}
