// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
)

// addressPoolPath is the path of IP pools in the Manager API.
const addressPoolPath = "/pools/ip-pools/"

// AddressPools returns the pools that are tagged for the cluster, and of those
// with the ids named also those that are tagged for no cluster, sorted by path,
// as [ncp.Finder.AddressPools] does. The floating pool of TKGI serves Services
// and the traffic that leaves alike; that a pool is for egress is never told.
func (f *Finder) AddressPools(ctx context.Context, cluster string, named ...string) ([]ncp.AddressPool, error) {
	if cluster == "" {
		return nil, fmt.Errorf("manager: address pools: %w: no cluster", viaduct.ErrInvalid)
	}
	found, err := f.ipPools(ctx, func(id string, tags nsx.Tags) bool {
		owner := f.poolOwner(cluster, tags)
		return owner.Kind != ncp.OwnerNamespace && (owner.Cluster == cluster || owner.Cluster == "" && slices.Contains(named, id))
	})
	if err != nil {
		return nil, err
	}
	pools := make([]ncp.AddressPool, 0, len(found))
	for _, p := range found {
		pool := ncp.AddressPool{
			Path: nsx.Path(addressPoolPath + p.ID), DisplayName: p.DisplayName, Cluster: f.poolOwner(cluster, p.Tags).Cluster,
		}
		for _, s := range p.Subnets {
			for _, r := range s.Ranges {
				first, last, _ := strings.Cut(r, "-")
				pool.Ranges = append(pool.Ranges, nsx.IPRange{Start: first, End: last})
			}
		}
		pools = append(pools, pool)
	}
	return pools, nil
}

// poolOwner is whose a pool is; one that users made says so in its own way.
func (f *Finder) poolOwner(cluster string, tags nsx.Tags) ncp.Owner {
	owner := f.scopes.Owner(tags)
	if owner.Cluster == "" && hasAny(tags, f.scopes.PoolOwner, "cluster:"+cluster) {
		owner.Cluster = cluster
	}
	return owner
}
