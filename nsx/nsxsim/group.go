// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"maps"
	"net/netip"
	"path"
	"slices"
	"strings"
)

// set is a set of names.
type set map[string]bool

func (s set) add(names ...string) {
	for _, name := range names {
		s[name] = true
	}
}

func (s set) sorted() []string { return slices.Sorted(maps.Keys(s)) }

// groupMembers is what a group effectively contains.
type groupMembers struct {
	addresses set // addresses, ranges and networks, as text
	macs      set
	segments  set // paths
	ports     set // paths
	machines  set // ids of virtual machines
	vifs      set // ids of their interfaces
}

func newGroupMembers() *groupMembers {
	return &groupMembers{addresses: set{}, macs: set{}, segments: set{}, ports: set{}, machines: set{}, vifs: set{}}
}

func (g *groupMembers) sets() []set {
	return []set{g.addresses, g.macs, g.segments, g.ports, g.machines, g.vifs}
}

// union adds the members of other.
func (g *groupMembers) union(other *groupMembers) {
	theirs := other.sets()
	for i, mine := range g.sets() {
		maps.Copy(mine, theirs[i])
	}
}

// intersect keeps the members that are in other too.
func (g *groupMembers) intersect(other *groupMembers) {
	theirs := other.sets()
	for i, mine := range g.sets() {
		maps.DeleteFunc(mine, func(name string, _ bool) bool { return !theirs[i][name] })
	}
}

// groupMembers evaluates the group at path; nobody is in a group that does not
// exist. Groups in seen are being evaluated already.
func (s *Server) groupMembers(path string, seen set) *groupMembers {
	found := newGroupMembers()
	group := s.intent.objects[path]
	if group == nil || seen[path] {
		return found
	}
	seen.add(path)
	found.union(s.evaluate(asObjects(group.body["expression"]), seen))
	delete(seen, path)
	return found
}

// groupAddresses returns the effective addresses of the group, sorted.
func (s *Server) groupAddresses(path string) []string {
	return s.groupMembers(path, set{}).addresses.sorted()
}

// evaluate evaluates a list of expressions and the conjunctions between them.
// AND binds more tightly than OR.
func (s *Server) evaluate(expressions []map[string]any, seen set) *groupMembers {
	all := newGroupMembers()
	var term *groupMembers
	and := false
	for _, expression := range expressions {
		if expression["resource_type"] == "ConjunctionOperator" {
			and = expression["conjunction_operator"] == "AND"
			continue
		}
		found := s.evaluateOne(expression, seen)
		if term != nil && and {
			term.intersect(found)
			continue
		}
		if term != nil {
			all.union(term)
		}
		term = found
	}
	if term != nil {
		all.union(term)
	}
	return all
}

func (s *Server) evaluateOne(expression map[string]any, seen set) *groupMembers {
	found := newGroupMembers()
	switch expression["resource_type"] {
	case "IPAddressExpression":
		found.addresses.add(asTexts(expression["ip_addresses"])...)
	case "MACAddressExpression":
		found.macs.add(asTexts(expression["mac_addresses"])...)
	case "ExternalIDExpression":
		s.addExternal(found, expression)
	case "PathExpression":
		for _, path := range asTexts(expression["paths"]) {
			s.addPath(found, path, seen)
		}
	case "NestedExpression":
		return s.evaluate(asObjects(expression["expressions"]), seen)
	case "Condition":
		s.addMatching(found, newCondition(expression), seen)
	}
	return found
}

func (s *Server) addExternal(found *groupMembers, expression map[string]any) {
	wanted := asTexts(expression["external_ids"])
	for _, vm := range s.machines {
		if expression["member_type"] == "VirtualMachine" {
			if slices.Contains(wanted, vm.ID) {
				s.addMachine(found, vm)
			}
			continue
		}
		for _, vif := range vm.Interfaces {
			if slices.Contains(wanted, vif.externalID(vm)) {
				s.addInterface(found, vm, vif)
			}
		}
	}
}

// addPath adds the object at path: a group, segment or segment port.
func (s *Server) addPath(found *groupMembers, path string, seen set) {
	o := s.intent.objects[path]
	if o == nil {
		return
	}
	switch o.text("resource_type") {
	case "Group":
		found.union(s.groupMembers(path, seen))
	case "Segment":
		found.segments.add(path)
		for _, port := range s.intent.in(path + "/ports") {
			s.addPort(found, port)
		}
	case "SegmentPort":
		s.addPort(found, o)
	}
}

func (s *Server) addPort(found *groupMembers, port *object) {
	found.ports.add(port.path)
	for _, binding := range asObjects(port.body["address_bindings"]) {
		if ip, ok := binding["ip_address"].(string); ok {
			found.addresses.add(ip)
		}
	}
	attachment, _ := port.body["attachment"].(map[string]any)
	id, _ := attachment["id"].(string)
	for _, vm := range s.machines {
		for _, vif := range vm.Interfaces {
			if id != "" && vif.ID == id {
				found.machines.add(vm.ID)
				found.vifs.add(vif.externalID(vm))
				found.addresses.add(vif.IPs...)
			}
		}
	}
}

func (s *Server) addMachine(found *groupMembers, vm VirtualMachine) {
	found.machines.add(vm.ID)
	for _, vif := range vm.Interfaces {
		s.addInterface(found, vm, vif)
	}
}

