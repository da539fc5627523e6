// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct/bridge"
)

// TestExportFromTKCluster exports a Service of a TK cluster, whose load balancer
// the cloud provider asks for on the Supervisor, and imports it into the
// Supervisor and another TK cluster.
func TestExportFromTKCluster(t *testing.T) {
	t.Parallel()
	const ns, guest = "acme-guest", "shop"
	name := types.NamespacedName{Namespace: "default", Name: "cart"}
	ctx := testContext(t)
	namespace(t, ns)
	config := guestCluster(t, ns, guest)
	kube := client(t, config)
	guestService(t, kube, name, corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 8080}}})
	source := guestEnd(t, "shop", config, ns, guest)
	exported, err := bridge.Export(ctx, source, name)
	if err != nil {
		t.Fatal(err)
	}
	ingress := netip.MustParsePrefix("192.168.30.64/27")
	if exported.Proof.Source != bridge.ProofNSX || len(exported.Proof.VirtualServers) != 1 || !ingress.Contains(exported.Addresses[0]) {
		t.Errorf("got %v, proved by %+v; want an ingress address, proved by NSX", exported.Addresses, exported.Proof)
	}
	for _, into := range []*bridge.Cluster{exporter(t, nil), importer(t, nil)} {
		target := bridge.WithTarget(types.NamespacedName{Namespace: ns})
		for range 2 {
			imported, err := bridge.Import(ctx, into, shipped(t, exported), target)
			if err != nil {
				t.Fatal(err)
			}
			if imported.Namespace != ns || len(imported.ClusterIPs) != 1 {
				t.Errorf("into %s: got %+v", into.Name(), imported)
			}
		}
		if _, err := bridge.Unimport(ctx, into, types.NamespacedName{Namespace: ns, Name: name.Name}); err != nil {
			t.Error(err)
		}
	}
	if plan, err := bridge.Unexport(ctx, source, name); err != nil || len(plan.Steps) != 1 {
		t.Errorf("unexport: got %v, %v; want one step", plan, err)
	}
}
