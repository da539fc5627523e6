// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Limits are how much [Fold] leaves.
type Limits struct {
	// Nodes is the most nodes of one kind in one group, Groups the most groups
	// of one kind in one group. Zero means no limit.
	Nodes, Groups int
}

// Fold returns a graph in which no group has more than so many nodes of a kind:
// the rest becomes one node, "… and 1,234 more pods", with the state of the worst
// of them, and their edges become edges of that node. What is in a group that is
// folded goes with it.
//
// What stays is what is worth a look: first the services that are not up, and
// the same services in each system, so that the way of a connection can be
// followed from one end to the other. The graph given is not changed.
func Fold(g *Graph, limits Limits) *Graph {
	f := newFolder(g)
	f.fold("", limits)
	return f.graph()
}

type folder struct {
	g        *Graph
	nodes    map[string]Node
	children map[string][]string
	// rank is the place of a node among its like, the least first.
	rank map[string]int
	// into are the nodes that others were folded into, by ID; represents are
	// the IDs of those that are left out, with what stands for them.
	into       map[string]*foldNode
	represents map[string]string
}

type foldNode struct {
	Node
	states map[State]int
}

func newFolder(g *Graph) *folder {
	f := &folder{
		g: g, nodes: make(map[string]Node, len(g.Nodes)), children: map[string][]string{},
		into: map[string]*foldNode{}, represents: map[string]string{},
	}
	for _, n := range g.Nodes {
		f.nodes[n.ID] = n
	}
	for _, n := range g.Nodes {
		parent := n.Parent
		if _, ok := f.nodes[parent]; !ok {
			parent = ""
		}
		f.children[parent] = append(f.children[parent], n.ID)
	}
	f.rank = f.ranks()
	return f
}

// ranks numbers the services, those in trouble first, and gives each node the
// number of its service; what lies beneath gets the least number of what it is
// connected with, and a group the least of what is in it.
func (f *folder) ranks() map[string]int {
	chain := f.components()
	trouble, first := map[string]int{}, map[string]int{}
	for i, n := range f.g.Nodes {
		c := chain[n.ID]
		if worse := n.State.severity(); worse > StateUp.severity() {
			trouble[c] = max(trouble[c], worse)
		}
		place := i
		if n.Kind != KindService && n.Kind != KindExport && n.Kind != KindImport {
			place += len(f.g.Nodes) // Services name their chain
		}
		if at, ok := first[c]; !ok || place < at {
			first[c] = place
		}
	}
	order := slices.SortedFunc(maps.Keys(first), func(a, b string) int {
		return cmp.Or(cmp.Compare(trouble[b], trouble[a]), cmp.Compare(first[a], first[b]))
	})
	number := make(map[string]int, len(order))
	for i, c := range order {
		number[c] = i
	}
	rank := make(map[string]int, len(f.g.Nodes))
	for id, c := range chain {
		rank[id] = number[c]
	}
	f.spreadRanks(rank, chain)
	return rank
}

// spreadRanks carries numbers up to groups, and along the edges beneath to what
// no service is in.
func (f *folder) spreadRanks(rank map[string]int, chain map[string]string) {
	size := map[string]int{}
	for _, c := range chain {
		size[c]++
	}
	serves := map[string]bool{} // it is part of a service, or such a part is in it
	for _, n := range f.g.Nodes {
		if size[chain[n.ID]] < 2 {
			continue
		}
		serves[n.ID] = true
		depth := 0
		for up := n.Parent; up != "" && depth < deepest; up = f.nodes[up].Parent {
			if have, ok := rank[up]; ok && (!serves[up] || rank[n.ID] < have) {
				rank[up], serves[up] = rank[n.ID], true
			}
			depth++
		}
	}
	improve := func(id string, to int) {
		if have, ok := rank[id]; ok && !serves[id] && to < have {
			rank[id] = to
		}
	}
	inChain := chains(f.g)
	const steps = 3 // from a namespace over its segment to the port group
	for range steps {
		for _, e := range f.g.Edges {
			if !inChain(e) {
				improve(e.From, rank[e.To])
				improve(e.To, rank[e.From])
			}
		}
	}
}

// components returns for each node the ID of one node that stands for all that
// its service consists of.
func (f *folder) components() map[string]string {
	root := make(map[string]string, len(f.g.Nodes))
	for _, n := range f.g.Nodes {
		root[n.ID] = n.ID
	}
	find := func(id string) string {
		for root[id] != id {
			root[id] = root[root[id]]
			id = root[id]
		}
		return id
	}
	inChain := chains(f.g)
	for _, e := range f.g.Edges {
		if _, ok := root[e.From]; ok && inChain(e) {
			if _, ok := root[e.To]; ok {
				root[find(e.From)] = find(e.To)
			}
		}
	}
	for id := range root {
		root[id] = find(id)
	}
	return root
}

