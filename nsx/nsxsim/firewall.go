// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"cmp"
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"slices"
)

const (
	policyPath = policyBase + "/infra/domains/{domain}/security-policies/{security-policy}"
	rulePath   = policyPath + "/rules/{rule}"
)

func firewallRoutes() []route {
	return []route{
		newRoute(http.MethodPost, policyPath, revise),
		newRoute(http.MethodPost, rulePath, revise),
		newRoute(http.MethodGet, policyPath+"/statistics", policyStatistics),
		newRoute(http.MethodGet, rulePath+"/statistics", ruleStatistics),
	}
}

// checkPolicy refuses categories that do not exist.
func checkPolicy(_ *txn, o *object) error {
	categories := []string{"Ethernet", "Emergency", "Infrastructure", "Environment", "Application"}
	if !slices.Contains(categories, o.text("category")) {
		return invalidField("category %s is not one of %v", o.text("category"), categories)
	}
	return nil
}

// checkRule refuses rules that no firewall can apply, and numbers new ones.
func checkRule(t *txn, o *object) error {
	policy := t.s.intent.objects[parentPath(o.path)]
	if o.text("action") == "JUMP_TO_APPLICATION" && policy.text("category") != "Environment" {
		return invalidField("action JUMP_TO_APPLICATION belongs in policies of the category Environment")
	}
	for _, name := range []string{"source_groups", "destination_groups"} {
		for _, element := range o.texts(name) {
			if element != "ANY" && element[:min(1, len(element))] != "/" && !isAddressElement(element) {
				return invalidField("%s %s is neither ANY nor a path nor an address", name, element)
			}
		}
	}
	if old := t.s.intent.objects[o.path]; old != nil {
		o.body["rule_id"] = old.body["rule_id"]
	} else {
		t.s.lastRule++
		o.body["rule_id"] = t.s.lastRule
	}
	return nil
}

