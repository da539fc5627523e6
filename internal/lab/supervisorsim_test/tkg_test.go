// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

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

	"github.com/viaduct-sdk/viaduct/internal/lab"
	"github.com/viaduct-sdk/viaduct/supervisor"
	"github.com/viaduct-sdk/viaduct/supervisor/supervisorsim"
)

// oneCluster provides the same API server for every TK cluster.
type oneCluster struct {
	config *rest.Config

	mu      sync.Mutex
	running map[string]bool
}

func (o *oneCluster) StartCluster(_ context.Context, namespace, name string) (*rest.Config, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.running == nil {
		o.running = map[string]bool{}
	}
	o.running[namespace+"/"+name] = true
	return o.config, nil
}

func (o *oneCluster) StopCluster(_ context.Context, namespace, name string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.running, namespace+"/"+name)
	return nil
}

func (o *oneCluster) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.running)
}

func resourceOf(api, plural string) schema.GroupVersionResource {
	gv, err := schema.ParseGroupVersion(api)
	if err != nil {
		panic(err)
	}
	return gv.WithResource(plural)
}

// tkWorld is a world with a TKG service whose TK clusters share an API server.
func tkWorld(t *testing.T, change ...func(*supervisorsim.Config)) (*world, dynamic.Interface, *oneCluster) {
	t.Helper()
	w := newWorld(t, lab.Config{TKClusters: []string{"guest"}}, change...)
	provider, ok := w.config.TKG.Clusters.(*oneCluster)
	if !ok {
		t.Fatal("the world has no TK cluster")
	}
	client, err := dynamic.NewForConfig(w.cluster.Config)
	if err != nil {
		t.Fatal(err)
	}
	return w, client, provider
}

// shapes are TK clusters as each version of the APIs has them.
func shapes() map[string]string {
	return map[string]string{
		"run.tanzu.vmware.com/v1alpha1": `{"distribution":{"version":"v1.21"},"topology":{"controlPlane":{"count":1,"class":"small"},"workers":{"count":2,"class":"small"}}}`,
		"run.tanzu.vmware.com/v1alpha2": `{"topology":{"controlPlane":{"replicas":1,"tkr":{"reference":{"name":"v1.21"}}},"nodePools":[{"name":"a","replicas":1},{"name":"b","replicas":1}]}}`,
		"run.tanzu.vmware.com/v1alpha3": `{"topology":{"controlPlane":{"replicas":1,"tkr":{"reference":{"name":"v1.21"}}},"nodePools":[{"name":"a","replicas":2}]}}`,
		"cluster.x-k8s.io/v1beta1":      `{"topology":{"class":"tanzukubernetescluster","version":"v1.21","controlPlane":{"replicas":1},"workers":{"machineDeployments":[{"class":"node-pool","name":"a","replicas":2}]}}}`,
		"cluster.x-k8s.io/v1beta2":      `{"topology":{"class":"builtin","version":"v1.21","controlPlane":{"replicas":1},"workers":{"machineDeployments":[{"class":"node-pool","name":"a","replicas":2}]}}}`,
	}
}

