// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import "slices"

// relations are the edges of a graph by kind and start.
type relations map[EdgeKind]map[string][]string

func relationsOf(g *Graph) relations {
	r := relations{}
	for _, e := range g.Edges {
		if r[e.Kind] == nil {
			r[e.Kind] = map[string][]string{}
		}
		r[e.Kind][e.From] = append(r[e.Kind][e.From], e.To)
	}
	return r
}

// leads reports whether edges of these kinds, one after the other, lead from
// one node to another.
func (r relations) leads(from, to string, kinds ...EdgeKind) bool {
	if len(kinds) == 0 {
		return from == to
	}
	return slices.ContainsFunc(r[kinds[0]][from], func(next string) bool {
		return r.leads(next, to, kinds[1:]...)
	})
}

// Simplify returns the graph without the relations that others imply: that a
// Service selects a pod where the pod is a member of its pool, that an import
// comes from the Service whose virtual server it leads to. What is left of them
// is worth a look: a selected pod that is no member, an import that leads
// elsewhere. It also leaves out to which segments the firewall policies of
// imports are applied, to all of a cluster's each. The graph given is not changed.
func Simplify(g *Graph) *Graph {
	r, shared := relationsOf(g), appliedTo(g)
	parent := make(map[string]string, len(g.Nodes))
	for _, n := range g.Nodes {
		parent[n.ID] = n.Parent
	}
	simple := &Graph{Nodes: slices.Clone(g.Nodes), Holes: slices.Clone(g.Holes)}
	for _, e := range g.Edges {
		if !r.implied(e, parent) && !shared(e) {
			simple.Edges = append(simple.Edges, e)
		}
	}
	return simple
}

func (r relations) implied(e Edge, parent map[string]string) bool {
	switch e.Kind {
	case EdgeSelects:
		return r.leads(e.From, e.To, EdgePublishes, EdgeForwards, EdgeMember) ||
			r.leads(e.From, e.To, EdgeExports, EdgePublishes, EdgeForwards, EdgeMember)
	case EdgeSource:
		return slices.ContainsFunc(r[EdgeResolves][e.From], func(server string) bool {
			return r.leads(e.To, server, EdgePublishes) || r.leads(e.To, server, EdgeExports, EdgePublishes)
		})
	case EdgeRoutes:
		return slices.ContainsFunc(r[EdgeAttaches][e.From], func(segment string) bool { return parent[segment] == e.To })
	case EdgeAttaches:
		return r.leads(e.From, e.To, EdgeAttaches, EdgeRealizes)
	case EdgeGuards:
		return r.leads(e.From, e.To, EdgeGuards, EdgeAttaches)
	default:
		return false
	}
}
