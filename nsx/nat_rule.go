// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

// NATSection is one of the lists in which a gateway keeps its NAT rules. Open
// set: servers may return others.
type NATSection string

// The sections. Rules of administrators go to USER.
const (
	NATUser     NATSection = "USER"
	NATInternal NATSection = "INTERNAL"
	NATDefault  NATSection = "DEFAULT"
)

// NATAction is what a NAT rule does. Open set: servers may return others.
type NATAction string

// The actions.
const (
	NATSource        NATAction = "SNAT"
	NATDestination   NATAction = "DNAT"
	NATReflexive     NATAction = "REFLEXIVE"
	NATNoSource      NATAction = "NO_SNAT"
	NATNoDestination NATAction = "NO_DNAT"
	NAT64            NATAction = "NAT64"
)

// NATRule translates addresses. Networks are addresses, ranges, CIDRs, or lists
// of them with commas; empty means any.
type NATRule struct {
	Resource
	Action             NATAction `json:"action,omitzero"`
	SourceNetwork      string    `json:"source_network,omitzero"`
	DestinationNetwork string    `json:"destination_network,omitzero"`
	TranslatedNetwork  string    `json:"translated_network,omitzero"`
	TranslatedPorts    string    `json:"translated_ports,omitzero"`
	ServicePath        Path      `json:"service,omitzero"`
	Scope              []Path    `json:"scope,omitzero"`
	SequenceNumber     int64     `json:"sequence_number"`  // the lowest is matched first
	Enabled            *bool     `json:"enabled,omitzero"` // nil: true
	Logging            *bool     `json:"logging,omitzero"`
	FirewallMatch      string    `json:"firewall_match,omitzero"` // MATCH_EXTERNAL_ADDRESS, MATCH_INTERNAL_ADDRESS, BYPASS
}

// NATRules returns the NAT rules of the gateway in one section.
func (g Gateway) NATRules(section NATSection) Collection[NATRule] {
	return Collection[NATRule]{
		client: g.client, noun: "nat rule", route: g.route + "/nat/{section}/nat-rules",
		args: []string{g.id, string(section)}, types: []string{"PolicyNatRule"},
	}
}
