// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package firewall_test

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

// The reference evaluates a snapshot as its documentation reads: rule by rule,
// question by question, from the snapshot's own values, with no index and with
// nothing of the package but its types.

type refPassed struct {
	Rule   string
	Reason firewall.Reason
}

type refDecision struct {
	Action      firewall.Action
	Rule        string
	Excluded    bool
	Conditional []string
	Passed      []refPassed
}

type refRule struct {
	policy firewall.Policy
	rule   firewall.Rule
}

func reference(s firewall.Snapshot, f firewall.Flow, c firewall.Crossing) refDecision {
	if refHolds(s, s.Excluded, c.Interface) {
		return refDecision{Action: firewall.Allow, Excluded: true}
	}
	d := refDecision{Action: s.Default}
	if d.Action == "" {
		d.Action = firewall.Allow
	}
	jumped := false
	for _, r := range refOrder(s) {
		reason := refReason(s, r, f, c)
		environment := r.policy.Category == firewall.Environment || r.policy.Category == firewall.Emergency ||
			r.policy.Category == firewall.Infrastructure
		switch {
		case jumped && environment && !r.policy.IsDefault:
			reason = firewall.Skipped
		case reason != "":
		case len(r.rule.Conditions) > 0:
			reason = firewall.Conditioned
			d.Conditional = append(d.Conditional, r.rule.Path)
		case r.rule.Action == firewall.JumpToApplication:
			reason = firewall.Jumped
			jumped = true
		default:
			d.Action, d.Rule = r.rule.Action, r.rule.Path
			return d
		}
		d.Passed = append(d.Passed, refPassed{Rule: r.rule.Path, Reason: reason})
	}
	return d
}

func refOrder(s firewall.Snapshot) []refRule {
	var all []refRule
	for _, p := range s.Policies {
		if p.Category == firewall.Ethernet {
			continue
		}
		for _, r := range p.Rules {
			all = append(all, refRule{p, r})
		}
		if p.Fallback != "" {
			all = append(all, refRule{p, firewall.Rule{Action: p.Fallback, Sequence: 1 << 40}})
		}
	}
	before := func(a, b refRule) bool {
		if a.policy.IsDefault != b.policy.IsDefault {
			return b.policy.IsDefault
		}
		categories := []firewall.Category{
			firewall.Emergency, firewall.Infrastructure, firewall.Environment, firewall.Application, "",
		}
		ca, cb := slices.Index(categories, a.policy.Category), slices.Index(categories, b.policy.Category)
		if a.policy.IsDefault {
			ca, cb = 0, 0
		}
		if ca != cb {
			return ca < cb
		}
		if a.policy.Sequence != b.policy.Sequence {
			return a.policy.Sequence < b.policy.Sequence
		}
		if a.policy.Path != b.policy.Path {
			return a.policy.Path < b.policy.Path
		}
		if a.rule.Sequence != b.rule.Sequence {
			return a.rule.Sequence < b.rule.Sequence
		}
		return a.rule.Path < b.rule.Path
	}
	// Insertion sort: as naive as the rest.
	for i := range all {
		for j := i; j > 0 && before(all[j], all[j-1]); j-- {
			all[j], all[j-1] = all[j-1], all[j]
		}
	}
	return all
}

// refReason returns why the rule does not match, or nothing.
func refReason(s firewall.Snapshot, r refRule, f firewall.Flow, c firewall.Crossing) firewall.Reason {
	scope := r.policy.Scope
	if refAny(scope) {
		scope = r.rule.Scope
	}
	four := f.Source.Is4()
	switch {
	case r.rule.Disabled:
		return firewall.Disabled
	case !refAny(scope) && !refHolds(s, scope, c.Interface):
		return firewall.NotApplied
	case r.rule.Direction == firewall.In && c.Direction == firewall.Out,
		r.rule.Direction == firewall.Out && c.Direction == firewall.In:
		return firewall.OtherDirection
	case r.rule.IPVersion == firewall.IPv4 && !four, r.rule.IPVersion == firewall.IPv6 && four:
		return firewall.OtherIPVersion
	case refContains(s, r.rule.Sources, f.Source) == r.rule.SourcesExcluded:
		return firewall.OtherSource
	case refContains(s, r.rule.Destinations, f.Destination) == r.rule.DestinationsExcluded:
		return firewall.OtherDestination
	case !refServed(s, r.rule, f):
		return firewall.OtherService
	}
	return ""
}

