// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package svg_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct/bridge/topology"
	"github.com/viaduct-sdk/viaduct/bridge/topology/svg"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// load reads a graph that the tests of package topology joined.
func load(t testing.TB, name string) *topology.Graph {
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

func render(t testing.TB, g *topology.Graph, o svg.Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := svg.Write(&b, g, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"shop", "broken"} {
		got := render(t, load(t, name), svg.Options{Title: "The ACME Fitness shop"})
		path := filepath.Join("testdata", name+".svg")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(want) != got {
			t.Errorf("%s is drawn otherwise; look at it, then go test -update accepts it", name)
		}
	}
}

// TestDeterministic shuffles a graph, and gives every object another ID, as
// objects that are made anew have: the picture stays the same.
func TestDeterministic(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"shop", "broken"} {
		want := render(t, load(t, name), svg.Options{})
		for seed := range uint64(4) {
			g := load(t, name)
			r := rand.New(rand.NewPCG(seed, 1))
			r.Shuffle(len(g.Nodes), func(i, k int) { g.Nodes[i], g.Nodes[k] = g.Nodes[k], g.Nodes[i] })
			r.Shuffle(len(g.Edges), func(i, k int) { g.Edges[i], g.Edges[k] = g.Edges[k], g.Edges[i] })
			anew := map[string]string{}
			for i := range g.Nodes {
				anew[g.Nodes[i].ID] = strconv.FormatUint(r.Uint64(), 16)
			}
			for i := range g.Nodes {
				g.Nodes[i].ID, g.Nodes[i].Parent = anew[g.Nodes[i].ID], anew[g.Nodes[i].Parent]
			}
			for i := range g.Edges {
				g.Edges[i].From, g.Edges[i].To = anew[g.Edges[i].From], anew[g.Edges[i].To]
			}
			if diff := cmp.Diff(want, render(t, g, svg.Options{})); diff != "" {
				t.Fatalf("%s, seed %d (-want +got)\n%s", name, seed, diff)
			}
		}
	}
}

