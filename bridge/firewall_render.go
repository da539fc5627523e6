// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct/nsx"
)

// What an import has in NSX, rendered. It is plan: pure.

// firewallGroup renders the group of the segments, of which the rules speak and
// to which they are applied.
func firewallGroup(m nsxMark, f firewallObserved) map[string]any {
	var paths, networks []any
	for _, s := range f.from {
		paths = append(paths, s.String())
	}
	for _, s := range f.state.segments {
		if !slices.Contains(f.from, s.Path) {
			continue
		}
		for _, prefix := range subnetsOf(s) {
			networks = append(networks, prefix.String())
		}
	}
	expression := []any{map[string]any{"resource_type": nsx.ExprPaths, "paths": paths}}
	if len(networks) > 0 {
		expression = append(expression,
			map[string]any{"resource_type": nsx.ExprConjunction, "conjunction_operator": "OR"},
			map[string]any{"resource_type": nsx.ExprIPAddresses, "ip_addresses": networks})
	}
	return map[string]any{
		"id": nsx.Path(m.path).ID(), "resource_type": kindGroup, "display_name": displayName(m),
		"tags": m.tags(), "expression": expression,
	}
}

func displayName(m nsxMark) string { return fieldManager + " " + m.cluster + " " + m.target.String() }

// firewallDocument renders the policy with its rules.
func firewallDocument(m nsxMark, group nsx.Path, rules []any) map[string]any {
	tags := m.tags()
	for _, r := range rules {
		for _, exporter := range tagsOf(r.(map[string]any), tagExporter) { //nolint:forcetypeassert // rendered here
			if t := tag(tagExporter, exporter); !slices.ContainsFunc(tags, func(have any) bool { return compareText(have, t) == 0 }) {
				tags = append(tags, t)
			}
		}
	}
	for i := range rules {
		rules[i].(map[string]any)["sequence_number"] = int64(10 * (i + 1)) //nolint:forcetypeassert // rendered here
	}
	return map[string]any{
		"id": nsx.Path(m.path).ID(), "resource_type": kindSecurityPolicy, "display_name": displayName(m),
		"category": string(nsx.CategoryApplication), "sequence_number": int64(firewallSequence),
		"scope": []any{group.String()}, "tags": tags, "rules": rules,
	}
}

// firewallRules renders the rules of one exporter, and keeps those of others that
// still stand behind the import.
func (o importObserved) firewallRules(target types.NamespacedName, source Source, group nsx.Path, flows ...flow) []any {
	rules := o.keptRules(target, source)
	for i, f := range flows {
		id := "from-" + hash(source.String())
		if i > 0 {
			id += "-before"
		}
		rules = append(rules, firewallRule(id, source, group, f))
	}
	slices.SortStableFunc(rules, func(a, b any) int {
		return cmp.Compare(text(a.(map[string]any), "id"), text(b.(map[string]any), "id")) //nolint:forcetypeassert // rendered here
	})
	return rules
}

// keptRules are the rules of other exporters whose endpoints are there.
func (o importObserved) keptRules(target types.NamespacedName, without Source) []any {
	var rules []any
	for _, r := range slicesOf(o.firewall.policy, "rules") {
		exporter := strings.Join(tagsOf(r, tagExporter), ",")
		stands := slices.ContainsFunc(o.backends, func(b object) bool {
			m, ours := readMark(b.live, target)
			return ours && m.source.String() == exporter
		})
		if exporter == without.String() || !stands {
			continue
		}
		kept := map[string]any{}
		for _, field := range []string{
			"id", "resource_type", "display_name", "action", "direction", "source_groups", "destination_groups",
			"service_entries", "scope", "tags",
		} {
			if v, ok := r[field]; ok {
				kept[field] = v
			}
		}
		rules = append(rules, kept)
	}
	return rules
}

func firewallRule(id string, source Source, group nsx.Path, f flow) map[string]any {
	var destinations, entries []any
	for _, a := range sortedAddresses(f.addresses) {
		destinations = append(destinations, a.String())
	}
	for _, protocol := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP} {
		var numbers []int32
		for _, p := range f.ports {
			if p.Protocol == protocol {
				numbers = append(numbers, p.Port)
			}
		}
		slices.Sort(numbers)
		for _, number := range slices.Compact(numbers) {
			name := fmt.Sprintf("%s-%d", protocol, number)
			entries = append(entries, map[string]any{
				"resource_type": nsx.ServiceL4, "id": name, "display_name": name,
				"l4_protocol": string(protocol), "destination_ports": []any{strconv.Itoa(int(number))},
			})
		}
	}
	return map[string]any{
		"id": id, "resource_type": "Rule", "display_name": source.String(),
		"action": string(nsx.RuleAllow), "direction": string(nsx.RuleOut),
		"source_groups": []any{group.String()}, "destination_groups": destinations, "service_entries": entries,
		"scope": []any{group.String()}, "tags": []any{tag(tagExporter, source.String())},
	}
}

// sortRules orders rules as they are evaluated.
func sortRules(rules []any) {
	number := func(r any) int64 {
		m, _ := r.(map[string]any)
		n, _, _ := unstructured.NestedInt64(m, "sequence_number")
		return n
	}
	slices.SortStableFunc(rules, func(a, b any) int { return cmp.Compare(number(a), number(b)) })
}
