// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && e2etraffic

package traffic_test

import (
	"fmt"
	"os"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct/bridge"
)

// TestTraffic follows an import from before it is made until after it is gone.
func TestTraffic(t *testing.T) {
	inside, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(insideMark + inside)
	w := newWorld(t)
	t.Cleanup(func() { w.table.print(os.Stdout) })
	w.startShop()
	postgres := service{orders, 5432}

	w.check(row{step: "before Import", from: "web-app", tried: "look " + orders + " up", expected: "no such name", route: brokenAt("name")}, w.lookUp(postgres))
	exported := w.export(postgres)
	imported, err := bridge.Import(w.ctx, w.importer, exported, bridge.WithCreateNamespace())
	w.must(err)
	w.check(row{step: "after Import", from: "web-app", tried: "look " + orders + " up", expected: imported.ClusterIPs[0].String()}, w.lookUp(postgres))
	fmt.Println(halfWayMark)
}

func (w *world) export(s service) *bridge.Exported {
	w.t.Helper()
	exported, err := bridge.Export(w.ctx, w.exporter, types.NamespacedName{Namespace: dataNamespace, Name: s.name})
	w.must(err)
	return exported
}
