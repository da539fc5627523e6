// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package svg

import (
	"math"
	"slices"
)

// Distances, in pixels.
const (
	passageWidth = 6.0
	itemGap      = 16.0
	passageGap   = 10.0
	blockGap     = 18.0
	blockPad     = 12.0
	portMargin   = 14.0
	portGap      = 12.0
)

// How long the search for good places is.
const (
	fineSteps  = 120
	roughSteps = 30
	sweeps     = 2 // in a step
)

const (
	centerPull = 0.2 // how much the middle of the picture draws
	lightest   = 0.3 // mass of what has no lines
)

// variable is a place to be found: the middle of an item, or a border of a
// block. The reach is how far it extends to either side.
type variable struct {
	item      *item
	block     *block
	right     bool // the right border
	x         float64
	after     []bound // who must be left of it
	before    []bound // who must be right of it
	reachL    float64
	reachR    float64
	isPassage bool
	mass      float64
}

// bound keeps two variables a distance apart.
type bound struct {
	other int
	gap   float64
}

// solver finds places. Its variables are in an order in which each comes after
// all that must be left of it.
type solver struct {
	vars []variable
	last map[int]int // by row: the variable placed last
}

// newSolver lists the variables in the order that the cells are in now.
func (s *scene) newSolver() *solver {
	v := &solver{last: map[int]int{}}
	for _, l := range s.lanes {
		v.enter(l.root)
	}
	return v
}

func (v *solver) enter(b *block) {
	if b.node != nil {
		b.borders[0] = v.push(variable{block: b, x: b.left, reachR: blockPad}, b.first, b.last)
	}
	for _, c := range b.cells {
		if c.block != nil {
			v.enter(c.block)
			continue
		}
		half := c.item.width / 2
		c.item.index = v.push(variable{
			item: c.item, x: c.item.x, reachL: half, reachR: half, isPassage: c.item.node == nil,
		}, c.item.first, c.item.last)
	}
	if b.node != nil {
		b.borders[1] = v.push(variable{block: b, right: true, x: b.right, reachL: blockPad}, b.first, b.last)
		v.bind(b.borders[0], b.borders[1], b.minWidth)
	}
}

// push adds a variable to the right of what is in its rows.
func (v *solver) push(one variable, first, last int) int {
	index := len(v.vars)
	one.mass = lightest
	if one.item != nil {
		for _, n := range one.item.near {
			one.mass += n.weight
		}
	}
	v.vars = append(v.vars, one)
	for r := first; r <= last; r++ {
		if before, ok := v.last[r]; ok {
			v.bind(before, index, v.vars[before].reachR+one.reachL+gapBetween(&v.vars[before], &one))
		}
		v.last[r] = index
	}
	return index
}

func gapBetween(a, b *variable) float64 {
	inner := func(one *variable, right bool) bool { return one.block != nil && one.right == right }
	switch {
	case inner(a, false), inner(b, true): // at the inside of a border
		return 0
	case a.block != nil || b.block != nil:
		return blockGap
	case a.isPassage || b.isPassage:
		return passageGap
	default:
		return itemGap
	}
}

func (v *solver) bind(left, right int, gap float64) {
	for i, b := range v.vars[right].after {
		if b.other == left {
			v.vars[right].after[i].gap = max(b.gap, gap)
			for k, c := range v.vars[left].before {
				if c.other == right {
					v.vars[left].before[k].gap = max(c.gap, gap)
				}
			}
			return
		}
	}
	v.vars[right].after = append(v.vars[right].after, bound{left, gap})
	v.vars[left].before = append(v.vars[left].before, bound{right, gap})
}

// solve moves everything towards its neighbours, a step at a time, and then
// pushes apart what is too close: the one with the lighter lines gives way more.
// At last it sees to it that nothing overlaps.
func (v *solver) solve(steps int) {
	for range steps {
		center := v.center()
		for i := range v.vars {
			v.vars[i].x = v.vars[i].wanted(center)
		}
		v.tighten()
		for range sweeps {
			for i := range v.vars {
				v.separate(i)
			}
			for i := range slices.Backward(v.vars) {
				v.separate(i)
			}
		}
		v.store()
	}
	v.legalize()
	v.tighten()
	v.store()
}

