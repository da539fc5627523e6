// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct/nsx"
)

func TestSimplify(t *testing.T) {
	t.Parallel()
	g := join(shop().observed)
	before := encode(t, g)
	simple := Simplify(g)
	if got := relationsByName(simple, EdgeSelects, EdgeSource, EdgeRoutes); len(got) > 0 {
		t.Errorf("a healthy shop keeps what is implied:\n%s", strings.Join(got, "\n"))
	}
	for _, kind := range []EdgeKind{EdgeResolves, EdgeForwards, EdgeMember, EdgePublishes, EdgeExports} {
		if diff := cmp.Diff(relationsByName(g, kind), relationsByName(simple, kind)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", kind, diff)
		}
	}
	if diff := cmp.Diff(string(before), string(encode(t, g))); diff != "" {
		t.Errorf("the graph given was changed (-want +got)\n%s", diff)
	}

	// What is broken stays to be seen: the Service of which NCP lost the virtual
	// server, and the import that leads nowhere.
	want := []string{
		"acme-fitness/import/users-redis source supervisor/service/users-redis",
		"supervisor/export/users-redis-viaduct selects supervisor/pod/users-redis-0",
		"supervisor/service/users-redis selects supervisor/pod/users-redis-0",
	}
	if diff := cmp.Diff(want, relationsByName(Simplify(join(broken().observed)), EdgeSelects, EdgeSource)); diff != "" {
		t.Errorf("broken (-want +got)\n%s", diff)
	}
}

