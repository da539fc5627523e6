// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package svg

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/viaduct-sdk/viaduct/bridge/topology"
)

func lay(g *topology.Graph) *scene {
	s := newScene(canonical(topology.Simplify(g)))
	s.order()
	s.place()
	s.stack()
	s.route()
	return s
}

// load reads a graph that the tests of package topology joined.
func load(t *testing.T, name string) *topology.Graph {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var g topology.Graph
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	return &g
}

// random is a graph without sense: groups within groups, and edges between
// anything.
func random(seed uint64) *topology.Graph {
	r := rand.New(rand.NewPCG(seed, 7))
	kinds := map[topology.System][]topology.Kind{
		topology.SystemTKCluster: {topology.KindCluster, topology.KindNamespace, topology.KindImport, topology.KindPod, topology.KindService},
		topology.SystemNSX: {
			topology.KindTier1, topology.KindLoadBalancer, topology.KindVirtualServer, topology.KindPool,
			topology.KindSegment, topology.KindFirewallPolicy,
		},
		topology.SystemSupervisor: {topology.KindNamespace, topology.KindService, topology.KindExport, topology.KindPod, topology.KindVMService},
		topology.SystemVCenter:    {topology.KindPortGroup, topology.KindVSphereNamespace},
	}
	edges := []topology.EdgeKind{
		topology.EdgeResolves, topology.EdgeForwards, topology.EdgeMember, topology.EdgeExports, topology.EdgePublishes,
		topology.EdgeSelects, topology.EdgeRealizes, topology.EdgeAttaches, topology.EdgeGuards,
	}
	g := &topology.Graph{}
	for i := range 5 + r.IntN(40) {
		system := systems()[r.IntN(len(systems()))]
		n := topology.Node{ID: fmt.Sprint(i), System: system, Kind: kinds[system][r.IntN(len(kinds[system]))], Label: fmt.Sprintf("object-%d", i)}
		if i > 0 && r.IntN(3) > 0 {
			n.Parent = fmt.Sprint(r.IntN(i + 3)) // itself, and what is not there, too
		}
		g.Nodes = append(g.Nodes, n)
	}
	for range r.IntN(2 * len(g.Nodes)) {
		g.Edges = append(g.Edges, topology.Edge{
			Kind: edges[r.IntN(len(edges))], From: fmt.Sprint(r.IntN(len(g.Nodes))), To: fmt.Sprint(r.IntN(len(g.Nodes))),
		})
	}
	return g
}

// area is a rectangle with a name.
type area struct {
	name                     string
	left, top, right, bottom float64
}

func (a area) overlaps(b area) bool {
	const slack = 1.5 // places are rounded
	return a.left < b.right-slack && b.left < a.right-slack && a.top < b.bottom-slack && b.top < a.bottom-slack
}

func (a area) holds(b area) bool {
	const slack = 1.5
	return a.left <= b.left+slack && b.right <= a.right+slack && a.top <= b.top+slack && b.bottom <= a.bottom+slack
}

func (s *scene) areaOf(it *item) area {
	name := "a passage"
	top, bottom := s.rows[it.first].top, s.rows[it.last].top+nodeHeight
	if it.node != nil {
		name = it.node.Label
	}
	return area{name, it.x - it.width/2, top, it.x + it.width/2, bottom}
}

func areaOfBlock(b *block) area {
	return area{"group " + b.node.Label, b.left, b.top, b.right, b.bottom}
}

// inside reports whether a block is, or is in, another.
func (b *block) inside(other *block) bool {
	for ; b != nil; b = b.parent {
		if b == other {
			return true
		}
	}
	return false
}

