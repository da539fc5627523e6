// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

import (
	"iter"
	"slices"
	"strings"
)

// level is one kind of object in a policy path: the list that it is in, its
// name in the hierarchical API, and its place in the order of deletion, in which
// objects come before those that they refer to.
type level struct {
	list, child string
	rank        int
}

// levels lists the kinds of objects that a batch may hold or descend through.
// The order of deletion is that of NCP's clean-up (nsx_policy_cleanup.py).
func levels() []level {
	return []level{
		{"rules", "Rule", 0},
		{"security-policies", "SecurityPolicy", 1},
		{"services", "Service", 2},
		{"lb-virtual-servers", "LBVirtualServer", 3},
		{"groups", "Group", 5}, // pools and virtual servers may refer to groups
		{"lb-services", "LBService", 4},
		{"lb-pools", "LBPool", 4},
		{"lb-app-profiles", "LBAppProfile", 6},
		{"lb-monitor-profiles", "LBMonitorProfile", 6},
		{"lb-persistence-profiles", "LBPersistenceProfile", 6},
		{"ports", "SegmentPort", 7},
		{"segments", "Segment", 8},
		{"nat-rules", "PolicyNatRule", 9},
		{"static-routes", "StaticRoutes", 9},
		{"nat", "PolicyNat", 10},
		{"tier-1s", "Tier1", 11},
		{"tier-0s", "Tier0", 12},
		{"ip-allocations", "IpAddressAllocation", 13},
		{"ip-subnets", "IpAddressPoolSubnet", 14},
		{"ip-pools", "IpAddressPool", 15},
		{"ip-blocks", "IpAddressBlock", 16},
		{"domains", "Domain", 17},
	}
}

func levelOf(list string) level {
	all := levels()
	if i := slices.IndexFunc(all, func(l level) bool { return l.list == list }); i >= 0 {
		return all[i]
	}
	return level{list: list, rank: len(all)}
}

// steps returns the lists and ids of the path below /infra.
func (ch change) steps() []string {
	return strings.Split(strings.TrimPrefix(string(ch.path), "/infra/"), "/")
}

func (ch change) rank() int {
	steps := ch.steps()
	return levelOf(steps[len(steps)-2]).rank
}

// route is the path with placeholders for the ids.
func (ch change) route() string {
	steps := ch.steps()
	for i := 1; i < len(steps); i += 2 {
		steps[i] = "{id}"
	}
	return "/infra/" + strings.Join(steps, "/")
}

func (ch change) ids() []string {
	var ids []string
	for i, step := range ch.steps() {
		if i%2 == 1 {
			ids = append(ids, step)
		}
	}
	return ids
}

// pages cuts changes into lists for one request each.
func pages(changes []change) iter.Seq[[]change] {
	return func(yield func([]change) bool) {
		for start := 0; start < len(changes); {
			root, end := newNode(), start
			for end < len(changes) && root.size+root.cost(changes[end]) <= maxChildren {
				root.grow(changes[end])
				end++
			}
			if !yield(changes[start:end]) {
				return
			}
			start = end
		}
	}
}

// node is an object in the tree of one request. Its change is nil when it only
// leads to others.
type node struct {
	level    level
	id       string
	change   *change
	children []*node
	size     int // of the whole tree, at its root
}

func newNode() *node { return &node{} }

// cost is how many objects the change would add to the tree.
func (n *node) cost(ch change) int {
	steps, at := ch.steps(), n
	for i := 0; i+1 < len(steps); i += 2 {
		if at = at.child(steps[i], steps[i+1]); at == nil {
			return (len(steps) - i) / 2
		}
	}
	return 0
}

func (n *node) child(list, id string) *node {
	for _, c := range n.children {
		if c.level.list == list && c.id == id {
			return c
		}
	}
	return nil
}

// grow adds the change to the tree.
func (n *node) grow(ch change) {
	steps, at := ch.steps(), n
	for i := 0; i+1 < len(steps); i += 2 {
		next := at.child(steps[i], steps[i+1])
		if next == nil {
			next = &node{level: levelOf(steps[i]), id: steps[i+1]}
			at.children = append(at.children, next)
			n.size++
		}
		at = next
	}
	at.change = &ch
}

// encode returns the children as the hierarchical API takes them.
func (n *node) encode() []any {
	list := make([]any, len(n.children))
	for i, c := range n.children {
		list[i] = c.wrap()
	}
	return list
}

func (n *node) wrap() any {
	name := n.level.child
	if n.change == nil {
		return map[string]any{
			"resource_type": "ChildResourceReference", "target_type": name, "id": n.id, "children": n.encode(),
		}
	}
	object := map[string]any{"id": n.id}
	for field, value := range n.change.object {
		object[field] = value
	}
	wrapped := map[string]any{"resource_type": "Child" + name, name: object}
	if n.change.object == nil {
		object["resource_type"] = n.change.types[0]
		wrapped["marked_for_delete"] = true
		return wrapped
	}
	if len(n.children) > 0 {
		object["children"] = n.encode()
	}
	return wrapped
}
