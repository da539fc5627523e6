// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc

import (
	"encoding/json"
	"net/netip"
	"time"
)

// tree is a part of an object of another's making. What is not there, or not of
// the type that is asked for, is the zero value: one odd field must not hide the
// rest of a cluster.
type tree struct{ value any }

func (t tree) at(path ...string) tree {
	for _, name := range path {
		m, ok := t.value.(map[string]any)
		if !ok {
			return tree{}
		}
		t = tree{m[name]}
	}
	return t
}

func (t tree) text() string {
	s, _ := t.value.(string)
	return s
}

func (t tree) flag() bool {
	b, _ := t.value.(bool)
	return b
}

func (t tree) has() bool { return t.value != nil }

func (t tree) number() int {
	switch n := t.value.(type) {
	case int64:
		return int(n)
	case float64:
		return int(n)
	case json.Number:
		i, err := n.Int64()
		if err == nil {
			return int(i)
		}
	}
	return 0
}

func (t tree) list() []tree {
	items, _ := t.value.([]any)
	all := make([]tree, len(items))
	for i, item := range items {
		all[i] = tree{item}
	}
	return all
}

func (t tree) texts() map[string]string {
	m, _ := t.value.(map[string]any)
	if len(m) == 0 {
		return nil
	}
	all := make(map[string]string, len(m))
	for k, v := range m {
		all[k] = tree{v}.text()
	}
	return all
}

func (t tree) time() time.Time {
	at, err := time.Parse(time.RFC3339, t.text())
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}

func (t tree) prefixes() []netip.Prefix {
	var all []netip.Prefix
	for _, item := range t.list() {
		if p, err := netip.ParsePrefix(item.text()); err == nil {
			all = append(all, p)
		}
	}
	return all
}

// first returns the first of the paths that holds text.
func (t tree) first(paths ...[]string) string {
	for _, path := range paths {
		if s := t.at(path...).text(); s != "" {
			return s
		}
	}
	return ""
}
