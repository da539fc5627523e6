// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_tkc_test

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/supervisor/supervisorsim"
	"github.com/viaduct-sdk/viaduct/tkc"
)

// TestLifecycle makes a TK cluster through each API of each age of Supervisor, as
// a user who logged in, and uses it in all ways that there are.
func TestLifecycle(t *testing.T) {
	t.Parallel()
	for name, apis := range map[string][]string{
		"vSphere7": supervisorsim.VSphere7(), "vSphere7U3": supervisorsim.VSphere7U3(),
		"vSphere8": supervisorsim.VSphere8(), "vSphere9": supervisorsim.VSphere9(),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, apis)
			login := newLogin(t, l, supervisorsim.DefaultUser, supervisorsim.DefaultPassword)
			names, err := workloads(login)(t.Context())
			if err != nil || len(names) != 1 || names[0] != "acme-app" {
				t.Fatalf("what the user may see: %v, %v", names, err)
			}
			c := newClient(t, login)
			ctx := testContext(t)
			events := collect(ctx, t, c, tkc.ListOptions{})
			merged := filepath.Join(t.TempDir(), "merged")
			for i, api := range apis {
				cluster := strings.NewReplacer("/", "-", ".", "-").Replace(api)
				ready := create(ctx, t, c, spec(cluster, tkc.API(api)))
				await(ctx, t, events, tkc.EventAdded, cluster)
				await(ctx, t, events, tkc.EventReady, cluster)
				if ready.Endpoint.Port == 0 || ready.Nodes.Workers != 1 {
					t.Errorf("view: %+v", ready)
				}
				bySecret, err := c.Kubeconfig(ctx, "acme-app", cluster)
				if err != nil {
					t.Fatal(err)
				}
				byLogin, err := c.LoginKubeconfig(ctx, "acme-app", cluster)
				if err != nil {
					t.Fatal(err)
				}
				for kind, k := range map[string]*tkc.Kubeconfig{"secret": bySecret, "login": byLogin} {
					path := filepath.Join(t.TempDir(), kind)
					if err := k.WriteFile(ctx, path); err != nil {
						t.Fatal(err)
					}
					getNamespaces(ctx, t, path, k.Context)
					if changed, err := k.MergeFile(ctx, merged, tkc.MergeOptions{Name: cluster + "." + kind}); !changed || err != nil {
						t.Fatalf("merge: %v, %v", changed, err)
					}
				}
				// The last one stays, to be found among what is left.
				if i < len(apis)-1 {
					remove(ctx, t, c, ready)
					await(ctx, t, events, tkc.EventGone, cluster)
				}
			}
			last := strings.NewReplacer("/", "-", ".", "-").Replace(apis[len(apis)-1])
			getNamespaces(ctx, t, merged, last+".secret")
			getNamespaces(ctx, t, merged, last+".login")
			found, err := c.Get(ctx, "", last)
			if err != nil || found.Namespace != "acme-app" {
				t.Errorf("by name alone: %v, %v", found, err)
			}
			if changed, err := tkc.UnmergeFile(ctx, merged, types.NamespacedName{Namespace: "acme-app", Name: last}); !changed || err != nil {
				t.Errorf("unmerge: %v, %v", changed, err)
			}
		})
	}
}

func remove(ctx context.Context, t *testing.T, c *tkc.Client, cluster tkc.Cluster) {
	t.Helper()
	if err := c.Delete(ctx, cluster.Namespace, cluster.Name, tkc.DeleteOptions{UID: cluster.UID}); err != nil {
		t.Fatal(err)
	}
	if err := c.WaitGone(ctx, cluster.Namespace, cluster.Name, cluster.UID); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Kubeconfig(ctx, cluster.Namespace, cluster.Name); !errors.Is(err, viaduct.ErrNotFound) {
		t.Errorf("kubeconfig of what is gone: %v", err)
	}
}

// getNamespaces runs kubectl with a file, and what kubectl is made of where there
// is no kubectl.
func getNamespaces(ctx context.Context, t *testing.T, path, kubecontext string) {
	t.Helper()
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: path}, &clientcmd.ConfigOverrides{CurrentContext: kubecontext}).ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kube.CoreV1().Namespaces().List(ctx, metav1.ListOptions{}); err != nil {
		t.Errorf("namespaces through %s: %v", kubecontext, err)
	}
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		t.Logf("without kubectl: %v", err)
		return
	}
	out, err := exec.CommandContext(ctx, kubectl, "--kubeconfig", path, "--context", kubecontext, "get", "ns", "-o", "name").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "namespace/kube-system") {
		t.Errorf("kubectl get ns through %s: %v: %s", kubecontext, err, out)
	}
}

// TestViewer uses a TK cluster as somebody who may not read its Secret, across
// tokens that expire.
func TestViewer(t *testing.T) {
	t.Parallel()
	l := newLab(t, supervisorsim.VSphere8())
	ctx := testContext(t)
	create(ctx, t, adminClient(t, l), spec("acme-fitness", ""))
	c := newClient(t, newLogin(t, l, viewer, viewerPassword))
	if _, err := c.Kubeconfig(ctx, "acme-app", "acme-fitness"); !errors.Is(err, viaduct.ErrForbidden) {
		t.Errorf("the Secret: %v", err)
	}
	if _, err := c.WaitReady(ctx, "acme-app", "acme-fitness", tkc.WaitOptions{}); err != nil {
		t.Errorf("wait: %v", err)
	}
	access, err := c.Access(ctx, "acme-app", "acme-fitness")
	if err != nil {
		t.Fatal(err)
	}
	kube, err := kubernetes.NewForConfig(access.Config())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := kube.Discovery().ServerVersion(); err != nil {
			t.Errorf("version: %v", err)
		}
		// Known, and not allowed: a viewer has no rights in the TK cluster.
		if _, err := kube.CoreV1().Namespaces().List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("namespaces: %v", err)
		}
		l.SupervisorSim.WCP().ExpireTokens()
	}
	if err := c.Delete(ctx, "acme-app", "acme-fitness", tkc.DeleteOptions{}); !errors.Is(err, viaduct.ErrForbidden) {
		t.Errorf("delete: %v", err)
	}
	if _, err := c.Access(ctx, "acme-app", "nobody"); !errors.Is(err, viaduct.ErrNotFound) {
		t.Errorf("access to what is not there: %v", err)
	}
}
