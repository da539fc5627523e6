// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/viaduct-sdk/viaduct/bridge"
	viaductsupervisor "github.com/viaduct-sdk/viaduct/supervisor"
)

// guestCluster makes a TK cluster in a vSphere Namespace, with an API server of
// its own, and returns how to reach it. It goes after the test.
func guestCluster(t *testing.T, ns, name string) *rest.Config {
	t.Helper()
	ctx := testContext(t)
	objects, err := dynamic.NewForConfig(world.Supervisor.Config)
	if err != nil {
		t.Fatal(err)
	}
	clusters := objects.Resource(schema.GroupVersionResource{Group: "cluster.x-k8s.io", Version: "v1beta1", Resource: "clusters"}).Namespace(ns)
	cluster := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster",
		"metadata": map[string]any{"name": name},
		"spec": map[string]any{"topology": map[string]any{
			"class": "tanzukubernetescluster", "version": "v1.21",
			"controlPlane": map[string]any{"replicas": int64(1)},
			"workers":      map[string]any{"machineDeployments": []any{map[string]any{"class": "node-pool", "name": "a", "replicas": int64(2)}}},
		}},
	}}
	if _, err := clusters.Create(ctx, cluster, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), timeout)
		defer cancel()
		if err := clusters.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			_, err := clusters.Get(ctx, name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return
			}
			select {
			case <-ctx.Done():
				t.Errorf("TK cluster %s is still there: %v", name, err)
				return
			case <-tick.C:
			}
		}
	})
	var kubeconfig []byte
	eventually(t, func(ctx context.Context) string {
		secret, err := supervisor(t).CoreV1().Secrets(ns).Get(ctx, name+"-kubeconfig", metav1.GetOptions{})
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
	return config
}

// guestEnd is a TK cluster as an end of the bridge that can export.
func guestEnd(t *testing.T, name string, config *rest.Config, ns, guest string) *bridge.Cluster {
	t.Helper()
	s, err := viaductsupervisor.NewClient(world.Supervisor.Config)
	if err != nil {
		t.Fatal(err)
	}
	return end(t, name, config, nil, bridge.WithNSXOfGuest(finder(t), bridge.Guest{Supervisor: s, Namespace: ns, Name: guest}))
}

// guestService makes a Service in a TK cluster as soon as its control plane lets
// one.
func guestService(t *testing.T, kube kubernetes.Interface, name types.NamespacedName, spec corev1.ServiceSpec) {
	t.Helper()
	spec.Selector = map[string]string{"app": name.Name}
	eventually(t, func(ctx context.Context) string {
		_, err := kube.CoreV1().Services(name.Namespace).Create(ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name.Name}, Spec: spec,
		}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err.Error()
		}
		return ""
	})
}
