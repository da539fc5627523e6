// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct/bridge"
)

// TestMadeAnew deletes the exported Service, the importing namespace and the
// vSphere Namespace, one after the other, and makes each again under its name:
// the same two calls put everything back.
func TestMadeAnew(t *testing.T) {
	t.Parallel()
	const ns = "acme-anew"
	name := types.NamespacedName{Namespace: ns, Name: "order-postgres"}
	ctx := testContext(t)
	namespace(t, ns)
	workload(t, name, 5432, nil)
	bridged := func() (*bridge.Exported, *bridge.Imported) {
		t.Helper()
		exported, err := bridge.Export(ctx, exporter(t, nil), name)
		if err != nil {
			t.Fatal(err)
		}
		imported, err := bridge.Import(ctx, importer(t, nil), shipped(t, exported))
		if err != nil {
			t.Fatal(err)
		}
		checkImport(t, imported, 5432)
		return exported, imported
	}
	firstExport, firstImport := bridged()

	// The Service, whose companion Kubernetes collects.
	services := supervisor(t).CoreV1().Services(ns)
	s, err := services.Get(ctx, name.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := services.Delete(ctx, name.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) string {
		if list, err := services.List(ctx, metav1.ListOptions{}); err != nil || len(list.Items) > 0 {
			return "waiting for Kubernetes to collect the companion"
		}
		return ""
	})
	again := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name.Name}, Spec: corev1.ServiceSpec{Selector: s.Spec.Selector, Ports: s.Spec.Ports}}
	if _, err := services.Create(ctx, again, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	secondExport, secondImport := bridged()
	if secondExport.Source.UID == firstExport.Source.UID || secondExport.VIPService.UID == firstExport.VIPService.UID {
		t.Errorf("got UIDs %s and %s again, want others", secondExport.Source.UID, secondExport.VIPService.UID)
	}
	if diff := cmp.Diff(firstImport.ClusterIPs, secondImport.ClusterIPs, cmpopts.EquateComparable(netip.Addr{})); diff != "" || firstImport.UID != secondImport.UID {
		t.Errorf("the importing Service was not kept: %s -> %s %s", firstImport.UID, secondImport.UID, diff)
	}
	if r, err := bridge.Health(ctx, finder(t), firstExport); err != nil || r.State != bridge.HealthDown {
		t.Errorf("health of the first document: got %v, %v; want it down", r, err)
	}

	// The importing namespace.
	namespaces := tkCluster(t).CoreV1().Namespaces()
	if err := namespaces.Delete(ctx, ns, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) string {
		if _, err := namespaces.Get(ctx, ns, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return "waiting for the importing namespace to go"
		}
		return ""
	})
	if _, err := namespaces.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	thirdExport, thirdImport := bridged()
	if !thirdExport.Plan().Empty() || thirdImport.UID == secondImport.UID || len(thirdImport.Plan().Steps) != 2 {
		t.Errorf("got export plan %v and import %+v, want a new import alone", thirdExport.Plan(), thirdImport)
	}

	// The vSphere Namespace, with the Service in it.
	if err := world.SupervisorSim.DeleteNamespace(ctx, ns); err != nil {
		t.Fatal(err)
	}
	if err := world.SupervisorSim.CreateNamespace(ctx, ns); err != nil {
		t.Fatal(err)
	}
	workload(t, name, 5432, nil)
	_, fourthImport := bridged()
	if fourthImport.UID != thirdImport.UID {
		t.Errorf("the importing Service was not kept: %s -> %s", thirdImport.UID, fourthImport.UID)
	}
	takeBack(t, ns, []string{name.Name})
}
