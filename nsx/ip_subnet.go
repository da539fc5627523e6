// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

// The resource types of the subnets of a pool: one that lists its addresses, or
// one that NSX cuts out of a block.
const (
	IPStaticSubnet = "IpAddressPoolStaticSubnet"
	IPBlockSubnet  = "IpAddressPoolBlockSubnet"
)

// IPSubnet is where the addresses of a pool come from. ResourceType says which
// of NSX's subnets it is, and so which of the other fields count.
type IPSubnet struct {
	Resource
	CIDR string `json:"cidr,omitzero"`

	// Of a static subnet.
	AllocationRanges []IPRange `json:"allocation_ranges,omitzero"`
	GatewayIP        string    `json:"gateway_ip,omitzero"`
	DNSNameservers   []string  `json:"dns_nameservers,omitzero"`
	DNSSuffix        string    `json:"dns_suffix,omitzero"`

	// Of a subnet of a block. CIDR is NSX's to choose.
	IPBlockPath       Path  `json:"ip_block_path,omitzero"`
	Size              int64 `json:"size,omitzero"` // a power of two
	AutoAssignGateway *bool `json:"auto_assign_gateway,omitzero"`
}

// IPRange is the addresses from Start to End.
type IPRange struct {
	Start string `json:"start"`
	End   string `json:"end"`
}