func (s *Server) addInterface(found *groupMembers, vm VirtualMachine, vif Interface) {
	found.vifs.add(vif.externalID(vm))
	found.addresses.add(vif.IPs...)
	for _, o := range s.intent.objects {
		attachment, ok := o.body["attachment"].(map[string]any)
		if ok && vif.ID != "" && attachment["id"] == vif.ID {
			s.addPort(found, o)
		}
	}
}

// condition is a Condition expression.
type condition struct {
	member, key, operator, value string
	anyScope                     bool // scope_operator NOTEQUALS
}

func newCondition(expression map[string]any) condition {
	text := func(name string) string {
		value, _ := expression[name].(string)
		return value
	}
	return condition{
		member: text("member_type"), key: text("key"), operator: orDefault(text("operator"), "EQUALS"),
		value: text("value"), anyScope: text("scope_operator") == "NOTEQUALS",
	}
}

func (s *Server) addMatching(found *groupMembers, c condition, seen set) {
	if c.member == "VirtualMachine" {
		for _, vm := range s.machines {
			if c.matches(vm.Tags, map[string]string{"Name": vm.Name, "OSName": vm.OSName, "ComputerName": vm.ComputerName}) {
				s.addMachine(found, vm)
			}
		}
		return
	}
	for path, o := range s.intent.objects {
		if o.text("resource_type") == c.member && c.matches(objectTags(o), map[string]string{"Name": o.text("display_name")}) {
			s.addPath(found, path, seen)
		}
	}
}

func objectTags(o *object) []Tag {
	var tags []Tag
	for _, sent := range asObjects(o.body["tags"]) {
		scope, _ := sent["scope"].(string)
		tag, _ := sent["tag"].(string)
		tags = append(tags, Tag{Scope: scope, Tag: tag})
	}
	return tags
}

// matches tells whether something with the tags and names fits.
func (c condition) matches(tags []Tag, names map[string]string) bool {
	if c.key != "Tag" {
		name, ok := names[c.key]
		return ok && c.compare(name, c.value)
	}
	scope, value, scoped := strings.Cut(c.value, "|")
	if !scoped {
		scope, value = "", c.value
	}
	negative := c.operator == "NOTEQUALS" || c.operator == "NOTIN"
	hit := slices.ContainsFunc(tags, func(tag Tag) bool {
		sameScope := !scoped || (tag.Scope == scope) != c.anyScope
		same := c.compare(tag.Tag, value)
		return sameScope && same != negative
	})
	return hit != negative
}

// compare applies the operator to one name or tag.
func (c condition) compare(have, want string) bool {
	switch c.operator {
	case "CONTAINS":
		return strings.Contains(have, want)
	case "STARTSWITH":
		return strings.HasPrefix(have, want)
	case "ENDSWITH":
		return strings.HasSuffix(have, want)
	case "NOTEQUALS":
		return have != want
	case "IN":
		return slices.Contains(strings.Split(want, ","), have)
	case "NOTIN":
		return !slices.Contains(strings.Split(want, ","), have)
	case "MATCHES":
		ok, err := path.Match(want, have)
		return err == nil && ok
	default:
		return have == want
	}
}

// checkGroup refuses lists of expressions that NSX can't evaluate.
func checkGroup(_ *txn, o *object) error {
	return checkExpressions(asObjects(o.body["expression"]), false)
}

func checkExpressions(expressions []map[string]any, nested bool) error {
	if len(expressions) > 0 && len(expressions)%2 == 0 {
		return invalidField("expression must hold an odd number of elements: criteria with a ConjunctionOperator between each two")
	}
	for i, expression := range expressions {
		typ, _ := expression["resource_type"].(string)
		if conjunction := typ == "ConjunctionOperator"; conjunction != (i%2 == 1) {
			return invalidField("the element %d of expression is a %s, out of turn", i, typ)
		}
		if nested && typ == "ConjunctionOperator" && expression["conjunction_operator"] != "AND" {
			return invalidField("a ConjunctionOperator of a NestedExpression must be AND")
		}
		if err := checkExpression(typ, expression); err != nil {
			return err
		}
	}
	return nil
}

func checkExpression(typ string, expression map[string]any) error {
	switch typ {
	case "NestedExpression":
		return checkExpressions(asObjects(expression["expressions"]), true)
	case "IPAddressExpression":
		for _, text := range asTexts(expression["ip_addresses"]) {
			if !isAddressElement(text) {
				return invalidField("ip_addresses %s is not an address, a range or a network", text)
			}
		}
	case "Condition":
		for _, name := range []string{"member_type", "key", "value"} {
			if expression[name] == nil && (name != "value" || expression["key"] != "ALL") {
				return invalidField("%s is a required property of type Condition", name)
			}
		}
	}
	return nil
}

// isAddressElement tells whether the text is an address, a network or a range.
func isAddressElement(text string) bool {
	if _, err := netip.ParsePrefix(text); err == nil {
		return true
	}
	first, last, ranged := strings.Cut(text, "-")
	a, err := netip.ParseAddr(first)
	if err != nil || !ranged {
		return err == nil
	}
	b, err := netip.ParseAddr(last)
	return err == nil && !b.Less(a)
}
