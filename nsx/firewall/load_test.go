// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package firewall_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

// manager is a source over fixed JSON, keyed by path or by the resource type of
// a search. It records what it is asked.
type manager struct {
	objects map[string]string
	fail    string

	mu    sync.Mutex
	asked []string
}

func (m *manager) ask(what string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, what)
	if what == m.fail {
		return viaduct.ErrUnavailable
	}
	return nil
}

func (m *manager) Get(_ context.Context, path string, into any) error {
	if err := m.ask(path); err != nil {
		return err
	}
	body, ok := m.objects[path]
	if !ok {
		return viaduct.ErrNotFound
	}
	return json.Unmarshal([]byte(body), into)
}

func (m *manager) List(_ context.Context, path string) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		if err := m.ask(path); err != nil {
			yield(nil, err)
			return
		}
		var all []json.RawMessage
		if body, ok := m.objects[path]; ok {
			if err := json.Unmarshal([]byte(body), &all); err != nil {
				yield(nil, err)
				return
			}
		}
		for _, raw := range all {
			if !yield(raw, nil) {
				return
			}
		}
	}
}

func (m *manager) Search(ctx context.Context, query string) iter.Seq2[json.RawMessage, error] {
	kind, _, _ := strings.Cut(query, " ")
	return m.List(ctx, strings.TrimPrefix(kind, "resource_type:"))
}

const (
	shopPath    = "/infra/domains/default/security-policies/shop"
	defaultPath = "/infra/domains/default/security-policies/default-layer3-section"
)

