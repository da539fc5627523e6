// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package svg

import "math"

// network finds places for nodes on a line so that the edges are as short as
// can be: each edge leads from left to right, has a least length, and costs its
// weight for each unit. It is the network simplex method as Gansner, Koutsofios,
// North and Vo apply it to layered drawings (A Technique for Drawing Directed
// Graphs, 1993).
type network struct {
	edges []arc
	at    [][]int // edges of each node
	place []int

	// The spanning tree: the edge to the parent of each node, and the nodes in
	// an order in which parents come first.
	parent []int
	order  []int
	// Of a walk through the tree: a node's number, and the least in its subtree.
	number, least []int
	cut           []int // by edge of the tree: what a longer edge would cost
	inTree        []bool
	stack         []step // of the walk
}

// step is a node of the walk, and its edge to follow next.
type step struct{ node, next int }

type arc struct{ from, to, length, weight int }

func newNetwork(nodes int) *network {
	return &network{at: make([][]int, nodes), place: make([]int, nodes)}
}

// node adds a node.
func (n *network) node() int {
	n.at = append(n.at, nil)
	n.place = append(n.place, 0)
	return len(n.at) - 1
}

func (n *network) arc(from, to, length, weight int) {
	n.at[from] = append(n.at[from], len(n.edges))
	n.at[to] = append(n.at[to], len(n.edges))
	n.edges = append(n.edges, arc{from, to, length, weight})
}

// together costs weight for each unit between two nodes, whichever is left of
// the other.
func (n *network) together(a, b, weight int) {
	left := n.node()
	n.arc(left, a, 0, weight)
	n.arc(left, b, 0, weight)
}

func (n *network) slack(e int) int {
	a := n.edges[e]
	return n.place[a.to] - n.place[a.from] - a.length
}

// cost is what all edges cost.
func (n *network) cost() int {
	sum := 0
	for _, a := range n.edges {
		sum += a.weight * (n.place[a.to] - n.place[a.from])
	}
	return sum
}

// solve finds the places, and leaves what it has found so far when it would take
// more than so many steps. The edges must hold all nodes together and lead in no
// circle.
func (n *network) solve(steps int) {
	n.start()
	n.span()
	n.parent = make([]int, len(n.at))
	n.number, n.least = make([]int, len(n.at)), make([]int, len(n.at))
	n.cut = make([]int, len(n.edges))
	n.walk()
	n.cuts()
	next := 0
	for range steps {
		leaving := n.leaving(&next)
		if leaving < 0 {
			return
		}
		entering := n.entering(leaving)
		if entering < 0 {
			return // cannot be: another edge always crosses the cut
		}
		n.exchange(leaving, entering)
	}
}

// start puts each node as far to the left as can be.
func (n *network) start() {
	waiting := make([]int, len(n.at))
	for _, a := range n.edges {
		waiting[a.to]++
	}
	var ready []int
	for v, count := range waiting {
		if count == 0 {
			ready = append(ready, v)
		}
	}
	for len(ready) > 0 {
		v := ready[0]
		ready = ready[1:]
		for _, e := range n.at[v] {
			a := n.edges[e]
			if a.from != v {
				continue
			}
			n.place[a.to] = max(n.place[a.to], n.place[v]+a.length)
			if waiting[a.to]--; waiting[a.to] == 0 {
				ready = append(ready, a.to)
			}
		}
	}
}

// span grows a tree of edges that are as short as they may be, and moves it
// towards its nearest neighbour when there is no more such edge.
func (n *network) span() {
	n.inTree = make([]bool, len(n.edges))
	inside := make([]bool, len(n.at))
	inside[0] = true
	members := []int{0}
	for len(members) < len(n.at) {
		best, least := -1, math.MaxInt
		for e, a := range n.edges {
			if inside[a.from] != inside[a.to] && n.slack(e) < least {
				best, least = e, n.slack(e)
			}
		}
		if best < 0 {
			return // the edges do not hold together
		}
		a := n.edges[best]
		if inside[a.to] {
			least = -least
		}
		for _, v := range members {
			n.place[v] += least
		}
		n.inTree[best] = true
		next := a.to
		if inside[a.to] {
			next = a.from
		}
		inside[next] = true
		members = append(members, next)
	}
}

// walk numbers the nodes of the tree.
func (n *network) walk() {
	count := 0
	n.parent[0], n.least[0] = -1, 0
	n.order = append(n.order[:0], 0)
	stack := append(n.stack[:0], step{0, 0})
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if top.next == len(n.at[top.node]) {
			n.number[top.node] = count
			count++
			stack = stack[:len(stack)-1]
			continue
		}
		e := n.at[top.node][top.next]
		top.next++
		if !n.inTree[e] || e == n.parent[top.node] {
			continue
		}
		child := n.edges[e].from + n.edges[e].to - top.node
		n.parent[child], n.least[child] = e, count
		n.order = append(n.order, child)
		stack = append(stack, step{child, 0})
	}
	n.stack = stack
}

// below reports whether a node is in the subtree of another.
func (n *network) below(v, root int) bool {
	return n.least[root] <= n.number[v] && n.number[v] <= n.number[root]
}

// cuts finds, from the leaves of the tree to its root, what it would cost to
// make each of its edges longer by one: the weights of the edges across the cut
// in its direction, less those in the other.
func (n *network) cuts() {
	for i := len(n.order) - 1; i > 0; i-- {
		v := n.order[i]
		up := n.parent[v]
		out := n.edges[up].from == v // the edge leads out of the subtree
		sum := 0
		for _, e := range n.at[v] {
			a := n.edges[e]
			sign := 1
			if (a.from == v) != out {
				sign = -1
			}
			switch {
			case e == up:
				sum += a.weight
			case n.inTree[e]: // to a child: its cut without this edge
				sum += sign * (a.weight - n.cut[e])
			default:
				sum += sign * a.weight
			}
		}
		n.cut[up] = sum
	}
}

// leaving returns an edge of the tree that had better be longer, the next one in
// turn so that it does not go in circles; -1 when there is none.
func (n *network) leaving(next *int) int {
	for range n.edges {
		e := *next
		if *next++; *next == len(n.edges) {
			*next = 0
		}
		if n.inTree[e] && n.cut[e] < 0 {
			return e
		}
	}
	return -1
}

// entering returns the edge with the least slack that crosses the cut of an edge
// of the tree against its direction.
func (n *network) entering(leaving int) int {
	a := n.edges[leaving]
	root, out := a.from, true
	if n.parent[a.to] == leaving {
		root, out = a.to, false
	}
	best, least := -1, math.MaxInt
	for e, b := range n.edges {
		if n.inTree[e] {
			continue
		}
		from, to := n.below(b.from, root), n.below(b.to, root)
		if from != to && from != out {
			if slack := n.slack(e); slack < least {
				best, least = e, slack
			}
		}
	}
	return best
}

func (n *network) exchange(leaving, entering int) {
	a := n.edges[leaving]
	root := a.from
	shift := -n.slack(entering)
	if n.parent[a.to] == leaving {
		root, shift = a.to, -shift
	}
	for v := range n.place {
		if n.below(v, root) {
			n.place[v] += shift
		}
	}
	n.inTree[leaving], n.inTree[entering] = false, true
	n.walk()
	n.cuts()
}
