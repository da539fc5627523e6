// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"regexp"
	"slices"
)

// Join is pure: what was observed in, a graph out.

// joiner builds a graph.
type joiner struct {
	o     observed
	nodes map[string]*Node
	edges map[Edge]bool
	used  map[string]bool // pools that a virtual server uses

	vcenter vcenterIndex
	nsx     nsxIndex
	kube    kubeIndex
}

func join(o observed) *Graph {
	j := &joiner{o: o, nodes: map[string]*Node{}, edges: map[Edge]bool{}, used: map[string]bool{}}
	j.addVCenter()
	j.addNSX()
	j.addKubernetes()
	j.joinNamespaces()
	j.joinServices()
	j.joinImports()
	j.joinPolicies()
	j.joinTKClusters()
	return j.graph(j.prune())
}

// add puts a node into the graph.
func (j *joiner) add(n Node) *Node {
	for key, value := range n.Attributes {
		if value == "" {
			delete(n.Attributes, key)
		}
	}
	if len(n.Attributes) == 0 {
		n.Attributes = nil
	}
	j.nodes[n.ID] = &n
	return &n
}

// connect puts an edge between two nodes that are there.
func (j *joiner) connect(kind EdgeKind, from, to string) {
	j.connectIn(kind, from, to, "")
}

func (j *joiner) connectIn(kind EdgeKind, from, to string, state State) {
	if j.nodes[from] != nil && j.nodes[to] != nil && from != to {
		j.edges[Edge{Kind: kind, From: from, To: to, State: state}] = true
	}
}

// worsen makes the state of a node worse, with the reason.
func worsen(n *Node, state State, reason string) {
	if n.State.worse(state) != n.State {
		n.State, n.Reason = state, reason
	}
	if n.State == StateUp {
		n.Reason = ""
	}
}

func (j *joiner) graph(keep map[string]bool) *Graph {
	g := &Graph{}
	for id, n := range j.nodes {
		if keep[id] {
			g.Nodes = append(g.Nodes, *n)
		}
	}
	for e := range j.edges {
		if keep[e.From] && keep[e.To] {
			g.Edges = append(g.Edges, e)
		}
	}
	g.Holes = j.o.holes()
	g.sort()
	return g
}

func (o *observed) holes() []Hole {
	var all []Hole
	if o.vcenter != nil {
		all = append(all, o.vcenter.found...)
	}
	if o.nsx != nil {
		all = append(all, o.nsx.found...)
	}
	for i := range o.clusters {
		all = append(all, o.clusters[i].found...)
	}
	if o.tkHoles != nil {
		all = append(all, o.tkHoles.found...)
	}
	return all
}

// prune returns what to keep. An NSX Manager and a vCenter may have much that
// has nothing to do with Kubernetes: of that, only what is connected stays.
func (j *joiner) prune() map[string]bool {
	adjacent := map[string][]string{}
	for e := range j.edges {
		adjacent[e.From] = append(adjacent[e.From], e.To)
		adjacent[e.To] = append(adjacent[e.To], e.From)
	}
	keep := map[string]bool{}
	var queue []string
	visit := func(id string) {
		if id != "" && j.nodes[id] != nil && !keep[id] {
			keep[id] = true
			queue = append(queue, id)
		}
	}
	for id, n := range j.nodes {
		if j.stands(n) {
			visit(id)
		}
	}
	for len(queue) > 0 {
		id := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		visit(j.nodes[id].Parent)
		for _, next := range adjacent[id] {
			visit(next)
		}
	}
	return keep
}

// stands reports whether a node is kept whether or not it is connected. Of NSX
// these are NCP's virtual servers and pools, and Viaduct's firewall policies: if
// nothing leads to them, that is worth knowing.
func (j *joiner) stands(n *Node) bool {
	switch {
	case n.Kind == KindPortGroup:
		return !j.o.readNSX(objectSegments)
	case n.System != SystemNSX:
		return true
	case j.o.vcenter == nil && len(j.o.clusters) == 0:
		return true
	case n.Attributes[attrImport] != "":
		return true
	case n.Kind != KindVirtualServer && n.Kind != KindPool:
		return false
	case len(j.kube.ncpClusters) > 0:
		return slices.Contains(j.kube.ncpClusters, n.Attributes[attrCluster])
	default:
		return n.Attributes[attrCluster] != ""
	}
}

// readNSX reports whether NSX was asked for the objects and answered.
func (o *observed) readNSX(objects ...string) bool {
	return o.nsx != nil && !slices.ContainsFunc(objects, func(object string) bool { return !o.nsx.has(object) })
}

// uuidPattern matches a UUID within a name.
const uuidPattern = `[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}`

// shorten replaces UUIDs in a display name: they tell people nothing, and are
// in the node's ID.
func (j *joiner) shorten(name string) string {
	if j.nsx.uuid == nil {
		j.nsx.uuid = regexp.MustCompile(uuidPattern)
	}
	return j.nsx.uuid.ReplaceAllString(name, "…")
}
