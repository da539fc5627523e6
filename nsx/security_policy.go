// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

// Category is the part of the distributed firewall that a policy is in.
// Traffic passes them in the order of the constants. Open set: servers may
// return others.
type Category string

// The categories. Ethernet is of layer 2.
const (
	CategoryEthernet       Category = "Ethernet"
	CategoryEmergency      Category = "Emergency"
	CategoryInfrastructure Category = "Infrastructure"
	CategoryEnvironment    Category = "Environment"
	CategoryApplication    Category = "Application"
)

// SecurityPolicy is a list of rules of the distributed firewall.
type SecurityPolicy struct {
	Resource
	Category       Category `json:"category,omitzero"`
	SequenceNumber int64    `json:"sequence_number"` // within the category, the lowest first
	Scope          []Path   `json:"scope,omitzero"`  // applied to: groups, or ANY; replaces that of the rules
	Stateful       *bool    `json:"stateful,omitzero"`
	TCPStrict      *bool    `json:"tcp_strict,omitzero"`
	Locked         *bool    `json:"locked,omitzero"`
	Comments       string   `json:"comments,omitzero"`
	SchedulerPath  Path     `json:"scheduler_path,omitzero"`

	// Rules come with Get; whether lists have them is up to the version of NSX.
	Rules []Rule `json:"rules,omitzero"`

	// NSX's to say.
	IsDefault              bool  `json:"is_default,omitzero"`
	RuleCount              int64 `json:"rule_count,omitzero"`
	InternalSequenceNumber int64 `json:"internal_sequence_number,omitzero"`
}

// SecurityPolicies is the firewall policies of one domain.
type SecurityPolicies struct{ Collection[SecurityPolicy] }

// SecurityPolicies returns the firewall policies of the domain.
func (d Domain) SecurityPolicies() SecurityPolicies {
	return SecurityPolicies{ofDomain[SecurityPolicy](d, "security policy", "security-policies", "SecurityPolicy")}
}

// Rules returns the rules of the policy with this id.
func (s SecurityPolicies) Rules(policy string) Collection[Rule] {
	return beneath[Rule](s.Collection, policy, "rule", "rules", "Rule")
}
