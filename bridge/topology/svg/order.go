// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package svg

import (
	"cmp"
	"math"
	"slices"

	"github.com/viaduct-sdk/viaduct/bridge/topology"
)

// How long the search for a good order is.
const (
	orderRuns     = 24
	untangleRuns  = 6
	untangleReach = 6
	untangleMost  = 400
	measureMost   = 300

	straightenMost = 150 // attempts
)

// crossingCost is how many pixels of line a crossing is worth.
const crossingCost = 600

// order finds the order of objects within their rows: again and again,
// everything goes to the mean place of its neighbours above, beneath, or both;
// the order with the fewest crossings and the shortest lines stays.
func (s *scene) order() {
	s.begin()
	best, lowest := s.snapshot(), math.Inf(1)
	for run := range orderRuns {
		v := s.newSolver()
		v.solve(roughSteps)
		if cost := s.cost(); cost < lowest-0.01 {
			best, lowest = s.snapshot(), cost
		}
		for _, l := range s.lanes {
			l.root.sort(run % 3)
		}
	}
	restore(best)
	if len(s.items) <= untangleMost {
		s.untangle()
		s.straighten()
		s.untangle()
		s.sideOfPublishing()
	}
}

// sideOfPublishing has all lines from Services to their virtual servers pass on
// the right, where that costs little: what is alike should look alike.
func (s *scene) sideOfPublishing() {
	lowest, before := s.measure(), s.snapshot()
	for _, l := range s.links {
		if l.edge.Kind == topology.EdgePublishes && len(l.passages) > 0 {
			x, moved := l.upper.middle(0)+narrowest/2, map[*item]bool{}
			for _, p := range l.passages {
				p.x, moved[p] = x, true
			}
			s.gather(moved, x)
		}
	}
	if s.measure() > lowest+crossingCost-1 {
		restore(before)
	}
}

// straighten moves all passages of a long line, with what hangs on its far end,
// to one side or the other of its near end, if that is better on the whole: one
// at a time they would have to get worse first.
func (s *scene) straighten() {
	lowest, tries := s.measure(), 0
	for _, l := range s.links {
		if len(l.passages) == 0 || tries >= straightenMost {
			continue
		}
		tries += 6
		for _, anchor := range []end{l.upper, l.lower} {
			moved := l.movable(anchor)
			for _, aside := range []float64{0, -1, 1} {
				before, places := s.snapshot(), s.places()
				if !s.gather(moved, anchor.middle(l.passages[0].x)+aside*narrowest/2) {
					continue
				}
				if cost := s.measure(); cost < lowest-0.01 {
					lowest = cost
					continue
				}
				restore(before)
				places()
			}
		}
	}
}

// movable returns the passages of a line, and what is on the end other than
// anchor if it hangs on this line only.
func (l *link) movable(anchor end) map[*item]bool {
	moved := map[*item]bool{}
	for _, p := range l.passages {
		moved[p] = true
	}
	other := l.lower
	if anchor == l.lower {
		other = l.upper
	}
	if other.item != nil && len(other.item.near) == 1 {
		moved[other.item] = true
	}
	return moved
}

// measure finds places for the order as it is, and returns what it costs:
// exactly, unless that would take long.
func (s *scene) measure() float64 {
	v := s.newSolver()
	if len(v.vars) > measureMost {
		v.solve(roughSteps)
		return s.cost()
	}
	return v.exact() + crossingCost*float64(s.tangle())
}

// places returns a function that puts everything back to where it is now.
func (s *scene) places() func() {
	items, blocks := make([]float64, len(s.items)), make([]gap, len(s.blocks))
	for i, it := range s.items {
		items[i] = it.x
	}
	for i, b := range s.blocks {
		blocks[i] = gap{b.left, b.right}
	}
	return func() {
		for i, it := range s.items {
			it.x = items[i]
		}
		for i, b := range s.blocks {
			b.left, b.right = blocks[i].left, blocks[i].right
		}
	}
}

// gather sorts some items to x, and leaves all else in its order. It reports
// whether that changed the order.
func (s *scene) gather(moved map[*item]bool, x float64) (changed bool) {
	for it := range moved {
		cells := it.parent.cells
		before := slices.Clone(cells)
		for i, c := range cells {
			switch {
			case c.block != nil:
				cells[i].key = (c.block.left + c.block.right) / 2
			case moved[c.item]:
				cells[i].key = x
			default:
				cells[i].key = c.item.x
			}
		}
		slices.SortStableFunc(cells, func(one, other cell) int { return cmp.Compare(one.key, other.key) })
		changed = changed || !slices.EqualFunc(before, cells, func(a, b cell) bool { return a.item == b.item && a.block == b.block })
	}
	return changed
}

func restore(order map[*block][]cell) {
	for b, cells := range order {
		b.cells = cells
	}
}

// untangle swaps neighbours as long as that makes lines cross less often.
func (s *scene) untangle() {
	blocks := slices.Clone(s.blocks)
	for _, l := range s.lanes {
		blocks = append(blocks, l.root)
	}
	fewest := s.tangle()
	for range untangleRuns {
		before := fewest
		for _, b := range blocks {
			for i := range b.cells {
				for k := i + 1; k < len(b.cells) && k <= i+untangleReach; k++ {
					b.move(i, k)
					if now := s.tangle(); now < fewest {
						fewest = now
					} else {
						b.move(k, i)
					}
				}
			}
		}
		if fewest == before {
			return
		}
	}
}

// move takes a cell to another place.
func (b *block) move(from, to int) {
	c := b.cells[from]
	b.cells = slices.Insert(slices.Delete(b.cells, from, from+1), to, c)
}

