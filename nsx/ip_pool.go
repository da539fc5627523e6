// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

// IPPool is addresses to be given out.
type IPPool struct {
	Resource
	IPAddressType  string       `json:"ip_address_type,omitzero"`  // IPV4, IPV6, DUAL
	IPReleaseDelay int64        `json:"ip_release_delay,omitzero"` // minutes
	CheckOverlap   *bool        `json:"check_overlap_with_existing_pools,omitzero"`
	Usage          *IPPoolUsage `json:"pool_usage,omitzero"` // NSX's to say
}

// IPPoolUsage is how full a pool is. Since NSX-T 3.1.
type IPPoolUsage struct {
	Total     int64 `json:"total_ips,omitzero"`
	Available int64 `json:"available_ips,omitzero"`
	Allocated int64 `json:"allocated_ip_allocations,omitzero"`
	Requested int64 `json:"requested_ip_allocations,omitzero"`
}

// IPPools is the IP pools, with what lies beneath them.
type IPPools struct{ Collection[IPPool] }

// IPPools returns the IP pools.
func (c *Client) IPPools() IPPools {
	return IPPools{infra[IPPool](c, "ip pool", "ip-pools", "IpAddressPool")}
}

// Subnets returns the subnets of the pool with this id.
func (p IPPools) Subnets(pool string) Collection[IPSubnet] {
	return beneath[IPSubnet](p.Collection, pool, "ip subnet", "ip-subnets", IPStaticSubnet, IPBlockSubnet)
}

// Allocations returns the addresses that the pool with this id gave out.
func (p IPPools) Allocations(pool string) IPAllocations {
	return IPAllocations{beneath[IPAllocation](p.Collection, pool, "ip allocation", "ip-allocations", "IpAddressAllocation")}
}
