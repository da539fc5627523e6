// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"math/bits"
	"slices"
)

// cover answers which sets contain a point, where a set is a number and a union
// of closed ranges: a segment tree over the ends of the ranges. A query walks
// one path from leaf to root, so that it costs the logarithm of the number of
// ends plus the number of sets found, however the ranges overlap.
type cover[K any] struct {
	compare func(K, K) int
	points  []K
	// nodes is a complete binary tree in an array. Leaf 2i stands for points[i]
	// and leaf 2i+1 for all that lies between points[i] and points[i+1].
	nodes [][]int32
}

// span says that the set contains the range from first to last.
type span[K any] struct {
	first, last K
	set         int32
}

func newCover[K any](compare func(K, K) int, spans []span[K]) cover[K] {
	points := make([]K, 0, 2*len(spans))
	for _, s := range spans {
		points = append(points, s.first, s.last)
	}
	slices.SortFunc(points, compare)
	points = slices.CompactFunc(points, func(a, b K) bool { return compare(a, b) == 0 })
	c := cover[K]{compare: compare, points: slices.Clip(points)}
	leaves := 2 * len(points)
	c.nodes = make([][]int32, 2*leaves)
	for _, s := range spans {
		first, _ := slices.BinarySearchFunc(points, s.first, compare)
		last, _ := slices.BinarySearchFunc(points, s.last, compare)
		c.insert(s.set, 2*first+leaves, 2*last+leaves+1)
	}
	return c
}

// insert adds the set to the nodes that together cover [low, high).
func (c cover[K]) insert(set int32, low, high int) {
	for low < high {
		if low&1 == 1 {
			c.nodes[low] = append(c.nodes[low], set)
			low++
		}
		if high&1 == 1 {
			high--
			c.nodes[high] = append(c.nodes[high], set)
		}
		low, high = low/2, high/2
	}
}

// sets calls visit with each set that contains the point, possibly more than
// once when ranges of one set overlap.
func (c cover[K]) sets(point K, visit func(set int32)) {
	i, exact := slices.BinarySearchFunc(c.points, point, c.compare)
	leaf := 2 * i
	if !exact {
		leaf-- // the gap before points[i]
	}
	if leaf < 0 || leaf >= 2*len(c.points) {
		return
	}
	for node := leaf + 2*len(c.points); node > 0; node /= 2 {
		for _, set := range c.nodes[node] {
			visit(set)
		}
	}
}

// bitset is a set of rules by their position in the order of evaluation.
type bitset []uint64

func newBitset(size int) bitset { return make(bitset, (size+63)/64) }

func (b bitset) set(i int32)      { b[i/64] |= 1 << (i % 64) }
func (b bitset) has(i int32) bool { return b[i/64]&(1<<(i%64)) != 0 }

// nextCommon returns the first position from start on that is in all sets, or
// -1.
func nextCommon(start int32, sets ...bitset) int32 {
	word := int(start / 64)
	mask := ^uint64(0) << (start % 64)
	for ; word < len(sets[0]); word++ {
		common := mask
		for _, set := range sets {
			common &= set[word]
		}
		if common != 0 {
			return int32(word*64 + bits.TrailingZeros64(common)) //nolint:gosec // the number of rules fits
		}
		mask = ^uint64(0)
	}
	return -1
}

// field is one side of the rules (source, destination, service or scope): which
// rules a set of the flow's properties satisfies.
type field struct {
	all     bitset    // rules that ask for nothing
	negated bitset    // rules that ask for none of their sets
	wants   [][]int32 // by set: the rules that want it
	refuses [][]int32 // by set: the rules that want to be without it
}

func newField(rules int) *field {
	return &field{all: newBitset(rules), negated: newBitset(rules)}
}

// add records what a rule asks of this field.
func (f *field) add(rule int32, sets []int32, everything, negate bool) {
	switch {
	case everything && negate:
		return // nothing lies outside everything
	case everything:
		f.all.set(rule)
		return
	case negate:
		f.negated.set(rule)
	}
	lists := &f.wants
	if negate {
		lists = &f.refuses
	}
	for _, set := range sets {
		for int(set) >= len(*lists) {
			*lists = append(*lists, nil)
		}
		(*lists)[set] = append((*lists)[set], rule)
	}
}

// match returns the rules that this field satisfies for a flow whose properties
// lie in the sets that each visits.
func (f *field) match(each func(visit func(set int32))) bitset {
	matched := slices.Clone(f.all)
	refused := make(bitset, len(f.negated))
	each(func(set int32) {
		if int(set) < len(f.wants) {
			for _, rule := range f.wants[set] {
				matched.set(rule)
			}
		}
		if int(set) < len(f.refuses) {
			for _, rule := range f.refuses[set] {
				refused.set(rule)
			}
		}
	})
	for word := range matched {
		matched[word] |= f.negated[word] &^ refused[word]
	}
	return matched
}
