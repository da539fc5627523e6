// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

// IPBlock is a range of addresses out of which NSX cuts subnets.
type IPBlock struct {
	Resource
	CIDR string `json:"cidr,omitzero"`
}

// IPBlocks returns the IP blocks.
func (c *Client) IPBlocks() Collection[IPBlock] {
	return infra[IPBlock](c, "ip block", "ip-blocks", "IpAddressBlock")
}
