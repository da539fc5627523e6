// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"time"
)

// objectHandler returns the handler for a method on one intent object.
func objectHandler(method string) handler {
	switch method {
	case http.MethodGet:
		return getIntent
	case http.MethodPut:
		return putIntent
	case http.MethodPatch:
		return patchIntent
	case http.MethodDelete:
		return deleteIntent
	default:
		return nil
	}
}

func getIntent(c *call) (any, error) {
	o := c.s.intent.objects[c.path]
	if o == nil {
		return nil, c.s.notFound(c.path)
	}
	return c.s.render(o), nil
}

// render returns the object as GET shows it.
func (s *Server) render(o *object) json.RawMessage {
	if o.kind.inline {
		return s.withRules(o)
	}
	return s.listed(o)
}

// listed returns the object as lists and searches show it.
func (s *Server) listed(o *object) json.RawMessage {
	switch {
	case o.kind == nil || !o.deleted.IsZero():
		return o.raw
	case s.switches.HideAllocatedIP && o.chosen:
		body := maps.Clone(o.body)
		delete(body, "allocation_ip")
		return plain(o.path, body).raw
	case o.text("resource_type") == "IpAddressPool":
		body := maps.Clone(o.body)
		body["pool_usage"] = s.usage(o)
		return plain(o.path, body).raw
	default:
		return o.raw
	}
}

func putIntent(c *call) (any, error) {
	sent, err := c.object()
	if err != nil {
		return nil, err
	}
	t := c.txn()
	err = c.s.transact(t, func() error {
		if err := c.s.checkRevision(c.path, sent); err != nil {
			return err
		}
		return t.write(c.path, sent, replace)
	})
	if err != nil {
		return nil, err
	}
	return getIntent(c)
}

// checkRevision refuses to replace an object from a copy that is not current.
func (s *Server) checkRevision(path string, sent map[string]any) error {
	old := s.intent.objects[path]
	if old == nil {
		return nil
	}
	revision, ok := sent["_revision"].(json.Number)
	if !ok {
		return alreadyExists(path)
	}
	if n, err := revision.Int64(); err != nil || n != old.number("_revision") {
		return staleRevision(path, n, old.number("_revision"))
	}
	return nil
}

func patchIntent(c *call) (any, error) {
	sent, err := c.object()
	if err != nil {
		return nil, err
	}
	t := c.txn()
	return nil, c.s.transact(t, func() error {
		return t.write(c.path, sent, c.s.patchMode(c.path))
	})
}

// patchMode says whether PATCH merges or replaces the object at path.
func (s *Server) patchMode(path string) writeMode {
	if s.switches.PatchReplaces && strings.HasPrefix(path, "/infra/lb-") {
		return replace
	}
	return merge
}

func deleteIntent(c *call) (any, error) {
	t := c.txn()
	k := c.s.paths.find(c.path)
	t.force = t.force && k.forced || c.flag("ignore_ip_allocations")
	t.cascade = t.force && c.flag("cascade")
	return nil, c.s.transact(t, func() error { return t.remove(c.path) })
}

func listIntent(c *call) (any, error) {
	if parent, _ := splitPath(c.path); parent != "/infra" && c.s.intent.objects[parent] == nil {
		return nil, c.s.notFound(parent)
	}
	if !c.flag("include_mark_for_delete_objects") {
		return c.pageOf(listing{paths: c.s.intent.list(c.path), store: c.s.intent}, policyCursor{})
	}
	objects := c.s.intent.in(c.path)
	for _, o := range c.s.intent.marked {
		if collection, _ := splitPath(o.path); collection == c.path {
			objects = append(objects, o)
		}
	}
	sortObjects(objects, "id", true)
	return c.page(objects, policyCursor{})
}

func (s *Server) notFound(path string) *apiError {
	err := notFound(path)
	err.code = orDefault(s.switches.NotFoundCode, err.code)
	return err
}

// missingPath is the answer to a request that names an object that does not
// exist, other than by its URL.
func (s *Server) missingPath(path string) *apiError {
	if s.switches.MissingPathNotFound {
		return s.notFound(path)
	}
	return invalidPath(path)
}

// mark returns the deleted object as it is until it is purged, and keeps it
// when that takes time.
func (s *Server) mark(o *object, now time.Time) *object {
	body := maps.Clone(o.body)
	body["marked_for_delete"] = true
	marked := plain(o.path, body)
	marked.kind, marked.changed, marked.deleted = o.kind, now, now
	if s.purgeDelay > 0 {
		s.intent.marked[o.path] = marked
	}
	return marked
}

// purge forgets the objects whose time after deletion is over.
func (s *Server) purge(now time.Time) {
	for path, o := range s.intent.marked {
		if now.Sub(o.deleted) >= s.purgeDelay {
			delete(s.intent.marked, path)
		}
	}
}