// TestWriteReturnsErrors draws onto a full disk.
func TestWriteReturnsErrors(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left")
	if err := svg.Write(failing{full}, load(t, "shop"), svg.Options{}); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// TestWithoutNodes draws what there is when nothing could be read.
func TestWithoutNodes(t *testing.T) {
	t.Parallel()
	g := &topology.Graph{Holes: []topology.Hole{
		{System: topology.SystemVCenter, Object: "port groups", Reason: "forbidden"},
		{System: topology.SystemTKCluster, Cluster: "acme-fitness", Object: "Services", Reason: "not reachable"},
	}}
	got := render(t, g, svg.Options{})
	for _, want := range []string{"Not read: port groups (forbidden)", "Not read: acme-fitness: Services (not reachable)"} {
		if !strings.Contains(got, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	check(t, render(t, &topology.Graph{}, svg.Options{Title: "Nothing"}))
}

// check reads the picture as XML and returns the texts in it. It knows each
// element and attribute that the package writes; others would come from a text
// that was not escaped.
func check(t testing.TB, picture string) []string {
	t.Helper()
	known := map[string]bool{
		"svg": true, "title": true, "desc": true, "style": true, "g": true, "rect": true, "text": true, "tspan": true, "path": true, "circle": true,
	}
	d := xml.NewDecoder(strings.NewReader(picture))
	d.Strict = true
	var texts []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatalf("not XML: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if !known[token.Name.Local] {
				t.Fatalf("there is an element %s", token.Name.Local)
			}
			for _, a := range token.Attr {
				if strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "href" {
					t.Fatalf("%s has an attribute %s", token.Name.Local, a.Name.Local)
				}
			}
		case xml.CharData:
			texts = append(texts, string(token))
		case xml.Comment, xml.Directive, xml.ProcInst:
			t.Fatalf("there is a %T", token)
		}
	}
}

// FuzzText has any text in every place that the picture shows.
func FuzzText(f *testing.F) {
	for _, text := range []string{
		"web", "", "<script>alert(1)</script>", `" onload="alert(1)`, "]]>", "<!--", "&amp;", "\x00\x01\x1f", "\xff\xfe",
		"\ufffe\uffff", "日本語の名前", "… and 3 more pods", strings.Repeat("w", 300), "a\nb\tc", "</title>",
	} {
		f.Add(text, 0)
		f.Add(text, 7)
	}
	f.Fuzz(func(t *testing.T, text string, count int) {
		g := &topology.Graph{
			Nodes: []topology.Node{
				{ID: "ns", Kind: topology.KindNamespace, System: topology.SystemSupervisor, Label: text, Detail: text, State: topology.State(text), Reason: text},
				{ID: "s", Kind: topology.KindService, System: topology.SystemSupervisor, Label: text, Detail: text, Parent: "ns", State: topology.StateDown, Reason: text},
				{ID: "p", Kind: topology.KindPod, System: topology.SystemSupervisor, Label: text, Parent: "ns", Count: count},
				{ID: "k", Kind: topology.Kind(text), System: topology.SystemNSX, Label: text, Parent: "k"},
				{ID: "x", Kind: topology.KindPod, System: topology.System(text), Label: text},
				{ID: "c1", Kind: topology.KindNamespace, System: topology.SystemVCenter, Label: text, Parent: "c2"},
				{ID: "c2", Kind: topology.KindNamespace, System: topology.SystemVCenter, Label: text, Parent: "c1"},
			},
			Edges: []topology.Edge{
				{Kind: topology.EdgeKind(text), From: "s", To: "k"},
				{Kind: topology.EdgeSelects, From: "s", To: "p"},
				{Kind: topology.EdgeGuards, From: "k", To: "ns"},
				{Kind: topology.EdgeGuards, From: "ns", To: "s"},
				{Kind: topology.EdgeRealizes, From: "c1", To: "ns"},
				{Kind: topology.EdgeRealizes, From: "c1", To: "nobody"},
			},
			Holes: []topology.Hole{{System: topology.SystemNSX, Cluster: text, Object: text, Reason: text}},
		}
		for _, columns := range []int{0, 1, -1} {
			check(t, render(t, g, svg.Options{Title: text, Columns: columns}))
		}
	})
}

// crowd is a graph with many services in many namespaces, imported everywhere.
func crowd(namespaces, services, pods, clusters int) *topology.Graph {
	g := &topology.Graph{}
	node := func(n topology.Node) string {
		n.State = topology.StateUp
		g.Nodes = append(g.Nodes, n)
		return n.ID
	}
	edge := func(kind topology.EdgeKind, from, to string) {
		g.Edges = append(g.Edges, topology.Edge{Kind: kind, From: from, To: to})
	}
	supervisor := node(topology.Node{ID: "sv", Kind: topology.KindCluster, System: topology.SystemSupervisor, Cluster: "supervisor", Label: "supervisor"})
	for n := range namespaces {
		name := fmt.Sprintf("team-%02d", n)
		ns := node(topology.Node{ID: "ns/" + name, Kind: topology.KindNamespace, System: topology.SystemSupervisor, Label: name, Parent: supervisor})
		t1 := node(topology.Node{ID: "t1/" + name, Kind: topology.KindTier1, System: topology.SystemNSX, Label: "t1-" + name})
		lb := node(topology.Node{ID: "lb/" + name, Kind: topology.KindLoadBalancer, System: topology.SystemNSX, Label: "lb-" + name, Parent: t1})
		segment := node(topology.Node{ID: "seg/" + name, Kind: topology.KindSegment, System: topology.SystemNSX, Label: "seg-" + name, Parent: t1})
		pg := node(topology.Node{ID: "pg/" + name, Kind: topology.KindPortGroup, System: topology.SystemVCenter, Label: "seg-" + name})
		vns := node(topology.Node{ID: "vns/" + name, Kind: topology.KindVSphereNamespace, System: topology.SystemVCenter, Label: name})
		edge(topology.EdgeAttaches, ns, segment)
		edge(topology.EdgeRealizes, segment, pg)
		edge(topology.EdgeRealizes, vns, ns)
		for s := range services {
			svc := fmt.Sprintf("%s-svc-%03d", name, s)
			service := node(topology.Node{ID: "s/" + svc, Kind: topology.KindService, System: topology.SystemSupervisor, Label: svc, Parent: ns})
			vs := node(topology.Node{ID: "vs/" + svc, Kind: topology.KindVirtualServer, System: topology.SystemNSX, Label: svc + ":80", Parent: lb})
			pool := node(topology.Node{ID: "pool/" + svc, Kind: topology.KindPool, System: topology.SystemNSX, Label: "all up", Parent: lb})
			edge(topology.EdgePublishes, service, vs)
			edge(topology.EdgeForwards, vs, pool)
			for p := range pods {
				pod := node(topology.Node{ID: fmt.Sprintf("pod/%s/%d", svc, p), Kind: topology.KindPod, System: topology.SystemSupervisor, Label: fmt.Sprintf("%s-%d", svc, p), Parent: ns})
				edge(topology.EdgeSelects, service, pod)
				edge(topology.EdgeMember, pool, pod)
			}
			for c := range clusters {
				name := fmt.Sprintf("tk-%02d", c)
				if n == 0 && s == 0 {
					node(topology.Node{ID: name, Kind: topology.KindCluster, System: topology.SystemTKCluster, Cluster: name, Label: name})
				}
				i := node(topology.Node{ID: name + "/" + svc, Kind: topology.KindImport, System: topology.SystemTKCluster, Cluster: name, Label: svc, Parent: name})
				edge(topology.EdgeResolves, i, vs)
				edge(topology.EdgeSource, i, service)
			}
		}
	}
	return g
}

// TestThousandsCanBeRead draws 5,000 objects: as a picture that fits a screen or
// two, with the service in trouble in it.
func TestThousandsCanBeRead(t *testing.T) {
	t.Parallel()
	g := crowd(20, 25, 4, 4)
	if len(g.Nodes) < 5000 {
		t.Fatalf("only %d objects", len(g.Nodes))
	}
	for i := range g.Nodes {
		if g.Nodes[i].ID == "pod/team-13-svc-017/2" {
			g.Nodes[i].State, g.Nodes[i].Reason = topology.StateDown, "it is not ready"
		}
	}
	picture := render(t, g, svg.Options{})
	var size struct {
		Width  float64 `xml:"width,attr"`
		Height float64 `xml:"height,attr"`
	}
	if err := xml.Unmarshal([]byte(picture), &size); err != nil {
		t.Fatal(err)
	}
	if size.Width > 3000 || size.Height > 2000 {
		t.Errorf("it is %v × %v", size.Width, size.Height)
	}
	texts := strings.Join(check(t, picture), "\n")
	for _, want := range []string{"team-13-svc-017", "team-13-svc-017-2", "it is not ready", "… and 97 more"} {
		if !strings.Contains(texts, want) {
			t.Errorf("it does not show %q", want)
		}
	}
	if len(picture) > 200_000 {
		t.Errorf("it has %d bytes", len(picture))
	}
}

func BenchmarkWrite(b *testing.B) {
	for name, bench := range map[string]struct {
		g       *topology.Graph
		columns int
	}{
		"shop":          {load(b, "shop"), 0},
		"5000":          {crowd(20, 25, 4, 4), 0},
		"5000/one":      {crowd(1, 500, 6, 2), 0},
		"5000/unfolded": {crowd(20, 25, 4, 4), -1},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				size = len(render(b, bench.g, svg.Options{Columns: bench.columns}))
			}
			b.ReportMetric(float64(len(bench.g.Nodes)), "objects")
			b.ReportMetric(float64(size), "bytes/picture")
		})
	}
}
