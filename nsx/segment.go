// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

import (
	"context"
	"net/http"
)

// Segment is a layer 2 network.
type Segment struct {
	Resource
	ConnectivityPath  Path                   `json:"connectivity_path,omitzero"` // a gateway
	TransportZonePath Path                   `json:"transport_zone_path,omitzero"`
	Type              string                 `json:"type,omitzero"`        // ROUTED, DISCONNECTED, …; NSX's to set
	AdminState        string                 `json:"admin_state,omitzero"` // UP or DOWN
	ReplicationMode   string                 `json:"replication_mode,omitzero"`
	Subnets           []SegmentSubnet        `json:"subnets,omitzero"`
	VLANIDs           []string               `json:"vlan_ids,omitzero"`
	OverlayID         int64                  `json:"overlay_id,omitzero"`
	DomainName        string                 `json:"domain_name,omitzero"`
	DHCPConfigPath    Path                   `json:"dhcp_config_path,omitzero"`
	AddressBindings   []AddressBinding       `json:"address_bindings,omitzero"`
	AdvancedConfig    *SegmentAdvancedConfig `json:"advanced_config,omitzero"`
	LogicalSwitchID   string                 `json:"ls_id,omitzero"`
}

// SegmentSubnet is a subnet of a segment. Network is NSX's to compute from the
// gateway's address, which has a prefix length.
type SegmentSubnet struct {
	GatewayAddress string   `json:"gateway_address,omitzero"`
	Network        string   `json:"network,omitzero"`
	DHCPRanges     []string `json:"dhcp_ranges,omitzero"`
}

// SegmentAdvancedConfig is the less usual settings of a segment.
type SegmentAdvancedConfig struct {
	AddressPoolPaths        []Path `json:"address_pool_paths,omitzero"` // at most one IP pool
	Connectivity            string `json:"connectivity,omitzero"`       // ON or OFF
	Hybrid                  *bool  `json:"hybrid,omitzero"`
	LocalEgress             *bool  `json:"local_egress,omitzero"`
	Multicast               *bool  `json:"multicast,omitzero"`
	URPFMode                string `json:"urpf_mode,omitzero"` // NONE or STRICT
	UplinkTeamingPolicyName string `json:"uplink_teaming_policy_name,omitzero"`
}

// AddressBinding ties addresses to a port.
type AddressBinding struct {
	IPAddress  string `json:"ip_address,omitzero"`
	MACAddress string `json:"mac_address,omitzero"`
	VLANID     int64  `json:"vlan_id,omitzero"`
}

// ConfigurationState is how far NSX got with configuring the transport nodes
// for an object: success, in_progress, pending, failed, partial_success, ….
type ConfigurationState struct {
	State          string `json:"state"`
	FailureCode    int64  `json:"failure_code"`
	FailureMessage string `json:"failure_message"`
}

// Segments is the segments that belong to no gateway in particular.
type Segments struct{ Collection[Segment] }

// Segments returns the segments of the infra. [Tier1Gateway.Segments] are those
// that are fixed to a gateway.
func (c *Client) Segments() Segments {
	return Segments{infra[Segment](c, "segment", "segments", "Segment")}
}

// State returns how far the transport nodes are configured for the segment.
//
// Errors match [viaduct.ErrNotFound] when there is no such segment.
func (s Segments) State(ctx context.Context, id string) (ConfigurationState, error) {
	return configurationState(ctx, s.client, "segment", s.route+"/{id}/state", id)
}

// Ports returns the ports of the segment with this id.
func (s Segments) Ports(segment string) SegmentPorts {
	return SegmentPorts{beneath[SegmentPort](s.Collection, segment, "segment port", "ports", "SegmentPort")}
}

func configurationState(ctx context.Context, c *Client, noun, route string, args ...string) (ConfigurationState, error) {
	var state ConfigurationState
	err := c.do(ctx, call{
		op: "get " + noun + " state", object: args[len(args)-1], method: http.MethodGet,
		route: route, args: args, into: &state,
	})
	return state, err
}
