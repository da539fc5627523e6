// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/viaduct-sdk/viaduct"
)

// Ruleset is a compiled snapshot. It is immutable and safe for concurrent use.
// Make it with [Compile].
type Ruleset struct {
	rules []rule
	// application is the position of the first rule after the category
	// Environment, where JUMP_TO_APPLICATION leads.
	application int32
	fallback    Action
	excluded    map[string]bool

	addresses cover[netip.Addr]
	services  serviceIndex
	members   map[string][]int32 // interface or container id: the scopes with it

	source, destination, service, scope *field

	enabled, ipv4, ipv6, in, out bitset
}

// rule is what a verdict tells of a rule.
type rule struct {
	ref         Ref
	conditional bool
}

// Compile checks a snapshot and makes a ruleset of it. It costs about as much
// as sorting the rules and the ends of all address ranges; evaluate many flows
// with the result.
//
// Errors match [viaduct.ErrInvalid] when the snapshot contradicts itself: a rule
// refers to a group or service that is missing, services nest in a circle, an
// action, a category, an address or an entry is not understood. They name the
// rule.
func Compile(snapshot Snapshot) (*Ruleset, error) {
	policies, err := order(snapshot.Policies)
	if err != nil {
		return nil, err
	}
	count := 0
	for _, p := range policies {
		count += len(p.Rules)
	}
	c, err := newCompiler(snapshot, count)
	if err != nil {
		return nil, err
	}
	for i, p := range policies {
		if rank(p) <= rankEnvironment {
			c.application += int32(len(p.Rules)) //nolint:gosec // the number of rules fits
		}
		for _, r := range p.Rules {
			if err := c.add(policies[i], r); err != nil {
				return nil, fmt.Errorf("firewall: rule %q of policy %q: %w", r.Path, p.Path, err)
			}
		}
	}
	return c.finish(snapshot)
}

// The ranks of policies, in the order of evaluation.
const (
	rankEmergency = iota
	rankInfrastructure
	rankEnvironment
	rankApplication
	rankNone
	rankDefault
)

func rank(p Policy) int {
	switch {
	case p.IsDefault:
		return rankDefault
	case p.Category == Emergency:
		return rankEmergency
	case p.Category == Infrastructure:
		return rankInfrastructure
	case p.Category == Environment:
		return rankEnvironment
	case p.Category == Application:
		return rankApplication
	default:
		return rankNone
	}
}

// order returns copies of the layer-3 policies with their rules, all in the
// order of evaluation, the default rules of connectivity preferences included.
func order(policies []Policy) ([]Policy, error) {
	var ordered []Policy
	for _, p := range policies {
		switch p.Category {
		case Ethernet:
			continue
		case "", Emergency, Infrastructure, Environment, Application:
		default:
			return nil, fmt.Errorf("firewall: policy %q: category %q: %w", p.Path, p.Category, viaduct.ErrInvalid)
		}
		p.Rules = slices.Clone(p.Rules)
		slices.SortStableFunc(p.Rules, func(a, b Rule) int {
			return cmp.Or(cmp.Compare(a.Sequence, b.Sequence), strings.Compare(a.Path, b.Path))
		})
		if p.Fallback != "" {
			p.Rules = append(p.Rules, Rule{Name: "connectivity preference", Action: p.Fallback})
		}
		ordered = append(ordered, p)
	}
	slices.SortStableFunc(ordered, func(a, b Policy) int {
		return cmp.Or(
			cmp.Compare(rank(a), rank(b)),
			cmp.Compare(a.Sequence, b.Sequence),
			strings.Compare(a.Path, b.Path),
		)
	})
	return ordered, nil
}

// finish builds what can only be built when all rules are known.
func (c *compiler) finish(snapshot Snapshot) (*Ruleset, error) {
	c.fallback = cmp.Or(snapshot.Default, Allow)
	if !final(c.fallback) {
		return nil, fmt.Errorf("firewall: default action %q: %w", snapshot.Default, viaduct.ErrInvalid)
	}
	for _, id := range snapshot.Excluded {
		group, isGroup := c.groups[id]
		switch {
		case isGroup:
			for _, member := range group.Members {
				c.excluded[member] = true
			}
		case isGroupPath(id):
			return nil, fmt.Errorf("firewall: exclusion list: group %q is missing: %w", id, viaduct.ErrInvalid)
		default:
			c.excluded[id] = true
		}
	}
	delete(c.excluded, "") // the id of an interface of which nothing is known
	c.addresses = newCover(netip.Addr.Compare, c.spans)
	c.services = newServiceIndex(c.entries.list)
	return &c.Ruleset, nil
}

func final(a Action) bool { return a == Allow || a == Drop || a == Reject }

// isGroupPath reports whether a reference is the policy path of a group, as
// opposed to a segment, a port or an address.
func isGroupPath(ref string) bool {
	parts := strings.Split(ref, "/")
	return len(parts) >= 2 && parts[len(parts)-2] == "groups"
}

// isAny reports whether a list stands for everything: it is empty or ANY.
func isAny(refs []string) bool {
	return len(refs) == 0 || len(refs) == 1 && strings.EqualFold(refs[0], Any)
}
