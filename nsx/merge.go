// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/rest"
)

// The structs of this package are a subset of NSX's types, so that a PUT of one
// of them would drop the rest. The functions below write what changed between
// two values of a struct into the JSON that was read.

// encodeIntent encodes an object for PATCH, which takes no revision.
func encodeIntent[T Object](object T) ([]byte, error) {
	data, err := rest.Marshal(object)
	if err != nil || object.resource().Revision == 0 {
		return data, invalid(err)
	}
	var members map[string]jsontext.Value
	if err := rest.Unmarshal(data, &members); err != nil {
		return nil, invalid(err)
	}
	delete(members, "_revision")
	data, err = rest.Marshal(members)
	return data, invalid(err)
}

func invalid(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", viaduct.ErrInvalid, err)
}

func decodeObject[T any](data []byte) (T, error) {
	var object T
	err := rest.Unmarshal(data, &object)
	return object, err
}

// mergeIntent returns raw, from which before was decoded, with the changes that
// lead from before to after. The revision stays that of raw.
func mergeIntent(raw []byte, before, after any) ([]byte, error) {
	old, err := rest.Marshal(before)
	if err != nil {
		return nil, invalid(err)
	}
	fresh, err := rest.Marshal(after)
	if err != nil {
		return nil, invalid(err)
	}
	var original, merged map[string]jsontext.Value
	value := mergeValue(raw, old, fresh)
	if err := rest.Unmarshal(value, &merged); err != nil {
		return nil, invalid(err)
	}
	if err := rest.Unmarshal(raw, &original); err != nil {
		return nil, invalid(err)
	}
	if revision, ok := original["_revision"]; ok {
		merged["_revision"] = revision
	}
	data, err := rest.Marshal(merged)
	return data, invalid(err)
}

// mergeValue returns raw with the difference between old and fresh.
func mergeValue(raw, old, fresh jsontext.Value) jsontext.Value {
	switch {
	case bytes.Equal(old, fresh):
		return raw
	case raw.Kind() == '{' && old.Kind() == '{' && fresh.Kind() == '{':
		return mergeObject(raw, old, fresh)
	case raw.Kind() == '[' && old.Kind() == '[' && fresh.Kind() == '[':
		return mergeArray(raw, old, fresh)
	default:
		return fresh
	}
}

// mergeObject keeps the members that old and fresh don't have: nobody changed
// what nobody knows.
func mergeObject(raw, old, fresh jsontext.Value) jsontext.Value {
	have, before, after := members(raw), members(old), members(fresh)
	for name, value := range after {
		if was, ok := before[name]; ok && have[name] != nil {
			have[name] = mergeValue(have[name], was, value)
		} else {
			have[name] = value
		}
	}
	for name := range before {
		if _, ok := after[name]; !ok {
			delete(have, name)
		}
	}
	return encode(have, fresh)
}

// mergeArray finds for each element the one that it was before: the same, or
// one with the same identity, or the one in the same place.
func mergeArray(raw, old, fresh jsontext.Value) jsontext.Value {
	have, before, after := elements(raw), elements(old), elements(fresh)
	if len(have) != len(before) {
		return fresh
	}
	used := make([]bool, len(before))
	merged := make([]jsontext.Value, len(after))
	match := func(same func(i, k int) bool) {
		for i := range after {
			for k := 0; k < len(before) && merged[i] == nil; k++ {
				if !used[k] && same(i, k) {
					used[k] = true
					merged[i] = mergeValue(have[k], before[k], after[i])
				}
			}
		}
	}
	match(func(i, k int) bool { return bytes.Equal(after[i], before[k]) })
	match(func(i, k int) bool { id := identity(after[i]); return id != "" && id == identity(before[k]) })
	match(func(i, k int) bool {
		return i == k && len(after) == len(before) && (identity(after[i]) == "" || identity(before[k]) == "")
	})
	for i := range merged {
		if merged[i] == nil {
			merged[i] = after[i]
		}
	}
	return encode(merged, fresh)
}

// identity is what tells an element of a list from the others: its id, or the
// address of a pool member; empty when it has neither.
func identity(v jsontext.Value) string {
	if v.Kind() != '{' {
		return ""
	}
	var key struct {
		ID   string `json:"id"`
		IP   string `json:"ip_address"`
		Port string `json:"port"`
	}
	if rest.Unmarshal(v, &key) != nil || key.ID+key.IP == "" {
		return ""
	}
	return strings.Join([]string{key.ID, key.IP, key.Port}, "\x00")
}

func members(v jsontext.Value) map[string]jsontext.Value {
	m := map[string]jsontext.Value{}
	_ = rest.Unmarshal(v, &m) // v was decoded before
	return m
}

func elements(v jsontext.Value) []jsontext.Value {
	var e []jsontext.Value
	_ = rest.Unmarshal(v, &e) // v was decoded before
	return e
}

// encode encodes what was decoded from JSON, which can't fail.
func encode(v any, otherwise jsontext.Value) jsontext.Value {
	data, err := rest.Marshal(v)
	if err != nil {
		return otherwise
	}
	return data
}

// sameIntent reports whether two objects differ in nothing but what NSX keeps
// about them.
func sameIntent(a, b []byte) bool {
	return bytes.Equal(canonicalIntent(a), canonicalIntent(b))
}

func canonicalIntent(data []byte) []byte {
	m := members(data)
	for name := range m {
		if strings.HasPrefix(name, "_") {
			delete(m, name)
		}
	}
	v := encode(m, data)
	_ = v.Canonicalize() // valid, since it was just encoded
	return v
}
