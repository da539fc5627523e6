// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"fmt"
	"net/netip"

	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

// HopState is what became of a hop.
type HopState string

// The states of hops.
const (
	// HopOK: the hop was looked at and carries the connection on.
	HopOK HopState = "ok"
	// HopBroken: connections end here, or go astray; Cause says why.
	HopBroken HopState = "broken"
	// HopUnknown: whoever could tell was not given or did not answer.
	HopUnknown HopState = "unknown"
	// HopSkipped: there is nothing to look at, because of an earlier hop.
	HopSkipped HopState = "skipped"
)

// HopName names a hop. Names are stable; new hops may come.
type HopName string

// The hops, in the order of a connection's way.
const (
	// HopNamed: the namespace and the Service exist, so that the name resolves.
	HopNamed HopName = "name"
	// HopImport: the Service is Viaduct's, has a cluster IP and no selector.
	HopImport HopName = "import"
	// HopSlice: what stands behind the Service leads to the virtual address,
	// and nothing else does.
	HopSlice HopName = "slice"
	// HopAddress: the virtual address is one, and is the exporter's at present.
	HopAddress HopName = "address"
	// HopExport: the exported Service and its companion exist and agree.
	HopExport HopName = "export"
	// HopNCP: NCP reports no error and gave the Service its address.
	HopNCP HopName = "ncp"
	// HopVirtualServer: NSX has a virtual server for each port, enabled and
	// realized.
	HopVirtualServer HopName = "virtual-server"
	// HopLoadBalancer: the load balancer of the virtual server works.
	HopLoadBalancer HopName = "load-balancer"
	// HopTier1: the tier-1 gateway of the load balancer is there, and announces
	// virtual addresses.
	HopTier1 HopName = "tier-1"
	// HopPool: the pool is there and has members.
	HopPool HopName = "pool"
	// HopMembers: a member is up.
	HopMembers HopName = "members"
	// HopPods: a ready pod of the Service is behind a member.
	HopPods HopName = "pods"
	// HopClientFirewall: the distributed firewall lets the client out.
	HopClientFirewall HopName = "client-firewall"
	// HopPodFirewall: the distributed firewall lets the load balancer in to the
	// members.
	HopPodFirewall HopName = "pod-firewall"
)

// Hop is one part of the way from a name to the pods behind it.
type Hop struct {
	Name HopName `json:"name"`
	// Exporter is "cluster/namespace/name" on the hops of each exporter when
	// an import has several.
	Exporter string   `json:"exporter,omitempty"`
	State    HopState `json:"state"`
	// Evidence is what was seen, or why nothing was.
	Evidence []string `json:"evidence,omitempty"`
	// Cause says why the hop is broken, and Remedy what to do about it.
	Cause  string `json:"cause,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

// Traced is the way from a name to the pods behind it, as [Trace] found it.
type Traced struct {
	Cluster   string `json:"cluster"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Hops are in the order of the way; all of them are there, whatever their
	// state.
	Hops []Hop `json:"hops"`
}

// Broken returns the first broken hop, and whether there is one. The cause of
// later ones may lie in it.
func (t *Traced) Broken() (Hop, bool) {
	for _, h := range t.Hops {
		if h.State == HopBroken {
			return h, true
		}
	}
	return Hop{}, false
}

// TraceOption gives [Trace] something more to ask.
type TraceOption func(*traceOptions)

type traceOptions struct {
	exporters []*Cluster
	nsx       firewall.Source
	client    *TraceClient
}

// TraceExporter lets [Trace] look at the exporting cluster too. It counts for
// imports from a cluster of this name; the option may be given several times.
// If the cluster has [WithNSX], its virtual servers are found by the Service's
// UID.
func TraceExporter(c *Cluster) TraceOption {
	return func(o *traceOptions) { o.exporters = append(o.exporters, c) }
}

// TraceNSX lets [Trace] look at NSX: load balancers, gateways, pools and the
// distributed firewall. Pass [nsx.Client.Raw] of the NSX Manager behind the
// exporting cluster. Nothing is written.
//
// Without it, [WithNSX] of the exporting cluster tells of virtual servers and
// pool members; the rest stays unknown. So it does where NCP writes the older
// Manager API, as TKGI's did.
func TraceNSX(source firewall.Source) TraceOption {
	return func(o *traceOptions) { o.nsx = source }
}

// TraceClient is where connections come from as the distributed firewall sees
// them: a node of the importing cluster, or a vSphere Pod.
type TraceClient struct {
	Address netip.Addr
	// Interface is the policy path of its segment port or segment. When it is
	// empty, the segment is looked for by the address.
	Interface string
}

// TraceFrom lets [Trace] tell whether the distributed firewall lets this client
// connect to the virtual address. It needs [TraceNSX].
func TraceFrom(client TraceClient) TraceOption {
	return func(o *traceOptions) { o.client = &client }
}

// Trace follows an imported Service hop by hop, from its name in the importing
// cluster to the pods behind it in the exporting one, and says what it found at
// each hop: for someone who has been told that web-app cannot reach db.
//
// It reads and never writes. What cannot be asked, because it was not given,
// does not answer or is forbidden, leaves a hop unknown and is no error. With a
// deadline in ctx no single server gets more than half of the time that is
// left.
//
// Errors match [viaduct.ErrInvalid] when an argument is missing, and wrap the
// cause when ctx ends.
func Trace(ctx context.Context, importing *Cluster, name types.NamespacedName, opts ...TraceOption) (*Traced, error) {
	var o traceOptions
	for _, opt := range opts {
		opt(&o)
	}
	if err := o.validate(importing, name); err != nil {
		return nil, err
	}
	facts := importing.observeTrace(ctx, name, &o)
	if ctx.Err() != nil {
		return nil, importing.wrap("trace", name, context.Cause(ctx))
	}
	return judgeTrace(facts), nil
}

func (o *traceOptions) validate(importing *Cluster, name types.NamespacedName) error {
	invalid := func(what string) error {
		return fmt.Errorf("bridge: trace %s: %s: %w", name, what, viaduct.ErrInvalid)
	}
	switch {
	case importing == nil:
		return invalid("no importing cluster")
	case name.Namespace == "" || name.Name == "":
		return invalid("a Service has a namespace and a name")
	case o.client != nil && !o.client.Address.IsValid():
		return invalid("the client has no address")
	}
	for _, c := range o.exporters {
		if c == nil {
			return invalid("no exporting cluster")
		}
	}
	return nil
}
