// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package svg

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

type point struct{ x, y float64 }

// side is the upper or lower side of an object or a group, where lines end.
type side struct {
	end
	bottom bool
}

// port is the end of a line on a side.
type port struct {
	link *link
	want float64
	x    float64
	// far is the other end of the line's last stretch.
	far end
}

// route draws the lines: straight down through their passages, and in a curve
// between two rows where the places differ.
func (s *scene) route() {
	ports := s.ports()
	for _, l := range s.links {
		from, to := ports[side{l.upper, true}], ports[side{l.lower, false}]
		if l.level {
			s.routeLevel(l)
			continue
		}
		points := []point{{portOf(from, l), l.upper.bottom(s)}}
		for _, p := range l.passages {
			points = append(points, point{p.x, s.rows[p.first].top - s.rows[p.first].header}, point{p.x, s.rows[p.last].top + nodeHeight + s.rows[p.last].footer})
		}
		points = append(points, point{portOf(to, l), l.lower.top(s)})
		l.points, l.path = points, curve(points)
		l.arrow = points[len(points)-1]
		if l.upward {
			l.arrow = points[0]
		}
	}
}

func portOf(ports []*port, l *link) float64 {
	for _, p := range ports {
		if p.link == l {
			return p.x
		}
	}
	return 0
}

// routeLevel leads a line between two ends in the same row over what is between
// them.
func (s *scene) routeLevel(l *link) {
	a := point{l.upper.middle(0), l.upper.top(s)}
	b := point{l.lower.middle(a.x), l.lower.top(s)}
	over := min(a.y, b.y) - rowGap/2
	l.path = fmt.Sprintf("M%s %sC%s %s %s %s %s %s", num(a.x), num(a.y), num(a.x), num(over), num(b.x), num(over), num(b.x), num(b.y))
	l.arrow = b
}

func (e end) top(s *scene) float64 {
	if e.block != nil {
		return e.block.top
	}
	return s.rows[e.item.first].top
}

func (e end) bottom(s *scene) float64 {
	if e.block != nil {
		return e.block.bottom
	}
	return s.rows[e.item.last].top + nodeHeight
}

func (e end) extent() (left, right float64) {
	if e.block != nil {
		return e.block.left + portMargin, e.block.right - portMargin
	}
	return e.item.x - e.item.width/2 + portMargin, e.item.x + e.item.width/2 - portMargin
}

// ports finds where on each side lines end: as near as can be to where they come
// from, in an order in which they do not cross, and with some room between them.
func (s *scene) ports() map[side][]*port {
	ports := map[side][]*port{}
	var sides []side
	add := func(sd side, l *link, far end) {
		if ports[sd] == nil {
			sides = append(sides, sd)
		}
		ports[sd] = append(ports[sd], &port{link: l, far: far})
	}
	for _, l := range s.links {
		if l.level {
			continue
		}
		all := append(append([]end{l.upper}, ends(l.passages)...), l.lower)
		add(side{l.upper, true}, l, all[1])
		add(side{l.lower, false}, l, all[len(all)-2])
	}
	spread := func(sd side, wanted func(*port) float64) {
		left, right := sd.extent()
		for _, p := range ports[sd] {
			p.want = clamp(wanted(p), left, right)
		}
		spreadPorts(ports[sd], left, right)
	}
	for _, sd := range sides {
		spread(sd, func(p *port) float64 { return p.far.middle(p.want) })
	}
	// Where only one line ends, it ends right opposite of its other end.
	for _, sd := range sides {
		if p := ports[sd][0]; len(ports[sd]) == 1 && len(p.link.passages) == 0 {
			other := side{p.link.upper, true}
			if other == sd {
				other = side{p.link.lower, false}
			}
			spread(sd, func(p *port) float64 { return portOf(ports[other], p.link) })
		}
	}
	return ports
}

func spreadPorts(ports []*port, left, right float64) {
	slices.SortStableFunc(ports, func(a, b *port) int {
		return cmp.Or(cmp.Compare(a.want, b.want), cmp.Compare(a.far.middle(a.want), b.far.middle(b.want)))
	})
	gap := portGap
	if n := float64(len(ports) - 1); n > 0 {
		gap = min(portGap, (right-left)/n)
	}
	at := math.Inf(-1)
	for _, p := range ports {
		p.x = max(p.want, at+gap)
		at = p.x
	}
	at = right + gap
	for _, p := range slices.Backward(ports) {
		p.x = min(p.x, at-gap)
		at = p.x
	}
	for _, p := range ports {
		p.x = math.Round(p.x)
	}
}

// curve is a path through points, vertical at each of them.
func curve(points []point) string {
	var b strings.Builder
	fmt.Fprintf(&b, "M%s %s", num(points[0].x), num(points[0].y))
	for i, to := range points[1:] {
		from := points[i]
		if from.x == to.x {
			fmt.Fprintf(&b, "V%s", num(to.y))
			continue
		}
		middle := (from.y + to.y) / 2
		fmt.Fprintf(&b, "C%s %s %s %s %s %s", num(from.x), num(middle), num(to.x), num(middle), num(to.x), num(to.y))
	}
	return b.String()
}

// num prints a coordinate, in tenths of a pixel.
func num(x float64) string {
	x = math.Round(x*10) / 10
	return strings.TrimSuffix(fmt.Sprintf("%.1f", x), ".0")
}
