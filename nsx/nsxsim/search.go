// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

func searchRoutes() []route {
	return []route{newRoute(http.MethodGet, policyBase+"/search/query", searchIntent)}
}

// searchIntent answers a query from the index, which may be behind.
func searchIntent(c *call) (any, error) {
	return c.search(c.s.indexed())
}

func (c *call) search(candidates []*object) (any, error) {
	text := c.query.Get("query")
	if limit, size := c.s.switches.SearchPageLimit, c.query.Get("page_size"); limit > 0 {
		if n, err := strconv.Atoi(orDefault(size, "1000")); err == nil && n > limit {
			return nil, &apiError{
				status: http.StatusServiceUnavailable, code: codeSearchPage, module: moduleCommon,
				message: "The search result is too large. Reduce the page size.",
			}
		}
	}
	match, err := parseQuery(text)
	if err != nil {
		return nil, err
	}
	if c.s.switches.RepeatedScopeFindsNothing && strings.Count(text, "tags.scope:") > 1 {
		candidates = nil
	}
	var found []*object
	for _, o := range candidates {
		if match(o) {
			found = append(found, c.project(o))
		}
	}
	slices.SortFunc(found, func(a, b *object) int { return strings.Compare(a.path, b.path) })
	return c.page(found, searchCursor{ends: c.s.switches.SearchCursorEnds})
}

// project keeps the included_fields of an object.
func (c *call) project(o *object) *object {
	included := c.query.Get("included_fields")
	if included == "" {
		return o
	}
	body := map[string]any{}
	for name := range strings.SplitSeq(included, ",") {
		if value, ok := o.body[strings.TrimSpace(name)]; ok {
			body[strings.TrimSpace(name)] = value
		}
	}
	return plain(o.path, body)
}

// plain is an object for an answer, not for the store.
func plain(path string, body map[string]any) *object {
	raw, _ := json.Marshal(body) // JSON values always encode
	return &object{path: path, body: body, raw: raw}
}

// searchCursor is the dialect of searches: an offset in decimal, which is
// still there on the last page.
type searchCursor struct{ ends bool }

func (d searchCursor) next(all listing, end int) string {
	if end >= all.len() && d.ends {
		return ""
	}
	return strconv.Itoa(end)
}

func (searchCursor) start(_ listing, cursor string) (int, error) {
	offset, err := strconv.Atoi(cursor)
	if err != nil || offset < 0 {
		return 0, invalidCursor(cursor)
	}
	return offset, nil
}

// indexed returns the objects as the search index has them: live ones and
// those that wait to be purged, at the moment that the index has reached.
func (s *Server) indexed() []*object {
	now := s.now()
	var objects []*object
	if s.searchLag <= 0 {
		for _, o := range s.intent.objects {
			objects = append(objects, o)
		}
		for _, o := range s.intent.marked {
			objects = append(objects, o)
		}
		return objects
	}
	then := now.Add(-s.searchLag)
	for path, o := range s.intent.objects {
		if seen := s.versionAt(path, o, then); seen != nil {
			objects = append(objects, seen)
		}
	}
	for path := range s.intent.past {
		if s.intent.objects[path] != nil {
			continue
		}
		if seen := s.versionAt(path, nil, then); seen != nil {
			objects = append(objects, seen)
		}
	}
	return objects
}

// versionAt returns the version of the object that was current then, or nil.
func (s *Server) versionAt(path string, current *object, then time.Time) *object {
	if current != nil && !current.changed.After(then) {
		return current
	}
	for _, o := range slices.Backward(s.intent.past[path]) {
		if o.changed.After(then) {
			continue
		}
		if !o.deleted.IsZero() && then.Sub(o.deleted) >= s.purgeDelay {
			return nil
		}
		return o
	}
	return nil
}

// keepPast keeps versions of the object at path for as long as the index may
// still show them. It returns how to undo that.
func (s *Server) keepPast(path string, versions ...*object) (undo func()) {
	before := s.intent.past[path]
	if s.searchLag <= 0 {
		return func() {}
	}
	kept := slices.Clone(before)
	for _, o := range versions {
		if o != nil {
			kept = append(kept, o)
		}
	}
	then := s.now().Add(-s.searchLag)
	for len(kept) > 1 && !kept[1].changed.After(then) {
		kept = kept[1:]
	}
	s.intent.past[path] = kept
	return func() { s.intent.past[path] = before }
}
