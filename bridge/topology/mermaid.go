// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"fmt"
	"io"
	"strings"
)

// WriteMermaid writes the graph as a flowchart in the language of Mermaid, which
// GitHub and GitLab draw within Markdown. Mermaid refuses more than 500 edges
// and much text: see [Fold].
func WriteMermaid(w io.Writer, g *Graph) error {
	t := newWriter(w, g)
	t.line(0, "flowchart TB")
	for i, lane := range t.lanes() {
		t.line(1, `subgraph lane%d["%s"]`, i, mermaidText(lane.system.title()))
		for k, h := range lane.holes {
			t.line(2, `hole%d_%d["not read: %s (%s)"]:::hole`, i, k, mermaidText(h.Object), mermaidText(h.Reason))
		}
		for _, n := range lane.nodes {
			t.mermaidNode(2, n)
		}
		t.line(1, "end")
	}
	for _, e := range g.Edges {
		from, ok := t.number[e.From]
		to, ok2 := t.number[e.To]
		if ok && ok2 {
			t.line(1, "n%d %s|%s| n%d", from, mermaidArrow(e), mermaidText(edgeText(e)), to)
		}
	}
	t.line(1, "classDef up stroke:#047857,stroke-width:2px")
	t.line(1, "classDef degraded stroke:#b45309,stroke-width:2px,stroke-dasharray:6 3")
	t.line(1, "classDef down stroke:#b91c1c,stroke-width:3px")
	t.line(1, "classDef unknown stroke:#64748b,stroke-dasharray:2 3")
	t.line(1, "classDef hole stroke:#b45309,stroke-dasharray:2 3,font-style:italic")
	return t.out.Flush()
}

func (t *writer) mermaidNode(depth int, n Node) {
	text := "<b>" + mermaidText(n.Label) + "</b>"
	if caption := n.caption(); caption != "" {
		text = mermaidText(caption) + "<br/>" + text
	}
	if n.Detail != "" {
		text += "<br/>" + mermaidText(n.Detail)
	}
	number := t.number[n.ID]
	if n.Kind.IsGroup() && n.Count == 0 && len(t.groups[n.ID]) > 0 {
		t.line(depth, `subgraph n%d["%s %s"]`, number, mermaidText(n.caption()), mermaidText(n.Label))
		for _, child := range t.groups[n.ID] {
			t.mermaidNode(depth+1, child)
		}
		t.line(depth, "end")
		return
	}
	class := ""
	if n.State.severity() > 0 {
		class = ":::" + string(n.State)
	}
	t.line(depth, `n%d["%s"]%s`, number, text, class)
}

func mermaidArrow(e Edge) string {
	switch {
	case e.State == StateDown:
		return "--x"
	case e.Kind == EdgeResolves, e.Kind == EdgeForwards, e.Kind == EdgeMember:
		return "==>"
	case e.Kind == EdgeExports, e.Kind == EdgePublishes, e.Kind == EdgeSource:
		return "-->"
	default:
		return "-.->"
	}
}

// edgeText says what an edge is, and how many it stands for.
func edgeText(e Edge) string {
	if e.Count > 1 {
		return fmt.Sprintf("%s ×%s", e.Kind, thousands(e.Count))
	}
	return string(e.Kind)
}

// mermaidText escapes text for a quoted label: Mermaid reads entities with # in
// place of &, and HTML.
func mermaidText(text string) string {
	var b strings.Builder
	for _, r := range printable(text) {
		if strings.ContainsRune("#\"&<>|[](){}`\\;%*_~$^", r) {
			fmt.Fprintf(&b, "#%d;", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
