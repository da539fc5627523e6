// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"net/http"
	"strings"
)

func hierarchyRoutes() []route {
	return []route{newRoute(http.MethodPatch, policyBase+"/infra", patchHierarchy)}
}

// patchHierarchy applies a tree of Child objects in one transaction.
func patchHierarchy(c *call) (any, error) {
	sent, err := c.object()
	if err != nil {
		return nil, err
	}
	if err := c.s.schema.check("Infra", sent); err != nil {
		return nil, err
	}
	t := c.txn()
	revisions := c.flag("enforce_revision_check")
	return nil, c.s.transact(t, func() error { return t.applyChildren("/infra", sent["children"], revisions) })
}

// applyChildren writes and deletes what a list of Child objects says, beneath
// the object at parent.
func (t *txn) applyChildren(parent string, children any, revisions bool) error {
	if children == nil {
		return nil
	}
	if _, ok := children.([]any); !ok {
		return malformed("property children must be a list.")
	}
	for _, child := range asObjects(children) {
		if err := t.applyChild(parent, child, revisions); err != nil {
			return err
		}
	}
	return nil
}

func (t *txn) applyChild(parent string, child map[string]any, revisions bool) error {
	typ, _ := child["resource_type"].(string)
	if typ == "ChildResourceReference" {
		return t.applyReference(parent, child, revisions)
	}
	name, ok := strings.CutPrefix(typ, "Child")
	k := t.s.childKind(parent, name)
	if !ok || k == nil {
		return malformed("resource_type %s does not belong beneath %s.", typ, parent)
	}
	sent, ok := child[name].(map[string]any)
	if !ok {
		return invalidField("%s is a required property of type %s", name, typ)
	}
	if err := t.checkWrapper("ChildPolicyConfigResource", child, name); err != nil {
		return err
	}
	id, _ := sent["id"].(string)
	if id == "" {
		id, _ = child["id"].(string)
	}
	if id == "" {
		return invalidField("id is a required property of type %s", name)
	}
	path := childPath(k, parent, id)
	if child["marked_for_delete"] == true || sent["marked_for_delete"] == true {
		return t.discard(path, sent["children"], revisions)
	}
	if revisions {
		if err := t.s.checkRevision(path, sent); err != nil {
			return err
		}
	}
	// The sections that NSX makes itself only hold others.
	if !k.readonly {
		if err := t.write(path, sent, t.s.patchMode(path)); err != nil {
			return err
		}
	}
	return t.applyChildren(path, sent["children"], revisions)
}

// applyReference descends into an object that is not changed itself.
func (t *txn) applyReference(parent string, child map[string]any, revisions bool) error {
	if err := t.s.schema.check("ChildResourceReference", child); err != nil {
		return err
	}
	target, _ := child["target_type"].(string)
	id, _ := child["id"].(string)
	k := t.s.childKind(parent, target)
	if k == nil || id == "" {
		return malformed("target_type %s does not belong beneath %s.", target, parent)
	}
	path := childPath(k, parent, id)
	if t.s.intent.objects[path] == nil {
		return t.s.missingPath(path)
	}
	return t.applyChildren(path, child["children"], revisions)
}

// checkWrapper checks the fields around the object of a Child.
func (t *txn) checkWrapper(typ string, child map[string]any, name string) error {
	wrapper := make(map[string]any, len(child))
	for field, value := range child {
		if field != name {
			wrapper[field] = value
		}
	}
	return t.s.schema.check(typ, wrapper)
}

// discard deletes the object and what is listed beneath it. That it is gone
// already is no error.
func (t *txn) discard(path string, children any, revisions bool) error {
	if t.s.intent.objects[path] == nil {
		return nil
	}
	if err := t.applyChildren(path, children, revisions); err != nil {
		return err
	}
	return t.remove(path)
}

// childKind returns the kind of the objects of the type beneath parent, or nil.
func (s *Server) childKind(parent, name string) *kind {
	above := s.paths.find(parent)
	if above == nil {
		return nil
	}
	for _, k := range s.kinds {
		if !k.single && parentPath(k.path) == above.path && k.childName() == name {
			return k
		}
	}
	return nil
}

// childPath returns the path of an object of the kind beneath parent.
func childPath(k *kind, parent, id string) string {
	collection, _ := splitPath(k.path)
	_, collection = splitPath(collection)
	return parent + "/" + collection + "/" + id
}
