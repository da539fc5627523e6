// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package svg

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/viaduct-sdk/viaduct/bridge/topology"
)

const (
	legendHeight = 64.0
	laneMargin   = 16.0 // from the side of a lane to what is in it
	narrowestAll = 760.0
	textLeft     = 12.0 // of an object
)

// canvas writes the picture; its writer remembers the first error.
type canvas struct {
	out     *bufio.Writer
	offsetX float64 // of what the layout placed
	width   float64
	used    map[string]bool // styles that a line has
}

func (c *canvas) printf(format string, args ...any) { fmt.Fprintf(c.out, format, args...) }

// draw writes the picture.
func (s *scene) draw(w io.Writer, title, subtitle string) error {
	c := &canvas{out: bufio.NewWriter(w), offsetX: margin + laneMargin, used: map[string]bool{}}
	right := 0.0
	for _, it := range s.items {
		right = max(right, it.x+it.width/2)
	}
	for _, b := range s.blocks {
		right = max(right, b.right)
	}
	bottom := margin + titleHeight
	for _, l := range s.lanes {
		bottom = l.bottom + laneGap
	}
	c.width = math.Ceil(max(right+2*(margin+laneMargin), narrowestAll))
	c.offsetX = math.Round((c.width - right) / 2)
	for _, l := range s.links {
		c.used[styleOf(l.edge).class] = true
	}
	height := bottom + legendHeight
	c.printf(`<svg xmlns="http://www.w3.org/2000/svg" width="%s" height="%s" viewBox="0 0 %s %s" role="img" aria-labelledby="title desc">`+"\n",
		num(c.width), num(height), num(c.width), num(height))
	c.printf("<title id=\"title\">%s</title>\n<desc id=\"desc\">%s</desc>\n", escape(title), escape(subtitle))
	c.printf("<style>%s</style>\n", stylesheet)
	c.printf(`<rect width="%s" height="%s" rx="10" fill="%s"/>`+"\n", num(c.width), num(height), colorPaper)
	c.text(margin, margin+22, "title", shorten(title, sizeTitle, true, c.width-2*margin))
	c.text(margin, margin+44, "subtitle", shorten(subtitle, sizeLane, false, c.width-2*margin))
	for _, l := range s.lanes {
		c.lane(l, s.laneTitleAt(l, c.offsetX))
	}
	c.printf("<g transform=\"translate(%s 0)\">\n", num(c.offsetX))
	for _, b := range s.blocks {
		c.box(b)
	}
	c.strokes(s.links)
	for _, b := range s.blocks {
		c.groupTitle(b, s.gaps(b))
	}
	for _, it := range s.items {
		if it.node != nil {
			c.node(it, s.rows[it.first].top)
		}
	}
	c.printf("</g>\n")
	for _, l := range s.lanes { // on top of lines
		c.notices(l)
	}
	c.legend(bottom + 8)
	c.printf("</svg>\n")
	return c.out.Flush()
}

func (c *canvas) text(x, y float64, class, text string) {
	c.printf(`<text x="%s" y="%s" class="%s">%s</text>`+"\n", num(x), num(y), class, escape(text))
}

// label draws a name in bold letters.
func (c *canvas) label(x, y float64, text string, size float64) {
	if size == sizeLabel {
		c.text(x, y, "label", text)
		return
	}
	c.printf(`<text x="%s" y="%s" class="label" style="font-size:%spx">%s</text>`+"\n", num(x), num(y), num(size), escape(text))
}

// lane draws the ground of a system.
func (c *canvas) lane(l *lane, titleAt float64) {
	background, accent := tint(l.system)
	c.printf(`<rect x="%s" y="%s" width="%s" height="%s" rx="10" fill="%s" stroke="%s"/>`+"\n",
		num(margin), num(l.top), num(c.width-2*margin), num(l.bottom-l.top), background, colorFrame)
	c.printf(`<rect x="%s" y="%s" width="5" height="%s" rx="2.5" fill="%s"/>`+"\n", num(margin), num(l.top+10), num(l.bottom-l.top-20), accent)
	c.printf(`<text x="%s" y="%s" class="lane" style="fill:%s">%s</text>`+"\n", num(titleAt), num(l.top+21), accent, escape(l.title()))
}

// notices names what could not be read of a system.
func (c *canvas) notices(l *lane) {
	for i, h := range l.holes {
		y := l.top + laneHeader + holeHeight*float64(i)
		where := ""
		if h.Cluster != "" {
			where = h.Cluster + ": "
		}
		text := shorten("Not read: "+where+h.Object+" ("+h.Reason+")", sizeDetail, false, c.width-2*margin-80)
		c.printf(`<g><title>%s</title><rect x="%s" y="%s" width="%s" height="20" rx="4" class="notice"/>`+"\n",
			escape(h.String()), num(margin+16), num(y), num(textWidth(text, sizeDetail, false)+40))
		c.mark(margin+30, y+10, topology.StateDegraded)
		c.text(margin+44, y+14, "detail", text)
		c.printf("</g>\n")
	}
}

func (c *canvas) box(b *block) {
	c.printf(`<rect x="%s" y="%s" width="%s" height="%s" rx="9" class="box"/>`+"\n",
		num(b.left), num(b.top), num(b.right-b.left), num(b.bottom-b.top))
}

func (c *canvas) strokes(links []*link) {
	for _, l := range links {
		st := styleOf(l.edge)
		c.printf(`<path class="e %s" d="%s"/>`+"\n", st.class, l.path)
		c.arrow(l.arrow, l.upward, st.class)
	}
}

