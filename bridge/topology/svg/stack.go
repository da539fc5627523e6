// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package svg

// Heights, in pixels.
const (
	margin      = 16.0
	titleHeight = 64.0
	laneGap     = 14.0
	laneHeader  = 30.0
	lanePad     = 14.0
	holeHeight  = 26.0
	nodeHeight  = 58.0
	rowGap      = 36.0
	blockHeader = 27.0
	blockFooter = 12.0
)

// stack finds the heights: rows under each other, with room for the titles of
// groups above and for their ends beneath.
func (s *scene) stack() {
	for _, l := range s.lanes {
		for _, c := range l.root.cells {
			if c.block == nil {
				continue
			}
			first, last := s.rows[c.block.first], s.rows[c.block.last]
			first.header = max(first.header, c.block.headers())
			last.footer = max(last.footer, c.block.footers())
		}
		s.nested(l.root)
	}
	y := margin + titleHeight
	for _, l := range s.lanes {
		l.top = y
		y += laneHeader + holeHeight*float64(len(l.holes))
		for r := l.first; r <= l.last; r++ {
			row := s.rows[r]
			if r > l.first {
				y += rowGap
			}
			y += row.header
			row.top = y
			y += nodeHeight + row.footer
		}
		y += lanePad
		l.bottom = y
		y += laneGap
	}
	for _, b := range s.blocks {
		b.top = s.rows[b.first].top - b.headers()
		b.bottom = s.rows[b.last].top + nodeHeight + b.footers()
	}
}

// nested makes room for groups that begin or end in a row in which the group
// around them does not.
func (s *scene) nested(b *block) {
	for _, c := range b.cells {
		if c.block == nil {
			continue
		}
		s.rows[c.block.first].header = max(s.rows[c.block.first].header, c.block.headers())
		s.rows[c.block.last].footer = max(s.rows[c.block.last].footer, c.block.footers())
		s.nested(c.block)
	}
}

// headers is how much room a block takes above its first row: its own title and
// those of the blocks in it that begin there too.
func (b *block) headers() float64 {
	most := 0.0
	for _, c := range b.cells {
		if c.block != nil && c.block.first == b.first {
			most = max(most, c.block.headers())
		}
	}
	return blockHeader + most
}

func (b *block) footers() float64 {
	most := 0.0
	for _, c := range b.cells {
		if c.block != nil && c.block.last == b.last {
			most = max(most, c.block.footers())
		}
	}
	return blockFooter + most
}
