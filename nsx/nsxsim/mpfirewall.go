// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
)

const sections = "/firewall/sections"

// sectionKind and ruleKind describe the objects of the Manager API's firewall.
// Unlike others these are ordered, and a section carries its rules.
func sectionKind() *mpKind {
	return &mpKind{collection: sections, types: []string{"FirewallSection"}, required: []string{"section_type", "stateful"}}
}

func ruleKind(section string) *mpKind {
	return &mpKind{
		collection: section + "/rules", types: []string{"FirewallRule"}, required: []string{"action"},
		defaults: `{"direction":"IN_OUT","ip_protocol":"IPV4_IPV6","disabled":false,"logged":false}`,
	}
}

func mpFirewallRoutes() []route {
	section, rules := managerBase+sections+"/{id}", managerBase+sections+"/{id}/rules"
	return []route{
		newRoute(http.MethodGet, managerBase+sections, func(c *call) (any, error) {
			return c.page(c.s.ordered(sections), managerCursor{})
		}),
		newRoute(http.MethodPost, managerBase+sections, createSection),
		newRoute(http.MethodGet, section, sectionKind().get),
		newRoute(http.MethodPost, section, actOnSection),
		newRoute(http.MethodPut, section, func(c *call) (any, error) { return c.changeSection(false) }),
		newRoute(http.MethodDelete, section, deleteSection),
		newRoute(http.MethodGet, rules, func(c *call) (any, error) {
			section, err := c.managerObject(sections)
			if err != nil {
				return nil, err
			}
			return c.page(c.s.ordered(section.path+"/rules"), managerCursor{})
		}),
		newRoute(http.MethodPost, rules, createRules),
		newRoute(http.MethodGet, rules+"/{rule}", func(c *call) (any, error) {
			rule, err := c.rule()
			if err != nil {
				return nil, err
			}
			return json.RawMessage(rule.raw), nil
		}),
		newRoute(http.MethodPut, rules+"/{rule}", updateRule),
		newRoute(http.MethodPost, rules+"/{rule}", reviseRule),
		newRoute(http.MethodDelete, rules+"/{rule}", deleteRule),
	}
}

// ordered returns the objects of an ordered collection.
func (s *Server) ordered(collection string) []*object {
	objects := []*object{}
	for _, path := range s.order[collection] {
		objects = append(objects, s.manager.objects[path])
	}
	return objects
}

// place puts the object where the query's operation and id say, by default at
// the top.
func (c *call) place(o *object) error {
	collection, _ := splitPath(o.path)
	others := slices.DeleteFunc(slices.Clone(c.s.order[collection]), func(path string) bool { return path == o.path })
	at := 0
	switch operation := orDefault(c.query.Get("operation"), "insert_top"); operation {
	case "insert_top":
	case "insert_bottom":
		at = len(others)
	case "insert_before", "insert_after":
		if at = slices.Index(others, collection+"/"+c.query.Get("id")); at < 0 {
			return missingManager(collection, c.query.Get("id"))
		}
		if operation == "insert_after" {
			at++
		}
	default:
		return invalidField("operation %s is not known", operation)
	}
	c.s.order[collection] = slices.Insert(others, at, o.path)
	return nil
}

func (c *call) rule() (*object, error) {
	collection := sections + "/" + c.vars["id"] + "/rules"
	rule := c.s.manager.objects[collection+"/"+c.vars["rule"]]
	if rule == nil {
		return nil, missingManager(collection, c.vars["rule"])
	}
	return rule, nil
}

func createSection(c *call) (any, error) {
	action := c.query.Get("action")
	if action != "" && action != "create_with_rules" {
		return nil, c.unsimulated()
	}
	sent, err := c.object()
	if err != nil {
		return nil, err
	}
	path := sections + "/" + c.s.newUUID()
	section, err := c.writeSection(path, sent, action != "")
	if err != nil {
		return nil, err
	}
	if err := c.place(section); err != nil {
		return nil, err
	}
	if action == "" {
		return created(section), nil
	}
	return &reply{status: http.StatusCreated, body: c.s.withManagerRules(section)}, nil
}

// writeSection stores a section and, when it carries them, its rules in place
// of those before.
func (c *call) writeSection(path string, sent map[string]any, withRules bool) (*object, error) {
	typ := "mp.FirewallSection"
	if withRules {
		typ = "mp.FirewallSectionRuleList"
	}
	if err := c.s.schema.check(typ, sent); err != nil {
		return nil, err
	}
	rules := asObjects(sent["rules"])
	body := maps.Clone(sent)
	delete(body, "rules")
	if body["resource_type"] == "FirewallSectionRuleList" {
		body["resource_type"] = "FirewallSection"
	}
	section, err := c.managerWrite(sectionKind(), path, body)
	if err != nil || !withRules {
		return section, err
	}
	before := c.s.order[path+"/rules"]
	c.s.order[path+"/rules"] = nil
	for _, rule := range rules {
		if _, err := c.addRule(path, rule); err != nil {
			return nil, err
		}
	}
	for _, old := range before {
		if !slices.Contains(c.s.order[path+"/rules"], old) {
			c.managerRemove(old)
		}
	}
	return section, nil
}

