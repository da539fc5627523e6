// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"cmp"
	"slices"
	"strings"
)

// System is the server that an object was read from.
type System string

// The systems.
const (
	SystemVCenter    System = "vcenter"
	SystemNSX        System = "nsx"
	SystemSupervisor System = "supervisor"
	SystemTKCluster  System = "tk-cluster"
)

// Kind is what a node is. Later versions may know more.
type Kind string

// The kinds of nodes in vCenter.
const (
	KindVSphereNamespace Kind = "vsphere-namespace"
	KindPortGroup        Kind = "port-group"
)

// The kinds of nodes in NSX. Tier-1 gateways and load balancers are groups.
const (
	KindTier1          Kind = "tier-1"
	KindSegment        Kind = "segment"
	KindLoadBalancer   Kind = "load-balancer"
	KindVirtualServer  Kind = "virtual-server"
	KindPool           Kind = "pool"
	KindFirewallPolicy Kind = "firewall-policy"
)

// The kinds of nodes in Kubernetes. Clusters and namespaces are groups. An
// export is the LoadBalancer Service that Viaduct made beside a Service, an
// import the Service that it made in the importing cluster. The node of a TK
// cluster is the object on the Supervisor that asks for it.
const (
	KindCluster   Kind = "cluster"
	KindNamespace Kind = "namespace"
	KindService   Kind = "service"
	KindExport    Kind = "export"
	KindImport    Kind = "import"
	KindPod       Kind = "pod"
	KindTKCluster Kind = "tk-cluster"
	KindVMService Kind = "vm-service"
)

// IsGroup reports whether nodes of this kind have others in them.
func (k Kind) IsGroup() bool {
	return k == KindCluster || k == KindNamespace || k == KindTier1 || k == KindLoadBalancer
}

// State is how a node or an edge is doing.
type State string

// The states. The empty state is that of what has none.
const (
	StateUp       State = "up"
	StateDegraded State = "degraded"
	StateDown     State = "down"
	// StateUnknown says that whoever knows the state was not to be asked.
	StateUnknown State = "unknown"
)

// severity orders states, the worst last.
func (s State) severity() int {
	return slices.Index([]State{"", StateUp, StateUnknown, StateDegraded, StateDown}, s)
}

// worse returns the worse of two states.
func (s State) worse(other State) State {
	if other.severity() > s.severity() {
		return other
	}
	return s
}