func refAny(refs []string) bool {
	return len(refs) == 0 || strings.ToLower(refs[0]) == "any"
}

func refHolds(s firewall.Snapshot, refs []string, i firewall.Interface) bool {
	for _, id := range append([]string{i.ID}, i.Within...) {
		if id == "" {
			continue
		}
		if slices.Contains(refs, id) {
			return true
		}
		for _, g := range s.Groups {
			if slices.Contains(refs, g.Path) && slices.Contains(g.Members, id) {
				return true
			}
		}
	}
	return false
}

func refContains(s firewall.Snapshot, refs []string, addr netip.Addr) bool {
	if refAny(refs) {
		return true
	}
	for _, ref := range refs {
		if prefix, err := netip.ParsePrefix(ref); err == nil && prefix.Contains(addr) {
			return true
		}
		if single, err := netip.ParseAddr(ref); err == nil && single == addr {
			return true
		}
		if from, to, ok := strings.Cut(ref, "-"); ok && ref[0] != '/' &&
			netip.MustParseAddr(from).Compare(addr) <= 0 && addr.Compare(netip.MustParseAddr(to)) <= 0 {
			return true
		}
		for _, g := range s.Groups {
			if g.Path != ref {
				continue
			}
			for _, r := range g.Addresses {
				if r.From.Compare(addr) <= 0 && addr.Compare(r.To) <= 0 {
					return true
				}
			}
		}
	}
	return false
}

func refServed(s firewall.Snapshot, r firewall.Rule, f firewall.Flow) bool {
	if refAny(r.Services) && len(r.Entries) == 0 {
		return true
	}
	for _, e := range r.Entries {
		if refEntry(s, e, f) {
			return true
		}
	}
	for _, path := range r.Services {
		if refEntry(s, firewall.Entry{Kind: firewall.NestedServiceEntry, Nested: path}, f) {
			return true
		}
	}
	return false
}

func refEntry(s firewall.Snapshot, e firewall.Entry, f firewall.Flow) bool {
	switch e.Kind {
	case firewall.L4PortSetEntry, firewall.ALGEntry:
		protocol := map[string]firewall.Protocol{"TCP": 6, "UDP": 17, "FTP": 6, "TFTP": 17}[e.L4Protocol+e.ALG]
		return f.Protocol == protocol && refPort(e.SourcePorts, f.SourcePort) && refPort(e.DestinationPorts, f.DestinationPort)
	case firewall.ICMPEntry:
		protocol := map[string]firewall.Protocol{"ICMPv4": 1, "ICMPv6": 58}[e.ICMPProtocol]
		return f.Protocol == protocol && (e.ICMPType == nil || *e.ICMPType == int(f.ICMPType)) &&
			(e.ICMPCode == nil || *e.ICMPCode == int(f.ICMPCode))
	case firewall.IPProtocolEntry:
		return int(f.Protocol) == *e.Number
	case firewall.IGMPEntry:
		return f.Protocol == 2
	case firewall.NestedServiceEntry:
		for _, service := range s.Services {
			if service.Path != e.Nested {
				continue
			}
			for _, nested := range service.Entries {
				if refEntry(s, nested, f) {
					return true
				}
			}
		}
	case firewall.EtherTypeEntry:
	}
	return false
}

func refPort(ranges []firewall.PortRange, port uint16) bool {
	for _, r := range ranges {
		if r.First <= port && port <= r.Last {
			return true
		}
	}
	return len(ranges) == 0
}
