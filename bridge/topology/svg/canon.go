// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package svg

import (
	"cmp"
	"slices"
	"strings"

	"github.com/viaduct-sdk/viaduct/bridge/topology"
)

// canonical returns the graph in the order in which people would put it: by the
// names of the services that things belong to, so that each service is a column
// from the start. IDs, which change when an object is made anew, decide only
// between objects that look the same and belong to the same service.
func canonical(g *topology.Graph) *topology.Graph {
	chain := chainNames(g)
	sorted := &topology.Graph{Nodes: slices.Clone(g.Nodes), Edges: slices.Clone(g.Edges), Holes: g.Holes}
	slices.SortStableFunc(sorted.Nodes, func(a, b topology.Node) int {
		return cmp.Or(
			cmp.Compare(min(a.Count, 1), min(b.Count, 1)),
			strings.Compare(chain[a.ID], chain[b.ID]),
			strings.Compare(string(a.Kind), string(b.Kind)),
			strings.Compare(a.Label, b.Label),
			strings.Compare(a.Cluster, b.Cluster),
			strings.Compare(a.Detail, b.Detail),
			strings.Compare(a.ID, b.ID),
		)
	})
	at := make(map[string]int, len(g.Nodes))
	for i, n := range sorted.Nodes {
		at[n.ID] = i
	}
	slices.SortStableFunc(sorted.Edges, func(a, b topology.Edge) int {
		return cmp.Or(cmp.Compare(at[a.From], at[b.From]), cmp.Compare(at[a.To], at[b.To]), strings.Compare(string(a.Kind), string(b.Kind)))
	})
	return sorted
}

// chainNames returns for each node the name of the service that it belongs to;
// its own when it belongs to none.
func chainNames(g *topology.Graph) map[string]string {
	root := make(map[string]string, len(g.Nodes))
	for _, n := range g.Nodes {
		root[n.ID] = n.ID
	}
	find := func(id string) string {
		for root[id] != id {
			root[id] = root[root[id]]
			id = root[id]
		}
		return id
	}
	for _, e := range g.Edges {
		_, ok := root[e.From]
		_, ok2 := root[e.To]
		if ok && ok2 && weightOf(e.Kind) > weightBeneath {
			root[find(e.From)] = find(e.To)
		}
	}
	// A Service names its chain, or else what has the least label.
	best := map[string]string{}
	for _, n := range g.Nodes {
		name := "\x7f" + n.Label
		if n.Kind == topology.KindService || n.Kind == topology.KindImport {
			name = n.Label
		}
		if have, ok := best[find(n.ID)]; !ok || name < have {
			best[find(n.ID)] = name
		}
	}
	names := make(map[string]string, len(g.Nodes))
	for _, n := range g.Nodes {
		names[n.ID] = best[find(n.ID)]
	}
	return names
}
