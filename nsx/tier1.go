// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

// Tier1 is a tier-1 gateway: the router of tenants, such as a vSphere
// Namespace.
type Tier1 struct {
	Resource
	Tier0Path               Path   `json:"tier0_path,omitzero"`
	Type                    string `json:"type,omitzero"` // ROUTED, ISOLATED, NATTED
	FailoverMode            string `json:"failover_mode,omitzero"`
	PoolAllocation          string `json:"pool_allocation,omitzero"` // ROUTING, LB_SMALL, …
	EnableStandbyRelocation *bool  `json:"enable_standby_relocation,omitzero"`
	DisableFirewall         *bool  `json:"disable_firewall,omitzero"`
	DefaultRuleLogging      *bool  `json:"default_rule_logging,omitzero"`
	DHCPConfigPaths         []Path `json:"dhcp_config_paths,omitzero"`
	IPv6ProfilePaths        []Path `json:"ipv6_profile_paths,omitzero"`

	// HAMode is ACTIVE_STANDBY, or ACTIVE_ACTIVE since NSX 4.0.1.
	HAMode string `json:"ha_mode,omitzero"`

	// RouteAdvertisementTypes are what it tells the tier-0 gateway:
	// TIER1_CONNECTED, TIER1_LB_VIP, TIER1_NAT, ….
	RouteAdvertisementTypes []string                 `json:"route_advertisement_types,omitzero"`
	RouteAdvertisementRules []RouteAdvertisementRule `json:"route_advertisement_rules,omitzero"`
}

// RouteAdvertisementRule filters what a tier-1 gateway advertises.
type RouteAdvertisementRule struct {
	Name           string   `json:"name,omitzero"`
	Action         string   `json:"action,omitzero"` // PERMIT or DENY
	Subnets        []string `json:"subnets,omitzero"`
	PrefixOperator string   `json:"prefix_operator,omitzero"` // GE or EQ
	Types          []string `json:"route_advertisement_types,omitzero"`
}

// Tier1s returns the tier-1 gateways.
func (c *Client) Tier1s() Collection[Tier1] {
	tier1s := infra[Tier1](c, "tier-1 gateway", "tier-1s", "Tier1")
	tier1s.gate = func(t Tier1) (string, Version) {
		if t.HAMode == "ACTIVE_ACTIVE" {
			return "an active-active tier-1 gateway", Version{Major: 4, Patch: 1}
		}
		return "", Version{}
	}
	return tier1s
}

// Tier1Gateway is what belongs to one tier-1 gateway.
type Tier1Gateway struct{ Gateway }

// Tier1 returns what belongs to the tier-1 gateway with this id.
func (c *Client) Tier1(id string) Tier1Gateway {
	return Tier1Gateway{Gateway{client: c, noun: "tier-1 gateway", route: "/infra/tier-1s/{id}", id: id}}
}

// Segments returns the segments that are fixed to this gateway.
func (g Tier1Gateway) Segments() Segments {
	return Segments{ofGateway[Segment](g.Gateway, "segment", "segments", "Segment")}
}
