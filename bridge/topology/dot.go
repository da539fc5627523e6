// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"io"
	"strconv"
	"strings"
)

// WriteDOT writes the graph in the language of Graphviz.
func WriteDOT(w io.Writer, g *Graph) error {
	t := newWriter(w, g)
	t.line(0, "digraph topology {")
	t.line(1, `graph [rankdir=TB, compound=true, fontname="Helvetica", bgcolor="white"]`)
	t.line(1, `node [shape=box, style="rounded,filled", fillcolor="white", color="#64748b", fontname="Helvetica", fontsize=11]`)
	t.line(1, `edge [color="#64748b", fontname="Helvetica", fontsize=9]`)
	for i, lane := range t.lanes() {
		t.line(1, "subgraph cluster_lane%d {", i)
		t.line(2, "label=%s; style=\"rounded,filled\"; color=\"#cbd5e1\"; fillcolor=\"#f8fafc\"", dotText(lane.system.title()))
		for k, h := range lane.holes {
			t.line(2, "hole%d_%d [label=%s, style=dashed, color=\"#b45309\"]", i, k, dotText("not read: "+h.Object+" ("+h.Reason+")"))
		}
		for _, n := range lane.nodes {
			t.dotNode(2, n)
		}
		t.line(1, "}")
	}
	for _, e := range g.Edges {
		t.dotEdge(e)
	}
	t.line(0, "}")
	return t.out.Flush()
}

func (t *writer) dotNode(depth int, n Node) {
	number := t.number[n.ID]
	if t.isBox(n) {
		t.line(depth, "subgraph cluster_n%d {", number)
		t.line(depth+1, "label=%s; style=rounded; color=\"#94a3b8\"", dotText(n.caption()+" "+n.Label))
		// Graphviz has edges between nodes only: this one stands for the group.
		t.line(depth+1, "n%d [shape=point, style=invis, width=0]", number)
		for _, child := range t.groups[n.ID] {
			t.dotNode(depth+1, child)
		}
		t.line(depth, "}")
		return
	}
	text := n.Label
	if caption := n.caption(); caption != "" {
		text = caption + "\n" + text
	}
	if n.Detail != "" {
		text += "\n" + n.Detail
	}
	t.line(depth, "n%d [label=%s%s]", number, dotText(text), dotState(n.State))
}

func (t *writer) isBox(n Node) bool {
	return n.Kind.IsGroup() && n.Count == 0 && len(t.groups[n.ID]) > 0
}

func (t *writer) dotEdge(e Edge) {
	from, ok := t.number[e.From]
	to, ok2 := t.number[e.To]
	if !ok || !ok2 {
		return
	}
	style := "style=dashed"
	switch {
	case e.State == StateDown:
		style = `penwidth=2, color="#b91c1c"`
	case e.Kind == EdgeResolves, e.Kind == EdgeForwards, e.Kind == EdgeMember:
		style = `penwidth=2, color="#1d4ed8"`
	case e.Kind == EdgeExports, e.Kind == EdgePublishes, e.Kind == EdgeSource:
		style = "style=solid"
	}
	if t.isBox(t.g.Nodes[from]) {
		style += ", ltail=cluster_n" + strconv.Itoa(from)
	}
	if t.isBox(t.g.Nodes[to]) {
		style += ", lhead=cluster_n" + strconv.Itoa(to)
	}
	t.line(1, "n%d -> n%d [label=%s, %s]", from, to, dotText(edgeText(e)), style)
}

func dotState(s State) string {
	switch s {
	case StateUp:
		return `, color="#047857"`
	case StateDegraded:
		return `, color="#b45309", style="rounded,filled,dashed"`
	case StateDown:
		return `, color="#b91c1c", penwidth=2`
	default:
		return ""
	}
}

// dotText quotes text for Graphviz, which knows \n and \" within quotes, and
// reads entities.
func dotText(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		line = strings.ReplaceAll(printable(line), `\`, `\\`)
		line = strings.ReplaceAll(line, `"`, `\"`)
		lines[i] = strings.ReplaceAll(line, "&", "&amp;")
	}
	return `"` + strings.Join(lines, `\n`) + `"`
}