func TestFocus(t *testing.T) {
	t.Parallel()
	g := join(shop().observed)
	service, ok := g.Service("acme-fitness", testNS, "order-postgres")
	if !ok || service.Kind != KindImport {
		t.Fatalf("got %v, %t", service, ok)
	}
	var got []string
	for _, n := range Focus(g, service.ID).Nodes {
		got = append(got, name(g, n.ID))
	}
	want := []string{
		"vsphere-namespace/acme-data", "port-group/vnet-acme-data-0",
		"tier-1/of acme-data", "segment/vnet-acme-data-0",
		"load-balancer/lbs-acme-data",
		"virtual-server/192.168.0.12:5432", "pool/1 of 1 member up",
		"firewall-policy/baseline-acme-data",
		// with acme-app, where the cluster that imports it lives
		"supervisor/cluster/supervisor", "supervisor/namespace/acme-app", "supervisor/namespace/acme-data",
		"supervisor/tk-cluster/acme-fitness", "supervisor/service/order-postgres", "supervisor/pod/order-postgres-0",
		"acme-fitness/cluster/acme-fitness", "acme-fitness/namespace/acme-data", "acme-fitness/import/order-postgres",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if n := len(Focus(g, "nobody").Nodes); n != 0 {
		t.Errorf("the focus on nobody has %d nodes", n)
	}
	if _, ok := g.Service("supervisor", testNS, "nobody"); ok {
		t.Error("there is a Service nobody")
	}
	// A group stands for all that is in it.
	whole := Focus(g, find(t, g, KindLoadBalancer, "lbs-acme-data").ID)
	if got := len(relationsByName(whole, EdgeResolves)); got != 5 {
		t.Errorf("the load balancer has %d imports, want 5", got)
	}
}

func TestFold(t *testing.T) {
	t.Parallel()
	w := crowd(20, 25, 4, 3)
	w.setMember("svc-17-020-2", nsx.LBDown)
	g := join(w.observed)
	before := len(g.Nodes)
	folded := Fold(g, Limits{Nodes: 3, Groups: 2})
	if len(g.Nodes) != before || before < 4000 {
		t.Fatalf("the graph given had %d nodes and has %d", before, len(g.Nodes))
	}

	// The service in trouble stays, in each system, with its way from end to end.
	chain := Focus(folded, find(t, folded, KindVirtualServer, vipOf(t, g, "svc-17-020-viaduct")).ID)
	for _, kind := range []EdgeKind{EdgeResolves, EdgeForwards, EdgeMember, EdgePublishes, EdgeExports} {
		if len(relationsByName(chain, kind)) == 0 {
			t.Errorf("its way has no edge %s", kind)
		}
	}
	find(t, folded, KindNamespace, "team-17")

	// No group has more than the limit of a kind, and nobody got lost.
	type place struct {
		parent string
		system System
		kind   Kind
	}
	count, total := map[place]int{}, map[Kind]int{}
	for _, n := range folded.Nodes {
		count[place{n.Parent, n.System, n.Kind}]++
		total[n.Kind] += max(1, n.Count)
	}
	for p, n := range count {
		limit := 3
		if p.kind.IsGroup() || p.kind.oncePerGroup() {
			limit = 2
		}
		if n > limit {
			t.Errorf("%d of %s in %s", n, p.kind, p.parent)
		}
	}
	if total[KindVSphereNamespace] != 20 || total[KindCluster] != 4 {
		t.Errorf("it stands for %d vSphere Namespaces and %d clusters, want 20 and 4", total[KindVSphereNamespace], total[KindCluster])
	}
	pods := find(t, folded, KindPod, "… and 98 more pods")
	if want := "98 up"; pods.Detail != want || pods.Count != 98 {
		t.Errorf("got %v, want %s", pods, want)
	}
	if len(folded.Nodes) > 80 {
		t.Errorf("%d nodes are left of %d", len(folded.Nodes), before)
	}
	// Folding again changes nothing, and no limit folds nothing.
	if diff := cmp.Diff(folded, Fold(folded, Limits{Nodes: 3, Groups: 2})); diff != "" {
		t.Errorf("again (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(g, Fold(g, Limits{})); diff != "" {
		t.Errorf("no limit (-want +got)\n%s", diff)
	}
}

// vipOf returns the label of the virtual server of a Service.
func vipOf(t *testing.T, g *Graph, service string) string {
	t.Helper()
	id := find(t, g, KindExport, service).ID
	for _, e := range g.Edges {
		if e.Kind == EdgePublishes && e.From == id {
			n, _ := g.Node(e.To)
			return n.Label
		}
	}
	t.Fatalf("%s has no virtual server", service)
	return ""
}

func TestFoldNumbers(t *testing.T) {
	t.Parallel()
	g := &Graph{Nodes: []Node{{ID: "ns", Kind: KindNamespace, System: SystemSupervisor, Label: "ns"}}}
	for i := range 1236 {
		state := StateUp
		if i < 3 {
			state = StateDown
		}
		g.Nodes = append(g.Nodes, Node{
			ID: "p" + thousands(i), Kind: KindPod, System: SystemSupervisor, Parent: "ns", Label: "pod-" + thousands(i), State: state,
		})
	}
	g.Edges = []Edge{{Kind: EdgeSelects, From: "ns", To: "p5"}, {Kind: EdgeSelects, From: "ns", To: "p6"}}
	folded := Fold(g, Limits{Nodes: 3})
	n := find(t, folded, KindPod, "… and 1,234 more pods")
	if n.Detail != "1 down, 1,233 up" || n.State != StateDown {
		t.Errorf("got %+v", n)
	}
	want := []Edge{{Kind: EdgeSelects, From: "ns", To: n.ID, Count: 2}}
	if diff := cmp.Diff(want, folded.Edges); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for file, g := range map[string]*Graph{"shop": join(shop().observed), "broken": join(broken().observed)} {
		var mermaid, dot bytes.Buffer
		if err := WriteMermaid(&mermaid, Simplify(g)); err != nil {
			t.Fatal(err)
		}
		if err := WriteDOT(&dot, Simplify(g)); err != nil {
			t.Fatal(err)
		}
		golden(t, file+".mmd", mermaid.Bytes())
		golden(t, file+".dot", dot.Bytes())
	}
}

// TestJSON reads a graph back.
func TestJSON(t *testing.T) {
	t.Parallel()
	want := join(broken().observed)
	var got Graph
	if err := json.Unmarshal(encode(t, want), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, &got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// hostile is a graph with a text in every place that a picture shows.
func hostile(text string) *Graph {
	return &Graph{
		Nodes: []Node{
			{ID: "a" + text, Kind: KindNamespace, System: SystemSupervisor, Cluster: text, Label: text, Detail: text},
			{ID: "b", Kind: KindService, System: SystemSupervisor, Label: text, Detail: text, Parent: "a" + text, State: StateDown, Reason: text},
			{ID: "c", Kind: Kind(text), System: SystemNSX, Label: text, State: State(text)},
			{ID: "d", Kind: KindPod, System: System(text), Label: text, Parent: "d"},
			{ID: "e", Kind: KindNamespace, System: SystemVCenter, Label: text, Parent: "f"},
			{ID: "f", Kind: KindNamespace, System: SystemVCenter, Label: text, Parent: "e"},
		},
		Edges: []Edge{
			{Kind: EdgeKind(text), From: "a" + text, To: "c"},
			{Kind: EdgePublishes, From: "b", To: "c"},
			{Kind: EdgePublishes, From: "b", To: "nobody"},
		},
		Holes: []Hole{{System: SystemNSX, Cluster: text, Object: text, Reason: text, Message: text}},
	}
}

var (
	mermaidLine = regexp.MustCompile(`^ *(flowchart TB|end|classDef [a-z]+ [-a-z:#0-9, ]+|subgraph (lane|n)\d+\["[^"]*"\]|(n\d+|hole\d+_\d+)\["[^"]*"\](:::[a-z]+)?|n\d+ (--x|==>|-->|-\.->)\|[^|"<>]*\| n\d+)$`)
	dotString   = regexp.MustCompile(`"([^"\\]|\\.)*"`)
	dotLine     = regexp.MustCompile(`^ *(digraph topology \{|\}|subgraph cluster_(lane|n)\d+ \{|(n\d+( -> n\d+)?|hole\d+_\d+|graph|node|edge) \[([a-z]+=(S|[a-zA-Z0-9_.]+)(, )?)+\]|([a-z]+=(S|[a-z]+)(; )?)+)$`)
)

// FuzzText has any text in every place: each line of the result is one that
// this package writes, with the text only within quotes.
func FuzzText(f *testing.F) {
	for _, text := range []string{
		"web", "", `"]; n0 --> n1; x["`, "a\nend\nflowchart LR", "#quot;", "<script>alert(1)</script>", "|yes| n7",
		`\`, `\"`, "\xff\xfe", "\u2028", "日本語", "`md`", "%%{init: {}}%%", "&amp;", "end", "];\n}", "ü\x00",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		g := hostile(text)
		var mermaid, dot bytes.Buffer
		if err := WriteMermaid(&mermaid, g); err != nil {
			t.Fatal(err)
		}
		if err := WriteDOT(&dot, g); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(mermaid.String()) {
			if line = strings.TrimSuffix(line, "\n"); !mermaidLine.MatchString(line) {
				t.Fatalf("Mermaid: %q", line)
			}
		}
		for line := range strings.Lines(dot.String()) {
			line = dotString.ReplaceAllString(strings.TrimSuffix(line, "\n"), "S")
			if !dotLine.MatchString(line) {
				t.Fatalf("DOT: %q", line)
			}
		}
		if !utf8.Valid(mermaid.Bytes()) || !utf8.Valid(dot.Bytes()) {
			t.Fatal("not UTF-8")
		}
		for _, change := range []*Graph{Simplify(g), Focus(g, "b"), Fold(g, Limits{Nodes: 1, Groups: 1})} {
			if len(change.Nodes) > len(g.Nodes) || !slices.Equal(change.Holes, g.Holes) {
				t.Fatal("it grew, or lost holes")
			}
		}
	})
}
