// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package svg

import (
	"cmp"
	"io"

	"github.com/viaduct-sdk/viaduct/bridge/topology"
)

// defaultColumns is how many objects may stand side by side.
const defaultColumns = 10

// Options change a picture. The zero value is good for most.
type Options struct {
	// Title stands above the picture; "Topology" when empty.
	Title string
	// Columns is how many objects may stand side by side; wider graphs are
	// folded until they fit, or until there is nothing more to fold. 10 when
	// zero, no limit when negative.
	Columns int
}

// Write draws the graph. The graph is simplified and, if need be, folded; it is
// not changed. Errors are those of w.
func Write(w io.Writer, g *topology.Graph, o Options) error {
	o.Title = cmp.Or(o.Title, "Topology")
	o.Columns = cmp.Or(o.Columns, defaultColumns)
	s := newScene(canonical(fit(topology.Simplify(g), o.Columns)))
	s.order()
	s.place()
	s.stack()
	s.route()
	return s.draw(w, o.Title, summary(g))
}

// fit folds a graph until no row has more objects than columns. It tries to
// keep the most: many nodes in few groups, rather than few in many.
func fit(g *topology.Graph, columns int) *topology.Graph {
	if columns < 0 || width(g) <= columns {
		return g
	}
	// Smaller and smaller: nodes of a kind in a group, groups of a kind.
	limits := []topology.Limits{
		{Nodes: 12, Groups: 12},
		{Nodes: 8, Groups: 8},
		{Nodes: 6, Groups: 6},
		{Nodes: 5, Groups: 4},
		{Nodes: 4, Groups: 4},
		{Nodes: 4, Groups: 3},
		{Nodes: 3, Groups: 3},
		{Nodes: 3, Groups: 2},
		{Nodes: 2, Groups: 2},
	}
	var folded *topology.Graph
	for _, l := range limits {
		if folded = topology.Simplify(topology.Fold(g, l)); width(folded) <= columns {
			break
		}
	}
	return folded
}

// width returns how many objects the widest row has.
func width(g *topology.Graph) int {
	type place struct {
		system topology.System
		rank   int
	}
	rank := rankOf(g)
	count := map[place]int{}
	most := 0
	for _, n := range g.Nodes {
		if n.Kind.IsGroup() && n.Count == 0 {
			continue
		}
		p := place{n.System, rank(n)}
		count[p]++
		most = max(most, count[p])
	}
	return most
}