func estateOfOne() *manager {
	return &manager{objects: map[string]string{
		"SecurityPolicy": `[
			{"resource_type":"SecurityPolicy","path":"` + shopPath + `","category":"Application","sequence_number":10,
			 "scope":["/infra/domains/default/groups/ports"],"connectivity_preference":"ALLOWLIST","default_rule_id":1200},
			{"resource_type":"SecurityPolicy","path":"` + defaultPath + `","category":"Application","is_default":true,"sequence_number":2147483647,"scope":["ANY"]},
			{"resource_type":"SecurityPolicy","path":"/infra/domains/default/security-policies/l2","category":"Ethernet"},
			{"resource_type":"SecurityPolicy","path":"/infra/domains/default/security-policies/gone","category":"Application","marked_for_delete":true},
			{"resource_type":"GatewayPolicy","path":"/infra/domains/default/gateway-policies/edge","category":"LocalGatewayRules"}]`,
		"Rule": `[
			{"resource_type":"Rule","path":"` + shopPath + `/rules/db","parent_path":"` + shopPath + `","rule_id":1100,"sequence_number":10,"action":"ALLOW",
			 "direction":"IN","source_groups":["/infra/domains/default/groups/nested"],"destination_groups":["/infra/domains/default/groups/criteria"],
			 "services":["/infra/services/postgres"],"scope":["ANY"],"profiles":["ANY"]},
			{"resource_type":"Rule","path":"` + shopPath + `/rules/tls","parent_path":"` + shopPath + `","rule_id":1101,"sequence_number":20,"action":"ALLOW",
			 "source_groups":["10.9.0.0/16"],"services":["ANY"],"profiles":["/infra/context-profiles/SSL"]},
			{"resource_type":"Rule","path":"` + defaultPath + `/rules/default-layer3-rule","parent_path":"` + defaultPath + `","rule_id":2,"sequence_number":2147483647,
			 "action":"ALLOW","direction":"IN_OUT","ip_protocol":"IPV4_IPV6","source_groups":["ANY"],"destination_groups":["ANY"],"services":["ANY"],"scope":["ANY"],"profiles":["ANY"],"is_default":true},
			{"resource_type":"Rule","path":"/infra/domains/default/gateway-policies/edge/rules/x","parent_path":"/infra/domains/default/gateway-policies/edge","action":"DROP"}]`,
		"Service": `[{"resource_type":"Service","path":"/infra/services/postgres","display_name":"postgres",
			"service_entries":[{"resource_type":"L4PortSetServiceEntry","l4_protocol":"TCP","destination_ports":["5432"]}]}]`,
		"Group": `[
			{"resource_type":"Group","path":"/infra/domains/default/groups/plain","expression":[{"resource_type":"IPAddressExpression","ip_addresses":["10.0.0.1","10.0.1.0/30"]}]},
			{"resource_type":"Group","path":"/infra/domains/default/groups/nested","expression":[
				{"resource_type":"PathExpression","paths":["/infra/domains/default/groups/plain","/infra/domains/default/groups/nested"]},
				{"resource_type":"ConjunctionOperator","conjunction_operator":"OR"},
				{"resource_type":"IPAddressExpression","ip_addresses":["10.0.2.1-10.0.2.9"]}]},
			{"resource_type":"Group","path":"/infra/domains/default/groups/criteria","expression":[
				{"resource_type":"Condition","member_type":"SegmentPort","key":"Tag","operator":"EQUALS","value":"ncp/project|acme-data"},
				{"resource_type":"ConjunctionOperator","conjunction_operator":"AND"},
				{"resource_type":"Condition","member_type":"Segment","key":"Tag","operator":"EQUALS","value":"ncp/cluster|domain-c8"}]},
			{"resource_type":"Group","path":"/infra/domains/default/groups/ports","expression":[{"resource_type":"PathExpression","paths":["/infra/segments/acme-data"]}]},
			{"resource_type":"Group","path":"/infra/domains/default/groups/people","expression":[{"resource_type":"IdentityGroupExpression"}],"extended_expression":[{"resource_type":"IdentityGroupExpression"}]},
			{"resource_type":"Group","path":"/infra/domains/default/groups/unused","expression":[{"resource_type":"Condition","member_type":"VirtualMachine"}]}]`,
		"/infra/domains/default/groups/criteria/members/ip-addresses":   `["10.244.0.35","10.244.0.36"]`,
		"/infra/domains/default/groups/people/members/segment-ports":    `[{"path":"/infra/segments/people/ports/1"}]`,
		"/infra/domains/default/groups/people/members/virtual-machines": `[{"external_id":"5013e8c4"}]`,
		"/infra/settings/firewall/security/exclude-list":                `{"members":["/infra/domains/default/groups/people"]}`,
	}}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	source := estateOfOne()
	got, err := firewall.Load(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	want := firewall.Snapshot{
		Policies: []firewall.Policy{
			{
				Path: shopPath, Category: firewall.Application, Sequence: 10, Scope: []string{groups + "ports"}, Fallback: firewall.Drop,
				Rules: []firewall.Rule{
					{
						Path: shopPath + "/rules/db", Sequence: 10, Action: firewall.Allow, Direction: firewall.In,
						Sources: []string{groups + "nested"}, Destinations: []string{groups + "criteria"},
						Services: []string{"/infra/services/postgres"}, Scope: []string{"ANY"},
					},
					{
						Path: shopPath + "/rules/tls", Sequence: 20, Action: firewall.Allow, Sources: []string{"10.9.0.0/16"},
						Services: []string{"ANY"}, Conditions: []string{"/infra/context-profiles/SSL"},
					},
				},
			},
			{
				Path: defaultPath, Category: firewall.Application, IsDefault: true, Sequence: 2147483647, Scope: []string{"ANY"},
				Rules: []firewall.Rule{{
					Path: defaultPath + "/rules/default-layer3-rule", Sequence: 2147483647, Action: firewall.Allow,
					Direction: firewall.InOut, IPVersion: firewall.IPv4IPv6, Sources: []string{"ANY"}, Destinations: []string{"ANY"},
					Services: []string{"ANY"}, Scope: []string{"ANY"},
				}},
			},
		},
		Groups: []firewall.Group{
			{Path: groups + "criteria", Addresses: ranges("10.244.0.35", "10.244.0.36")},
			{Path: groups + "nested", Addresses: ranges("10.0.2.1-10.0.2.9", "10.0.0.1", "10.0.1.0/30")},
			{Path: groups + "people", Members: []string{"/infra/segments/people/ports/1", "5013e8c4"}},
			{Path: groups + "plain", Addresses: ranges("10.0.0.1", "10.0.1.0/30")},
			{Path: groups + "ports", Members: []string{"/infra/segments/acme-data"}},
		},
		Services: []firewall.Service{{
			Path: "/infra/services/postgres", Name: "postgres", Entries: []firewall.Entry{firewall.TCPEntry(firewall.Port(5432))},
		}},
		Excluded: []string{groups + "people"},
		Gaps: []string{
			"group " + groups + "people: members are narrowed to users of a directory",
			"group " + groups + "people: members by IdentityGroupExpression are those that the manager lists, if any",
			"policy " + shopPath + ": the rule of its connectivity preference is not among its rules; it is taken to come after them",
		},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b firewall.Range) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantAsked := []string{
		"/infra/domains/default/groups/criteria/members/ip-addresses",
		"/infra/domains/default/groups/people/members/segment-ports",
		"/infra/domains/default/groups/people/members/segments",
		"/infra/domains/default/groups/people/members/virtual-machines",
		"/infra/settings/firewall/security/exclude-list",
		"Group", "Rule", "SecurityPolicy", "Service",
	}
	slices.Sort(source.asked)
	if diff := cmp.Diff(wantAsked, source.asked); diff != "" {
		t.Errorf("asked for more or less than needed (-want +got):\n%s", diff)
	}
	if _, err := firewall.Compile(got); err != nil {
		t.Errorf("the snapshot does not compile: %v", err)
	}
}

func TestLoadConnectivity(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		reason string
		policy string
		rules  string
		want   firewall.Action
		gaps   int
	}{
		"its rule listed": {
			reason: "a default rule that the manager lists is a rule like any other",
			policy: `"connectivity_strategy":"WHITELIST_ENABLE_LOGGING","default_rule_id":7`,
			rules:  `{"resource_type":"Rule","path":"/p/rules/d","parent_path":"/p","rule_id":7,"action":"DROP"}`,
		},
		"blacklist": {reason: "the old name of DENYLIST", policy: `"connectivity_strategy":"BLACKLIST"`, want: firewall.Allow, gaps: 1},
		"none":      {reason: "NONE makes no rule", policy: `"connectivity_preference":"NONE"`},
		"unknown":   {reason: "a preference nobody knows is told, not guessed", policy: `"connectivity_preference":"SOMETIMES"`, gaps: 1},
		"application": {
			reason: "application connectivity strategies are told, not evaluated",
			policy: `"application_connectivity_strategy":[{"application_connectivity_strategy":"ALLOW_INTRA"}]`, gaps: 1,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := firewall.Load(t.Context(), &manager{objects: map[string]string{
				"SecurityPolicy": `[{"resource_type":"SecurityPolicy","path":"/p","category":"Application",` + tc.policy + `}]`,
				"Rule":           `[` + tc.rules + `]`,
			}})
			if err != nil {
				t.Fatal(err)
			}
			if got.Policies[0].Fallback != tc.want || len(got.Gaps) != tc.gaps {
				t.Errorf("%s: fallback %q, gaps %q; want %q and %d", tc.reason, got.Policies[0].Fallback, got.Gaps, tc.want, tc.gaps)
			}
		})
	}
}

