// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package svg

import (
	"math"
	"slices"
)

// align makes lines straight. First, columns: items that only one line each
// connects go to a place that all of them can have. Then each item goes to the
// place among those of its neighbours where its lines are the shortest.
func (v *solver) align() {
	columns := v.columns()
	for run := range alignmentRuns {
		backward := run%2 == 1
		inTurn(len(columns), backward, func(i int) { v.alignColumn(columns[i]) })
		inTurn(len(v.vars), backward, func(i int) {
			if one := &v.vars[i]; one.item != nil && len(one.item.near) > 0 {
				v.alignColumn([]int{i})
			}
		})
	}
	inTurn(len(columns), true, func(i int) { v.alignColumn(columns[i]) })
	v.tighten()
	v.store()
}

func inTurn(n int, backward bool, do func(int)) {
	for i := range n {
		if backward {
			i = n - 1 - i
		}
		do(i)
	}
}

// columns finds the items that belong in one column: those along lines of a
// connection, and of those that are left, along other lines.
func (v *solver) columns() [][]int {
	var all [][]int
	taken := map[*item]bool{}
	for _, weight := range []float64{weightData, weightControl, weightBeneath} {
		for i := range v.vars {
			it := v.vars[i].item
			if it == nil || taken[it] {
				continue
			}
			column := grow(it, weight, taken)
			if len(column) == 1 {
				delete(taken, it)
				continue
			}
			indices := make([]int, len(column))
			for k, member := range column {
				indices[k] = member.index
			}
			all = append(all, indices)
		}
	}
	return all
}

// grow follows single lines of this weight up and down.
func grow(from *item, weight float64, taken map[*item]bool) []*item {
	column := []*item{from}
	taken[from] = true
	for _, above := range []bool{true, false} {
		for at := from.only(above, weight); at != nil && !taken[at]; at = at.only(above, weight) {
			taken[at] = true
			column = append(column, at)
		}
	}
	return column
}

// only returns the neighbour on one side when it is the only one there of that
// weight, and is alone on its side too.
func (it *item) only(above bool, weight float64) *item {
	one := it.single(above, weight)
	if one == nil || one.single(!above, weight) != it {
		return nil
	}
	return one
}

func (it *item) single(above bool, weight float64) *item {
	var found *item
	for _, n := range it.near {
		if n.above != above || n.weight != weight || n.item == nil {
			continue
		}
		if found != nil {
			return nil
		}
		found = n.item
	}
	return found
}

// alignColumn moves a column as a whole to where its lines are the shortest, of
// the places that its members and their neighbours have.
func (v *solver) alignColumn(column []int) {
	low, high := math.Inf(-1), math.Inf(1)
	var places []float64
	for _, i := range column {
		low, high = max(low, v.lowest(i)), min(high, v.highest(i))
		places = append(places, v.vars[i].x)
		for _, n := range v.vars[i].item.near {
			places = append(places, n.middle(v.vars[i].x))
		}
	}
	if low > high {
		return
	}
	inside := func(it *item) bool {
		return it != nil && slices.ContainsFunc(column, func(i int) bool { return v.vars[i].item == it })
	}
	length := func(place func(i int) float64) float64 {
		sum := 0.0
		for _, i := range column {
			for _, n := range v.vars[i].item.near {
				to := n.middle(place(i))
				if inside(n.item) {
					to = place(n.item.index)
				}
				sum += n.weight * math.Abs(to-place(i))
			}
		}
		return sum
	}
	best, shortest := math.NaN(), length(func(i int) float64 { return v.vars[i].x })-0.01
	for _, x := range places {
		x = clamp(x, low, high)
		if l := length(func(int) float64 { return x }); l < shortest {
			best, shortest = x, l
		}
	}
	if math.IsNaN(best) {
		return
	}
	for _, i := range column {
		v.vars[i].x, v.vars[i].item.x = best, best
		for b := v.vars[i].item.parent; b != nil && b.node != nil; b = b.parent {
			v.widen(b)
		}
	}
}
