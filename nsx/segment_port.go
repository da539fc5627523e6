// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

import (
	"context"
	"net/http"
)

// SegmentPort is where something is attached to a segment.
type SegmentPort struct {
	Resource
	AdminState             string           `json:"admin_state,omitzero"` // UP or DOWN
	InitState              string           `json:"init_state,omitzero"`
	Attachment             *PortAttachment  `json:"attachment,omitzero"`
	AddressBindings        []AddressBinding `json:"address_bindings,omitzero"`
	IgnoredAddressBindings []AddressBinding `json:"ignored_address_bindings,omitzero"`
}

// PortAttachment is what is attached. ID is the id of a VIF.
type PortAttachment struct {
	ID                string `json:"id,omitzero"`
	Type              string `json:"type,omitzero"` // PARENT, CHILD, INDEPENDENT, STATIC
	AppID             string `json:"app_id,omitzero"`
	ContextID         string `json:"context_id,omitzero"`
	ContextType       string `json:"context_type,omitzero"`
	TrafficTag        int64  `json:"traffic_tag,omitzero"`
	AllocateAddresses string `json:"allocate_addresses,omitzero"` // IP_POOL, MAC_POOL, BOTH, NONE, …
}

// SegmentPorts is the ports of one segment.
type SegmentPorts struct{ Collection[SegmentPort] }

// SegmentPortState is what is known of a port at run time.
type SegmentPortState struct {
	LogicalPortID      string            `json:"logical_port_id"`
	TransportNodeIDs   []string          `json:"transport_node_ids"`
	RealizedBindings   []RealizedBinding `json:"realized_bindings"`
	DiscoveredBindings []RealizedBinding `json:"discovered_bindings"`
}

// RealizedBinding is addresses that NSX uses for a port, and where it learned
// them.
type RealizedBinding struct {
	Binding AddressBinding `json:"binding"`
	Source  string         `json:"source"`
}

// State returns what is known of the port at run time.
//
// Errors match [viaduct.ErrNotFound] when there is no such port.
func (s SegmentPorts) State(ctx context.Context, id string) (SegmentPortState, error) {
	var state SegmentPortState
	r := s.one("get", http.MethodGet, id, nil, &state)
	r.op, r.route = "get segment port state", r.route+"/state"
	err := s.client.do(ctx, r)
	return state, err
}
