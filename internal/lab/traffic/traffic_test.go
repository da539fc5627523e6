// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && e2etraffic

package traffic_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct/bridge"
	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

// TestTraffic follows imports from before they are made until after they are
// gone.
func TestTraffic(t *testing.T) {
	inside, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(insideMark + inside)
	w := newWorld(t)
	t.Cleanup(func() { w.table.print(os.Stdout) })
	w.startShop()
	w.startCounting()
	before := w.lab.NSX.Paths("/infra")

	w.notYet()
	w.isolated()
	exported := w.opened()
	w.onlyThat(exported)
	fmt.Println(halfWayMark)
	w.startPod(postgres(), 1)
	c := w.startClient()
	for _, f := range w.failures(exported, c) {
		f.run(w, c)
	}
	c.stop()
	w.throughKernels()
	w.takenBack(before)
}

// notYet looks before anything is imported.
func (w *world) notYet() {
	const step = "before Import"
	w.check(row{
		step: step, from: "web-app", tried: "look kubernetes.default up",
		expected: nth(w.node.cluster.ServiceCIDR, 1).String(),
	}, w.lookUpName("kubernetes.default.svc.cluster.local"))
	w.check(row{
		step: step, from: "web-app", tried: "look " + orders + " up", expected: "no such name", route: brokenAt("name"),
	}, w.lookUp(postgres()))
}

// isolated exports and imports while the firewall lets nobody out of the TK
// cluster's namespace, and nobody in to the pods.
func (w *world) isolated() {
	w.t.Helper()
	const step = "isolated, no rule"
	w.check(row{step: step, from: "here", tried: "Export", expected: "no member of pool"}, func(ctx context.Context) string {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		const enough = "no member of pool"
		var state string
		_, err := bridge.Export(ctx, w.exporter, postgres().namespaced(), bridge.WithProgress(func(p bridge.Progress) {
			if state = p.State; strings.HasPrefix(state, enough) {
				state = enough + " is up"
				cancel()
			}
		}))
		if err == nil {
			return "exported"
		}
		return state
	})
	exported := w.export(postgres()) // With a NetworkPolicy: the pods are open.
	imported, err := bridge.Import(w.ctx, w.importer, exported, bridge.WithCreateNamespace())
	w.must(err)
	w.check(row{step: step, from: "web-app", tried: "look " + orders + " up", expected: imported.ClusterIPs[0].String()}, w.lookUp(postgres()))
	w.check(row{
		step: step, from: "web-app", tried: postgres().does(), expected: dropped, route: brokenAt("client-firewall"),
	}, w.stopped(w.use(postgres())))
}

// opened exports and imports with both firewall options, and returns the
// document of order-postgres.
func (w *world) opened() (document *bridge.Exported) {
	w.t.Helper()
	const step = "Import, both firewalls opened"
	for _, s := range services() {
		exported := w.export(s)
		imported := w.importIt(exported)
		w.check(row{step: step, from: "web-app", tried: "look " + s.name + " up", expected: imported.ClusterIPs[0].String()}, w.lookUp(s))
		r := row{step: step, from: "web-app", tried: s.does() + " on " + s.name, expected: s.answer()}
		if s.name == orders {
			document, r.route = exported, reaches
			if f := imported.Firewall; f == nil || f.Before != firewall.Drop || f.After != firewall.Allow {
				w.t.Errorf("Import says of the firewall %+v, want that it was closed and is open", f)
			}
		}
		w.check(r, w.use(s))
	}
	return document
}

// onlyThat tries what the rules must not have opened. Where the firewall lets
// packets pass, somebody refuses them; silence is the firewall's.
func (w *world) onlyThat(e *bridge.Exported) {
	w.t.Helper()
	const step = "only on that port"
	past := w.pods[orders+"-0"].address
	for _, try := range []struct {
		tried string
		host  netip.Addr
		port  int32
	}{
		{"SELECT at the VIP, port 5433", vip(e), 5433},
		{"SELECT at the pod, past the VIP", past, 5432},
	} {
		w.check(row{step: step, from: "web-app", tried: try.tried, expected: dropped, route: reaches}, w.stopped(w.useAt(postgres(), try.host.String(), try.port)))
	}
}

// takenBack takes everything back, the importing side first.
func (w *world) takenBack(before []string) {
	w.t.Helper()
	const step = "after Unimport"
	address := w.currentVIP()
	for _, s := range services() {
		_, err := bridge.Unimport(w.ctx, w.importer, s.namespaced())
		w.must(err)
	}
	w.check(row{step: step, from: "web-app", tried: "look " + orders + " up", expected: "no such name", route: brokenAt("name")}, w.lookUp(postgres()))
	w.check(row{step: step, from: "web-app", tried: "SELECT at the VIP", expected: dropped}, w.stopped(w.useAt(postgres(), address.String(), 5432)))
	for _, s := range services() {
		_, err := bridge.Unexport(w.ctx, w.exporter, s.namespaced())
		w.must(err)
	}
	w.giveTypeBack()
	w.check(row{step: "after Unexport", from: "NSX", tried: "list all objects", expected: "as before the first Export"}, func(context.Context) string {
		if diff := cmp.Diff(before, w.lab.NSX.Paths("/infra")); diff != "" {
			return diff
		}
		return "as before the first Export"
	})
}

func (w *world) export(s service, opts ...bridge.ExportOption) *bridge.Exported {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	exported, err := bridge.Export(ctx, w.exporter, s.namespaced(), append(opts, bridge.WithNetworkPolicy())...)
	w.must(err)
	return exported
}

func (w *world) importIt(e *bridge.Exported) *bridge.Imported {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	imported, err := bridge.Import(ctx, w.importer, e, bridge.WithFirewall())
	w.must(err)
	return imported
}