func verify(t *testing.T, s *scene) {
	t.Helper()
	for i, a := range s.items {
		for _, b := range s.items[i+1:] {
			// Lines may touch lines, and nothing else.
			if (a.node != nil || b.node != nil) && s.areaOf(a).overlaps(s.areaOf(b)) {
				t.Errorf("%s overlaps %s: %v, %v", s.areaOf(a).name, s.areaOf(b).name, s.areaOf(a), s.areaOf(b))
			}
		}
		for _, b := range s.blocks {
			switch {
			case a.parent.inside(b):
				if a.node != nil && !areaOfBlock(b).holds(s.areaOf(a)) {
					t.Errorf("%s sticks out of %s: %v, %v", s.areaOf(a).name, areaOfBlock(b).name, s.areaOf(a), areaOfBlock(b))
				}
			case areaOfBlock(b).overlaps(s.areaOf(a)):
				t.Errorf("%s is in %s, where it does not belong: %v, %v", s.areaOf(a).name, areaOfBlock(b).name, s.areaOf(a), areaOfBlock(b))
			}
		}
	}
	for i, a := range s.blocks {
		if a.parent.node != nil && !areaOfBlock(a.parent).holds(areaOfBlock(a)) {
			t.Errorf("%s sticks out of %s: %v, %v", areaOfBlock(a).name, areaOfBlock(a.parent).name, areaOfBlock(a), areaOfBlock(a.parent))
		}
		for _, b := range s.blocks[i+1:] {
			if !a.inside(b) && !b.inside(a) && areaOfBlock(a).overlaps(areaOfBlock(b)) {
				t.Errorf("%s overlaps %s: %v, %v", areaOfBlock(a).name, areaOfBlock(b).name, areaOfBlock(a), areaOfBlock(b))
			}
		}
	}
	for i, l := range s.lanes[:max(len(s.lanes)-1, 0)] {
		if l.bottom >= s.lanes[i+1].top {
			t.Errorf("lane %s overlaps the next", l.system)
		}
	}
	for _, l := range s.links {
		if l.path == "" {
			t.Errorf("the edge %v has no line", l.edge)
		}
	}
}

// TestLayoutOverlapsNothing lays out dozens of graphs and looks at where
// everything is.
func TestLayoutOverlapsNothing(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"shop", "broken"} {
		s := lay(load(t, name))
		if verify(t, s); len(s.items) < 30 || len(s.links) < 25 {
			t.Errorf("%s has %d items and %d lines", name, len(s.items), len(s.links))
		}
	}
	for seed := range uint64(6) {
		if verify(t, lay(random(seed))); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// TestTitlesAreClearOfLines looks whether a line passes through the title of a
// group.
func TestTitlesAreClearOfLines(t *testing.T) {
	t.Parallel()
	graphs := map[string]*topology.Graph{"shop": load(t, "shop"), "broken": load(t, "broken")}
	for seed := range uint64(6) {
		graphs[fmt.Sprint("seed ", seed)] = random(seed)
	}
	titles := 0
	for name, g := range graphs {
		s := lay(g)
		for _, b := range s.blocks {
			for _, w := range titleWords(*b.node, s.gaps(b)) {
				titles++
				text := area{w.text, w.x, b.top + 7, w.x + w.width, b.top + 21}
				for _, l := range s.links {
					if at, through := l.through(text); through {
						t.Errorf("%s: the line %s passes through %q at %v", name, l.path, w.text, at)
					}
				}
			}
		}
	}
	if titles < 20 {
		t.Errorf("there were only %d titles", titles)
	}
}

// through looks for a point of a line that is within an area.
func (l *link) through(a area) (point, bool) {
	for i := 1; i < len(l.points); i++ {
		p, q := l.points[i-1], l.points[i]
		const parts = 500
		for k := range parts + 1 {
			t := float64(k) / parts
			bezier := func(a, b, c, d float64) float64 {
				return (1-t)*(1-t)*(1-t)*a + 3*(1-t)*(1-t)*t*b + 3*(1-t)*t*t*c + t*t*t*d
			}
			middle := (p.y + q.y) / 2
			at := point{bezier(p.x, p.x, q.x, q.x), bezier(p.y, middle, middle, q.y)}
			if a.left < at.x && at.x < a.right && a.top < at.y && at.y < a.bottom {
				return at, true
			}
		}
	}
	return point{}, false
}

// TestLayoutOfShopIsStraight holds the picture in the README to its looks: all
// lines of connections are straight, each service is a column, and the picture
// can be read at the width of a page.
func TestLayoutOfShopIsStraight(t *testing.T) {
	t.Parallel()
	g := load(t, "shop")
	i := slices.IndexFunc(g.Nodes, func(n topology.Node) bool {
		return n.Kind == topology.KindNamespace && n.Cluster == "acme-fitness"
	})
	s := lay(topology.Focus(g, g.Nodes[i].ID))
	for _, l := range s.links {
		if weightOf(l.edge.Kind) == weightData && strings.Contains(l.path, "C") {
			t.Errorf("%s leads from %s to %s in curves: %s", l.edge.Kind, l.upper.item.node.Label, l.lower.item.node.Label, l.path)
		}
		if k := l.edge.Kind; (k == topology.EdgePublishes || k == topology.EdgeExports) && l.upper.item.x != l.lower.item.x {
			t.Errorf("%s is not in the column of %s", l.lower.item.node.Label, l.upper.item.node.Label)
		}
	}
	left, right := math.Inf(1), math.Inf(-1)
	for _, it := range s.items {
		left, right = min(left, it.x-it.width/2), max(right, it.x+it.width/2)
	}
	if width := right - left; width > 1150 {
		t.Errorf("it is %v pixels wide", width)
	}
}

func TestInversions(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		all := make([]float64, r.IntN(12))
		for i := range all {
			all[i] = float64(r.IntN(5))
		}
		want := 0
		for i := range all {
			for k := range i {
				if all[k] > all[i] {
					want++
				}
			}
		}
		text := fmt.Sprint(all)
		if got := inversions(all, make([]float64, len(all))); got != want {
			t.Errorf("%s has %d, want %d", text, got, want)
		}
	}
}

