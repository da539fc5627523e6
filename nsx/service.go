// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

// The resource types of service entries.
const (
	ServiceL4       = "L4PortSetServiceEntry"
	ServiceProtocol = "IPProtocolServiceEntry"
	ServiceICMP     = "ICMPTypeServiceEntry"
	ServiceIGMP     = "IGMPTypeServiceEntry"
	ServiceALG      = "ALGTypeServiceEntry"
	ServiceEther    = "EtherTypeServiceEntry"
	ServiceNested   = "NestedServiceServiceEntry"
)

// Service is a set of protocols and ports that firewall rules speak of.
type Service struct {
	Resource
	ServiceEntries []ServiceEntry `json:"service_entries,omitzero"`
	IsDefault      bool           `json:"is_default,omitzero"` // NSX brought it along
}

// ServiceEntry is one protocol with its ports. ResourceType says which of NSX's
// entries it is, and so which of the other fields count.
type ServiceEntry struct {
	Resource

	// Of layer 4 and ALG. Ports are numbers or ranges.
	L4Protocol       string   `json:"l4_protocol,omitzero"` // TCP or UDP
	SourcePorts      []string `json:"source_ports,omitzero"`
	DestinationPorts []string `json:"destination_ports,omitzero"`
	ALG              string   `json:"alg,omitzero"`

	// Of an IP protocol. Use a pointer to send 0.
	ProtocolNumber *int64 `json:"protocol_number,omitzero"`

	// Of ICMP: ICMPv4 or ICMPv6.
	Protocol string `json:"protocol,omitzero"`
	ICMPType *int64 `json:"icmp_type,omitzero"`
	ICMPCode *int64 `json:"icmp_code,omitzero"`

	EtherType         int64 `json:"ether_type,omitzero"`
	NestedServicePath Path  `json:"nested_service_path,omitzero"`
}

// Services returns the services that firewall rules speak of.
func (c *Client) Services() Collection[Service] {
	return infra[Service](c, "service", "services", "Service")
}
