// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/viaduct-sdk/viaduct"
)

// compiler is a ruleset in the making: it gives a number to each distinct set
// that rules refer to.
type compiler struct {
	Ruleset
	groups   map[string]Group
	byPath   map[string]Service
	resolved map[string][]int32 // by service path: its entries

	sets    map[string]int32 // by group path or plain range: the address set
	spans   []span[netip.Addr]
	scopes  map[string]int32 // by group path or interface id: the member set
	entries interner
}

func newCompiler(snapshot Snapshot, rules int) (*compiler, error) {
	c := &compiler{
		Ruleset: Ruleset{
			rules: make([]rule, 0, rules), excluded: map[string]bool{}, members: map[string][]int32{},
			source: newField(rules), destination: newField(rules), service: newField(rules), scope: newField(rules),
			enabled: newBitset(rules), ipv4: newBitset(rules), ipv6: newBitset(rules),
			in: newBitset(rules), out: newBitset(rules),
		},
		groups: make(map[string]Group, len(snapshot.Groups)), byPath: make(map[string]Service, len(snapshot.Services)),
		resolved: map[string][]int32{}, sets: map[string]int32{}, scopes: map[string]int32{},
		entries: interner{ids: map[string]int32{}},
	}
	for _, g := range snapshot.Groups {
		if _, ok := c.groups[g.Path]; ok {
			return nil, fmt.Errorf("firewall: group %q is there twice: %w", g.Path, viaduct.ErrInvalid)
		}
		c.groups[g.Path] = g
	}
	for _, s := range snapshot.Services {
		if _, ok := c.byPath[s.Path]; ok {
			return nil, fmt.Errorf("firewall: service %q is there twice: %w", s.Path, viaduct.ErrInvalid)
		}
		c.byPath[s.Path] = s
	}
	return c, nil
}

// add compiles the next rule in the order of evaluation.
func (c *compiler) add(p Policy, r Rule) error {
	if err := checkAction(p, r); err != nil {
		return err
	}
	i := int32(len(c.rules)) //nolint:gosec // the number of rules fits
	c.rules = append(c.rules, rule{
		ref:         Ref{Policy: p.Path, Rule: r.Path, Name: r.Name, Category: p.Category, Action: r.Action},
		conditional: len(r.Conditions) > 0,
	})
	if !r.Disabled {
		c.enabled.set(i)
	}
	if err := c.addDirection(i, r.Direction); err != nil {
		return err
	}
	if err := c.addVersion(i, r.IPVersion); err != nil {
		return err
	}
	if err := c.addScope(i, p, r); err != nil {
		return err
	}
	if err := c.addAddresses(c.source, i, r.Sources, r.SourcesExcluded); err != nil {
		return err
	}
	if err := c.addAddresses(c.destination, i, r.Destinations, r.DestinationsExcluded); err != nil {
		return err
	}
	return c.addServices(i, r)
}

func checkAction(p Policy, r Rule) error {
	if final(r.Action) || r.Action == JumpToApplication && rank(p) == rankEnvironment {
		return nil
	}
	return fmt.Errorf("action %q in category %q: %w", r.Action, p.Category, viaduct.ErrInvalid)
}

func (c *compiler) addDirection(i int32, d Direction) error {
	switch d {
	case In:
		c.in.set(i)
	case Out:
		c.out.set(i)
	case InOut, "":
		c.in.set(i)
		c.out.set(i)
	default:
		return fmt.Errorf("direction %q: %w", d, viaduct.ErrInvalid)
	}
	return nil
}

func (c *compiler) addVersion(i int32, v IPVersion) error {
	switch v {
	case IPv4:
		c.ipv4.set(i)
	case IPv6:
		c.ipv6.set(i)
	case IPv4IPv6, "":
		c.ipv4.set(i)
		c.ipv6.set(i)
	default:
		return fmt.Errorf("ip protocol %q: %w", v, viaduct.ErrInvalid)
	}
	return nil
}