// wanted is halfway to where the neighbours are. Everything is also drawn a
// little to the center of the picture, so that nothing strays.
func (one *variable) wanted(center float64) float64 {
	if one.item == nil {
		return one.x
	}
	x, weight := centerPull*center, centerPull
	for _, n := range one.item.near {
		x += n.weight * n.middle(one.item.x)
		weight += n.weight
	}
	if b := one.item.parent; len(one.item.near) == 0 && b.node != nil {
		x += (b.left + b.right) / 2
		weight++
	}
	return (one.item.x + x/weight) / 2
}

// center is where the mass of the picture is.
func (v *solver) center() float64 {
	sum, mass := 0.0, 0.0
	for i := range v.vars {
		if one := &v.vars[i]; one.item != nil {
			sum += one.mass * one.x
			mass += one.mass
		}
	}
	return sum / max(mass, lightest)
}

// separate pushes a variable and those that must be left of it apart.
func (v *solver) separate(i int) {
	one := &v.vars[i]
	for _, b := range one.after {
		other := &v.vars[b.other]
		missing := other.x + b.gap - one.x
		if missing <= 0 {
			continue
		}
		share := other.mass / (one.mass + other.mass)
		one.x += missing * share
		other.x -= missing * (1 - share)
	}
}

// legalize removes what overlaps are left: it pushes whatever is in the way once
// to the right and once to the left, and takes the middle of both, which is free
// of overlaps as both are.
func (v *solver) legalize() {
	right := make([]float64, len(v.vars))
	for i := range v.vars {
		right[i] = v.vars[i].x
		for _, b := range v.vars[i].after {
			right[i] = max(right[i], right[b.other]+b.gap)
		}
	}
	left := make([]float64, len(v.vars))
	for i := range slices.Backward(v.vars) {
		left[i] = v.vars[i].x
		for _, b := range v.vars[i].before {
			left[i] = min(left[i], left[b.other]-b.gap)
		}
	}
	for i := range v.vars {
		v.vars[i].x = (left[i] + right[i]) / 2
	}
}

// tighten draws the borders of blocks close around what is in them.
func (v *solver) tighten() {
	for i := range slices.Backward(v.vars) {
		if one := &v.vars[i]; one.block != nil && !one.right {
			v.tightenBlock(one.block)
		}
	}
}

func (v *solver) tightenBlock(b *block) {
	left, right := &v.vars[b.borders[0]], &v.vars[b.borders[1]]
	low, high := math.Inf(1), math.Inf(-1)
	for _, c := range left.before {
		if c.other != b.borders[1] {
			low = min(low, v.vars[c.other].x-c.gap)
		}
	}
	for _, c := range right.after {
		if c.other != b.borders[0] {
			high = max(high, v.vars[c.other].x+c.gap)
		}
	}
	if math.IsInf(low, 1) || math.IsInf(high, -1) {
		return
	}
	if missing := b.minWidth - (high - low); missing > 0 {
		// As much to the right as there is room, the rest to the left.
		toRight := clamp(right.x-high, 0, missing)
		high += toRight
		low -= missing - toRight
	}
	left.x, right.x = low, high
}

// store writes the places back.
func (v *solver) store() {
	for i := range v.vars {
		switch one := &v.vars[i]; {
		case one.item != nil:
			one.item.x = one.x
		case one.right:
			one.block.right = one.x
		default:
			one.block.left = one.x
		}
	}
}

// place finds the final places, the leftmost at the margin.
func (s *scene) place() {
	v := s.newSolver()
	if len(v.vars) <= exactMost {
		v.exact()
	} else {
		v.solve(fineSteps)
	}
	low := math.Inf(1)
	for i := range v.vars {
		low = min(low, v.vars[i].x-v.vars[i].reachL)
	}
	if math.IsInf(low, 1) {
		return
	}
	for i := range v.vars {
		v.vars[i].x = math.Round(v.vars[i].x - low)
	}
	v.store()
}
