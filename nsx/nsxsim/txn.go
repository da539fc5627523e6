// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// txn is one change of the intent: everything in it happens or nothing does.
// References are checked when it ends, so that the order within it is free.
type txn struct {
	s         *Server
	who       Principal
	overwrite bool // X-Allow-Overwrite
	force     bool // delete although others refer to the object
	cascade   bool // delete what lies beneath the object too
	trusted   bool // the back door: protection does not apply
	now       time.Time
	touched   []string
	gone      []*object
	undo      []func()
}

// writeMode says what happens to the fields that a write leaves out.
type writeMode int

const (
	merge   writeMode = iota // PATCH: they stay
	replace                  // PUT: they get their defaults
)

// transact runs change, checks what it left behind, and undoes all of it when
// either fails.
func (s *Server) transact(t *txn, change func() error) error {
	t.s, t.now = s, s.now()
	s.purge(t.now)
	err := change()
	if err == nil {
		err = t.verify()
	}
	if err != nil {
		for _, undo := range slices.Backward(t.undo) {
			undo()
		}
	} else if len(t.undo) > 0 {
		s.notify()
	}
	return err
}

// write creates or changes the object at path. The body is the client's.
func (t *txn) write(path string, sent map[string]any, mode writeMode) error {
	k := t.s.paths.find(path)
	if k == nil {
		return invalidPath(path)
	}
	old := t.s.intent.objects[path]
	typ, err := t.accept(k, path, old, sent)
	if err != nil {
		return err
	}
	body := t.fill(k, path, old, sent, mode)
	body["resource_type"] = typ
	for _, name := range k.required {
		if body[name] == nil {
			return invalidField("%s is a required property of type %s", name, typ)
		}
	}
	o := &object{path: path, kind: k, body: body, refs: references(body, k.refs), changed: t.now}
	if k.check != nil {
		if err := k.check(t, o); err != nil {
			return err
		}
	}
	t.put(o)
	if old == nil {
		t.spawn(o)
	}
	if k.inline && sent["rules"] != nil {
		return t.writeInline(path, sent, mode)
	}
	return nil
}

// accept returns the resource type of the object sent, or why it is refused.
func (t *txn) accept(k *kind, path string, old *object, sent map[string]any) (string, error) {
	typ, err := t.typeOf(k, path, old, sent)
	if err != nil {
		return "", err
	}
	if err := t.s.schema.check(typ, sent); err != nil {
		return "", err
	}
	if _, id := splitPath(path); sent["id"] != nil && sent["id"] != id {
		return "", invalidField("id %v does not match the id %s in the path", sent["id"], id)
	}
	if t.s.intent.marked[path] != nil {
		return "", pendingDelete(path)
	}
	if parent := parentPath(path); parent != "" && t.s.intent.objects[parent] == nil {
		return "", t.s.missingPath(parent)
	}
	if old != nil {
		return typ, t.mayChange(old)
	}
	return typ, nil
}

func (t *txn) typeOf(k *kind, path string, old *object, sent map[string]any) (string, error) {
	typ, _ := sent["resource_type"].(string)
	switch {
	case k.readonly && !t.trusted:
		return "", badRequest(codeInvalidPath, modulePolicy, "The path=[%s] can only be read", path)
	case typ == "" && old != nil:
		return old.text("resource_type"), nil
	case typ == "" && len(k.types) > 1:
		return "", invalidField("resource_type is a required property, one of %s", strings.Join(k.types, ", "))
	case typ == "":
		return k.typ(), nil
	case !slices.Contains(k.types, typ):
		return "", invalidField("resource_type %s does not belong at the path %s", typ, path)
	case old != nil && typ != old.text("resource_type"):
		return "", invalidField("resource_type of %s can not change from %s to %s", path, old.text("resource_type"), typ)
	default:
		return typ, nil
	}
}

// mayChange refuses changes to objects that another principal protects.
func (t *txn) mayChange(old *object) error {
	owner := old.text("_create_user")
	if t.trusted || t.overwrite || old.text("_protection") != protected || owner == t.who.Name {
		return nil
	}
	return &apiError{
		status: orDefault(t.s.switches.ProtectedStatus, http.StatusBadRequest), code: 289, module: moduleCommon,
		message: "Principal '" + t.who.Name + "' with role '[enterprise_admin]' attempts to delete or modify an object of type " +
			old.text("resource_type") + " it doesn't own. (createUser=" + owner + ", allowOverwrite=null)",
	}
}

// protected is the protection of what a protected principal made.
const protected = "REQUIRE_OVERRIDE"

