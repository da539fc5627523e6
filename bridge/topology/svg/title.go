// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package svg

import (
	"cmp"
	"math"
	"slices"

	"github.com/viaduct-sdk/viaduct/bridge/topology"
)

const (
	titleGap   = 6.0  // between the words of a title
	titleClear = 4.0  // between a title and a line
	titleLeast = 16.0 // a mark fits
	markRadius = 7.0

	titleShortest = 50.0 // of a name that is cut
)

// gap is where text may stand.
type gap struct{ left, right float64 }

func (g gap) width() float64 { return g.right - g.left }

// gaps returns where on the title line of a group no line passes, from left to
// right.
func (s *scene) gaps(b *block) []gap {
	return s.free(b.left+titlePad, b.right-titlePad/2, b.top+1, b.top+blockHeader)
}

// laneTitleAt returns where the title of a lane begins in a picture that has
// everything moved to the right.
func (s *scene) laneTitleAt(l *lane, moved float64) float64 {
	const begin = margin + 16
	width := 1.1 * textWidth(l.title(), sizeLane, true) // letters are spaced
	free := s.free(begin-moved, math.Inf(1), l.top, l.top+laneHeader-4)
	return free[max(0, roomFor(free, 0, width))].left + moved
}

// free returns where between two places no line passes the heights from top to
// bottom.
func (s *scene) free(at, end, top, bottom float64) []gap {
	var taken []gap
	for _, l := range s.links {
		for i := 1; i < len(l.points); i++ {
			if low, high, ok := passes(l.points[i-1], l.points[i], top, bottom); ok {
				taken = append(taken, gap{low - titleClear, high + titleClear})
			}
		}
	}
	slices.SortFunc(taken, func(a, b gap) int { return cmp.Compare(a.left, b.left) })
	var free []gap
	for _, t := range append(taken, gap{end, end}) {
		if right := min(t.left, end); right-at >= titleLeast {
			free = append(free, gap{at, right})
		}
		at = max(at, t.right)
	}
	return free
}

// passes returns between which places a line from one point to another passes
// the heights from top to bottom, if it does.
func passes(from, to point, top, bottom float64) (low, high float64, ok bool) {
	if to.y <= top || from.y >= bottom {
		return 0, 0, false
	}
	const parts = 32
	low, high = math.Inf(1), math.Inf(-1)
	middle := (from.y + to.y) / 2
	for i := range parts + 1 {
		t := float64(i) / parts
		// The curve that func curve draws.
		ease := t * t * (3 - 2*t)
		x := from.x + (to.x-from.x)*ease
		y := (1-t)*(1-t)*(1-t)*from.y + 3*t*(1-t)*middle + t*t*t*to.y
		if top <= y && y <= bottom || from.x == to.x {
			low, high = min(low, x), max(high, x)
		}
	}
	return low, high, low <= high
}

// word is a part of a title.
type word struct {
	text  string
	x     float64
	bold  bool
	width float64
}

// titleWords puts what a group is, its name and its detail into the gaps: side
// by side in the first gap that has the room, or else each in the next gap that
// has, or else the name alone, cut. There are none when no gap has the room for
// much of the name.
func titleWords(n topology.Node, gaps []gap) []word {
	what := word{text: caption(n)}
	name := word{text: n.Label, bold: true}
	detail := word{text: n.Detail}
	for _, w := range []*word{&what, &name, &detail} {
		w.width = textWidth(w.text, sizeDetail, w.bold)
	}
	at := roomFor(gaps, 0, what.width+titleGap+name.width)
	first := roomFor(gaps, 0, what.width)
	second := roomFor(gaps, first+1, name.width)
	switch {
	case at >= 0:
		what.x = gaps[at].left
		name.x = what.x + what.width + titleGap
	case first >= 0 && second >= 0:
		what.x, name.x = gaps[first].left, gaps[second].left
		at = second
	default:
		widest := gap{}
		for _, g := range gaps {
			if g.width() > widest.width() {
				widest = g
			}
		}
		if widest.width() < min(name.width, titleShortest) {
			return nil
		}
		name.text, name.x = shorten(name.text, sizeDetail, true, widest.width()), widest.left
		return []word{name}
	}
	words := []word{what, name}
	if detail.x = name.x + name.width + titleGap; n.Detail != "" && gaps[at].right-detail.x >= detail.width {
		words = append(words, detail)
	}
	return words
}

// roomFor returns the first gap that is this wide, of those from one on; -1 when
// there is none.
func roomFor(gaps []gap, from int, width float64) int {
	for i := from; i < len(gaps); i++ {
		if gaps[i].width() >= width {
			return i
		}
	}
	return -1
}

// groupTitle draws the line above what is in a group.
func (c *canvas) groupTitle(b *block, gaps []gap) {
	c.printf("<g><title>%s</title>", escape(tooltip(*b.node)))
	if last := len(gaps) - 1; b.node.State != "" && last >= 0 {
		c.mark(gaps[last].right-markRadius, b.top+14, b.node.State)
		gaps[last].right -= iconRoom
	}
	class := ""
	words := titleWords(*b.node, gaps)
	if len(words) == 0 { // lines everywhere: on top of them
		room := gap{b.left + titlePad, b.right - titlePad - iconRoom}
		class, words = "over ", titleWords(*b.node, []gap{room})
	}
	for _, w := range words {
		if w.bold {
			c.text(w.x, b.top+18, class+"group name", w.text)
		} else {
			c.text(w.x, b.top+18, class+"group", w.text)
		}
	}
	c.printf("</g>\n")
}