// Node is one object, or several that [Fold] put together.
type Node struct {
	// ID is the object's identifier in its system, which stays the same as long
	// as the object exists: "nsx:/infra/segments/web", "supervisor:<UID>".
	ID     string `json:"id"`
	Kind   Kind   `json:"kind"`
	System System `json:"system"`
	// Cluster is the name of the Kubernetes cluster, as given to [NewCluster].
	Cluster string `json:"cluster,omitempty"`
	// Label and Detail are two lines for people, without UUIDs.
	Label  string `json:"label"`
	Detail string `json:"detail,omitempty"`
	// Parent is the ID of the group that the node is in.
	Parent string `json:"parent,omitempty"`
	State  State  `json:"state,omitempty"`
	// Reason says why the state is what it is, unless it is up.
	Reason     string            `json:"reason,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
	// Count is how many objects the node stands for; 0 for itself alone.
	Count int `json:"count,omitempty"`
}

// EdgeKind is what an edge says of its two ends.
type EdgeKind string

// The kinds of edges. The first group is the way of a connection, the second
// how what is on that way came into being, the third what lies beneath.
const (
	// EdgeResolves leads from an import to the virtual server of its address.
	EdgeResolves EdgeKind = "resolves"
	// EdgeForwards leads from a virtual server to its pool.
	EdgeForwards EdgeKind = "forwards"
	// EdgeMember leads from a pool to a pod.
	EdgeMember EdgeKind = "member"

	// EdgeExports leads from a Service to its companion.
	EdgeExports EdgeKind = "exports"
	// EdgePublishes leads from a Service to the virtual servers that NCP made
	// for it, and to such pools as no virtual server uses.
	EdgePublishes EdgeKind = "publishes"
	// EdgeSource leads from an import to the Service that was exported.
	EdgeSource EdgeKind = "source"
	// EdgeSelects leads from a Service to the pods that its selector selects.
	EdgeSelects EdgeKind = "selects"

	// EdgeRealizes leads from what somebody asked for to what was made of it:
	// from a vSphere Namespace to the namespace, from a segment to its port
	// groups, from the object of a TK cluster to the cluster, from the Service
	// of a TK cluster to its VirtualMachineService, and on to its Service.
	EdgeRealizes EdgeKind = "realizes"
	// EdgeAttaches leads from a namespace to its segments.
	EdgeAttaches EdgeKind = "attaches"
	// EdgeRoutes leads from a namespace to its tier-1 gateway.
	EdgeRoutes EdgeKind = "routes"
	// EdgeGuards leads from a firewall policy to what it is about.
	EdgeGuards EdgeKind = "guards"
)

// Edge is a relation between two nodes, directed as its kind says.
type Edge struct {
	Kind EdgeKind `json:"kind"`
	From string   `json:"from"`
	To   string   `json:"to"`
	// State is that of a pool's member.
	State State `json:"state,omitempty"`
	// Count is how many edges this one stands for; 0 for itself alone.
	Count int `json:"count,omitempty"`
}

// Hole is something that could not be read, so that the graph lacks it.
type Hole struct {
	System System `json:"system"`
	// Cluster is the name of the Kubernetes cluster.
	Cluster string `json:"cluster,omitempty"`
	// Object is what is missing: "port groups".
	Object string `json:"object"`
	// Reason is one or two words: "forbidden", "not reachable".
	Reason string `json:"reason"`
	// Message is the error's text.
	Message string `json:"message,omitempty"`
}

// String returns what is missing and why.
func (h Hole) String() string {
	where := string(h.System)
	if h.Cluster != "" {
		where += " " + h.Cluster
	}
	return where + ": " + h.Object + ": " + h.Reason
}

// Graph is what [Collect] found. It is a plain value: nodes sorted by system,
// cluster, kind, label, name and ID, edges by their ends in that order, holes by where
// they are. The zero Graph is empty.
type Graph struct {
	Nodes []Node `json:"nodes"`
	Edges []Edge `json:"edges"`
	Holes []Hole `json:"holes,omitempty"`
}

// Node returns the node with this ID, and whether there is one.
func (g *Graph) Node(id string) (Node, bool) {
	i := slices.IndexFunc(g.Nodes, func(n Node) bool { return n.ID == id })
	if i < 0 {
		return Node{}, false
	}
	return g.Nodes[i], true
}

// Service returns the node of a Service, export or import, and whether there is
// one.
func (g *Graph) Service(cluster, namespace, name string) (Node, bool) {
	i := slices.IndexFunc(g.Nodes, func(n Node) bool {
		return (n.Kind == KindService || n.Kind == KindExport || n.Kind == KindImport) &&
			n.Cluster == cluster && n.Attributes[attrNamespace] == namespace && n.Attributes[attrName] == name
	})
	if i < 0 {
		return Node{}, false
	}
	return g.Nodes[i], true
}

// The attributes that this package reads again.
const (
	attrName      = "name"
	attrNamespace = "namespace"
	attrCluster   = "ncp-cluster"
)

// kindOrder sorts kinds as they are listed above: from the top of a system to
// its bottom.
func kindOrder(k Kind) int {
	return slices.Index([]Kind{
		KindVSphereNamespace, KindPortGroup,
		KindTier1, KindSegment, KindLoadBalancer, KindVirtualServer, KindPool, KindFirewallPolicy,
		KindCluster, KindNamespace, KindTKCluster, KindVMService, KindService, KindExport, KindImport, KindPod,
	}, k)
}

func systemOrder(s System) int {
	return slices.Index([]System{SystemVCenter, SystemNSX, SystemSupervisor, SystemTKCluster}, s)
}

func compareNodes(a, b Node) int {
	return cmp.Or(
		cmp.Compare(systemOrder(a.System), systemOrder(b.System)),
		strings.Compare(a.Cluster, b.Cluster),
		cmp.Compare(kindOrder(a.Kind), kindOrder(b.Kind)),
		cmp.Compare(min(a.Count, 1), min(b.Count, 1)), // what is folded comes last
		strings.Compare(a.Label, b.Label),
		strings.Compare(a.Attributes[attrName], b.Attributes[attrName]),
		strings.Compare(a.ID, b.ID),
	)
}

// sort puts the graph into its order. Edges go by where their ends are and not
// by IDs, so that objects made anew, with other IDs, keep their places.
func (g *Graph) sort() {
	slices.SortFunc(g.Nodes, compareNodes)
	at := make(map[string]int, len(g.Nodes))
	for i, n := range g.Nodes {
		at[n.ID] = i
	}
	slices.SortFunc(g.Edges, func(a, b Edge) int {
		return cmp.Or(cmp.Compare(at[a.From], at[b.From]), cmp.Compare(at[a.To], at[b.To]), strings.Compare(string(a.Kind), string(b.Kind)))
	})
	slices.SortFunc(g.Holes, func(a, b Hole) int {
		return cmp.Or(cmp.Compare(systemOrder(a.System), systemOrder(b.System)),
			strings.Compare(a.Cluster, b.Cluster), strings.Compare(a.Object, b.Object))
	})
}

// subgraph returns the nodes to keep with all groups that they are in, and the
// edges between them.
func (g *Graph) subgraph(keep map[string]bool) *Graph {
	parent := make(map[string]string, len(g.Nodes))
	for _, n := range g.Nodes {
		parent[n.ID] = n.Parent
	}
	all := make(map[string]bool, len(keep))
	for id := range keep {
		for ; id != "" && !all[id]; id = parent[id] {
			all[id] = true
		}
	}
	sub := &Graph{Holes: slices.Clone(g.Holes)}
	for _, n := range g.Nodes {
		if all[n.ID] {
			sub.Nodes = append(sub.Nodes, n)
		}
	}
	for _, e := range g.Edges {
		if all[e.From] && all[e.To] {
			sub.Edges = append(sub.Edges, e)
		}
	}
	return sub
}