// fill returns the whole object: the client's fields, those that NSX keeps or
// fills in, and those that only NSX sets.
func (t *txn) fill(k *kind, path string, old *object, sent map[string]any, mode writeMode) map[string]any {
	body := map[string]any{}
	if k.defaults != "" {
		// The registry's own JSON; a test decodes all of it.
		body, _ = decodeObject([]byte(k.defaults))
	}
	if old != nil && mode == merge {
		body = maps.Clone(old.body)
	}
	for name, value := range sent {
		if value == nil {
			delete(body, name)
		} else {
			body[name] = value
		}
	}
	collection, id := splitPath(path)
	delete(body, "children")
	if k.inline {
		delete(body, "rules")
	}
	body["id"] = id
	body["path"], body["parent_path"] = path, parentPath(path)
	body["relative_path"] = id
	if strings.HasPrefix(collection, "/infra/realized-state") {
		body["relative_path"] = path
	}
	if body["display_name"] == nil {
		body["display_name"] = id
	}
	body["marked_for_delete"], body["overridden"] = false, false
	t.stamp(body, old)
	return body
}

// stamp sets what NSX notes about each write.
func (t *txn) stamp(body map[string]any, old *object) {
	now := t.now.UnixMilli()
	body["_last_modified_user"], body["_last_modified_time"] = t.who.Name, now
	if old != nil {
		body["_revision"] = old.number("_revision") + 1
		for _, name := range []string{"_create_user", "_create_time", "_protection", "_system_owned", "unique_id", "realization_id"} {
			body[name] = old.body[name]
		}
		return
	}
	body["_revision"] = int64(0)
	body["_create_user"], body["_create_time"] = t.who.Name, now
	body["_protection"] = "NOT_PROTECTED"
	if t.who.Protected {
		body["_protection"] = protected
	}
	body["_system_owned"] = t.who.Name == systemUser
	unique := t.s.newUUID()
	body["unique_id"], body["realization_id"] = unique, unique
}

// spawn makes the objects that NSX itself makes beneath a new one.
func (t *txn) spawn(o *object) {
	for _, relative := range o.kind.spawns {
		path := o.path + "/" + relative
		k := t.s.paths.find(path)
		system := &txn{s: t.s, who: Principal{Name: systemUser}, now: t.now}
		body := system.fill(k, path, nil, nil, replace)
		body["resource_type"] = k.typ()
		t.put(&object{path: path, kind: k, body: body, changed: t.now})
	}
}

// put stores the object and remembers how to undo that.
func (t *txn) put(o *object) {
	if o.raw == nil {
		// A map of JSON values always encodes.
		o.raw, _ = json.Marshal(o.body)
	}
	old := t.s.intent.objects[o.path]
	restore := t.s.keepPast(o.path, old)
	t.s.intent.put(o)
	t.touched = append(t.touched, o.path)
	t.undo = append(t.undo, func() {
		restore()
		if old != nil {
			t.s.intent.put(old)
		} else {
			t.s.intent.remove(o.path)
		}
	})
}

// remove deletes the object at path and what it owns.
func (t *txn) remove(path string) error {
	old := t.s.intent.objects[path]
	if old == nil {
		return t.s.notFound(path)
	}
	if (old.kind.readonly || old.kind.single || old.systemOwned()) && !t.trusted {
		return badRequest(codeInvalidPath, modulePolicy, "The path=[%s] can not be deleted", path)
	}
	if err := t.mayChange(old); err != nil {
		return err
	}
	for _, child := range t.s.intent.beneath(path) {
		if o := t.s.intent.objects[child]; old.kind.owns || t.cascade || o.systemOwned() {
			t.drop(o)
		}
	}
	t.drop(old)
	return nil
}

func (t *txn) drop(old *object) {
	s := t.s
	s.intent.remove(old.path)
	restore := s.keepPast(old.path, old, s.mark(old, t.now))
	if old.kind.dropped != nil {
		old.kind.dropped(t, old)
	}
	t.gone = append(t.gone, old)
	t.undo = append(t.undo, func() {
		delete(s.intent.marked, old.path)
		restore()
		s.intent.put(old)
	})
}

// verify checks that every reference leads somewhere and that nothing deleted
// is still needed.
func (t *txn) verify() error {
	for _, o := range t.gone {
		if t.s.intent.objects[o.path] != nil {
			continue
		}
		if err := t.unneeded(o); err != nil {
			return err
		}
	}
	for _, path := range t.touched {
		o := t.s.intent.objects[path]
		if o == nil {
			continue
		}
		for _, ref := range o.refs {
			if t.s.paths.find(ref) != nil && t.s.intent.objects[ref] == nil {
				return t.s.missingPath(ref)
			}
		}
	}
	return nil
}

// unneeded refuses that the object is gone while others need it.
func (t *txn) unneeded(o *object) error {
	needed := t.s.intent.beneath(o.path)
	if err := t.attached(o.path, needed); err != nil {
		return err
	}
	if !t.force {
		needed = append(needed, t.s.intent.referring(o.path)...)
		if o.kind.users != nil {
			needed = append(needed, o.kind.users(t.s, o)...)
		}
	}
	if len(needed) > 0 {
		return referenced(o.path, needed)
	}
	return nil
}

func orDefault[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}
