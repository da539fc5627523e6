// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import "fmt"

// The places of NCP's policies within the category Application: what
// NetworkPolicies allow, what they isolate, and the baseline beneath both.
const (
	allowSequence    = 10
	isolateSequence  = 50
	baselineSequence = 99
)

type (
	securityPolicy struct {
		intent
		Category string   `json:"category"`
		Sequence int      `json:"sequence_number"`
		Scope    []string `json:"scope"`
	}

	securityRule struct {
		intent
		Action       string         `json:"action"`
		Direction    string         `json:"direction"`
		Sources      []string       `json:"source_groups"`
		Destinations []string       `json:"destination_groups"`
		Entries      []serviceEntry `json:"service_entries,omitempty"`
		Scope        []string       `json:"scope"`
		Sequence     int            `json:"sequence_number"`
	}

	serviceEntry struct {
		ResourceType string   `json:"resource_type"`
		ID           string   `json:"id,omitempty"`
		DisplayName  string   `json:"display_name,omitempty"`
		Protocol     string   `json:"l4_protocol"`
		Ports        []string `json:"destination_ports"`
	}

	group struct {
		intent
		Expression []expression `json:"expression"`
	}

	expression struct {
		ResourceType string   `json:"resource_type"`
		Paths        []string `json:"paths,omitempty"`
		Addresses    []string `json:"ip_addresses,omitempty"`
		Conjunction  string   `json:"conjunction_operator,omitempty"`
	}
)

// rule is one rule of a policy, before it has a path.
type rule struct {
	name                  string
	action, direction     string
	sources, destinations []string
	entries               []serviceEntry
}

func groupPath(parts ...string) string {
	return groupsPath + identify(append([]string{"group"}, parts...)...)
}

func policyPath(parts ...string) string {
	return policiesPath + identify(append([]string{"policy"}, parts...)...)
}

// ensureBaseline makes the policy that applies to a namespace when no
// NetworkPolicy does, and the group of the namespace's pods that it speaks of.
func (n *networks) ensureBaseline(net *network) error {
	if n.cfg.Baseline == BaselineNone || net.uid == n.m.cluster || net.virtual != "" {
		return nil
	}
	tags := net.tags()
	pods := groupPath("namespace", net.uid)
	paths := make([]string, 0, len(net.subnets))
	for _, s := range net.subnets {
		paths = append(paths, s.path)
	}
	err := n.m.ensure(pods, group{
		intent: n.m.describe("Group", "namespace-"+net.namespace, tags...),
		Expression: []expression{
			{ResourceType: "PathExpression", Paths: paths},
			{ResourceType: "ConjunctionOperator", Conjunction: "OR"},
			{ResourceType: "IPAddressExpression", Addresses: net.prefixes()},
		},
	})
	if err != nil {
		return err
	}
	path := policyPath("baseline", net.uid)
	err = n.m.ensure(path, securityPolicy{
		intent:   n.m.describe("SecurityPolicy", "baseline-"+net.namespace, tags...),
		Category: "Application",
		Sequence: baselineSequence,
		Scope:    []string{pods},
	})
	if err != nil {
		return err
	}
	return n.m.ensureRules(path, pods, baselineRules(n.cfg, pods), tags)
}

// baselineRules are the rules of the baseline policy for a group of pods, the
// first that fits decides.
func baselineRules(cfg Config, pods string) []rule {
	within := []string{pods}
	if cfg.Baseline == BaselineCluster {
		within = within[:0]
		for _, p := range cfg.PodCIDRs {
			within = append(within, p.Masked().String())
		}
	}
	rules := []rule{
		{name: "allow-in", action: "ALLOW", direction: "IN", sources: within, destinations: []string{pods}},
		{name: "allow-out", action: "ALLOW", direction: "OUT", sources: []string{pods}, destinations: within},
	}
	if cfg.Baseline == BaselineNamespaceStrict {
		rules = append(rules, rule{
			name: "drop-out", action: "DROP", direction: "OUT", sources: []string{pods}, destinations: anyone(),
		})
	}
	return append(rules, rule{
		name: "drop-in", action: "DROP", direction: "IN", sources: anyone(), destinations: []string{pods},
	})
}

func anyone() []string { return []string{"ANY"} }

// ensureRules makes a policy have exactly these rules, in this order, applied
// to the group.
func (m *manager) ensureRules(policy, scope string, rules []rule, tags []tag) error {
	wanted := map[string]bool{}
	for i, r := range rules {
		path := fmt.Sprintf("%s/rules/%s", policy, r.name)
		wanted[path] = true
		err := m.ensure(path, securityRule{
			intent:       m.describe("Rule", r.name, tags...),
			Action:       r.action,
			Direction:    r.direction,
			Sources:      r.sources,
			Destinations: r.destinations,
			Entries:      r.entries,
			Scope:        []string{scope},
			Sequence:     10 * (i + 1),
		})
		if err != nil {
			return err
		}
	}
	for _, path := range m.nsx.Paths(policy + "/rules/") {
		if !wanted[path] {
			if err := m.nsx.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}
