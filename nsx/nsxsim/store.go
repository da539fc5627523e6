// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// object is one stored object. It never changes: a write stores another.
type object struct {
	path    string
	kind    *kind
	body    map[string]any
	raw     []byte // body in JSON
	refs    []string
	changed time.Time
	deleted time.Time    // when it was marked for deletion; zero while it lives
	failure *realization // why it can't be realized; nil when it can
	chosen  bool         // its allocation_ip is NSX's choice
}

func (o *object) id() string {
	_, id := splitPath(o.path)
	return id
}

func (o *object) text(field string) string {
	text, _ := o.body[field].(string)
	return text
}

func (o *object) number(field string) int64 { return asInt(o.body[field]) }

// flag returns the boolean field, or otherwise when it is absent.
func (o *object) flag(field string, otherwise bool) bool {
	if value, ok := o.body[field].(bool); ok {
		return value
	}
	return otherwise
}

func (o *object) systemOwned() bool { return o.flag("_system_owned", false) }

func (o *object) texts(field string) []string { return asTexts(o.body[field]) }

func asInt(value any) int64 {
	switch number := value.(type) {
	case json.Number:
		n, _ := number.Int64()
		return n
	case int64:
		return number
	case int:
		return int64(number)
	default:
		return 0
	}
}

func asTexts(value any) []string {
	items, _ := value.([]any)
	var texts []string
	for _, item := range items {
		if text, ok := item.(string); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

// asObjects returns the objects of a list.
func asObjects(value any) []map[string]any {
	items, _ := value.([]any)
	var objects []map[string]any
	for _, item := range items {
		if object, ok := item.(map[string]any); ok {
			objects = append(objects, object)
		}
	}
	return objects
}

// decodeObject decodes one JSON object and keeps its numbers as they are.
func decodeObject(data []byte) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil || object == nil {
		return nil, malformed("the request body is not a JSON object.")
	}
	if decoder.More() {
		return nil, malformed("the request body goes on after its JSON object.")
	}
	return object, nil
}

// store holds the objects of one API by path, with the indexes that lists and
// the refusal to delete need.
type store struct {
	objects   map[string]*object
	marked    map[string]*object // deleted, not yet purged
	lists     map[string]*pathList
	referrers map[string]map[string]bool // path → paths of the objects that refer to it
	past      map[string][]*object       // superseded versions that the search index may still show
}

func newStore() *store {
	return &store{
		objects:   map[string]*object{},
		marked:    map[string]*object{},
		lists:     map[string]*pathList{},
		referrers: map[string]map[string]bool{},
		past:      map[string][]*object{},
	}
}

// pathList holds the paths of one collection, sorted when they are read.
type pathList struct {
	paths  []string
	sorted bool
}

func (l *pathList) sort() []string {
	if !l.sorted {
		slices.Sort(l.paths)
		l.sorted = true
	}
	return l.paths
}

// put stores the object in place of the one with its path.
func (s *store) put(o *object) {
	old := s.objects[o.path]
	if old == nil {
		s.enlist(o.path)
	} else {
		s.unrefer(old)
	}
	s.objects[o.path] = o
	for _, ref := range o.refs {
		if s.referrers[ref] == nil {
			s.referrers[ref] = map[string]bool{}
		}
		s.referrers[ref][o.path] = true
	}
}

func (s *store) remove(path string) {
	old := s.objects[path]
	if old == nil {
		return
	}
	s.unrefer(old)
	delete(s.objects, path)
	collection, _ := splitPath(path)
	list := s.lists[collection]
	if i, ok := slices.BinarySearch(list.sort(), path); ok {
		list.paths = slices.Delete(list.paths, i, i+1)
	}
}

func (s *store) enlist(path string) {
	collection, _ := splitPath(path)
	list := s.lists[collection]
	if list == nil {
		list = &pathList{}
		s.lists[collection] = list
	}
	last := len(list.paths) - 1
	list.sorted = last < 0 || (list.sorted && list.paths[last] < path)
	list.paths = append(list.paths, path)
}

func (s *store) unrefer(o *object) {
	for _, ref := range o.refs {
		delete(s.referrers[ref], o.path)
		if len(s.referrers[ref]) == 0 {
			delete(s.referrers, ref)
		}
	}
}

// list returns the paths of the collection, sorted. The caller must not keep
// or change them.
func (s *store) list(collection string) []string {
	if list := s.lists[collection]; list != nil {
		return list.sort()
	}
	return nil
}

// in returns the objects of the collection, sorted by path.
func (s *store) in(collection string) []*object {
	paths := s.list(collection)
	objects := make([]*object, len(paths))
	for i, path := range paths {
		objects[i] = s.objects[path]
	}
	return objects
}

// beneath returns the paths of the objects under path, sorted, without itself.
func (s *store) beneath(path string) []string {
	var found []string
	for collection, list := range s.lists {
		if strings.HasPrefix(collection, path+"/") {
			found = append(found, list.paths...)
		}
	}
	slices.Sort(found)
	return found
}

// referring returns the paths of the objects that refer to path, sorted.
func (s *store) referring(path string) []string {
	return slices.Sorted(maps.Keys(s.referrers[path]))
}

// references collects the policy paths that the dotted fields of body hold.
func references(body map[string]any, fields []string) []string {
	var refs []string
	for _, dotted := range fields {
		refs = appendRefs(refs, body, strings.Split(dotted, "."))
	}
	slices.Sort(refs)
	return slices.Compact(refs)
}

func appendRefs(refs []string, value any, parts []string) []string {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			refs = appendRefs(refs, item, parts)
		}
	case map[string]any:
		if len(parts) > 0 {
			return appendRefs(refs, v[parts[0]], parts[1:])
		}
	case string:
		if len(parts) == 0 && strings.HasPrefix(v, "/") {
			return append(refs, v)
		}
	}
	return refs
}
