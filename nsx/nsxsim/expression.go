// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"maps"
	"net/http"
	"slices"
)

// expressionKind is a kind of expression that has a URL of its own.
type expressionKind struct {
	collection string // in the URL
	typ        string
	elements   string // the field of the expression that is a list
	list       string // the type that adds and removes elements
	listed     string // its field
}

func expressionKinds() []expressionKind {
	return []expressionKind{
		{"ip-address-expressions", "IPAddressExpression", "ip_addresses", "IPAddressList", "ip_addresses"},
		{"mac-address-expressions", "MACAddressExpression", "mac_addresses", "MACAddressList", "mac_addresses"},
		{"path-expressions", "PathExpression", "paths", "GroupMemberList", "members"},
		{"external-id-expressions", "ExternalIDExpression", "external_ids", "GroupMemberList", "members"},
	}
}

func expressionRoutes() []route {
	var all []route
	for _, k := range expressionKinds() {
		path := groupPath + "/" + k.collection + "/{expression}"
		all = append(all,
			newRoute(http.MethodPost, path, k.changeElements),
			newRoute(http.MethodPatch, path, k.patch),
			newRoute(http.MethodDelete, path, k.delete),
		)
	}
	return all
}

// change rewrites the group's list of expressions. The index is that of the
// expression that the route names, -1 when the group has none of that id.
func (k expressionKind) change(c *call, rewrite func(expressions []any, index int) ([]any, error)) error {
	path := "/infra/domains/" + c.vars["domain"] + "/groups/" + c.vars["group"]
	group := c.s.intent.objects[path]
	if group == nil {
		return c.s.notFound(path)
	}
	old, _ := group.body["expression"].([]any)
	index := slices.IndexFunc(old, func(value any) bool {
		expression, _ := value.(map[string]any)
		return expression["resource_type"] == k.typ && expression["id"] == c.vars["expression"]
	})
	changed, err := rewrite(slices.Clone(old), index)
	if err != nil {
		return err
	}
	t := c.txn()
	return c.s.transact(t, func() error { return t.write(path, map[string]any{"expression": changed}, merge) })
}

// changeElements adds elements to the expression or removes them.
func (k expressionKind) changeElements(c *call) (any, error) {
	action := c.query.Get("action")
	if action != "add" && action != "remove" {
		return nil, c.unsimulated()
	}
	sent, err := c.object()
	if err != nil {
		return nil, err
	}
	if err := c.s.schema.check(k.list, sent); err != nil {
		return nil, err
	}
	changes, _ := sent[k.listed].([]any)
	return nil, k.change(c, func(expressions []any, index int) ([]any, error) {
		if index < 0 {
			return nil, c.s.notFound(c.url)
		}
		old, _ := expressions[index].(map[string]any)
		expression := maps.Clone(old)
		elements, _ := expression[k.elements].([]any)
		elements = slices.DeleteFunc(slices.Clone(elements), func(e any) bool { return slices.Contains(changes, e) })
		if action == "add" {
			elements = append(elements, changes...)
		}
		expression[k.elements] = elements
		expressions[index] = expression
		return expressions, nil
	})
}

// patch replaces the expression, or adds it to the others with OR.
func (k expressionKind) patch(c *call) (any, error) {
	sent, err := c.object()
	if err != nil {
		return nil, err
	}
	sent["id"], sent["resource_type"] = c.vars["expression"], k.typ
	return nil, k.change(c, func(expressions []any, index int) ([]any, error) {
		if index >= 0 {
			expressions[index] = sent
			return expressions, nil
		}
		if len(expressions) > 0 {
			expressions = append(expressions, map[string]any{
				"resource_type": "ConjunctionOperator", "conjunction_operator": "OR",
			})
		}
		return append(expressions, sent), nil
	})
}

// delete removes the expression and the conjunction that tied it to the rest.
func (k expressionKind) delete(c *call) (any, error) {
	return nil, k.change(c, func(expressions []any, index int) ([]any, error) {
		switch {
		case index < 0:
			return nil, c.s.notFound(c.url)
		case index > 0:
			return slices.Delete(expressions, index-1, index+1), nil
		default:
			return slices.Delete(expressions, 0, min(2, len(expressions))), nil
		}
	})
}
