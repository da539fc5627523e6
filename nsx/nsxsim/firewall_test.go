// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

const policies = policy + "/infra/domains/default/security-policies"

func TestInlineRules(t *testing.T) {
	t.Parallel()
	c := newCaller(t, nsxsim.NewServer())
	path := policies + "/isolate"
	created := c.must(http.MethodPut, path, object{"rules": []any{
		object{"id": "last", "action": "DROP", "sequence_number": 20}, object{"id": "first", "sequence_number": 10},
	}})
	if got := ruleIDs(created); !slices.Equal(got, []string{"first", "last"}) {
		t.Errorf("rules in order: %v", got)
	}
	c.must(http.MethodPatch, path, object{"rules": []any{object{"id": "more", "sequence_number": 15}}})
	if got := ruleIDs(c.must(http.MethodGet, path, nil)); !slices.Equal(got, []string{"first", "more", "last"}) {
		t.Errorf("PATCH keeps the other rules: %v", got)
	}
	for _, listed := range results(c.must(http.MethodGet, policies, nil)) {
		if listed["rules"] != nil {
			t.Errorf("a list shows rules: %v", listed)
		}
	}
	read := c.must(http.MethodGet, path, nil)
	read["rules"] = []any{object{"id": "only"}}
	if got := ruleIDs(c.must(http.MethodPut, path, read)); !slices.Equal(got, []string{"only"}) {
		t.Errorf("PUT replaces the rules: %v", got)
	}
	rule := c.must(http.MethodGet, path+"/rules/only", nil)
	if rule["rule_id"] == nil || rule["direction"] != "IN_OUT" || rule["sequence_number"] != 10.0 {
		t.Errorf("defaults: %v", rule)
	}
	stats := firstResult(c.must(http.MethodGet, path+"/statistics", nil))["statistics"].(object)
	if got := firstResult(stats)["rule"]; got != "/infra/domains/default/security-policies/isolate/rules/only" {
		t.Errorf("statistics of %v", got)
	}
	if got := firstResult(c.must(http.MethodGet, path+"/rules/only/statistics", nil))["statistics"].(object)["hit_count"]; got != 0.0 {
		t.Errorf("hits: %v", got)
	}
	c.must(http.MethodDelete, path, nil)
	if status, _ := c.do(http.MethodGet, path+"/rules/only", nil); status != http.StatusNotFound {
		t.Errorf("a rule outlived its policy: %d", status)
	}
}

func ruleIDs(policy object) []string {
	var ids []string
	rules, _ := policy["rules"].([]any)
	for _, rule := range rules {
		ids = append(ids, rule.(object)["id"].(string))
	}
	return ids
}

func TestRevise(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason string
		query  string
		want   []string
	}{
		"top":    {"before all", "operation=insert_top", []string{"c", "a", "b"}},
		"bottom": {"after all but the default", "operation=insert_bottom", []string{"a", "b", "c"}},
		"after":  {"between two without room", "operation=insert_after&anchor_path=/infra/domains/default/security-policies/a", []string{"a", "c", "b"}},
		"before": {"before the anchor", "operation=insert_before&anchor_path=/infra/domains/default/security-policies/a", []string{"c", "a", "b"}},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCaller(t, nsxsim.NewServer())
			for i, id := range []string{"a", "b", "c"} {
				c.must(http.MethodPut, policies+"/"+id, object{"sequence_number": i})
			}
			c.must(http.MethodPut, policies+"/elsewhere", object{"category": "Emergency", "sequence_number": 0})
			moved := c.must(http.MethodGet, policies+"/c", nil)
			answer := c.must(http.MethodPost, policies+"/c?action=revise&"+test.query, moved)
			if answer["_revision"] != 1.0 {
				t.Errorf("one write, one revision: %v", answer["_revision"])
			}
			if diff := cmp.Diff(test.want, order(c)); diff != "" {
				t.Errorf("%s: %s", test.reason, diff)
			}
		})
	}
	c := newCaller(t, nsxsim.NewServer())
	one := c.must(http.MethodPut, policies+"/one", object{"rules": []any{object{"id": "r1"}, object{"id": "r2"}}})
	rule := one["rules"].([]any)[1]
	c.must(http.MethodPost, policies+"/one/rules/r2?action=revise&operation=insert_top", rule)
	if got := ruleIDs(c.must(http.MethodGet, policies+"/one", nil)); !slices.Equal(got, []string{"r2", "r1"}) {
		t.Errorf("rules: %v", got)
	}
	if status, _ := c.do(http.MethodPost, policies+"/one/rules/r2?action=revise", rule); status != http.StatusPreconditionFailed {
		t.Errorf("a stale revision: %d", status)
	}
	if status, _ := c.do(http.MethodPost, policies+"/one?action=paint", object{}); status != http.StatusNotImplemented {
		t.Errorf("no such action: %d", status)
	}
}

// order returns the policies of the category Application by sequence number.
func order(c *caller) []string {
	found := results(c.must(http.MethodGet, policies+"?sort_by=sequence_number", nil))
	var ids []string
	for _, one := range found {
		if one["category"] == "Application" && one["is_default"] != true {
			ids = append(ids, one["id"].(string))
		}
	}
	return ids
}

func TestRulesRefused(t *testing.T) {
	t.Parallel()
	c := newCaller(t, nsxsim.NewServer())
	c.must(http.MethodPut, policies+"/p", object{})
	for name, rule := range map[string]object{
		"jump outside Environment": {"action": "JUMP_TO_APPLICATION"},
		"a name as a group":        {"source_groups": []string{"web"}},
		"a group that is not":      {"source_groups": []string{"/infra/domains/default/groups/none"}},
		"no such action":           {"action": "SHRUG"},
	} {
		if status, body := c.do(http.MethodPatch, policies+"/p/rules/r", rule); status != http.StatusBadRequest {
			t.Errorf("%s: %d %v", name, status, body)
		}
	}
	c.must(http.MethodPut, policies+"/env", object{"category": "Environment", "rules": []any{object{"id": "r", "action": "JUMP_TO_APPLICATION"}}})
}
