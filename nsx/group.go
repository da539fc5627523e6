// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

import (
	"context"
	"iter"
	"net/http"
	"net/url"
)

// The resource types of expressions.
const (
	ExprCondition   = "Condition"
	ExprConjunction = "ConjunctionOperator"
	ExprNested      = "NestedExpression"
	ExprIPAddresses = "IPAddressExpression"
	ExprPaths       = "PathExpression"
	ExprMACs        = "MACAddressExpression"
	ExprExternalIDs = "ExternalIDExpression"
)

// Group is what firewall rules speak of: everything that its expressions match.
type Group struct {
	Resource
	Expression         []Expression `json:"expression,omitzero"`
	ExtendedExpression []Expression `json:"extended_expression,omitzero"`
	GroupType          []string     `json:"group_type,omitzero"` // Since NSX-T 3.2.
	State              string       `json:"state,omitzero"`      // IN_PROGRESS, SUCCESS, FAILURE; NSX's to say
}

// Expression is one element of a group's list, in which criteria and
// conjunctions alternate. ResourceType says which of NSX's expressions it is,
// and so which of the other fields count. The functions of this package that
// return an Expression make each kind.
type Expression struct {
	ResourceType string `json:"resource_type"`
	ID           string `json:"id,omitzero"`

	// Of a condition.
	MemberType    string `json:"member_type,omitzero"` // VirtualMachine, Segment, SegmentPort, …; of external ids too
	Key           string `json:"key,omitzero"`         // Tag, Name, OSName, ComputerName
	Operator      string `json:"operator,omitzero"`    // EQUALS, CONTAINS, STARTSWITH, …
	Value         string `json:"value,omitzero"`
	ScopeOperator string `json:"scope_operator,omitzero"` // EQUALS or NOTEQUALS

	// Of a conjunction: AND or OR.
	Conjunction string `json:"conjunction_operator,omitzero"`

	// Of a nested expression.
	Expressions []Expression `json:"expressions,omitzero"`

	IPAddresses  []string `json:"ip_addresses,omitzero"`
	MACAddresses []string `json:"mac_addresses,omitzero"`
	Paths        []Path   `json:"paths,omitzero"`
	ExternalIDs  []string `json:"external_ids,omitzero"`
}

// HasTag matches the members of a type that have the tag.
func HasTag(memberType, scope, tag string) Expression {
	return Expression{
		ResourceType: ExprCondition, MemberType: memberType,
		Key: "Tag", Operator: "EQUALS", Value: scope + "|" + tag,
	}
}

// HasName matches the members of a type that have the name.
func HasName(memberType, name string) Expression {
	return Expression{ResourceType: ExprCondition, MemberType: memberType, Key: "Name", Operator: "EQUALS", Value: name}
}

// IPAddresses matches addresses, ranges and CIDRs.
func IPAddresses(addresses ...string) Expression {
	return Expression{ResourceType: ExprIPAddresses, IPAddresses: addresses}
}

// MACAddresses matches addresses of layer 2.
func MACAddresses(addresses ...string) Expression {
	return Expression{ResourceType: ExprMACs, MACAddresses: addresses}
}

// Paths matches segments, segment ports and groups by their paths.
func Paths(paths ...Path) Expression {
	return Expression{ResourceType: ExprPaths, Paths: paths}
}

// ExternalIDs matches the members of a type by the ids that vCenter knows.
func ExternalIDs(memberType string, ids ...string) Expression {
	return Expression{ResourceType: ExprExternalIDs, MemberType: memberType, ExternalIDs: ids}
}

// AnyOf joins criteria by OR.
func AnyOf(criteria ...Expression) []Expression { return join("OR", criteria) }

// AllOf joins criteria by AND.
func AllOf(criteria ...Expression) []Expression { return join("AND", criteria) }

// Nested is criteria that must all hold, as one criterion of a list.
func Nested(criteria ...Expression) Expression {
	return Expression{ResourceType: ExprNested, Expressions: AllOf(criteria...)}
}

