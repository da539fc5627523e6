// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology_test

import (
	"context"
	"fmt"
	"os"

	"github.com/viaduct-sdk/viaduct/bridge/topology"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// An NSX Manager that may not be asked for firewall policies: the graph has what
// could be read, and names what could not.
func ExampleCollect() {
	manager := nsxsim.NewServer()
	defer manager.Close()
	_ = manager.Put("/infra/lb-pools/web", nsx.Pool{Members: []nsx.PoolMember{{IPAddress: "10.0.0.5", Port: "80"}}})
	_ = manager.Put("/infra/lb-virtual-servers/web", nsx.VirtualServer{
		IPAddress: "192.168.30.66", Ports: []string{"80"}, PoolPath: "/infra/lb-pools/web",
		ApplicationProfilePath: nsx.DefaultTCPProfilePath,
	})
	manager.Inject(nsxsim.Fault{Route: "/infra/domains/default/security-policies", Kind: nsxsim.FaultStatus, Status: 403, Times: -1})
	client, err := nsx.NewClient(manager.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword), nsx.WithHTTPClient(manager.Client()))
	if err != nil {
		fmt.Println(err)
		return
	}
	graph, err := topology.Collect(context.Background(), topology.Sources{NSX: client})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range graph.Edges {
		from, _ := graph.Node(e.From)
		to, _ := graph.Node(e.To)
		fmt.Printf("%s %s %s %s\n", from.Kind, from.Label, e.Kind, to.ID)
	}
	fmt.Println(graph.Holes[0])
	// Output:
	// virtual-server 192.168.30.66:80 forwards nsx:/infra/lb-pools/web
	// nsx: firewall policies: forbidden
}

// graph is one that was read from a file.
func graph() *topology.Graph {
	return &topology.Graph{
		Nodes: []topology.Node{
			{ID: "vs", Kind: topology.KindVirtualServer, System: topology.SystemNSX, Label: "192.168.30.66:5432", State: topology.StateUp},
			{ID: "sv", Kind: topology.KindNamespace, System: topology.SystemSupervisor, Label: "acme-data"},
			{ID: "db", Kind: topology.KindService, System: topology.SystemSupervisor, Label: "order-postgres", Parent: "sv"},
			{ID: "p0", Kind: topology.KindPod, System: topology.SystemSupervisor, Label: "order-postgres-0", Parent: "sv", State: topology.StateDown},
			{ID: "p1", Kind: topology.KindPod, System: topology.SystemSupervisor, Label: "order-postgres-1", Parent: "sv", State: topology.StateUp},
			{ID: "p2", Kind: topology.KindPod, System: topology.SystemSupervisor, Label: "order-postgres-2", Parent: "sv", State: topology.StateUp},
		},
		Edges: []topology.Edge{
			{Kind: topology.EdgePublishes, From: "db", To: "vs"},
			{Kind: topology.EdgeSelects, From: "db", To: "p0"},
			{Kind: topology.EdgeSelects, From: "db", To: "p1"},
			{Kind: topology.EdgeSelects, From: "db", To: "p2"},
		},
	}
}

func ExampleFold() {
	folded := topology.Fold(graph(), topology.Limits{Nodes: 2})
	for _, n := range folded.Nodes {
		fmt.Printf("%s %s %q\n", n.Kind, n.Label, n.State)
	}
	// Output:
	// virtual-server 192.168.30.66:5432 "up"
	// namespace acme-data ""
	// service order-postgres ""
	// pod order-postgres-0 "down"
	// pod … and 2 more pods "up"
}

func ExampleWriteMermaid() {
	focused := topology.Focus(graph(), "vs")
	if err := topology.WriteMermaid(os.Stdout, topology.Fold(focused, topology.Limits{Nodes: 1})); err != nil {
		fmt.Println(err)
	}
	// Output:
	// flowchart TB
	//   subgraph lane0["NSX"]
	//     n0["virtual server<br/><b>192.168.30.66:5432</b>"]:::up
	//   end
	//   subgraph lane1["Supervisor"]
	//     subgraph n1["namespace acme-data"]
	//       n2["service<br/><b>order-postgres</b>"]
	//       n3["<b>… and 3 more pods</b><br/>1 down, 2 up"]:::down
	//     end
	//   end
	//   n2 -->|publishes| n0
	//   n2 -.->|selects ×3| n3
	//   classDef up stroke:#047857,stroke-width:2px
	//   classDef degraded stroke:#b45309,stroke-width:2px,stroke-dasharray:6 3
	//   classDef down stroke:#b91c1c,stroke-width:3px
	//   classDef unknown stroke:#64748b,stroke-dasharray:2 3
	//   classDef hole stroke:#b45309,stroke-dasharray:2 3,font-style:italic
}

// What is left of a Service's pods after Simplify is selected by it, and is no
// member of its pool: worth a look.
func ExampleSimplify() {
	g := graph()
	g.Nodes = append(g.Nodes, topology.Node{ID: "pool", Kind: topology.KindPool, System: topology.SystemNSX, Label: "2 of 2 members up"})
	g.Edges = append(g.Edges,
		topology.Edge{Kind: topology.EdgeForwards, From: "vs", To: "pool"},
		topology.Edge{Kind: topology.EdgeMember, From: "pool", To: "p1"},
		topology.Edge{Kind: topology.EdgeMember, From: "pool", To: "p2"},
	)
	for _, e := range topology.Simplify(g).Edges {
		fmt.Println(e.From, e.Kind, e.To)
	}
	// Output:
	// db publishes vs
	// db selects p0
	// vs forwards pool
	// pool member p1
	// pool member p2
}

func ExampleWriteDOT() {
	pods := topology.Fold(topology.Focus(graph(), "db"), topology.Limits{Nodes: 1})
	if err := topology.WriteDOT(os.Stdout, pods); err != nil {
		fmt.Println(err)
	}
	// Output:
	// digraph topology {
	//   graph [rankdir=TB, compound=true, fontname="Helvetica", bgcolor="white"]
	//   node [shape=box, style="rounded,filled", fillcolor="white", color="#64748b", fontname="Helvetica", fontsize=11]
	//   edge [color="#64748b", fontname="Helvetica", fontsize=9]
	//   subgraph cluster_lane0 {
	//     label="NSX"; style="rounded,filled"; color="#cbd5e1"; fillcolor="#f8fafc"
	//     n0 [label="virtual server\n192.168.30.66:5432", color="#047857"]
	//   }
	//   subgraph cluster_lane1 {
	//     label="Supervisor"; style="rounded,filled"; color="#cbd5e1"; fillcolor="#f8fafc"
	//     subgraph cluster_n1 {
	//       label="namespace acme-data"; style=rounded; color="#94a3b8"
	//       n1 [shape=point, style=invis, width=0]
	//       n2 [label="service\norder-postgres"]
	//       n3 [label="… and 3 more pods\n1 down, 2 up", color="#b91c1c", penwidth=2]
	//     }
	//   }
	//   n2 -> n0 [label="publishes", style=solid]
	//   n2 -> n3 [label="selects ×3", style=dashed]
	// }
}
