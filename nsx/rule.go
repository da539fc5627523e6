// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

// RuleAction is what a rule does with what it matches. Open set: servers may
// return others.
type RuleAction string

// The actions. RuleJumpToApplication skips the rest of the category Environment.
const (
	RuleAllow             RuleAction = "ALLOW"
	RuleDrop              RuleAction = "DROP"
	RuleReject            RuleAction = "REJECT"
	RuleJumpToApplication RuleAction = "JUMP_TO_APPLICATION"
)

// RuleDirection is in which direction a rule looks, as seen from what it is
// applied to. Open set: servers may return others.
type RuleDirection string

// The directions.
const (
	RuleIn    RuleDirection = "IN"
	RuleOut   RuleDirection = "OUT"
	RuleInOut RuleDirection = "IN_OUT"
)

// Any stands in lists of groups, services and scopes for all of them.
const Any Path = "ANY"

// Rule is one rule of a firewall policy. Groups are paths, addresses or [Any].
type Rule struct {
	Resource
	Action               RuleAction     `json:"action,omitzero"`
	Direction            RuleDirection  `json:"direction,omitzero"`
	SourceGroups         []Path         `json:"source_groups,omitzero"`
	DestinationGroups    []Path         `json:"destination_groups,omitzero"`
	SourcesExcluded      *bool          `json:"sources_excluded,omitzero"`
	DestinationsExcluded *bool          `json:"destinations_excluded,omitzero"`
	Services             []Path         `json:"services,omitzero"`
	ServiceEntries       []ServiceEntry `json:"service_entries,omitzero"`
	Profiles             []Path         `json:"profiles,omitzero"`
	Scope                []Path         `json:"scope,omitzero"`       // applied to: groups, or ANY
	IPProtocol           string         `json:"ip_protocol,omitzero"` // IPV4, IPV6, IPV4_IPV6
	SequenceNumber       int64          `json:"sequence_number"`      // within the policy, the lowest first
	Disabled             *bool          `json:"disabled,omitzero"`
	Logged               *bool          `json:"logged,omitzero"`
	Tag                  string         `json:"tag,omitzero"` // in the firewall's log
	Notes                string         `json:"notes,omitzero"`

	// NSX's to say.
	RuleID    int64 `json:"rule_id,omitzero"`
	IsDefault bool  `json:"is_default,omitzero"`
}
