// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	_ "embed"
	"encoding/json"
	"slices"
	"strings"
)

// schemaText lists the types of the API: their fields, the fields' types and
// the values of enums, as the published API schema has them. A type that says
// Resource has the fields of Resource too; a union is told apart by the field
// it names.
//
//go:embed schema.txt
var schemaText string

// schema is what request bodies are decoded against, strictly, as NSX does.
type schema struct {
	types  map[string]map[string]field
	unions map[string]union
}

// field is the type of one property.
type field struct {
	list bool
	name string   // scalar, type or union
	enum []string // allowed values of a string; nil when any will do
}

// union is a polymorphic type.
type union struct {
	by      string
	members []string
}

// managerSchemaText lists the types of the Manager API in the same way, as of
// the release of go-vmware-nsxt.
//
//go:embed schema_manager.txt
var managerSchemaText string

func parseSchema(text string) *schema {
	s := &schema{types: map[string]map[string]field{}, unions: map[string]union{}}
	var fields map[string]field
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) < 2:
		case line[0] == ' ':
			fields[words[0]] = parseField(words[1])
		case words[0] == "union":
			s.unions[words[1]] = union{by: words[2], members: words[3:]}
		default:
			fields = map[string]field{}
			s.types[words[1]] = fields
			if len(words) > 2 {
				fields[""] = field{name: words[2]}
			}
		}
	}
	for _, fields := range s.types {
		s.inherit(fields)
	}
	return s
}

// inherit adds the fields of the type that the entry "" names.
func (s *schema) inherit(fields map[string]field) {
	base, ok := fields[""]
	if !ok {
		return
	}
	delete(fields, "")
	s.inherit(s.types[base.name])
	for name, f := range s.types[base.name] {
		if _, own := fields[name]; !own {
			fields[name] = f
		}
	}
}

func parseField(text string) field {
	name, list := strings.CutPrefix(text, "[]")
	if !strings.Contains(name, "|") {
		return field{list: list, name: name}
	}
	return field{list: list, name: "string", enum: strings.Split(strings.TrimSuffix(name, "|"), "|")}
}

// check returns the error with which NSX refuses the object, nil when the
// object fits the type. A property that is null counts as absent.
func (s *schema) check(typ string, object map[string]any) error {
	fields, ok := s.types[typ]
	if !ok {
		return malformed("%s is not a known resource_type.", typ)
	}
	for name, value := range object {
		f, ok := fields[name]
		if !ok {
			return unrecognized(name)
		}
		if value == nil {
			continue
		}
		if err := s.checkField(name, f, value); err != nil {
			return err
		}
	}
	return nil
}

func (s *schema) checkField(name string, f field, value any) error {
	if !f.list {
		return s.checkValue(name, f, value)
	}
	items, ok := value.([]any)
	if !ok {
		return malformed("property %s must be a list.", name)
	}
	for _, item := range items {
		if err := s.checkValue(name, f, item); err != nil {
			return err
		}
	}
	return nil
}

func (s *schema) checkValue(name string, f field, value any) error {
	switch f.name {
	case "any":
		return nil
	case "string":
		text, ok := value.(string)
		if ok && f.enum != nil && !slices.Contains(f.enum, text) {
			return malformed("property %s has the value %s, which is not one of %s.", name, text, strings.Join(f.enum, ", "))
		}
		return mustBe(ok, name, "a string")
	case "bool":
		_, ok := value.(bool)
		return mustBe(ok, name, "a boolean")
	case "int":
		number, ok := value.(json.Number)
		if ok {
			_, err := number.Int64()
			ok = err == nil
		}
		return mustBe(ok, name, "an integer")
	case "number":
		_, ok := value.(json.Number)
		return mustBe(ok, name, "a number")
	default:
		return s.checkStruct(name, f.name, value)
	}
}

func (s *schema) checkStruct(name, typ string, value any) error {
	object, ok := value.(map[string]any)
	if !ok {
		return mustBe(false, name, "an object")
	}
	u, ok := s.unions[typ]
	if !ok {
		return s.check(typ, object)
	}
	member, _ := object[u.by].(string)
	if !slices.Contains(u.members, member) {
		return malformed("property %s of %s has the value %q, which is not one of %s.", u.by, name, member, strings.Join(u.members, ", "))
	}
	return s.check(member, object)
}

func mustBe(ok bool, name, what string) error {
	if ok {
		return nil
	}
	return malformed("property %s must be %s.", name, what)
}
