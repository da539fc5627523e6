// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/viaduct-sdk/viaduct/bridge"
	viaductsupervisor "github.com/viaduct-sdk/viaduct/supervisor"
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
	objects, err := dynamic.NewForConfig(world.Supervisor.Config)
	if err != nil {
		t.Fatal(err)
	}
	clusters := objects.Resource(schema.GroupVersionResource{Group: "cluster.x-k8s.io", Version: "v1beta1", Resource: "clusters"}).Namespace(ns)
	cluster := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster",
		"metadata": map[string]any{"name": guest},
		"spec": map[string]any{"topology": map[string]any{
			"class": "tanzukubernetescluster", "version": "v1.21",
			"controlPlane": map[string]any{"replicas": int64(1)},
			"workers":      map[string]any{"machineDeployments": []any{map[string]any{"class": "node-pool", "name": "a", "replicas": int64(2)}}},
		}},
	}}
	if _, err := clusters.Create(ctx, cluster, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := clusters.Delete(ctx, guest, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
		eventually(t, func(context.Context) string {
			if _, err := clusters.Get(ctx, guest, metav1.GetOptions{}); err == nil {
				return "waiting for the TK cluster to go"
			}
			return ""
		})
	}()
	var kubeconfig []byte
	eventually(t, func(ctx context.Context) string {
		secret, err := supervisor(t).CoreV1().Secrets(ns).Get(ctx, guest+"-kubeconfig", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		kubeconfig = secret.Data["value"]
		return ""
	})
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	kube := client(t, config)
	eventually(t, func(ctx context.Context) string {
		_, err := kube.CoreV1().Services(name.Namespace).Create(ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name.Name},
			Spec: corev1.ServiceSpec{
				Selector: map[string]string{"app": "cart"},
				Ports:    []corev1.ServicePort{{Name: "http", Port: 8080}},
			},
		}, metav1.CreateOptions{})
		if err != nil {
			return err.Error()
		}
		return ""
	})

	tk, err := viaductsupervisor.NewClient(world.Supervisor.Config)
	if err != nil {
		t.Fatal(err)
	}
	source := end(t, "shop", config, nil, bridge.WithNSXOfGuest(finder(t), bridge.Guest{Supervisor: tk, Namespace: ns, Name: guest}))
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
