// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

// Tier0 is a tier-0 gateway: the router to the physical network.
type Tier0 struct {
	Resource
	HAMode                 string   `json:"ha_mode,omitzero"`       // ACTIVE_ACTIVE, ACTIVE_STANDBY
	FailoverMode           string   `json:"failover_mode,omitzero"` // PREEMPTIVE, NON_PREEMPTIVE
	TransitSubnets         []string `json:"transit_subnets,omitzero"`
	InternalTransitSubnets []string `json:"internal_transit_subnets,omitzero"`
	DisableFirewall        *bool    `json:"disable_firewall,omitzero"`
	DefaultRuleLogging     *bool    `json:"default_rule_logging,omitzero"`
	DHCPConfigPaths        []Path   `json:"dhcp_config_paths,omitzero"`
	IPv6ProfilePaths       []Path   `json:"ipv6_profile_paths,omitzero"`
}

// Tier0s returns the tier-0 gateways.
func (c *Client) Tier0s() Collection[Tier0] {
	return infra[Tier0](c, "tier-0 gateway", "tier-0s", "Tier0")
}

// Tier0 returns what belongs to the tier-0 gateway with this id.
func (c *Client) Tier0(id string) Gateway {
	return Gateway{client: c, noun: "tier-0 gateway", route: "/infra/tier-0s/{id}", id: id}
}
