// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package svg

import (
	"maps"
	"slices"

	"github.com/viaduct-sdk/viaduct/bridge/topology"
)

// scene is a graph on its way to a picture.
type scene struct {
	lanes  []*lane
	rows   []*row
	items  []*item // objects first, then passages
	blocks []*block
	links  []*link
}

// lane is the part of the picture that belongs to one system.
type lane struct {
	system      topology.System
	name        string // of the cluster that the lane is
	root        *block
	holes       []topology.Hole
	first, last int // rows; last < first: none
	top, bottom float64
}

// row is a line of objects, across all groups of a lane.
type row struct {
	lane   *lane
	top    float64
	header float64 // room above for the titles of groups that begin here
	footer float64 // room beneath for groups that end here
}

// item stands in one row, or passes several.
type item struct {
	node        *topology.Node // nil: a passage
	parent      *block
	first, last int
	x           float64 // of its middle
	width       float64
	near        []neighbour
	index       int     // of its variable while places are computed
	place       float64 // among all cells, from left to right
}

// block is a group, or all of a lane.
type block struct {
	node        *topology.Node // nil: a lane
	parent      *block
	cells       []cell
	first, last int
	left, right float64
	top, bottom float64
	minWidth    float64
	borders     [2]int // variables
	place       float64
}

// cell is an item or a block within a block.
type cell struct {
	item  *item
	block *block
	key   float64
}

// end is where a link ends: at an object or at the border of a group.
type end struct {
	item  *item
	block *block
}

// link is an edge to be drawn: from its upper end down through passages.
type link struct {
	edge         topology.Edge
	upper, lower end
	upward       bool // the edge points up
	level        bool // both ends are in the same row
	passages     []*item
	points       []point // that the line passes vertically
	path         string
	arrow        point // where the arrow's tip is
}

// neighbour is an end that an item should be near to.
type neighbour struct {
	end
	weight float64
	above  bool
}

// systems returns the systems from the top of the picture to its bottom.
func systems() []topology.System {
	return []topology.System{
		topology.SystemTKCluster, topology.SystemNSX, topology.SystemSupervisor, topology.SystemVCenter,
	}
}

// rankOf returns a function that tells in which row of its lane a node stands.
// The rows of neighbouring lanes that have most to do with each other meet: a
// firewall policy stands above the virtual servers that it is about, or above
// the namespaces.
func rankOf(g *topology.Graph) func(topology.Node) int {
	kind := make(map[string]topology.Kind, len(g.Nodes))
	for _, n := range g.Nodes {
		kind[n.ID] = n.Kind
	}
	publishes, above := map[string]bool{}, map[string]bool{}
	for _, e := range g.Edges {
		switch e.Kind {
		case topology.EdgePublishes:
			publishes[e.From] = true
		case topology.EdgeGuards:
			if to := kind[e.To]; to == topology.KindVirtualServer || to == topology.KindImport {
				above[e.From] = true
			}
		default:
		}
	}
	return func(n topology.Node) int {
		switch n.System {
		case topology.SystemNSX:
			return rankInNSX(n, above[n.ID])
		case topology.SystemTKCluster, topology.SystemSupervisor:
			return rankInKubernetes(n, publishes[n.ID])
		default:
			return 0
		}
	}
}

func rankInNSX(n topology.Node, above bool) int {
	switch n.Kind {
	case topology.KindPool, topology.KindSegment:
		return 2
	case topology.KindFirewallPolicy:
		if above {
			return 0
		}
		return 3
	default:
		return 1
	}
}

func rankInKubernetes(n topology.Node, publishes bool) int {
	switch n.Kind {
	case topology.KindExport:
		return 1
	case topology.KindNamespace, topology.KindCluster: // folded, or empty
		if n.System == topology.SystemTKCluster {
			return 2
		}
		return 1
	case topology.KindImport, topology.KindVMService:
		return 2
	case topology.KindService:
		if publishes {
			return 1
		}
		return 2
	default:
		return 0
	}
}

func newScene(g *topology.Graph) *scene {
	s := &scene{}
	at := map[string]end{}
	parents := parentsOf(g)
	rank := rankOf(g)
	for _, system := range systems() {
		l, nodes := newLane(g, system)
		if len(nodes)+len(l.holes) > 0 || l.name != "" {
			s.lanes = append(s.lanes, l)
			s.fill(l, nodes, parents, rank, at)
		}
	}
	s.alike()
	for _, b := range slices.Backward(s.blocks) { // inner ones come after outer ones
		b.span()
	}
	for _, l := range s.lanes {
		l.root.span()
	}
	for _, e := range g.Edges {
		from, ok := at[e.From]
		to, ok2 := at[e.To]
		if ok && ok2 && !from.within(to) && !to.within(from) {
			s.link(e, from, to)
		}
	}
	return s
}