// writeInline writes the rules that a security policy carries. Replacing the
// policy removes the rules that it does not carry.
func (t *txn) writeInline(policy string, sent map[string]any, mode writeMode) error {
	kept := set{}
	for i, rule := range asObjects(sent["rules"]) {
		id, ok := rule["id"].(string)
		if !ok {
			id = t.s.newUUID()
		}
		path := policy + "/rules/" + id
		if kept[path] {
			return invalidField("id %s is used by two rules", id)
		}
		kept.add(path)
		if rule["sequence_number"] == nil {
			rule = maps.Clone(rule)
			rule["sequence_number"] = json.Number(scalar((i + 1) * 10))
		}
		if err := t.write(path, rule, mode); err != nil {
			return err
		}
	}
	if mode == merge {
		return nil
	}
	for _, path := range slices.Clone(t.s.intent.list(policy + "/rules")) {
		if o := t.s.intent.objects[path]; !kept[path] && !o.systemOwned() {
			if err := t.remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// rules returns the rules of a policy as they are applied: by sequence number.
func (s *Server) rules(policy string) []*object {
	rules := s.intent.in(policy + "/rules")
	slices.SortStableFunc(rules, bySequence)
	return rules
}

func bySequence(a, b *object) int {
	return cmp.Compare(a.number("sequence_number"), b.number("sequence_number"))
}

// withRules is the policy as GET shows it.
func (s *Server) withRules(policy *object) json.RawMessage {
	body := maps.Clone(policy.body)
	rules := []json.RawMessage{}
	for _, rule := range s.rules(policy.path) {
		rules = append(rules, rule.raw)
	}
	body["rules"], body["rule_count"] = rules, len(rules)
	raw, _ := json.Marshal(body) // JSON values always encode
	return raw
}

// revise writes a policy or rule and moves it among its siblings.
func revise(c *call) (any, error) {
	if c.query.Get("action") != "revise" {
		return nil, c.unsimulated()
	}
	sent, err := c.object()
	if err != nil {
		return nil, err
	}
	c.path = c.url[len(policyBase):]
	t := c.txn()
	err = c.s.transact(t, func() error {
		if err := c.s.checkRevision(c.path, sent); err != nil {
			return err
		}
		if err := t.write(c.path, sent, replace); err != nil {
			return err
		}
		return t.move(c.path, orDefault(c.query.Get("operation"), "insert_top"), c.query.Get("anchor_path"))
	})
	if err != nil {
		return nil, err
	}
	return getIntent(c)
}

// move gives the object at path the sequence number of its new place, and
// pushes back those after it where there is no room.
func (t *txn) move(path, operation, anchor string) error {
	moved := t.s.intent.objects[path]
	siblings := t.siblings(moved)
	at := 0
	switch operation {
	case "insert_top":
	case "insert_bottom":
		at = len(siblings)
	case "insert_before", "insert_after":
		at = slices.IndexFunc(siblings, func(o *object) bool { return o.path == anchor })
		if at < 0 {
			return invalidPath(anchor)
		}
		if operation == "insert_after" {
			at++
		}
	default:
		return invalidField("operation %s is not one of insert_top, insert_bottom, insert_before, insert_after", operation)
	}
	before, next := int64(-1), int64(math.MaxInt32)
	if at > 0 {
		before = siblings[at-1].number("sequence_number")
	}
	if at < len(siblings) {
		next = siblings[at].number("sequence_number")
	}
	number := before + 10
	if number >= next && next-before > 1 {
		number = before + (next-before)/2
	}
	t.renumber(moved, max(number, before+1))
	for _, o := range siblings[at:] {
		if number = max(number+1, o.number("sequence_number")); number != o.number("sequence_number") {
			t.renumber(o, number)
		}
	}
	return nil
}

// siblings returns the objects among which o is ordered, without o and without
// the defaults, which stay last.
func (t *txn) siblings(o *object) []*object {
	collection, _ := splitPath(o.path)
	siblings := t.s.intent.in(collection)
	siblings = slices.DeleteFunc(siblings, func(other *object) bool {
		return other.path == o.path || other.systemOwned() || other.text("category") != o.text("category")
	})
	slices.SortStableFunc(siblings, bySequence)
	return siblings
}

func (t *txn) renumber(o *object, number int64) {
	body := maps.Clone(o.body)
	body["sequence_number"] = number
	if body["_revision"] = o.number("_revision") + 1; o.changed.Equal(t.now) && slices.Contains(t.touched, o.path) {
		body["_revision"] = o.number("_revision") // one write, one revision
	}
	t.put(&object{path: o.path, kind: o.kind, body: body, refs: o.refs, changed: t.now})
}

// The statistics are those of a firewall that sees no packets.

func (s *Server) ruleCounters(rule *object) map[string]any {
	counters := map[string]any{
		"rule": rule.path, "internal_rule_id": scalar(rule.number("rule_id")),
	}
	for _, name := range []string{
		"byte_count", "hit_count", "packet_count", "session_count", "total_session_count",
		"popularity_index", "max_popularity_index", "max_session_count",
	} {
		counters[name] = 0
	}
	return counters
}

func policyStatistics(c *call) (any, error) {
	policy, err := c.owner()
	if err != nil {
		return nil, err
	}
	results := []any{}
	for _, rule := range c.s.rules(policy.path) {
		results = append(results, c.s.ruleCounters(rule))
	}
	return perEnforcementPoint(map[string]any{
		"internal_section_id": policy.text("realization_id"), "results": results, "result_count": len(results),
	}), nil
}

func ruleStatistics(c *call) (any, error) {
	rule, err := c.owner()
	if err != nil {
		return nil, err
	}
	return perEnforcementPoint(c.s.ruleCounters(rule)), nil
}

func perEnforcementPoint(statistics any) map[string]any {
	return map[string]any{"result_count": 1, "results": []any{
		map[string]any{"enforcement_point": enforcementPoint, "statistics": statistics},
	}}
}