// arrow draws the tip of a line.
func (c *canvas) arrow(at point, upward bool, class string) {
	back := -8.0
	if upward {
		back = 8
	}
	c.printf(`<path class="a-%s" d="M%s %sl-4 %sh8z"/>`+"\n", class, num(at.x), num(at.y), num(back))
}

// node draws an object: a card with what it is, its name and a detail. One that
// stands for many is a stack of cards.
func (c *canvas) node(it *item, top float64) {
	n := it.node
	x, w := it.x-it.width/2, it.width
	_, accent := tint(n.System)
	c.printf("<g><title>%s</title>\n", escape(tooltip(*n)))
	if n.Count > 0 {
		c.printf(`<rect x="%s" y="%s" width="%s" height="%s" rx="7" class="node"/>`, num(x+6), num(top+6), num(w-6), num(nodeHeight-6))
		c.printf(`<rect x="%s" y="%s" width="%s" height="%s" rx="7" class="node"/>`+"\n", num(x+3), num(top+3), num(w-6), num(nodeHeight-6))
		w -= 6
	}
	height := nodeHeight
	if n.Count > 0 {
		height -= 6
	}
	border := ""
	if n.State == topology.StateDown || n.State == topology.StateDegraded {
		border = fmt.Sprintf(` style="stroke:%s;stroke-width:1.8"`, colorOf(n.State))
	}
	c.printf(`<rect x="%s" y="%s" width="%s" height="%s" rx="7" class="node"%s/>`+"\n", num(x), num(top), num(w), num(height), border)
	c.printf(`<rect x="%s" y="%s" width="3.5" height="%s" rx="1.7" fill="%s"/>`+"\n", num(x+5), num(top+8), num(height-16), accent)
	room := w - nodePad
	if n.State != "" {
		c.mark(x+w-13, top+13, n.State)
	}
	first, second := lines(*n)
	lift := nodeHeight - height
	c.text(x+textLeft, top+17-lift/3, "caption", shorten(first, sizeCaption, false, room-iconRoom+8))
	label, size := fitLabel(second, room)
	c.label(x+textLeft, top+34-lift/2, label, size)
	detail, class := n.Detail, "detail"
	if trouble(*n) {
		detail, class = n.Reason, "detail bad"
	}
	c.text(x+textLeft, top+49-lift*2/3, class, shorten(detail, sizeDetail, false, room))
	c.printf("</g>\n")
}

// trouble reports whether the reason of a node's state is worth the place of
// its detail.
func trouble(n topology.Node) bool {
	return (n.State == topology.StateDown || n.State == topology.StateDegraded) &&
		n.Reason != "" && n.Count == 0 && !strings.Contains(n.Detail, n.Reason)
}

// tooltip is all that the picture has to say of an object.
func tooltip(n topology.Node) string {
	parts := []string{strings.TrimSpace(caption(n) + " " + n.Label)}
	if n.Detail != "" {
		parts = append(parts, n.Detail)
	}
	switch {
	case n.Reason != "":
		parts = append(parts, string(n.State)+": "+n.Reason)
	case n.State != "":
		parts = append(parts, string(n.State))
	}
	return strings.Join(parts, " — ")
}

func colorOf(s topology.State) string {
	switch s {
	case topology.StateUp:
		return colorUp
	case topology.StateDegraded:
		return colorWarn
	case topology.StateDown:
		return colorDown
	default:
		return colorUnknown
	}
}

// mark draws a state around a point: each has a shape of its own.
func (c *canvas) mark(x, y float64, s topology.State) {
	color := colorOf(s)
	switch s {
	case topology.StateUp:
		c.printf(`<circle cx="%s" cy="%s" r="6" fill="%s"/><path d="M%s %sl2.2 2.4 4-4.6" fill="none" stroke="#fff" stroke-width="1.6"/>`+"\n",
			num(x), num(y), color, num(x-3.1), num(y+0.3))
	case topology.StateDegraded:
		c.printf(`<path d="M%s %sl7 12h-14z" fill="%s" stroke="%s" stroke-linejoin="round"/>`, num(x), num(y-6.5), color, color)
		c.text(x, y+4.5, "mark", "!")
	case topology.StateDown:
		c.printf(`<rect x="%s" y="%s" width="12" height="12" rx="2" fill="%s"/><path d="M%s %sl5 5m0-5l-5 5" stroke="#fff" stroke-width="1.7"/>`+"\n",
			num(x-6), num(y-6), color, num(x-2.5), num(y-2.5))
	default:
		c.printf(`<circle cx="%s" cy="%s" r="5.5" fill="%s" stroke="%s" stroke-dasharray="2 1.5"/>`, num(x), num(y), color, color)
		c.text(x, y+3.4, "mark", "?")
	}
}

// legend explains the marks, and the lines that there are.
func (c *canvas) legend(y float64) {
	c.printf("<g>\n")
	x := margin + 8
	for _, s := range []struct {
		state topology.State
		text  string
	}{
		{topology.StateUp, "up"},
		{topology.StateDegraded, "degraded"},
		{topology.StateDown, "down"},
		{topology.StateUnknown, "not known"},
	} {
		c.mark(x, y, s.state)
		c.text(x+12, y+4, "detail", s.text)
		x += 12 + textWidth(s.text, sizeDetail, false) + 26
	}
	x = margin
	y += 26
	for _, st := range styles() {
		if !c.used[st.class] {
			continue
		}
		c.printf(`<path class="e %s" d="M%s %sh30"/>`, st.class, num(x), num(y))
		c.printf(`<path class="a-%s" d="M%s %sl-8 -4v8z"/>`+"\n", st.class, num(x+36), num(y))
		c.text(x+44, y+4, "detail", st.name)
		x += 44 + textWidth(st.name, sizeDetail, false) + 26
	}
	c.printf("</g>\n")
}