func TestShorten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"web":                        "web",
		"order-postgres-viaduct-abc": "order-post…",
		"":                           "",
		"日本語の名前の長いテキスト": "日本語の名…",
	} {
		if got := shorten(text, sizeLabel, false, 82); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// TestNetworkIsOptimal compares with trying all places.
func TestNetworkIsOptimal(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		const nodes, room = 5, 7
		n := newNetwork(nodes)
		for to := 1; to < nodes; to++ { // each leads to the next, which keeps all together
			n.arc(to-1, to, r.IntN(2), r.IntN(3))
			if from := r.IntN(to); r.IntN(2) == 0 {
				n.arc(from, to, r.IntN(3), r.IntN(4))
			}
		}
		for range r.IntN(4) {
			if a, b := r.IntN(nodes), r.IntN(nodes); a != b {
				n.together(a, b, 1+r.IntN(4))
			}
		}
		n.solve(1000)
		for e := range n.edges {
			if n.slack(e) < 0 {
				t.Fatalf("seed %d: edge %v is too short: %v", seed, n.edges[e], n.place)
			}
		}
		if best := cheapest(n, nodes, room); n.cost() != best {
			t.Fatalf("seed %d: it costs %d, and could cost %d", seed, n.cost(), best)
		}
	}
}

// cheapest tries all places of the first nodes; the others are those of pairs.
func cheapest(n *network, nodes, room int) int {
	place := make([]int, len(n.at))
	best := math.MaxInt
	var try func(v int)
	try = func(v int) {
		if v < nodes {
			for place[v] = range room {
				try(v + 1)
			}
			place[v] = 0
			return
		}
		for p := nodes; p < len(n.at); p++ { // a pair's own node is at the left one of both
			place[p] = math.MaxInt
			for _, e := range n.at[p] {
				place[p] = min(place[p], place[n.edges[e].to])
			}
		}
		cost := 0
		for _, a := range n.edges {
			length := place[a.to] - place[a.from]
			if length < a.length {
				return
			}
			cost += a.weight * length
		}
		best = min(best, cost)
	}
	try(0)
	return best
}
