// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"iter"
	"slices"
)

// Ref names a rule.
type Ref struct {
	Policy string // path
	// Rule is the path; empty for the rule that a connectivity preference made.
	Rule     string
	Name     string
	Category Category
	Action   Action
}

// Verdict is what the firewall does with a flow.
type Verdict struct {
	// Action is [Allow] when every crossing allows the flow, else the action of
	// the first that does not.
	Action Action
	// Decisions are those of all crossings, in the order of the flow, also of
	// those that a stopped packet would not reach.
	Decisions []Decision
}

// Decisive returns the decision that stops the flow, or the last one when it
// passes; the zero Decision when the flow crosses nothing.
func (v Verdict) Decisive() Decision {
	var last Decision
	for _, d := range v.Decisions {
		if d.Action != Allow {
			return d
		}
		last = d
	}
	return last
}

// Decision is what the firewall does at one crossing.
type Decision struct {
	Crossing Crossing
	Action   Action

	// By is the rule that decided. It is the zero Ref when none matched and the
	// snapshot's default was taken, and when the interface is excluded.
	By Ref
	// Excluded is true when the interface is on the exclusion list, so that no
	// rule was looked at.
	Excluded bool
	// Conditional are the rules before By that match but for their conditions.
	// When any holds, its action counts instead.
	Conditional []Ref

	trail *trail
}

// Reason says why a rule did not decide.
type Reason string

// The reasons. A rule has the first that is true of it.
const (
	Disabled         Reason = "disabled"
	NotApplied       Reason = "not applied to the interface"
	OtherDirection   Reason = "other direction"
	OtherIPVersion   Reason = "other IP version"
	OtherSource      Reason = "other source"
	OtherDestination Reason = "other destination"
	OtherService     Reason = "other service"
	Conditioned      Reason = "matches on a condition"
	Jumped           Reason = "jumped to the category Application"
	Skipped          Reason = "skipped by a jump"
)

// Passed is a rule that was evaluated before the deciding one.
type Passed struct {
	Ref    Ref
	Reason Reason
}

// Passed iterates over the rules before the deciding one, in the order of
// evaluation, each with the reason why it did not decide. It yields all rules
// when none decided and nothing when the interface is excluded.
func (d Decision) Passed() iter.Seq[Passed] {
	return func(yield func(Passed) bool) {
		if d.trail == nil {
			return
		}
		for i := range d.trail.end {
			if !yield(Passed{Ref: d.trail.rules.rules[i].ref, Reason: d.trail.reason(i)}) {
				return
			}
		}
	}
}

// trail is what is needed to tell why rules did not match: for each question
// the set of rules that it lets pass.
type trail struct {
	rules *Ruleset
	end   int32 // position of the deciding rule
	jump  int32 // position of the rule that jumped, or -1

	scope, direction, version, source, destination, service bitset
}

func (t *trail) reason(i int32) Reason {
	switch {
	case t.jump >= 0 && i > t.jump && i < t.rules.application:
		return Skipped
	case !t.rules.enabled.has(i):
		return Disabled
	case !t.scope.has(i):
		return NotApplied
	case !t.direction.has(i):
		return OtherDirection
	case !t.version.has(i):
		return OtherIPVersion
	case !t.source.has(i):
		return OtherSource
	case !t.destination.has(i):
		return OtherDestination
	case !t.service.has(i):
		return OtherService
	case t.rules.rules[i].conditional:
		return Conditioned
	default:
		return Jumped
	}
}

// Evaluate returns what the firewall does with the flow. It needs no lock and
// writes nothing.
//
// Errors match [viaduct.ErrInvalid] when the flow is incomplete: addresses
// missing or of different IP versions, no protocol, a crossing without a
// direction.
func (rs *Ruleset) Evaluate(flow Flow) (Verdict, error) {
	flow, err := flow.normalize()
	if err != nil {
		return Verdict{}, err
	}
	shared := trail{
		rules: rs, jump: -1, version: rs.ipv4,
		source:      rs.source.match(func(visit func(int32)) { rs.addresses.sets(flow.Source, visit) }),
		destination: rs.destination.match(func(visit func(int32)) { rs.addresses.sets(flow.Destination, visit) }),
		service:     rs.service.match(func(visit func(int32)) { rs.services.each(flow, visit) }),
	}
	if flow.Source.Is6() {
		shared.version = rs.ipv6
	}
	verdict := Verdict{Action: Allow}
	for _, crossing := range flow.Crosses {
		d := rs.decide(shared, crossing)
		if verdict.Action == Allow {
			verdict.Action = d.Action
		}
		verdict.Decisions = append(verdict.Decisions, d)
	}
	return verdict, nil
}

// decide evaluates one crossing. The trail comes as a copy that holds what all
// crossings of the flow share.
func (rs *Ruleset) decide(t trail, crossing Crossing) Decision {
	crossing.Interface.Within = slices.Clone(crossing.Interface.Within)
	d := Decision{Crossing: crossing, Action: rs.fallback}
	if rs.isExcluded(crossing.Interface) {
		d.Action, d.Excluded = Allow, true
		return d
	}
	t.scope = rs.scope.match(func(visit func(int32)) { rs.eachScope(crossing.Interface, visit) })
	t.direction = rs.in
	if crossing.Direction == Out {
		t.direction = rs.out
	}
	t.end = int32(len(rs.rules)) //nolint:gosec // the number of rules fits
	d.trail = &t
	next := int32(0)
	for {
		i := nextCommon(next, rs.enabled, t.scope, t.direction, t.version, t.source, t.destination, t.service)
		switch {
		case i < 0:
			return d
		case rs.rules[i].conditional:
			d.Conditional = append(d.Conditional, rs.rules[i].ref)
			next = i + 1
		case rs.rules[i].ref.Action == JumpToApplication:
			t.jump = i
			next = rs.application
		default:
			t.end = i
			d.Action, d.By = rs.rules[i].ref.Action, rs.rules[i].ref
			return d
		}
	}
}

func (rs *Ruleset) isExcluded(i Interface) bool {
	return rs.excluded[i.ID] || slices.ContainsFunc(i.Within, func(id string) bool { return rs.excluded[id] })
}

// eachScope visits the scopes that contain the interface.
func (rs *Ruleset) eachScope(i Interface, visit func(scope int32)) {
	for _, scope := range rs.members[i.ID] {
		visit(scope)
	}
	for _, id := range i.Within {
		for _, scope := range rs.members[id] {
			visit(scope)
		}
	}
}
