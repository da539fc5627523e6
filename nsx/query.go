// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

import (
	"slices"
	"strings"
)

// Query says what to search for. The zero value finds everything. Each method
// returns a query with one more condition; all must hold.
//
// NSX matches without regard to case, matches the scope and the value of a tag
// independently of each other, and finds from an index that is behind. What a
// search returns is therefore filtered again with [Query.Matches].
type Query struct {
	types   []string
	ids     []string
	names   []string
	tags    []Tag
	scopes  []string
	prefix  Path
	deleted bool
}

// Type demands one of these resource types.
func (q Query) Type(types ...string) Query {
	q.types = append(slices.Clip(q.types), types...)
	return q
}

// ID demands one of these ids.
func (q Query) ID(ids ...string) Query {
	q.ids = append(slices.Clip(q.ids), ids...)
	return q
}

// Name demands one of these display names.
func (q Query) Name(names ...string) Query {
	q.names = append(slices.Clip(q.names), names...)
	return q
}

// Tag demands a tag of this scope with this value. Of several, NSX is asked for
// the last one only, and the others are checked here: say the one that fewest
// objects have last.
func (q Query) Tag(scope, tag string) Query {
	q.tags = append(slices.Clip(q.tags), Tag{Scope: scope, Tag: tag})
	return q
}

// TagScope demands a tag of this scope.
func (q Query) TagScope(scope string) Query {
	q.scopes = append(slices.Clip(q.scopes), scope)
	return q
}

// Under demands that the object's path is prefix or lies beneath it.
func (q Query) Under(prefix Path) Query {
	q.prefix = prefix
	return q
}

// IncludeMarkedForDelete finds objects too that were deleted and not purged
// yet.
func (q Query) IncludeMarkedForDelete() Query {
	q.deleted = true
	return q
}

// String returns the query in NSX's syntax, with every value escaped.
func (q Query) String() string {
	var terms []string
	add := func(term string) {
		if term != "" {
			terms = append(terms, term)
		}
	}
	add(anyOf("resource_type", q.types))
	add(anyOf("id", q.ids))
	add(anyOf("display_name", q.names))
	// Some releases find nothing when a query speaks of scopes twice.
	if n := len(q.tags); n > 0 {
		add(anyOf("tags.scope", []string{q.tags[n-1].Scope}))
		add(anyOf("tags.tag", []string{q.tags[n-1].Tag}))
	} else if n := len(q.scopes); n > 0 {
		add(anyOf("tags.scope", []string{q.scopes[n-1]}))
	}
	if q.prefix != "" {
		add("path:" + EscapeQuery(string(q.prefix)) + "*")
	}
	if !q.deleted {
		add("marked_for_delete:false")
	}
	if len(terms) == 0 {
		return "*"
	}
	return strings.Join(terms, " AND ")
}

// anyOf returns the term that demands one of the values; nothing when one is
// empty, which the index can't be asked for.
func anyOf(field string, values []string) string {
	if len(values) == 0 || slices.Contains(values, "") {
		return ""
	}
	escaped := make([]string, len(values))
	for i, v := range values {
		escaped[i] = EscapeQuery(v)
	}
	if len(escaped) == 1 {
		return field + ":" + escaped[0]
	}
	return field + ":(" + strings.Join(escaped, " OR ") + ")"
}

// Matches reports whether an object fulfils the query to the letter.
func (q Query) Matches(r Resource) bool {
	return oneOf(q.types, r.ResourceType, strings.EqualFold) &&
		oneOf(q.ids, r.ID, equal) &&
		oneOf(q.names, r.DisplayName, equal) &&
		r.Path.Under(q.prefix) &&
		(q.deleted || !r.MarkedForDelete) &&
		!slices.ContainsFunc(q.tags, func(t Tag) bool { return !r.Tags.Has(t.Scope, t.Tag) }) &&
		!slices.ContainsFunc(q.scopes, func(s string) bool { _, ok := r.Tags.Get(s); return !ok })
}

func equal(a, b string) bool { return a == b }

func oneOf(wanted []string, have string, same func(a, b string) bool) bool {
	return len(wanted) == 0 || slices.ContainsFunc(wanted, func(w string) bool { return same(w, have) })
}

// EscapeQuery returns a value such that a search takes every character of it
// literally.
func EscapeQuery(value string) string {
	switch value {
	case "AND", "OR", "NOT":
		return `\` + value
	}
	var b strings.Builder
	for _, r := range value {
		if strings.ContainsRune("\\\"()[]{}+-=&|><!^~*?:/ \t\r\n", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
