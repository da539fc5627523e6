// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package svg

import "math"

// exactMost is how many variables the exact method is used for; it takes time
// with the square of their number.
const (
	exactMost  = 1500
	exactSteps = 20000
)

// exactScale is what a pixel of a line of weight 1 costs; one of a group's width
// costs 1, one of the picture's weightWidth lines.
const (
	exactScale  = 4
	weightWidth = 3
)

// exact finds the places with the shortest lines of all, the weights of the
// lines counted, and then the narrowest groups. It returns what they cost, in
// pixels of line.
func (v *solver) exact() float64 {
	n := newNetwork(len(v.vars))
	for i := range v.vars {
		for _, b := range v.vars[i].after {
			n.arc(b.other, i, int(math.Ceil(b.gap)), 0)
		}
	}
	// Between two walls, which hold all together.
	left, right := n.node(), n.node()
	n.arc(left, right, 0, exactScale*weightWidth)
	for i := range v.vars {
		n.arc(left, i, 0, 0)
		n.arc(i, right, 0, 0)
		one := &v.vars[i]
		if one.item == nil {
			if one.right {
				n.arc(one.block.borders[0], i, 0, 1)
			}
			continue
		}
		for _, near := range one.item.near {
			if near.item != nil && near.above { // each line once
				n.together(near.item.index, i, exactScale*int(near.weight))
			}
			if near.block != nil { // a port, somewhere on the side of the group
				port := n.node()
				n.arc(near.block.borders[0], port, portMargin, 0)
				n.arc(port, near.block.borders[1], portMargin, 0)
				n.together(port, i, exactScale*int(near.weight))
			}
		}
	}
	n.solve(exactSteps)
	for i := range v.vars {
		v.vars[i].x = float64(n.place[i])
	}
	v.tighten()
	v.store()
	return float64(n.cost()) / exactScale
}
