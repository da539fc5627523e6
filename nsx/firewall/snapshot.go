// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package firewall

// Any stands in a scope, a source, a destination or a list of services for all
// of them. Its case does not matter.
const Any = "ANY"

// Category is the category of a policy. Others than these are refused.
type Category string

// The categories, in the order in which NSX evaluates them. The empty category
// comes after Application.
const (
	Ethernet       Category = "Ethernet"
	Emergency      Category = "Emergency"
	Infrastructure Category = "Infrastructure"
	Environment    Category = "Environment"
	Application    Category = "Application"
)

// Action is what a rule does with a flow that it matches.
type Action string

// The actions of rules. A verdict is one of the first three.
const (
	Allow  Action = "ALLOW"
	Drop   Action = "DROP"
	Reject Action = "REJECT"

	// JumpToApplication goes on with the category Application. It is valid in
	// the category Environment only.
	JumpToApplication Action = "JUMP_TO_APPLICATION"
)

// Direction is the direction of a flow as an interface sees it.
type Direction string

// The directions. The empty direction of a rule is InOut.
const (
	In    Direction = "IN"
	Out   Direction = "OUT"
	InOut Direction = "IN_OUT"
)

// IPVersion is the IP version that a rule matches; the empty one is IPv4IPv6.
type IPVersion string

// The IP versions.
const (
	IPv4     IPVersion = "IPV4"
	IPv6     IPVersion = "IPV6"
	IPv4IPv6 IPVersion = "IPV4_IPV6"
)

// Snapshot is the state of a distributed firewall at one time: all that a
// verdict depends on.
type Snapshot struct {
	Policies []Policy  `json:"policies"`
	Groups   []Group   `json:"groups"`
	Services []Service `json:"services"`

	// Excluded are the interfaces that have no firewall, because they are on
	// the exclusion list: ids of interfaces, or paths of groups.
	Excluded []string `json:"excluded,omitempty"`

	// Default is what happens when no rule matches. Empty means [Allow]. NSX
	// has a default policy whose rule matches everything, so that this is only
	// used when the snapshot lacks that policy.
	Default Action `json:"default,omitempty"`

	// Gaps says in words what the server has and this snapshot can't express,
	// so that a verdict may be wrong where it matters.
	Gaps []string `json:"gaps,omitempty"`
}

// Policy is a security policy: an ordered list of rules.
type Policy struct {
	Path     string   `json:"path"`
	Name     string   `json:"display_name,omitempty"`
	Category Category `json:"category,omitempty"`
	Sequence int      `json:"sequence_number"`

	// IsDefault is true of the policy that holds the default rules. It is
	// evaluated after all others.
	IsDefault bool `json:"is_default,omitempty"`

	// Scope is what the policy is applied to: paths of groups, or of segments
	// and ports. When it names any, the scopes of the rules don't count.
	Scope []string `json:"scope,omitempty"`

	// Fallback is the action of the default rule that the policy's connectivity
	// preference made, when Rules doesn't contain that rule: it matches
	// everything that Scope holds, after all rules of the policy. Empty means
	// that there is none.
	Fallback Action `json:"fallback,omitempty"`

	Rules []Rule `json:"rules,omitempty"`
}

// Rule is a rule of a policy.
type Rule struct {
	Path      string    `json:"path"`
	Name      string    `json:"display_name,omitempty"`
	Sequence  int       `json:"sequence_number"`
	Action    Action    `json:"action"`
	Direction Direction `json:"direction,omitempty"`
	IPVersion IPVersion `json:"ip_protocol,omitempty"`
	Disabled  bool      `json:"disabled,omitempty"`

	// Sources and Destinations hold paths of groups and plain addresses, ranges
	// and prefixes. Empty means all. When excluded, the rule matches what they
	// don't contain; of everything that is nothing.
	Sources              []string `json:"source_groups,omitempty"`
	SourcesExcluded      bool     `json:"sources_excluded,omitempty"`
	Destinations         []string `json:"destination_groups,omitempty"`
	DestinationsExcluded bool     `json:"destinations_excluded,omitempty"`

	// Services are paths of services; Entries stand in the rule itself. A flow
	// has to match one of either.
	Services []string `json:"services,omitempty"`
	Entries  []Entry  `json:"service_entries,omitempty"`

	// Scope is what the rule is applied to, unless the policy has a scope.
	Scope []string `json:"scope,omitempty"`

	// Conditions are what must hold besides, such as paths of layer-7 profiles
	// or a schedule. A rule that has any never decides.
	Conditions []string `json:"conditions,omitempty"`
}

// Group is a group with its effective members.
type Group struct {
	Path string `json:"path"`

	// Addresses are the addresses of all members, by which the group counts as
	// source and destination.
	Addresses []Range `json:"addresses,omitempty"`

	// Members are ids of interfaces, or of what holds interfaces (segments,
	// virtual machines), by which the group counts as a scope.
	Members []string `json:"members,omitempty"`
}

// Service is a named set of service entries.
type Service struct {
	Path    string  `json:"path"`
	Name    string  `json:"display_name,omitempty"`
	Entries []Entry `json:"service_entries,omitempty"`
}

// EntryKind is the kind of a service entry. Others than these are refused.
type EntryKind string

// The kinds of service entries.
const (
	L4PortSetEntry     EntryKind = "L4PortSetServiceEntry"
	ICMPEntry          EntryKind = "ICMPTypeServiceEntry"
	IPProtocolEntry    EntryKind = "IPProtocolServiceEntry"
	IGMPEntry          EntryKind = "IGMPTypeServiceEntry"
	ALGEntry           EntryKind = "ALGTypeServiceEntry"
	EtherTypeEntry     EntryKind = "EtherTypeServiceEntry"
	NestedServiceEntry EntryKind = "NestedServiceServiceEntry"
)

// Entry is one entry of a service. Which fields count depends on the kind.
type Entry struct {
	Kind EntryKind `json:"resource_type"`

	// L4Protocol is TCP or UDP, for [L4PortSetEntry].
	L4Protocol string `json:"l4_protocol,omitempty"`

	// SourcePorts and DestinationPorts are for [L4PortSetEntry] and [ALGEntry];
	// empty means all.
	SourcePorts      []PortRange `json:"source_ports,omitempty"`
	DestinationPorts []PortRange `json:"destination_ports,omitempty"`

	// ICMPProtocol is ICMPv4 or ICMPv6, for [ICMPEntry]. Without a type all
	// types match, without a code all codes.
	ICMPProtocol string `json:"protocol,omitempty"`
	ICMPType     *int   `json:"icmp_type,omitempty"`
	ICMPCode     *int   `json:"icmp_code,omitempty"`

	// Number is the protocol's number, for [IPProtocolEntry].
	Number *int `json:"protocol_number,omitempty"`

	// ALG is the gateway's name, such as FTP or TFTP, for [ALGEntry]. It stands
	// for TCP or UDP and the entry's ports; connections that the gateway opens
	// later are not considered.
	ALG string `json:"alg,omitempty"`

	// Nested is the path of another service, for [NestedServiceEntry].
	Nested string `json:"nested_service_path,omitempty"`
}

// TCPEntry returns an entry that matches TCP to the ports; to all when there are
// none.
func TCPEntry(ports ...PortRange) Entry {
	return Entry{Kind: L4PortSetEntry, L4Protocol: "TCP", DestinationPorts: ports}
}

// UDPEntry returns an entry that matches UDP to the ports; to all when there are
// none.
func UDPEntry(ports ...PortRange) Entry {
	return Entry{Kind: L4PortSetEntry, L4Protocol: "UDP", DestinationPorts: ports}
}