func join(conjunction string, criteria []Expression) []Expression {
	var list []Expression
	for i, e := range criteria {
		if i > 0 {
			list = append(list, Expression{ResourceType: ExprConjunction, Conjunction: conjunction})
		}
		list = append(list, e)
	}
	return list
}

// Groups is the groups of one domain, with their effective members.
type Groups struct{ Collection[Group] }

// Groups returns the groups of the domain.
func (d Domain) Groups() Groups { return Groups{ofDomain[Group](d, "group", "groups", "Group")} }

// Reference is an object that is a member of a group.
type Reference struct {
	ID          string `json:"id"`
	DisplayName string `json:"display_name"`
	Path        Path   `json:"path"`
}

// VirtualMachine is a virtual machine that is a member of a group.
type VirtualMachine struct {
	ExternalID  string `json:"external_id"`
	DisplayName string `json:"display_name"`
	PowerState  string `json:"power_state"`
	HostID      string `json:"host_id"`
	Tags        Tags   `json:"tags"`
}

// IPAddresses iterates over the addresses, ranges and CIDRs that are in the
// group with this id by now.
func (g Groups) IPAddresses(ctx context.Context, id string) iter.Seq2[string, error] {
	return groupMembers[string](ctx, g, id, "ip-addresses")
}

// Segments iterates over the segments that are in the group by now.
func (g Groups) Segments(ctx context.Context, id string) iter.Seq2[Reference, error] {
	return groupMembers[Reference](ctx, g, id, "segments")
}

// SegmentPorts iterates over the segment ports that are in the group by now.
func (g Groups) SegmentPorts(ctx context.Context, id string) iter.Seq2[Reference, error] {
	return groupMembers[Reference](ctx, g, id, "segment-ports")
}

// VirtualMachines iterates over the virtual machines that are in the group by
// now.
func (g Groups) VirtualMachines(ctx context.Context, id string) iter.Seq2[VirtualMachine, error] {
	return groupMembers[VirtualMachine](ctx, g, id, "virtual-machines")
}

// AddIPAddresses adds addresses to one of the group's address expressions. To
// add what is there already is no error, and neither do concurrent callers lose
// each other's addresses.
//
// Errors match [viaduct.ErrNotFound] when there is no such expression.
func (g Groups) AddIPAddresses(ctx context.Context, group, expression string, addresses []string, opts ...WriteOption) error {
	return g.changeAddresses(ctx, "add", group, expression, addresses, opts)
}

// RemoveIPAddresses removes addresses from one of the group's address
// expressions. To remove what is not there is no error.
//
// Errors match [viaduct.ErrNotFound] when there is no such expression.
func (g Groups) RemoveIPAddresses(ctx context.Context, group, expression string, addresses []string, opts ...WriteOption) error {
	return g.changeAddresses(ctx, "remove", group, expression, addresses, opts)
}

func (g Groups) changeAddresses(
	ctx context.Context, action, group, expression string, addresses []string, opts []WriteOption,
) error {
	return g.client.do(ctx, call{
		op: action + " group addresses", object: group, method: http.MethodPost,
		route:      g.route + "/{id}/ip-address-expressions/{expression}",
		args:       append(append([]string{}, g.args...), group, expression),
		query:      url.Values{"action": {action}},
		body:       map[string][]string{"ip_addresses": addresses},
		opts:       opts,
		idempotent: true,
	})
}

// groupMembers iterates over one kind of members.
func groupMembers[T any](ctx context.Context, g Groups, id, kind string) iter.Seq2[T, error] {
	return eachPage("", func(cursor string, body *pageBody[T]) error {
		q := url.Values{}
		if cursor != "" {
			q.Set("cursor", cursor)
		}
		return g.client.do(ctx, call{
			op: "list group members", object: id, method: http.MethodGet,
			route: g.route + "/{id}/members/" + kind, args: append(append([]string{}, g.args...), id),
			query: q, into: body.decode,
		})
	})
}
