// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package svg

import "github.com/viaduct-sdk/viaduct/bridge/topology"

// Lines of a connection are kept straight before others.
const (
	weightData      = 6
	weightPublishes = 3
	weightControl   = 2
	weightBeneath   = 1
)

func weightOf(k topology.EdgeKind) float64 {
	switch k {
	case topology.EdgeResolves, topology.EdgeForwards, topology.EdgeMember:
		return weightData
	case topology.EdgeExports, topology.EdgePublishes:
		return weightControl
	default:
		return weightBeneath
	}
}

// link adds an edge, with its passages.
func (s *scene) link(e topology.Edge, from, to end) {
	l := &link{edge: e, upper: from, lower: to}
	fromFirst, fromLast := from.rows()
	toFirst, toLast := to.rows()
	switch {
	case fromLast < toFirst:
	case toLast < fromFirst:
		l.upper, l.lower, l.upward = to, from, true
	default:
		l.level = true
	}
	s.links = append(s.links, l)
	if l.level {
		return
	}
	_, above := l.upper.rows()
	below, _ := l.lower.rows()
	weight := weightOf(e.Kind)
	if e.Kind == topology.EdgePublishes {
		// A Service belongs under its virtual server, in the column of the
		// service; the line passes what is between them at the side.
		attract(l.upper, l.lower, weightPublishes)
		weight = weightBeneath
	}
	last := l.upper
	for r := above + 1; r < below; r++ {
		group := s.passing(l, r)
		if n := len(l.passages); n > 0 && l.passages[n-1].parent == group && l.passages[n-1].last == r-1 {
			l.passages[n-1].last = r
			continue
		}
		p := &item{parent: group, first: r, last: r, width: passageWidth}
		s.items = append(s.items, p)
		group.cells = append(group.cells, cell{item: p})
		l.passages = append(l.passages, p)
		attract(last, end{item: p}, weight)
		last = end{item: p}
	}
	attract(last, l.lower, weight)
}

// attract has two ends want to be near to each other.
func attract(upper, lower end, weight float64) {
	if upper.item != nil {
		upper.item.near = append(upper.item.near, neighbour{end: lower, weight: weight})
	}
	if lower.item != nil {
		lower.item.near = append(lower.item.near, neighbour{end: upper, weight: weight, above: true})
	}
}

// passing returns the block in which a link passes a row: the innermost that
// one of its ends is in, or else the lane.
func (s *scene) passing(l *link, r int) *block {
	for _, e := range []end{l.upper, l.lower} {
		for b := e.group(); b != nil && b.node != nil; b = b.parent {
			if b.first <= r && r <= b.last {
				return b
			}
		}
	}
	return s.rows[r].lane.root
}
