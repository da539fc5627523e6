// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

import "slices"

// Tag marks an object. Scope has at most 128 characters, Tag at most 256, and
// an object at most 30 tags.
type Tag struct {
	Scope string `json:"scope"`
	Tag   string `json:"tag"`
}

// Tags are the tags of an object. The same scope may occur several times.
type Tags []Tag

// Has reports whether the tags hold this scope with this tag.
func (t Tags) Has(scope, tag string) bool { return slices.Contains(t, Tag{Scope: scope, Tag: tag}) }

// Get returns the first tag of the scope, and whether there is one.
func (t Tags) Get(scope string) (tag string, ok bool) {
	i := slices.IndexFunc(t, func(x Tag) bool { return x.Scope == scope })
	if i < 0 {
		return "", false
	}
	return t[i].Tag, true
}

// All returns every tag of the scope in order.
func (t Tags) All(scope string) []string {
	var tags []string
	for _, x := range t {
		if x.Scope == scope {
			tags = append(tags, x.Tag)
		}
	}
	return tags
}

// With returns a copy in which the scope has this tag and no other.
func (t Tags) With(scope, tag string) Tags {
	return append(t.Without(scope), Tag{Scope: scope, Tag: tag})
}

// Without returns a copy without the tags of the scope.
func (t Tags) Without(scope string) Tags {
	rest := make(Tags, 0, len(t)+1)
	for _, x := range t {
		if x.Scope != scope {
			rest = append(rest, x)
		}
	}
	return rest
}
