// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/viaduct-sdk/viaduct"
)

// Source reads from an NSX manager, by policy paths such as
// "/infra/domains/default/groups/web".
type Source interface {
	// Get decodes the object at a path. Its error matches
	// [viaduct.ErrNotFound] when there is none.
	Get(ctx context.Context, path string, into any) error

	// List yields the elements of the list at a path, of all its pages.
	List(ctx context.Context, path string) iter.Seq2[json.RawMessage, error]

	// Search yields the objects that a query finds, of all its pages.
	Search(ctx context.Context, query string) iter.Seq2[json.RawMessage, error]
}

// Load reads the distributed firewall's state: four searches (policies, rules,
// groups, services), the exclusion list, and for each group that a rule refers
// to its effective members, unless the group consists of addresses, paths and
// groups alone, which tell their members themselves. Groups are asked for up to
// eight at a time.
//
// The searches are as late as NSX's index, and they are not one transaction:
// when a rule and its group were made between two of them, [Compile] reports the
// group as missing. Load again then. What the snapshot can't express is listed
// in its Gaps.
//
// Errors are those of the source.
//
// Since NSX-T 3.0.
func Load(ctx context.Context, source Source) (Snapshot, error) {
	l := loader{source: source, groups: map[string]groupDoc{}}
	for _, step := range []func(context.Context) error{
		l.loadPolicies, l.loadRules, l.loadServices, l.loadGroups, l.loadExcluded, l.loadMembers,
	} {
		if err := step(ctx); err != nil {
			return Snapshot{}, fmt.Errorf("firewall: load: %w", err)
		}
	}
	l.finish()
	return l.snapshot, nil
}

// loader collects a snapshot.
type loader struct {
	source   Source
	snapshot Snapshot
	policies []policyDoc
	groups   map[string]groupDoc
}

// policyDoc is a security policy as NSX writes it.
type policyDoc struct {
	Policy
	meta
	Preference     string            `json:"connectivity_preference"`
	Strategy       string            `json:"connectivity_strategy"`
	DefaultRule    int64             `json:"default_rule_id"`
	AppStrategies  []json.RawMessage `json:"application_connectivity_strategy"`
	Schedule       string            `json:"scheduler_path"`
	hasDefaultRule bool
}

// ruleDoc is a rule as NSX writes it.
type ruleDoc struct {
	Rule
	meta
	Parent   string   `json:"parent_path"`
	ID       int64    `json:"rule_id"`
	Profiles []string `json:"profiles"`
}

type serviceDoc struct {
	Service
	meta
}

// meta is what tells a search result from one that the index shows in error.
type meta struct {
	Type    string `json:"resource_type"`
	Deleted bool   `json:"marked_for_delete"`
}

func (m meta) live(kind string) bool { return !m.Deleted && strings.EqualFold(m.Type, kind) }

// find decodes the live objects of a type and gives each to visit.
func find[T interface{ live(kind string) bool }](ctx context.Context, s Source, kind string, visit func(T)) error {
	for raw, err := range s.Search(ctx, "resource_type:"+kind+" AND marked_for_delete:false") {
		if err != nil {
			return fmt.Errorf("search %s: %w", kind, err)
		}
		var doc T
		if err := json.Unmarshal(raw, &doc); err != nil {
			return fmt.Errorf("search %s: %w: %w", kind, viaduct.ErrInvalid, err)
		}
		if doc.live(kind) {
			visit(doc)
		}
	}
	return nil
}

func (l *loader) loadPolicies(ctx context.Context) error {
	return find(ctx, l.source, "SecurityPolicy", func(p policyDoc) {
		if p.Category != Ethernet {
			p.Rules = nil
			l.policies = append(l.policies, p)
		}
	})
}

func (l *loader) loadRules(ctx context.Context) error {
	index := make(map[string]int, len(l.policies))
	for i, p := range l.policies {
		index[p.Path] = i
	}
	return find(ctx, l.source, "Rule", func(r ruleDoc) {
		i, ok := index[r.Parent]
		if !ok {
			return // of a gateway policy, or of layer 2
		}
		p := &l.policies[i]
		for _, profile := range r.Profiles {
			if !strings.EqualFold(profile, Any) {
				r.Conditions = append(r.Conditions, profile)
			}
		}
		if p.Schedule != "" {
			r.Conditions = append(r.Conditions, p.Schedule)
		}
		p.hasDefaultRule = p.hasDefaultRule || p.DefaultRule != 0 && p.DefaultRule == r.ID
		p.Rules = append(p.Rules, r.Rule)
	})
}

func (l *loader) loadServices(ctx context.Context) error {
	return find(ctx, l.source, "Service", func(s serviceDoc) {
		l.snapshot.Services = append(l.snapshot.Services, s.Service)
	})
}

func (l *loader) loadGroups(ctx context.Context) error {
	return find(ctx, l.source, "Group", func(g groupDoc) { l.groups[g.Path] = g })
}

func (l *loader) loadExcluded(ctx context.Context) error {
	var list struct {
		Members []string `json:"members"`
	}
	err := l.source.Get(ctx, "/infra/settings/firewall/security/exclude-list", &list)
	if err != nil && !errors.Is(err, viaduct.ErrNotFound) {
		return fmt.Errorf("exclusion list: %w", err)
	}
	l.snapshot.Excluded = list.Members
	return nil
}

// finish turns what was read of the policies into those of the snapshot.
func (l *loader) finish() {
	for _, p := range l.policies {
		preference := p.Preference
		if preference == "" {
			preference = p.Strategy
		}
		action, known := connectivity(preference)
		if action != "" && !p.hasDefaultRule {
			p.Fallback = action
			l.gap("policy %s: the rule of its connectivity preference is not among its rules; it is taken to come after them", p.Path)
		}
		if !known {
			l.gap("policy %s: connectivity preference %q", p.Path, preference)
		}
		if len(p.AppStrategies) > 0 {
			l.gap("policy %s: application connectivity strategy", p.Path)
		}
		l.snapshot.Policies = append(l.snapshot.Policies, p.Policy)
	}
	slices.Sort(l.snapshot.Gaps)
	l.snapshot.Gaps = slices.Compact(l.snapshot.Gaps)
}

func (l *loader) gap(format string, args ...any) {
	l.snapshot.Gaps = append(l.snapshot.Gaps, fmt.Sprintf(format, args...))
}

// connectivity returns the action of a connectivity preference's rule, and
// whether the preference is known.
func connectivity(preference string) (action Action, known bool) {
	switch strings.TrimSuffix(preference, "_ENABLE_LOGGING") {
	case "ALLOWLIST", "WHITELIST":
		return Drop, true
	case "DENYLIST", "BLACKLIST":
		return Allow, true
	case "", "NONE":
		return "", true
	default:
		return "", false
	}
}