// newLane returns the lane of a system, and the nodes in it. The lane of the
// Supervisor is the cluster.
func newLane(g *topology.Graph, system topology.System) (*lane, []topology.Node) {
	l := &lane{system: system, root: &block{}}
	for _, h := range g.Holes {
		if h.System == system {
			l.holes = append(l.holes, h)
		}
	}
	var nodes []topology.Node
	for _, n := range g.Nodes {
		switch {
		case n.System != system:
		case system == topology.SystemSupervisor && n.Kind == topology.KindCluster:
			l.name = n.Label
		default:
			nodes = append(nodes, n)
		}
	}
	return l, nodes
}

// parentsOf returns the group of each node that is in one. A group that is not
// there, is of another system, or is in itself, is none.
func parentsOf(g *topology.Graph) map[string]string {
	nodes := make(map[string]*topology.Node, len(g.Nodes))
	for i := range g.Nodes {
		nodes[g.Nodes[i].ID] = &g.Nodes[i]
	}
	const deepest = 64
	parents := map[string]string{}
	for _, n := range g.Nodes {
		depth := 0
		for up := nodes[n.Parent]; up != nil && depth <= deepest; up = nodes[up.Parent] {
			depth++
		}
		p := nodes[n.Parent]
		if p == nil || depth > deepest || p.System != n.System || !p.Kind.IsGroup() {
			continue
		}
		if p.System == topology.SystemSupervisor && p.Kind == topology.KindCluster {
			continue // the lane is the cluster
		}
		parents[n.ID] = n.Parent
	}
	return parents
}

// fill puts the nodes of a lane into their rows and blocks.
func (s *scene) fill(l *lane, nodes []topology.Node, parents map[string]string, rank func(topology.Node) int, at map[string]end) {
	used := map[int]bool{}
	inside := map[string]bool{}
	for _, n := range nodes {
		inside[parents[n.ID]] = true
	}
	standing := func(n topology.Node) bool { return !n.Kind.IsGroup() || !inside[n.ID] }
	for _, n := range nodes {
		if standing(n) {
			used[rank(n)] = true
		}
	}
	number := map[int]int{}
	l.first = len(s.rows)
	for _, r := range slices.Sorted(maps.Keys(used)) {
		number[r] = len(s.rows)
		s.rows = append(s.rows, &row{lane: l})
	}
	l.last = len(s.rows) - 1
	for i := range nodes { // groups before what is in them
		if n := &nodes[i]; !standing(*n) {
			b := &block{node: n, minWidth: titleWidth(*n)}
			at[n.ID] = end{block: b}
		}
	}
	for i := range nodes {
		n := &nodes[i]
		parent := l.root
		if p := at[parents[n.ID]].block; p != nil {
			parent = p
		}
		if standing(*n) {
			it := &item{node: n, parent: parent, first: number[rank(*n)], last: number[rank(*n)], width: nodeWidth(*n)}
			s.items = append(s.items, it)
			parent.cells = append(parent.cells, cell{item: it})
			at[n.ID] = end{item: it}
		} else {
			b := at[n.ID].block
			b.parent = parent
			parent.cells = append(parent.cells, cell{block: b})
		}
	}
	s.collect(l.root)
}

// alike makes all objects equally wide, so that they stand in columns.
func (s *scene) alike() {
	width := 0.0
	for _, it := range s.items {
		width = max(width, it.width)
	}
	for _, it := range s.items {
		it.width = width
	}
}

// collect lists the blocks within one, outer ones first.
func (s *scene) collect(b *block) {
	for _, c := range b.cells {
		if c.block != nil {
			s.blocks = append(s.blocks, c.block)
			s.collect(c.block)
		}
	}
}

// span finds the rows that a block stands in.
func (b *block) span() {
	b.first, b.last = -1, -1
	for _, c := range b.cells {
		first, last := c.rows()
		if b.first < 0 || first < b.first {
			b.first = first
		}
		b.last = max(b.last, last)
	}
}

func (c cell) rows() (first, last int) {
	if c.item != nil {
		return c.item.first, c.item.last
	}
	return c.block.first, c.block.last
}

func (e end) rows() (first, last int) { return cell{item: e.item, block: e.block}.rows() }

// group returns the block that an end is in.
func (e end) group() *block {
	if e.item != nil {
		return e.item.parent
	}
	return e.block.parent
}

// within reports whether an end is, or is in, the group that the other is.
func (e end) within(other end) bool {
	if e == other {
		return true
	}
	for b := e.group(); b != nil; b = b.parent {
		if b == other.block {
			return true
		}
	}
	return false
}

// middle returns where an end is, seen from x: a group is as near as its
// nearest side.
func (e end) middle(x float64) float64 {
	if e.item != nil {
		return e.item.x
	}
	return clamp(x, e.block.left+portMargin, e.block.right-portMargin)
}

func clamp(x, low, high float64) float64 {
	if high < low {
		return (low + high) / 2
	}
	return min(max(x, low), high)
}