func TestLoadErrors(t *testing.T) {
	t.Parallel()
	for _, fail := range []string{
		"SecurityPolicy", "Rule", "Service", "Group", "/infra/settings/firewall/security/exclude-list",
		"/infra/domains/default/groups/criteria/members/ip-addresses", "/infra/domains/default/groups/people/members/segment-ports",
	} {
		t.Run(fail, func(t *testing.T) {
			t.Parallel()
			source := estateOfOne()
			source.fail = fail
			if got, err := firewall.Load(t.Context(), source); !errors.Is(err, viaduct.ErrUnavailable) || got.Policies != nil {
				t.Errorf("Load = %v, %v; want nothing and the source's error", got, err)
			}
		})
	}
	for name, objects := range map[string]map[string]string{
		"rule":    {"Rule": `[{"resource_type":"Rule","sequence_number":"ten"}]`},
		"service": {"Service": `[{"resource_type":"Service","service_entries":[{"destination_ports":["http"]}]}]`},
		"address": {
			"SecurityPolicy":                   `[{"resource_type":"SecurityPolicy","path":"/p"}]`,
			"Rule":                             `[{"resource_type":"Rule","parent_path":"/p","source_groups":["/g/groups/a"]}]`,
			"Group":                            `[{"resource_type":"Group","path":"/g/groups/a","expression":[{"resource_type":"Condition"}]}]`,
			"/g/groups/a/members/ip-addresses": `["nowhere"]`,
		},
	} {
		t.Run("malformed "+name, func(t *testing.T) {
			t.Parallel()
			if _, err := firewall.Load(t.Context(), &manager{objects: objects}); !errors.Is(err, viaduct.ErrInvalid) {
				t.Errorf("error %v, want one that matches ErrInvalid", err)
			}
		})
	}
}

func TestLoadCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	source := cancelled{estateOfOne()}
	if _, err := firewall.Load(ctx, source); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
}

// cancelled is a source that minds its context, as clients do.
type cancelled struct{ *manager }

func (c cancelled) Search(ctx context.Context, _ string) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) { yield(nil, context.Cause(ctx)) }
}
