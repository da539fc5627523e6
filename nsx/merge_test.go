// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx // for a pure function that nobody else may see

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMergeKeepsWhatNobodyKnows(t *testing.T) {
	t.Parallel()
	const raw = `{
		"id":"p","_revision":7,"new_in_nsx_9":{"a":[1,2]},"enabled":false,"big":9007199254740993,
		"members":[
			{"ip_address":"10.0.0.1","port":"80","weight":1,"secret_sauce":"one"},
			{"ip_address":"10.0.0.2","port":"80","weight":1,"secret_sauce":"two"},
			{"ip_address":"10.0.0.3","port":"80","weight":1,"secret_sauce":"three"}],
		"snat_translation":{"type":"LBSnatAutoMap","mystery":true}}`
	cases := map[string]struct {
		reason string
		change func(*Pool)
		want   map[string]any // of what changed
	}{
		"nothing": {"", func(*Pool) {}, nil},
		"a field": {"others stay", func(p *Pool) { p.Description = "d" }, map[string]any{"description": "d"}},
		"member changed": {
			"it is known by its address", func(p *Pool) { p.Members[1].Weight = 5 },
			map[string]any{"members": []any{
				member("10.0.0.1", 1, "one"), member("10.0.0.2", 5, "two"), member("10.0.0.3", 1, "three"),
			}},
		},
		"member removed": {
			"the others keep theirs", func(p *Pool) { p.Members = append(p.Members[:1], p.Members[2]) },
			map[string]any{"members": []any{member("10.0.0.1", 1, "one"), member("10.0.0.3", 1, "three")}},
		},
		"members turned around and one added": {
			"order is the caller's", func(p *Pool) {
				p.Members = []PoolMember{{IPAddress: "10.0.0.9", Port: "80"}, p.Members[2], p.Members[0]}
			},
			map[string]any{"members": []any{
				map[string]any{"ip_address": "10.0.0.9", "port": "80"}, member("10.0.0.3", 1, "three"), member("10.0.0.1", 1, "one"),
			}},
		},
		"all members removed": {"an empty list clears", func(p *Pool) { p.Members = []PoolMember{} }, map[string]any{"members": []any{}}},
		"members dropped":     {"no list is no field", func(p *Pool) { p.Members = nil }, map[string]any{"members": nil}},
		"nested": {
			"unknown fields of nested objects stay", func(p *Pool) { p.SNAT.Type = "LBSnatDisabled" },
			map[string]any{"snat_translation": map[string]any{"type": "LBSnatDisabled", "mystery": true}},
		},
		"revision": {"it is that of what was read", func(p *Pool) { p.Revision = 99 }, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, err := decodeObject[Pool]([]byte(raw))
			if err != nil {
				t.Fatal(err)
			}
			after, _ := decodeObject[Pool]([]byte(raw))
			tc.change(&after)
			merged, err := mergeIntent([]byte(raw), before, after)
			if err != nil {
				t.Fatal(err)
			}
			want := tree(t, []byte(raw))
			for name, value := range tc.want {
				if value == nil {
					delete(want, name)
				} else {
					want[name] = value
				}
			}
			if diff := cmp.Diff(want, tree(t, merged)); diff != "" {
				t.Errorf("%s: (-want +got)\n%s", tc.reason, diff)
			}
		})
	}
}

func member(ip string, weight int, sauce string) map[string]any {
	return map[string]any{"ip_address": ip, "port": "80", "weight": json.Number(string(rune('0' + weight))), "secret_sauce": sauce}
}

// tree decodes without losing digits of numbers.
func tree(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

func FuzzMerge(f *testing.F) {
	f.Add(`{"id":"p","x":1,"members":[{"ip_address":"a","y":2},{"ip_address":"a"}]}`, "d")
	f.Add(`{"members":null,"tags":[],"snat_translation":{}}`, "")
	f.Add(`{"a":{"b":[[],{}]},"a":1,"description":"x","_revision":3}`, "x")
	f.Add(`{"members":[{},{"port":"1"}],"min_active_members":0}`, "y")
	f.Fuzz(func(t *testing.T, raw, description string) {
		before, err := decodeObject[Pool]([]byte(raw))
		if err != nil {
			return
		}
		same, err := mergeIntent([]byte(raw), before, before)
		if err != nil {
			return // not an object
		}
		if !sameIntent([]byte(raw), same) {
			t.Errorf("no change made %s of %s", same, raw)
		}
		after := before
		after.Description = description
		merged, err := mergeIntent([]byte(raw), before, after)
		if err != nil {
			t.Fatal(err)
		}
		had, has := members([]byte(raw)), members(merged)
		delete(had, "description")
		delete(has, "description")
		if len(had) != len(has) {
			t.Errorf("%s became %s", raw, merged)
		}
		back, err := decodeObject[Pool](merged)
		if err != nil || encode(back.Members, nil).String() != encode(before.Members, nil).String() {
			t.Errorf("members of %s became %+v, %v", raw, back.Members, err)
		}
	})
}
