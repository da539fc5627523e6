// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct/bridge"
)

// TestHealthOutlivesTheAPIServer reads from NSX how exports are doing, those of a
// Supervisor and those of a TK cluster whose API server is dead, and lets an
// import stay whatever it says.
func TestHealthOutlivesTheAPIServer(t *testing.T) {
	t.Parallel()
	const ns, guest = "acme-health", "shop"
	ctx := testContext(t)
	namespace(t, ns)
	config := guestCluster(t, ns, guest)
	kube := client(t, config)
	cart := types.NamespacedName{Namespace: "default", Name: "cart"}
	guestService(t, kube, cart, corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 8080}}})
	redis := types.NamespacedName{Namespace: ns, Name: "cart-redis"}
	workload(t, redis, 6379, nil)
	fromTK, err := bridge.Export(ctx, guestEnd(t, guest, config, ns, guest), cart)
	if err != nil {
		t.Fatal(err)
	}
	fromSupervisor, err := bridge.Export(ctx, exporter(t, nil), redis)
	if err != nil {
		t.Fatal(err)
	}
	if fromTK.Proof.ServiceUID == fromTK.VIPService.UID || fromSupervisor.Proof.ServiceUID != fromSupervisor.VIPService.UID {
		t.Errorf("got NSX's UIDs %s and %s, want another than %s and %s", fromTK.Proof.ServiceUID, fromSupervisor.Proof.ServiceUID,
			fromTK.VIPService.UID, fromSupervisor.VIPService.UID)
	}
	target := bridge.WithTarget(types.NamespacedName{Namespace: ns})
	if _, err := bridge.Import(ctx, importer(t, nil), fromTK, target); err != nil {
		t.Fatal(err)
	}

	dead := world.TKCluster(ns + "." + guest)
	dead.Kill()
	defer func() {
		if err := dead.Restart(ctx); err != nil { // its cleanup wants it
			t.Error(err)
		}
	}()
	for name, exported := range map[string]*bridge.Exported{"TK cluster, dead": fromTK, "Supervisor": fromSupervisor} {
		document := shipped(t, exported)
		wantHealth(t, name, document, bridge.HealthUp, "")
		servers, err := finder(t).VirtualServers(ctx, string(document.Proof.ServiceUID))
		if err != nil || len(servers) != 1 || len(servers[0].Members) == 0 {
			t.Fatalf("%s: got %v, %v; want one virtual server with members", name, servers, err)
		}
		members := servers[0].Members
		world.NSX.SetMemberStatus(servers[0].PoolPath, members[0].IP, "DOWN")
		switch len(members) {
		case 1:
			wantHealth(t, name, document, bridge.HealthDown, members[0].IP)
		default:
			wantHealth(t, name, document, bridge.HealthDegraded, members[0].IP)
		}
		world.NSX.SetMemberStatus(servers[0].PoolPath, members[0].IP, "UP")
		wantHealth(t, name, document, bridge.HealthUp, "")
		world.NSX.SetRealization(servers[0].Path, "ERROR", "no edge")
		wantHealth(t, name, document, bridge.HealthDown, "no edge")
		world.NSX.SetRealization(servers[0].Path, "REALIZED", "")
		wantHealth(t, name, document, bridge.HealthUp, "")
	}
	// The import is still there, and goes without the exporter.
	if s, err := tkCluster(t).CoreV1().Services(ns).Get(ctx, cart.Name, metav1.GetOptions{}); err != nil || s.Spec.ClusterIP == "" {
		t.Errorf("the import: got %v, %v", s, err)
	}
	if _, err := bridge.Unimport(ctx, importer(t, nil), types.NamespacedName{Namespace: ns, Name: cart.Name}); err != nil {
		t.Error(err)
	}
	// What is exported no more is down, and told so.
	if _, err := bridge.Unexport(ctx, exporter(t, nil), redis); err != nil {
		t.Fatal(err)
	}
	wantHealth(t, "unexported", fromSupervisor, bridge.HealthDown, "export again")
}

// wantHealth waits until NSX says so.
func wantHealth(t *testing.T, name string, e *bridge.Exported, want bridge.HealthState, reason string) {
	t.Helper()
	eventually(t, func(ctx context.Context) string {
		r, err := bridge.Health(ctx, finder(t), e)
		switch {
		case err != nil:
			return name + ": " + err.Error()
		case r.State != want || !strings.Contains(r.Servers[0].Reason, reason):
			return name + ": got " + r.String() + ", want " + string(want) + ": " + reason
		}
		return ""
	})
}
