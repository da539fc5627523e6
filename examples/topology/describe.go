// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/viaduct-sdk/viaduct/bridge/topology"
)

// focus reduces the graph to what a service depends on, or all services of a
// namespace.
func focus(g *topology.Graph, on string) (*topology.Graph, error) {
	switch parts := strings.Split(on, "/"); len(parts) {
	case 2:
		for _, n := range g.Nodes {
			if n.Kind == topology.KindNamespace && n.Cluster == parts[0] && n.Label == parts[1] {
				return topology.Focus(g, n.ID), nil
			}
		}
	case 3:
		if n, ok := g.Service(parts[0], parts[1], parts[2]); ok {
			return topology.Focus(g, n.ID), nil
		}
	default:
		return nil, fmt.Errorf("-focus %s: want cluster/namespace or cluster/namespace/service", on)
	}
	return nil, fmt.Errorf("-focus %s: there is no such thing", on)
}

// describe prints a line for each import, from its name to the pods that answer,
// and what could not be read.
func describe(out io.Writer, g *topology.Graph) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "IMPORT\tSTATE\tVIRTUAL SERVER\tPOOL\tPODS")
	for _, n := range g.Nodes {
		if n.Kind != topology.KindImport {
			continue
		}
		servers := follow(g, []string{n.ID}, topology.EdgeResolves)
		pools := follow(g, servers, topology.EdgeForwards)
		pods := follow(g, pools, topology.EdgeMember)
		fmt.Fprintf(table, "%s/%s.%s\t%s\t%s\t%s\t%s\n", n.Cluster, n.Label, n.Attributes["namespace"],
			n.State, labels(g, servers), labels(g, pools), labels(g, pods))
	}
	table.Flush()
	fmt.Fprintf(out, "%d objects, %d relations\n", len(g.Nodes), len(g.Edges))
	for _, h := range g.Holes {
		fmt.Fprintf(out, "not read: %s (%s)\n", h, h.Message)
	}
}

// follow returns where edges of a kind lead.
func follow(g *topology.Graph, from []string, kind topology.EdgeKind) []string {
	var to []string
	for _, id := range from {
		for _, e := range g.Edges {
			if e.Kind == kind && e.From == id {
				to = append(to, e.To)
			}
		}
	}
	return to
}

func labels(g *topology.Graph, ids []string) string {
	var all []string
	for _, id := range ids {
		if n, ok := g.Node(id); ok {
			all = append(all, n.Label)
		}
	}
	if len(all) == 0 {
		return "-"
	}
	return strings.Join(all, ", ")
}