func newCluster(api, namespace, name string) (*unstructured.Unstructured, schema.GroupVersionResource) {
	kind, plural := "TanzuKubernetesCluster", "tanzukubernetesclusters"
	if api[0] == 'c' {
		kind, plural = "Cluster", "clusters"
	}
	u := &unstructured.Unstructured{}
	text := fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"namespace":%q,"name":%q},"spec":%s}`, api, kind, namespace, name, shapes()[api])
	if err := u.UnmarshalJSON([]byte(text)); err != nil {
		panic(err)
	}
	return u, resourceOf(api, plural)
}

// condition waits until the condition of the object has this status.
func (w *world) condition(client dynamic.ResourceInterface, name, kind, want string) *unstructured.Unstructured {
	w.t.Helper()
	var found *unstructured.Unstructured
	w.eventually(kind+" of "+name, func(ctx context.Context) string {
		u, err := client.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		found = u
		conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
		for _, c := range conditions {
			if m, ok := c.(map[string]any); ok && m["type"] == kind {
				if m["status"] == want {
					return ""
				}
				return fmt.Sprintf("%v: %v", m["status"], m["message"])
			}
		}
		return "no such condition"
	})
	return found
}

// kubeconfig returns what the Secret of a TK cluster leads to.
func (w *world) kubeconfig(namespace, name string) *rest.Config {
	w.t.Helper()
	secret, err := w.kube.CoreV1().Secrets(namespace).Get(w.t.Context(), name+"-kubeconfig", metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(secret.Data["value"])
	if err != nil {
		w.t.Fatal(err)
	}
	return config
}

func nodesOf(ctx context.Context, config *rest.Config) error {
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	_, err = kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	return err
}

// TestTKCluster makes a TK cluster through each version of each API, on a
// Supervisor that serves that one alone, and takes it away again.
func TestTKCluster(t *testing.T) {
	t.Parallel()
	for api := range shapes() {
		t.Run(api, func(t *testing.T) {
			t.Parallel()
			w, client, provider := tkWorld(t, func(c *supervisorsim.Config) { c.TKG.APIs = []string{api} })
			w.namespace("acme-app")
			before := w.nsx.Paths("/infra")
			u, gvr := newCluster(api, "acme-app", "acme-fitness")
			clusters := client.Resource(gvr).Namespace("acme-app")
			if _, err := clusters.Create(t.Context(), u, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			ready := w.condition(clusters, "acme-fitness", "Ready", "True")
			if api == "run.tanzu.vmware.com/v1alpha3" {
				if phase, ok, _ := unstructured.NestedString(ready.Object, "status", "phase"); ok {
					t.Errorf("v1alpha3 has no phase, and this has %q", phase)
				}
			}
			if err := nodesOf(t.Context(), w.kubeconfig("acme-app", "acme-fitness")); err != nil {
				t.Errorf("the kubeconfig: %v", err)
			}
			if err := clusters.Delete(t.Context(), "acme-fitness", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			w.eventually("the cluster is gone", func(ctx context.Context) string {
				if _, err := clusters.Get(ctx, "acme-fitness", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
					return fmt.Sprintf("it is there: %v", err)
				}
				if n := provider.count(); n > 0 {
					return fmt.Sprintf("%d API servers run", n)
				}
				if _, err := w.kube.CoreV1().Secrets("acme-app").Get(ctx, "acme-fitness-kubeconfig", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
					return fmt.Sprintf("its secret is there: %v", err)
				}
				return newPaths(before, w.nsx.Paths("/infra"))
			})
		})
	}
}

// TestTKClusterBothAPIs checks that a TanzuKubernetesCluster brings a Cluster of
// the same name, and takes it along.
func TestTKClusterBothAPIs(t *testing.T) {
	t.Parallel()
	w, client, _ := tkWorld(t)
	w.namespace("acme-app")
	u, gvr := newCluster("run.tanzu.vmware.com/v1alpha3", "acme-app", "acme-fitness")
	tkcs := client.Resource(gvr).Namespace("acme-app")
	clusters := client.Resource(resourceOf("cluster.x-k8s.io/v1beta1", "clusters")).Namespace("acme-app")
	made, err := tkcs.Create(t.Context(), u, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.condition(tkcs, "acme-fitness", "Ready", "True")
	cluster := w.condition(clusters, "acme-fitness", "ControlPlaneInitialized", "True")
	if owners := cluster.GetOwnerReferences(); len(owners) != 1 || owners[0].UID != made.GetUID() {
		t.Errorf("owners of the Cluster: %v", owners)
	}
	if err := tkcs.Delete(t.Context(), "acme-fitness", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.eventually("both are gone", func(ctx context.Context) string {
		for _, c := range []dynamic.ResourceInterface{tkcs, clusters} {
			if _, err := c.Get(ctx, "acme-fitness", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				return fmt.Sprint(err)
			}
		}
		return ""
	})
}

// TestNamespaceWithTKCluster deletes a namespace with a TK cluster in it, one of
// whose network objects somebody deleted by hand.
func TestNamespaceWithTKCluster(t *testing.T) {
	t.Parallel()
	w, client, provider := tkWorld(t)
	before := w.nsx.Paths("/infra")
	w.namespace("acme-app")
	u, gvr := newCluster("run.tanzu.vmware.com/v1alpha3", "acme-app", "acme-fitness")
	tkcs := client.Resource(gvr).Namespace("acme-app")
	if _, err := tkcs.Create(t.Context(), u, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.condition(tkcs, "acme-fitness", "Ready", "True")
	vnets := client.Resource(resourceOf("vmware.com/v1alpha1", "virtualnetworks")).Namespace("acme-app")
	if err := vnets.Delete(t.Context(), "acme-fitness-vnet", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := w.sim.DeleteNamespace(t.Context(), "acme-app"); err != nil {
		t.Fatal(err)
	}
	if n := provider.count(); n > 0 {
		t.Errorf("%d API servers run", n)
	}
	if left := newPaths(before, w.nsx.Paths("/infra")); left != "" {
		t.Errorf("left in NSX:\n%s", left)
	}
}

// TestKubeconfigRotation replaces and revokes the client certificate, and logs
// in as a guest beside it.
func TestKubeconfigRotation(t *testing.T) {
	t.Parallel()
	w, client, _ := tkWorld(t)
	if _, err := w.sim.WCP().ListenTLS("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	w.namespace("acme-app")
	u, gvr := newCluster("run.tanzu.vmware.com/v1alpha3", "acme-app", "acme-fitness")
	tkcs := client.Resource(gvr).Namespace("acme-app")
	if _, err := tkcs.Create(t.Context(), u, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.condition(tkcs, "acme-fitness", "Ready", "True")
	first := w.kubeconfig("acme-app", "acme-fitness")
	if err := w.sim.RotateKubeconfig(t.Context(), "acme-app", "acme-fitness"); err != nil {
		t.Fatal(err)
	}
	second := w.kubeconfig("acme-app", "acme-fitness")
	for name, config := range map[string]*rest.Config{"old": first, "new": second} {
		if err := nodesOf(t.Context(), config); err != nil {
			t.Errorf("the %s kubeconfig after a rotation: %v", name, err)
		}
	}
	if err := w.sim.RevokeKubeconfig("acme-app", "acme-fitness"); err != nil {
		t.Fatal(err)
	}
	if err := nodesOf(t.Context(), second); !apierrors.IsUnauthorized(err) {
		t.Errorf("a revoked kubeconfig: %v", err)
	}
	g, err := w.login(supervisorsim.DefaultUser, supervisorsim.DefaultPassword).Guest(t.Context(), "acme-app", "acme-fitness")
	if err != nil {
		t.Fatal(err)
	}
	if err := nodesOf(t.Context(), g.Config()); err != nil {
		t.Errorf("guest login: %v", err)
	}
	supervisorToken, err := w.login(supervisorsim.DefaultUser, supervisorsim.DefaultPassword).TokenSource().Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wrong := rest.AnonymousClientConfig(first)
	wrong.BearerToken = supervisorToken.Value
	if err := nodesOf(t.Context(), wrong); !apierrors.IsUnauthorized(err) {
		t.Errorf("the Supervisor's token at the guest cluster: %v", err)
	}
}

// TestCloudProvider follows a LoadBalancer Service of a TK cluster to its
// virtual server, for both ways of naming what is between.
func TestCloudProvider(t *testing.T) {
	t.Parallel()
	for name, sha := range map[string]bool{"MD5": false, "SHA256": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, client, provider := tkWorld(t, func(c *supervisorsim.Config) { c.TKG.HashSHA256 = sha })
			w.namespace("acme-app")
			u, gvr := newCluster("run.tanzu.vmware.com/v1alpha3", "acme-app", "acme-fitness")
			tkcs := client.Resource(gvr).Namespace("acme-app")
			if _, err := tkcs.Create(t.Context(), u, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			w.condition(tkcs, "acme-fitness", "Ready", "True")
			guest, err := kubernetes.NewForConfig(provider.config)
			if err != nil {
				t.Fatal(err)
			}
			services := guest.CoreV1().Services("default")
			if _, err := services.Create(t.Context(), &corev1.Service{
				ObjectMeta: metav1.ObjectMeta{Name: "frontend"},
				Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
			}, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			var vip string
			w.eventually("address of frontend", func(ctx context.Context) string {
				svc, err := services.Get(ctx, "frontend", metav1.GetOptions{})
				if err != nil || len(svc.Status.LoadBalancer.Ingress) == 0 {
					return fmt.Sprintf("none: %v", err)
				}
				vip = svc.Status.LoadBalancer.Ingress[0].IP
				return ""
			})
			sv, err := supervisor.NewClient(w.cluster.Config)
			if err != nil {
				t.Fatal(err)
			}
			vms, err := sv.VirtualMachineServices("acme-app").ForGuestService(t.Context(), "acme-fitness", types.NamespacedName{Namespace: "default", Name: "frontend"})
			if err != nil || len(vms.VIPs) != 1 || vms.VIPs[0].String() != vip {
				t.Fatalf("virtual machine service %+v, %v; want address %s", vms, err, vip)
			}
			svc := w.getService(t.Context(), "acme-app", vms.Name)
			servers := w.tagged("/infra/lb-virtual-servers/", "ncp/service_uid", string(svc.UID))
			if len(servers) != 1 || servers[0].Address != vip {
				t.Fatalf("virtual servers %+v, want one at %s", servers, vip)
			}
			w.eventually("members are the two workers", func(context.Context) string {
				pools := w.tagged("/infra/lb-pools/", "ncp/service_uid", string(svc.UID))
				if len(pools) != 1 || len(pools[0].Members) != 2 || pools[0].Members[0].Port != fmt.Sprint(vms.Ports[0].TargetPort) {
					return fmt.Sprintf("%+v", pools)
				}
				return ""
			})
			if err := services.Delete(t.Context(), "frontend", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			w.eventually("all of it is gone", func(ctx context.Context) string {
				if _, err := services.Get(ctx, "frontend", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
					return "the Service is there"
				}
				if left := w.tagged("/infra/lb-virtual-servers/", "ncp/service_uid", string(svc.UID)); len(left) > 0 {
					return "the virtual server is there"
				}
				return ""
			})
		})
	}
}
