// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

// chains tells which edges are part of what a service consists of, from the
// imports to the pods, and not of what lies beneath all services alike.
func chains(g *Graph) func(Edge) bool {
	kind := make(map[string]Kind, len(g.Nodes))
	for _, n := range g.Nodes {
		kind[n.ID] = n.Kind
	}
	return func(e Edge) bool {
		switch e.Kind {
		case EdgeResolves, EdgeForwards, EdgeMember, EdgeExports, EdgePublishes, EdgeSource, EdgeSelects:
			return true
		case EdgeRealizes: // of the Service of a TK cluster
			return kind[e.From] == KindVMService || kind[e.To] == KindVMService
		default:
			return false
		}
	}
}

// appliedTo tells which edges lead from the firewall policy of an import to the
// segments that it is applied to: other imports share these.
func appliedTo(g *Graph) func(Edge) bool {
	kind := make(map[string]Kind, len(g.Nodes))
	for _, n := range g.Nodes {
		kind[n.ID] = n.Kind
	}
	ofImport := map[string]bool{}
	for _, e := range g.Edges {
		if e.Kind == EdgeGuards && kind[e.To] == KindImport {
			ofImport[e.From] = true
		}
	}
	return func(e Edge) bool { return e.Kind == EdgeGuards && ofImport[e.From] && kind[e.To] == KindSegment }
}

// Focus returns what the nodes with these IDs have to do with: all that their
// services consist of, from the imports to the pods, the groups that these are
// in, and what lies beneath, down to port groups. A group stands for all that is
// in it. IDs that the graph lacks are ignored; the graph given is not changed.
func Focus(g *Graph, ids ...string) *Graph {
	children := map[string][]string{}
	parent := make(map[string]string, len(g.Nodes))
	for _, n := range g.Nodes {
		children[n.Parent] = append(children[n.Parent], n.ID)
		parent[n.ID] = n.Parent
	}
	chain := reach{seen: map[string]bool{}}
	for _, id := range ids {
		if _, ok := parent[id]; ok {
			chain.visit(id)
		}
	}
	chain.spread(children) // of groups, what is in them
	adjacent, beneath := map[string][]string{}, map[string][]string{}
	inChain, shared := chains(g), appliedTo(g)
	for _, e := range g.Edges {
		to := beneath
		if inChain(e) {
			to = adjacent
		}
		to[e.From] = append(to[e.From], e.To)
		if !shared(e) {
			to[e.To] = append(to[e.To], e.From)
		}
	}
	chain.spread(adjacent)
	// Up to the groups, and from all of them to what lies beneath; but of a
	// group that is reached on that way, only the group.
	base := reach{seen: map[string]bool{}}
	up := func(id string) []string {
		var groups []string
		for depth := 0; id != "" && depth < deepest; depth++ {
			if id = parent[id]; id != "" {
				groups = append(groups, id)
			}
		}
		return groups
	}
	for id := range chain.seen {
		base.visit(id)
		for _, group := range up(id) {
			base.visit(group)
		}
	}
	base.spread(beneath)
	return g.subgraph(base.seen)
}

// reach is a set of nodes that grows along edges.
type reach struct {
	seen  map[string]bool
	queue []string
}

func (r *reach) visit(id string) {
	if !r.seen[id] {
		r.seen[id] = true
		r.queue = append(r.queue, id)
	}
}

func (r *reach) spread(edges map[string][]string) {
	r.queue = r.queue[:0]
	for id := range r.seen {
		r.queue = append(r.queue, id)
	}
	for len(r.queue) > 0 {
		id := r.queue[len(r.queue)-1]
		r.queue = r.queue[:len(r.queue)-1]
		for _, next := range edges[id] {
			r.visit(next)
		}
	}
}