// fold folds what is in a group, and what stays of that.
func (f *folder) fold(group string, limits Limits) {
	type like struct {
		system  System
		cluster string
		kind    Kind
		group   bool
	}
	siblings := map[like][]string{}
	for _, id := range f.children[group] {
		n := f.nodes[id]
		key := like{n.System, n.Cluster, n.Kind, n.Kind.IsGroup() && n.Count == 0}
		if key.group && group == "" {
			key.cluster = "" // clusters are alike
		}
		siblings[key] = append(siblings[key], id)
	}
	for key, ids := range siblings {
		limit := limits.Nodes
		if key.group || key.kind.oncePerGroup() {
			limit = limits.Groups
		}
		f.sortByWorth(ids)
		keep := len(ids)
		if limit > 0 && len(ids) > limit {
			keep = max(limit-1, 0)
		}
		for _, id := range ids[:keep] {
			f.fold(id, limits)
		}
		for _, id := range ids[keep:] {
			f.foldInto("fold:"+group+"/"+string(key.system)+"/"+string(key.kind), group, id)
		}
	}
}

// sortByWorth puts first what is to stay: of each service one object, the one
// in most trouble, service by service; then of each a second one, and so on.
func (f *folder) sortByWorth(ids []string) {
	slices.SortStableFunc(ids, func(a, b string) int {
		return cmp.Or(
			cmp.Compare(f.rank[a], f.rank[b]),
			cmp.Compare(f.nodes[b].State.severity(), f.nodes[a].State.severity()),
		)
	})
	turn, turns := map[string]int{}, map[int]int{}
	for _, id := range ids {
		turn[id] = turns[f.rank[id]]
		turns[f.rank[id]]++
	}
	slices.SortStableFunc(ids, func(a, b string) int {
		return cmp.Or(cmp.Compare(turn[a], turn[b]), cmp.Compare(f.rank[a], f.rank[b]))
	})
}

// oncePerGroup reports whether there is about one node of the kind for each
// namespace, or for each cluster, so that as many stay as stay of those.
func (k Kind) oncePerGroup() bool {
	return k == KindPortGroup || k == KindVSphereNamespace || k == KindFirewallPolicy || k == KindTKCluster
}

func (f *folder) foldInto(into, group, id string) {
	n := f.nodes[id]
	to := f.into[into]
	if to == nil {
		to = &foldNode{
			Node:   Node{ID: into, Kind: n.Kind, System: n.System, Cluster: n.Cluster, Parent: group},
			states: map[State]int{},
		}
		f.into[into] = to
	}
	if to.Cluster != n.Cluster {
		to.Cluster = ""
	}
	to.Count += max(1, n.Count)
	f.absorb(into, id)
	state := f.worst(id)
	to.states[state] += max(1, n.Count)
	to.State = to.State.worse(state)
}

// absorb has into stand for a node and all that is in it.
func (f *folder) absorb(into, id string) {
	if _, done := f.represents[id]; done {
		return
	}
	f.represents[id] = into
	for _, child := range f.children[id] {
		f.absorb(into, child)
	}
}

// worst returns the worst state of a node and of what is in it.
func (f *folder) worst(id string) State {
	state := f.nodes[id].State
	for _, child := range f.children[id] {
		if child != id {
			state = state.worse(f.worst(child))
		}
	}
	return state
}

func (f *folder) graph() *Graph {
	g := &Graph{Holes: slices.Clone(f.g.Holes)}
	for _, n := range f.g.Nodes {
		if _, folded := f.represents[n.ID]; !folded {
			g.Nodes = append(g.Nodes, n)
		}
	}
	for _, n := range f.into {
		g.Nodes = append(g.Nodes, n.describe())
	}
	type ends struct {
		kind     EdgeKind
		from, to string
	}
	merged := map[ends]*Edge{}
	for _, e := range f.g.Edges {
		key := ends{e.Kind, cmp.Or(f.represents[e.From], e.From), cmp.Or(f.represents[e.To], e.To)}
		if key.from == key.to {
			continue
		}
		if have := merged[key]; have != nil {
			have.Count = max(1, have.Count) + max(1, e.Count)
			have.State = have.State.worse(e.State)
			continue
		}
		e.From, e.To = key.from, key.to
		merged[key] = &e
	}
	for _, e := range merged {
		g.Edges = append(g.Edges, *e)
	}
	g.sort()
	return g
}

// describe gives a folded node its two lines.
func (n *foldNode) describe() Node {
	n.Label = "… and " + thousands(n.Count) + " more " + nouns(n.Kind, n.Count)
	var text []string
	for _, state := range []State{StateDown, StateDegraded, StateUnknown, StateUp} {
		if count := n.states[state]; count > 0 && state != "" {
			text = append(text, thousands(count)+" "+string(state))
		}
	}
	n.Detail = strings.Join(text, ", ")
	if n.State != StateUp {
		n.Reason = n.Detail
	}
	return n.Node
}

// nouns names so many objects of a kind.
func nouns(k Kind, count int) string {
	noun := strings.ReplaceAll(string(k), "-", " ")
	switch k {
	case KindTier1:
		noun = "tier-1 gateway"
	case KindVSphereNamespace:
		noun = "vSphere Namespace"
	case KindTKCluster:
		noun = "TK cluster"
	case KindVMService:
		noun = "VM service"
	case KindFirewallPolicy:
		if count != 1 {
			return "firewall policies"
		}
	default:
	}
	if count == 1 {
		return noun
	}
	return noun + "s"
}

// thousands prints a number with commas.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