// tangle counts the crossings of the order alone.
func (s *scene) tangle() int {
	count := 0
	for _, l := range s.lanes {
		l.root.number(&count)
	}
	between := make([][]segment, len(s.rows))
	for _, l := range s.links {
		if l.level {
			continue
		}
		above := l.upper
		for i := 0; i <= len(l.passages); i++ {
			below := l.lower
			if i < len(l.passages) {
				below = end{item: l.passages[i]}
			}
			_, r := above.rows()
			between[r] = append(between[r], segment{above.number(), below.number()})
			above = below
		}
	}
	crossed := 0
	for _, all := range between {
		crossed += crossings(all)
	}
	return crossed
}

// number counts the cells of a block through, from left to right.
func (b *block) number(count *int) {
	*count++
	b.place = float64(*count)
	for _, c := range b.cells {
		if c.block != nil {
			c.block.number(count)
			continue
		}
		*count++
		c.item.place = float64(*count)
	}
}

func (e end) number() float64 {
	if e.block != nil {
		return e.block.place
	}
	return e.item.place
}

// begin puts passages and what lies beneath to the left, and all else in the
// order of the graph.
func (s *scene) begin() {
	for _, l := range s.lanes {
		x := 0.0
		l.root.begin(&x)
	}
}

func (b *block) begin(x *float64) {
	slices.SortStableFunc(b.cells, func(one, other cell) int { return cmp.Compare(one.heft(), other.heft()) })
	b.left = *x
	for _, c := range b.cells {
		if c.block != nil {
			c.block.begin(x)
			continue
		}
		*x += c.item.width + itemGap
		c.item.x = *x
	}
	b.right = *x
}

// heft is 1 for what belongs to a connection, and 0 for all else.
func (c cell) heft() int {
	if c.block != nil {
		return 1
	}
	for _, n := range c.item.near {
		if n.weight > weightBeneath {
			return 1
		}
	}
	return 0
}

// snapshot remembers the order.
func (s *scene) snapshot() map[*block][]cell {
	all := map[*block][]cell{}
	for _, l := range s.lanes {
		all[l.root] = slices.Clone(l.root.cells)
	}
	for _, b := range s.blocks {
		all[b] = slices.Clone(b.cells)
	}
	return all
}

// sort orders the cells of a block, and of those in it, by where their
// neighbours are: those above, beneath, or all.
func (b *block) sort(direction int) {
	for i := range b.cells {
		if c := &b.cells[i]; c.block != nil {
			c.block.sort(direction)
			c.key = c.block.pull(direction)
		} else {
			c.key, _ = c.item.pull(direction)
		}
	}
	slices.SortStableFunc(b.cells, func(one, other cell) int { return cmp.Compare(one.key, other.key) })
}

// pull is the mean place of an item's neighbours, and their weight; its own
// place when it has none.
func (it *item) pull(direction int) (x, weight float64) {
	for _, n := range it.near {
		if direction == 0 && !n.above || direction == 1 && n.above {
			continue
		}
		x += n.weight * n.middle(it.x)
		weight += n.weight
	}
	if weight == 0 {
		return it.x, 0
	}
	return x / weight, weight
}

// pull is the mean place of the neighbours that what is in a block has.
func (b *block) pull(direction int) float64 {
	x, weight := 0.0, 0.0
	var add func(b *block)
	add = func(b *block) {
		for _, c := range b.cells {
			if c.block != nil {
				add(c.block)
				continue
			}
			at, w := c.item.pull(direction)
			x += at * w
			weight += w
		}
	}
	add(b)
	if weight == 0 {
		return (b.left + b.right) / 2
	}
	return x / weight
}

// segment is the part of a link between two rows.
type segment struct{ upper, lower float64 }

// cost is what crossings and lengths of the lines add up to.
func (s *scene) cost() float64 {
	between := map[int][]segment{}
	length := 0.0
	for _, l := range s.links {
		if l.level {
			continue
		}
		weight := weightOf(l.edge.Kind)
		above := l.upper
		_, r := above.rows()
		for _, below := range append(ends(l.passages), l.lower) {
			x := above.middle(below.middle(0))
			y := below.middle(x)
			length += weight * math.Abs(x-y)
			between[r] = append(between[r], segment{x, y})
			_, r = below.rows()
			above = below
		}
	}
	cost := length
	for r := range s.rows { // in order: sums of floats depend on it
		cost += crossingCost * float64(crossings(between[r]))
	}
	return cost
}

func ends(items []*item) []end {
	all := make([]end, len(items))
	for i, it := range items {
		all[i] = end{item: it}
	}
	return all
}

// crossings counts the pairs of segments that cross.
func crossings(all []segment) int {
	slices.SortFunc(all, func(a, b segment) int {
		return cmp.Or(cmp.Compare(a.upper, b.upper), cmp.Compare(a.lower, b.lower))
	})
	lower := make([]float64, len(all))
	for i, s := range all {
		lower[i] = s.lower
	}
	return inversions(lower, make([]float64, len(all)))
}

// inversions counts the pairs that are out of order, and sorts.
func inversions(all, buffer []float64) int {
	if len(all) < 2 {
		return 0
	}
	middle := len(all) / 2
	count := inversions(all[:middle], buffer[:middle]) + inversions(all[middle:], buffer[middle:])
	i, k := 0, middle
	for n := range buffer {
		if k == len(all) || i < middle && all[i] <= all[k] {
			buffer[n] = all[i]
			i++
			continue
		}
		buffer[n] = all[k]
		count += middle - i
		k++
	}
	copy(all, buffer)
	return count
}
