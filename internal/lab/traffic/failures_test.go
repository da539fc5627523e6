// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && e2etraffic

package traffic_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct/bridge"
)

// failure is something that happens while a client queries every 20 ms.
type failure struct {
	step, tried string
	// mayFail is what of the client's queries may fail: nothing, those over the
	// connection that is open, or also new ones until somebody notices.
	mayFail mayFail
	route   string // what Trace says then; reaches when it is empty
	happen  func()
	// mend takes it back, where there is something to take back.
	mend func()
}

type mayFail int

const (
	nothing mayFail = iota
	openConnection
	untilNoticed
)

// run has it happen, and waits until the client's queries succeed again. All
// that failed in between is counted, and what had begun by then.
func (f failure) run(w *world, c *client) {
	w.t.Helper()
	before := c.stats()
	f.happen()
	c.carryOn()
	c.settle()
	seen := c.stats().minus(before)
	r := row{step: f.step, from: "web-app, every 20 ms", tried: f.tried, seen: seen.outcome(), route: f.route}
	switch f.mayFail {
	case nothing:
		r.expected = "no failed query"
		r.failed = seen.Failed+seen.OpenFailed > 0
	case openConnection:
		r.expected = "none failed but over the open connection"
		r.failed = seen.Failed > 0 || seen.OpenFailed > 1
	default:
		r.expected = "queries go on once it is noticed"
	}
	if r.route == "" {
		r.route = reaches
	}
	w.eventually(f.step+": Trace", func(ctx context.Context) string {
		if r.traced = w.trace(ctx); !strings.HasPrefix(r.traced, r.route) {
			return fmt.Sprintf("Trace says %q, want %q", r.traced, r.route)
		}
		return ""
	})
	if r.failed {
		w.t.Errorf("%s: %s: saw %s, want %s\n%s", f.step, f.tried, r.seen, r.expected, w.diagnose())
	}
	w.note(r)
	if f.mend != nil {
		f.mend()
		c.carryOn()
	}
}

// failures are what may happen, in an order in which each leaves a world in
// which the next can.
func (w *world) failures(exported *bridge.Exported, c *client) []failure {
	manager := w.lab.NSX.Managers()[0]
	return []failure{
		{
			step: "VIP changed", tried: "import the document with the new one", mayFail: nothing,
			happen: func() { w.importIt(w.handOver()) },
		},
		{
			// The NetworkPolicy is the new Service's before the old one goes.
			step: "VIP changed", tried: "withdraw the old one", mayFail: openConnection,
			happen: func() {
				w.deserted(exported, c)
				w.export(postgres())
			},
		},
		{
			step: "exporting API server killed", tried: "kill -9", mayFail: nothing,
			happen: w.lab.Supervisor.Kill,
			mend:   func() { w.must(w.lab.Supervisor.Restart(w.ctx)) },
		},
		{
			step: "NSX Manager killed", tried: "it answers nobody", mayFail: nothing,
			happen: manager.Stop,
			mend:   func() { w.must(manager.Start()) },
		},
		{
			step: "importing API server killed", tried: "kill -9", mayFail: nothing,
			happen: w.node.cluster.Kill,
			mend:   func() { w.must(w.node.cluster.Restart(w.ctx)) },
		},
		{
			// Last: the node's kernel remembers for two minutes where it sent
			// connections that nobody answered, and sends there whoever draws
			// one of their ports. That must not be an address that has moved.
			step: "pool member killed", tried: "its pod loses power", mayFail: untilNoticed,
			happen: func() {
				w.firewall.Detach(orders + "-1")
				w.must(w.pods[orders+"-1"].Remove(w.ctx))
			},
			mend: func() {
				w.must(w.supervisor.CoreV1().Pods(dataNamespace).Delete(w.ctx, orders+"-1", metav1.DeleteOptions{}))
			},
		},
	}
}

// deserted waits until the node sends no more connections to a virtual address:
// kube-proxy writes its rules a while after Import has returned.
func (w *world) deserted(exported *bridge.Exported, c *client) {
	w.t.Helper()
	path := exported.Proof.VirtualServers[0].Path
	connections := func() uint64 {
		all, err := w.forwarding.Counters(w.ctx)
		w.must(err)
		return all[path].Connections
	}
	for range 30 {
		before := connections()
		c.carryOn()
		if connections() == before {
			return
		}
	}
	w.t.Fatalf("%s still gets connections at %s", orders, path)
}

// handOver makes order-postgres a load balancer itself, as its owner may, and
// exports it again. Its companion keeps the first address.
func (w *world) handOver() *bridge.Exported {
	w.t.Helper()
	_, err := w.supervisor.CoreV1().Services(dataNamespace).Patch(w.ctx, orders, types.MergePatchType,
		[]byte(`{"spec":{"type":"LoadBalancer"}}`), metav1.PatchOptions{})
	w.must(err)
	exported := w.export(postgres(), bridge.WithHandover())
	w.must(w.forwarding.Sync(w.ctx)) // The edge has what NSX says.
	return exported
}

// giveTypeBack undoes handOver.
func (w *world) giveTypeBack() {
	w.t.Helper()
	_, err := w.supervisor.CoreV1().Services(dataNamespace).Patch(w.ctx, orders, types.MergePatchType,
		[]byte(`{"spec":{"type":"ClusterIP"}}`), metav1.PatchOptions{})
	w.must(err)
}

// currentVIP is the address behind order-postgres in the TK cluster.
func (w *world) currentVIP() netip.Addr {
	w.t.Helper()
	slices, err := w.node.kube.DiscoveryV1().EndpointSlices(dataNamespace).List(w.ctx, metav1.ListOptions{
		LabelSelector: discoveryv1.LabelServiceName + "=" + orders,
	})
	w.must(err)
	for _, s := range slices.Items {
		for _, e := range s.Endpoints {
			address, err := netip.ParseAddr(e.Addresses[0])
			w.must(err)
			return address
		}
	}
	w.t.Fatalf("nothing stands behind %s", orders)
	return netip.Addr{}
}