// addScope records what the rule is applied to: the policy's scope when it
// names anything, else the rule's.
func (c *compiler) addScope(i int32, p Policy, r Rule) error {
	refs := p.Scope
	if isAny(refs) {
		refs = r.Scope
	}
	if isAny(refs) {
		c.scope.add(i, nil, true, false)
		return nil
	}
	var sets []int32
	for _, ref := range refs {
		group, ok := c.groups[ref]
		if !ok && isGroupPath(ref) {
			return fmt.Errorf("scope: group %q is missing: %w", ref, viaduct.ErrInvalid)
		}
		members := group.Members
		if !ok {
			members = []string{ref}
		}
		set, known := c.scopes[ref]
		if !known {
			set = int32(len(c.scopes)) //nolint:gosec // the number of scopes fits
			c.scopes[ref] = set
			for _, member := range members {
				if member != "" { // the id of an interface of which nothing is known
					c.members[member] = append(c.members[member], set)
				}
			}
		}
		sets = append(sets, set)
	}
	c.scope.add(i, sets, false, false)
	return nil
}

func (c *compiler) addAddresses(f *field, i int32, refs []string, negate bool) error {
	if isAny(refs) {
		f.add(i, nil, true, negate)
		return nil
	}
	var sets []int32
	for _, ref := range refs {
		set, err := c.addressSet(ref)
		if err != nil {
			return err
		}
		sets = append(sets, set)
	}
	f.add(i, sets, false, negate)
	return nil
}

// addressSet returns the number of the set of addresses that a rule refers to
// as a group or writes out.
func (c *compiler) addressSet(ref string) (int32, error) {
	if set, ok := c.sets[ref]; ok {
		return set, nil
	}
	ranges := c.groups[ref].Addresses
	if _, ok := c.groups[ref]; !ok {
		if strings.HasPrefix(ref, "/") {
			return 0, fmt.Errorf("group %q is missing: %w", ref, viaduct.ErrInvalid)
		}
		parsed, err := ParseRange(ref)
		if err != nil {
			return 0, err
		}
		ranges = []Range{parsed}
	}
	set := int32(len(c.sets)) //nolint:gosec // the number of sets fits
	for _, r := range ranges {
		r = Range{From: r.From.Unmap(), To: r.To.Unmap()}
		if !r.valid() {
			return 0, fmt.Errorf("group %q: address range %q: %w", ref, r, viaduct.ErrInvalid)
		}
		c.spans = append(c.spans, span[netip.Addr]{first: r.From, last: r.To, set: set})
	}
	c.sets[ref] = set
	return set, nil
}

// addServices records the rule's services. ANY counts only when nothing else is
// there.
func (c *compiler) addServices(i int32, r Rule) error {
	var entries []int32
	named := isAny(r.Services)
	if !named {
		for _, path := range r.Services {
			ids, err := c.serviceEntries(path, nil)
			if err != nil {
				return err
			}
			entries = append(entries, ids...)
		}
	}
	for _, e := range r.Entries {
		ids, err := c.entry(e, nil)
		if err != nil {
			return err
		}
		entries = append(entries, ids...)
	}
	slices.Sort(entries)
	c.service.add(i, slices.Compact(entries), named && len(r.Entries) == 0, false)
	return nil
}

// serviceEntries returns the entries of a service and of those it nests.
// Outer are the services that led here.
func (c *compiler) serviceEntries(path string, outer []string) ([]int32, error) {
	if ids, ok := c.resolved[path]; ok {
		return ids, nil
	}
	s, ok := c.byPath[path]
	if !ok {
		return nil, fmt.Errorf("service %q is missing: %w", path, viaduct.ErrInvalid)
	}
	if slices.Contains(outer, path) {
		return nil, fmt.Errorf("service %q contains itself: %w", path, viaduct.ErrInvalid)
	}
	var ids []int32
	for _, e := range s.Entries {
		more, err := c.entry(e, append(slices.Clone(outer), path))
		if err != nil {
			return nil, fmt.Errorf("service %q: %w", path, err)
		}
		ids = append(ids, more...)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	c.resolved[path] = ids
	return ids, nil
}

func (c *compiler) entry(e Entry, outer []string) ([]int32, error) {
	if e.Kind == NestedServiceEntry {
		return c.serviceEntries(e.Nested, outer)
	}
	compiled, matches, err := compileEntry(e)
	if err != nil || !matches {
		return nil, err
	}
	return []int32{c.entries.id(compiled)}, nil
}