// addRule stores a rule at the end of its section. A rule that names its id
// keeps it.
func (c *call) addRule(section string, sent map[string]any) (*object, error) {
	id, _ := sent["id"].(string)
	if id == "" {
		c.s.lastRule++
		id = strconv.FormatInt(c.s.lastRule, 10)
	}
	rule, err := c.managerWrite(ruleKind(section), section+"/rules/"+id, sent)
	if err != nil {
		return nil, err
	}
	c.s.order[section+"/rules"] = append(c.s.order[section+"/rules"], rule.path)
	return rule, nil
}

func (s *Server) withManagerRules(section *object) json.RawMessage {
	body := maps.Clone(section.body)
	rules := []json.RawMessage{}
	for _, rule := range s.ordered(section.path + "/rules") {
		rules = append(rules, rule.raw)
	}
	body["rules"], body["rule_count"] = rules, len(rules)
	raw, _ := json.Marshal(body) // JSON values always encode
	return raw
}

func actOnSection(c *call) (any, error) {
	section, err := c.managerObject(sections)
	if err != nil {
		return nil, err
	}
	switch c.query.Get("action") {
	case "list_with_rules":
		return c.s.withManagerRules(section), nil
	case "update_with_rules":
		return c.changeSection(true)
	case "revise", "revise_with_rules":
		changed, err := c.changeSection(c.query.Get("action") == "revise_with_rules")
		if err != nil {
			return nil, err
		}
		return changed, c.place(section)
	default:
		return nil, c.unsimulated()
	}
}

func (c *call) changeSection(withRules bool) (any, error) {
	old, err := c.managerObject(sections)
	if err != nil {
		return nil, err
	}
	sent, err := c.object()
	if err != nil {
		return nil, err
	}
	if err := fresh(old, sent); err != nil {
		return nil, err
	}
	section, err := c.writeSection(old.path, sent, withRules)
	if err != nil {
		return nil, err
	}
	if withRules {
		return c.s.withManagerRules(section), nil
	}
	return json.RawMessage(section.raw), nil
}

// deleteSection refuses to delete a section with rules unless cascade is set.
func deleteSection(c *call) (any, error) {
	section, err := c.managerObject(sections)
	if err != nil {
		return nil, err
	}
	if rules := c.s.order[section.path+"/rules"]; len(rules) > 0 && !c.flag("cascade") {
		return nil, badRequest(codeInUseManager, "firewall", "The section %s has %d rules and can not be deleted without cascade.",
			section.id(), len(rules))
	}
	if err := c.managerDelete(section, false); err != nil {
		return nil, err
	}
	c.dropSection(section)
	return nil, nil //nolint:nilnil // an empty body
}

func (c *call) dropSection(section *object) {
	for _, rule := range c.s.order[section.path+"/rules"] {
		c.managerRemove(rule)
	}
	delete(c.s.order, section.path+"/rules")
	c.unlist(section.path)
}

// unlist takes the path out of its ordered collection.
func (c *call) unlist(path string) {
	collection, _ := splitPath(path)
	c.s.order[collection] = slices.DeleteFunc(slices.Clone(c.s.order[collection]), func(other string) bool { return other == path })
}

func createRules(c *call) (any, error) {
	section, err := c.managerObject(sections)
	if err != nil {
		return nil, err
	}
	sent, err := c.object()
	if err != nil {
		return nil, err
	}
	if c.query.Get("action") != "create_multiple" {
		rule, err := c.addRule(section.path, sent)
		if err != nil {
			return nil, err
		}
		return created(rule), c.place(rule)
	}
	if err := c.s.schema.check("mp.FirewallRuleList", sent); err != nil {
		return nil, err
	}
	rules := []json.RawMessage{}
	for _, one := range asObjects(sent["rules"]) {
		rule, err := c.addRule(section.path, one)
		if err != nil {
			return nil, err
		}
		rules = append(rules, rule.raw)
	}
	body, err := json.Marshal(map[string]any{"rules": rules})
	return &reply{status: http.StatusCreated, body: body}, err
}

func updateRule(c *call) (any, error) {
	rule, err := c.rule()
	if err != nil {
		return nil, err
	}
	sent, err := c.object()
	if err != nil {
		return nil, err
	}
	if err := fresh(rule, sent); err != nil {
		return nil, err
	}
	section, _ := splitPath(rule.path)
	section, _ = splitPath(section)
	changed, err := c.managerWrite(ruleKind(section), rule.path, sent)
	if err != nil {
		return nil, err
	}
	return json.RawMessage(changed.raw), nil
}

func reviseRule(c *call) (any, error) {
	if c.query.Get("action") != "revise" {
		return nil, c.unsimulated()
	}
	rule, err := c.rule()
	if err != nil {
		return nil, err
	}
	changed, err := updateRule(c)
	if err != nil {
		return nil, err
	}
	return changed, c.place(rule)
}

func deleteRule(c *call) (any, error) {
	rule, err := c.rule()
	if err != nil {
		return nil, err
	}
	if err := c.managerDelete(rule, false); err != nil {
		return nil, err
	}
	c.unlist(rule.path)
	return nil, nil //nolint:nilnil // an empty body
}
