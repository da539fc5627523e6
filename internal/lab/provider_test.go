// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package lab_test

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
)

// TestTanzuKubernetesCluster makes a TK cluster as a user does, with an object
// on the Supervisor, reaches it by the kubeconfig in its secret, and deletes it.
func TestTanzuKubernetesCluster(t *testing.T) {
	t.Parallel()
	const ns, name = "acme-tkc", "ephemeral"
	if err := world.CreateNamespace(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	on, err := dynamic.NewForConfig(world.Supervisor.Config)
	if err != nil {
		t.Fatal(err)
	}
	clusters := on.Resource(schema.GroupVersionResource{
		Group: "run.tanzu.vmware.com", Version: "v1alpha3", Resource: "tanzukubernetesclusters",
	}).Namespace(ns)
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "run.tanzu.vmware.com/v1alpha3",
		"kind":       "TanzuKubernetesCluster",
		"metadata":   map[string]any{"name": name},
		"spec": map[string]any{"topology": map[string]any{
			"controlPlane": map[string]any{"replicas": int64(1)},
			"nodePools":    []any{map[string]any{"name": "a", "replicas": int64(1)}},
		}},
	}}
	if _, err := clusters.Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	var kubeconfig []byte
	eventually(t, func(ctx context.Context) string {
		secret, err := client(t, world.Supervisor.Config).CoreV1().Secrets(ns).Get(ctx, name+"-kubeconfig", metav1.GetOptions{})
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
	eventually(t, func(ctx context.Context) string {
		if _, err := client(t, config).CoreV1().Namespaces().Get(ctx, "default", metav1.GetOptions{}); err != nil {
			return "not to be reached by the kubeconfig of its secret: " + err.Error()
		}
		return ""
	})
	if world.TKCluster(ns+"."+name) == nil {
		t.Error("the lab does not know the cluster")
	}
	if err := clusters.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(context.Context) string {
		if world.TKCluster(ns+"."+name) != nil {
			return "running"
		}
		return ""
	})
}
