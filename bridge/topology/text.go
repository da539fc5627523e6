// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable is text with nothing in it that breaks a line of a picture's source:
// control characters become spaces, and what is not UTF-8 a question mark.
func printable(text string) string {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "?")
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text)
}

// writer numbers nodes and writes indented lines; the first error ends it.
type writer struct {
	out    *bufio.Writer
	g      *Graph
	number map[string]int
	groups map[string][]Node // what is in a group
}

func newWriter(w io.Writer, g *Graph) *writer {
	t := &writer{out: bufio.NewWriter(w), g: g, number: map[string]int{}, groups: map[string][]Node{}}
	for i, n := range g.Nodes {
		t.number[n.ID] = i
	}
	for i, n := range g.Nodes {
		parent := n.Parent
		// A parent that is not there, or that comes after its child in a
		// circle, is none.
		if _, ok := t.number[parent]; !ok || t.circular(i) {
			parent = ""
		}
		t.groups[parent] = append(t.groups[parent], n)
	}
	return t
}

// deepest is how deep groups may nest; what is deeper is in a circle.
const deepest = 64

// circular reports whether a node is in itself, or too deep to tell.
func (t *writer) circular(i int) bool {
	for range deepest {
		parent, ok := t.number[t.g.Nodes[i].Parent]
		if !ok {
			return false
		}
		i = parent
	}
	return true
}

func (t *writer) line(depth int, format string, args ...any) {
	fmt.Fprint(t.out, strings.Repeat("  ", depth))
	fmt.Fprintf(t.out, format, args...)
	fmt.Fprintln(t.out)
}

// lanes returns what nobody put into a group, by system, also for a system of
// which nothing could be read.
func (t *writer) lanes() []lane {
	var all []lane
	for _, system := range []System{SystemTKCluster, SystemNSX, SystemSupervisor, SystemVCenter} {
		l := lane{system: system}
		for _, n := range t.groups[""] {
			if n.System == system {
				l.nodes = append(l.nodes, n)
			}
		}
		for _, h := range t.g.Holes {
			if h.System == system {
				l.holes = append(l.holes, h)
			}
		}
		if len(l.nodes)+len(l.holes) > 0 {
			all = append(all, l)
		}
	}
	return all
}

type lane struct {
	system System
	nodes  []Node
	holes  []Hole
}

func (s System) title() string {
	switch s {
	case SystemVCenter:
		return "vCenter"
	case SystemNSX:
		return "NSX"
	case SystemSupervisor:
		return "Supervisor"
	case SystemTKCluster:
		return "TK clusters"
	default:
		return string(s)
	}
}

// caption names a node's kind.
func (n Node) caption() string {
	if n.Count > 0 {
		return ""
	}
	return nouns(n.Kind, 1)
}
