// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/viaduct-sdk/viaduct"
)

// groupDoc is a group as NSX writes it.
type groupDoc struct {
	meta
	Path       string       `json:"path"`
	Expression []expression `json:"expression"`
	// Extended narrows the group to users of a directory.
	Extended []json.RawMessage `json:"extended_expression"`
}

// expression is any of the kinds of expressions of a group.
type expression struct {
	Type        string       `json:"resource_type"`
	Conjunction string       `json:"conjunction_operator"`
	Addresses   []Range      `json:"ip_addresses"`
	Paths       []string     `json:"paths"`
	Nested      []expression `json:"expressions"`
}

// need says what the rules use a group for.
type need struct{ addresses, members bool }

// makeup is what a group's expressions tell without asking the server.
type makeup struct {
	addresses []Range
	paths     []string // of segments, ports and machines
	groups    []string
	// criteria is true when the server has to evaluate conditions.
	criteria bool
	unknown  []string // kinds of expressions that nothing here resolves
}

// read sorts a group's expressions. Joined by AND they can only be evaluated by
// the server.
func (g groupDoc) read() makeup {
	var m makeup
	for _, e := range g.Expression {
		switch e.Type {
		case "ConjunctionOperator":
			if e.Conjunction != "OR" {
				return makeup{criteria: true, unknown: m.unknown}
			}
		case "IPAddressExpression":
			m.addresses = append(m.addresses, e.Addresses...)
		case "PathExpression":
			for _, path := range e.Paths {
				if isGroupPath(path) {
					m.groups = append(m.groups, path)
				} else {
					m.paths = append(m.paths, path)
				}
			}
		case "Condition", "NestedExpression", "ExternalIDExpression":
			m.criteria = true
		case "MACAddressExpression": // says nothing of layer 3
		default:
			m.criteria = true
			m.unknown = append(m.unknown, e.Type)
		}
	}
	return m
}

// needs returns what the policies and the exclusion list use each group for,
// nested groups included.
func (l *loader) needs() map[string]need {
	needs := map[string]need{}
	var want func(path string, n need)
	want = func(path string, n need) {
		g, ok := l.groups[path]
		had := needs[path]
		now := need{addresses: had.addresses || n.addresses, members: had.members || n.members}
		if !ok || now == had {
			return
		}
		needs[path] = now
		for _, nested := range g.read().groups {
			want(nested, n)
		}
	}
	for _, path := range l.snapshot.Excluded {
		want(path, need{members: true})
	}
	for _, p := range l.policies {
		for _, path := range p.Scope {
			want(path, need{members: true})
		}
		for _, r := range p.Rules {
			for _, path := range r.Scope {
				want(path, need{members: true})
			}
			for _, path := range slices.Concat(r.Sources, r.Destinations) {
				want(path, need{addresses: true})
			}
		}
	}
	return needs
}

// loadMembers asks for the effective members of the groups that are needed and
// adds those groups to the snapshot.
func (l *loader) loadMembers(ctx context.Context) error {
	needs := l.needs()
	paths := slices.Sorted(maps.Keys(needs))
	own := make([]Group, len(paths))
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.SetLimit(8)
	for i, path := range paths {
		tasks.Go(func() error {
			var err error
			own[i], err = l.effective(ctx, l.groups[path], needs[path])
			return err
		})
	}
	if err := tasks.Wait(); err != nil {
		return err
	}
	byPath := make(map[string]Group, len(own))
	for _, g := range own {
		byPath[g.Path] = g
	}
	for _, path := range paths {
		l.snapshot.Groups = append(l.snapshot.Groups, l.union(path, byPath))
		if len(l.groups[path].Extended) > 0 {
			l.gap("group %s: members are narrowed to users of a directory", path)
		}
		for _, kind := range l.groups[path].read().unknown {
			l.gap("group %s: members by %s are those that the manager lists, if any", path, kind)
		}
	}
	return nil
}

// effective returns the group with the members that it has of its own, nested
// groups aside.
func (l *loader) effective(ctx context.Context, doc groupDoc, n need) (Group, error) {
	m := doc.read()
	g := Group{Path: doc.Path, Addresses: m.addresses, Members: m.paths}
	if n.addresses && (m.criteria || len(m.paths) > 0) {
		found, err := members[Range](ctx, l.source, doc.Path, "ip-addresses")
		if err != nil {
			return Group{}, err
		}
		g.Addresses = append(g.Addresses, found...)
	}
	if n.members && m.criteria {
		for _, kind := range []string{"segments", "segment-ports", "virtual-machines"} {
			found, err := members[member](ctx, l.source, doc.Path, kind)
			if err != nil {
				return Group{}, err
			}
			for _, f := range found {
				g.Members = append(g.Members, f.id())
			}
		}
	}
	return g, nil
}

// union returns the group with the members of the groups in it, however they
// nest.
func (l *loader) union(path string, own map[string]Group) Group {
	g := Group{Path: path}
	seen := map[string]bool{}
	queue := []string{path}
	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]
		if seen[next] {
			continue
		}
		seen[next] = true
		g.Addresses = append(g.Addresses, own[next].Addresses...)
		g.Members = append(g.Members, own[next].Members...)
		queue = append(queue, l.groups[next].read().groups...)
	}
	slices.Sort(g.Members)
	g.Members = slices.Compact(g.Members)
	return g
}

// member is a segment or a port, which have a path, or a virtual machine.
type member struct {
	Path       string `json:"path"`
	ExternalID string `json:"external_id"`
}

func (m member) id() string {
	if m.Path != "" {
		return m.Path
	}
	return m.ExternalID
}

// members lists the effective members of a kind.
func members[T any](ctx context.Context, s Source, group, kind string) ([]T, error) {
	var all []T
	path := strings.TrimSuffix(group, "/") + "/members/" + kind
	for raw, err := range s.List(ctx, path) {
		if err != nil {
			return nil, fmt.Errorf("%s of group %q: %w", kind, group, err)
		}
		var one T
		if err := json.Unmarshal(raw, &one); err != nil {
			return nil, fmt.Errorf("%s of group %q: %w: %w", kind, group, viaduct.ErrInvalid, err)
		}
		all = append(all, one)
	}
	return all, nil
}
