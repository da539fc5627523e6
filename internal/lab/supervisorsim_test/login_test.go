// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim_test

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/lab"
	"github.com/viaduct-sdk/viaduct/internal/page"
	"github.com/viaduct-sdk/viaduct/supervisor"
	"github.com/viaduct-sdk/viaduct/supervisor/supervisorsim"
)

const developer = "dev@vsphere.local"

// login logs in over TLS.
func (w *world) login(user, password string) *supervisor.Login {
	w.t.Helper()
	wcp := w.sim.WCP()
	l, err := supervisor.NewLogin(wcp.URL(), supervisor.PasswordAuth(user, password),
		supervisor.WithCACert(wcp.CACertPEM()), supervisor.WithAPIServer(wcp.URL()))
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

// TestLogin sees a Supervisor through the eyes of a developer.
func TestLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Config{}, func(c *supervisorsim.Config) {
		c.Login.Users = []supervisorsim.User{
			{Name: supervisorsim.DefaultUser, Password: supervisorsim.DefaultPassword},
			{Name: developer, Password: "pw", Namespaces: map[string]supervisorsim.Role{"acme-data": supervisorsim.RoleView}},
		}
	})
	if _, err := w.sim.WCP().ListenTLS("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	w.namespace("acme-data")
	w.namespace("acme-app")
	w.pod("acme-data", "redis-0", nil)
	w.service("acme-data", "cart-redis")
	vip := w.vip("acme-data", "cart-redis")

	l := w.login(developer, "pw")
	workloads, err := l.Workloads(t.Context())
	if err != nil || len(workloads) != 1 || workloads[0].Namespace != "acme-data" {
		t.Errorf("workloads %v, %v", workloads, err)
	}
	if got, want := workloads[0].APIServer(), w.sim.WCP().URL(); got != want {
		t.Errorf("the namespace is at %s, want %s", got, want)
	}
	client, err := supervisor.NewClient(l.Config())
	if err != nil {
		t.Fatal(err)
	}
	ns, err := client.Namespaces().Get(t.Context(), "acme-data")
	if err != nil || !ns.IsVSphere() || len(ns.Networks) != 1 || len(ns.Problems) > 0 {
		t.Errorf("namespace %+v, %v", ns, err)
	}
	var router struct {
		ID string `json:"id"`
	}
	if err := w.nsx.Read(ns.Tier1Path(), &router); err != nil {
		t.Errorf("the tier-1 gateway that the namespace names: %v", err)
	}
	svc, err := client.Services("acme-data").Get(t.Context(), "cart-redis")
	if err != nil || len(svc.VIPs) != 1 || svc.VIPs[0].String() != vip || !svc.InternalAddress.IsValid() {
		t.Errorf("service %+v, %v", svc, err)
	}
	w.eventually("the pod has a VM", func(ctx context.Context) string {
		pods, err := page.Collect(client.Pods("acme-data").All(ctx, supervisor.ListOptions{PageSize: 1}))
		if err != nil || len(pods) != 1 || pods[0].VMID == "" || !pods[0].Ready {
			return "not yet"
		}
		return ""
	})
	w.refusals(client)
}

// refusals tries what the developer may not, and what is not there.
func (w *world) refusals(client *supervisor.Client) {
	t := w.t
	t.Helper()
	if _, err := client.Namespaces().List(t.Context(), supervisor.ListOptions{}); !errors.Is(err, viaduct.ErrForbidden) {
		t.Errorf("listing all namespaces: %v", err)
	}
	if _, err := client.Pods("acme-app").List(t.Context(), supervisor.ListOptions{}); !errors.Is(err, viaduct.ErrForbidden) {
		t.Errorf("pods of others: %v", err)
	}
	if _, err := client.Services("acme-data").Get(t.Context(), "nobody"); !errors.Is(err, viaduct.ErrNotFound) {
		t.Errorf("a Service that does not exist: %v", err)
	}
	if p, err := client.NetworkPolicies("acme-data").For(t.Context(), nil, networkingv1.PolicyTypeIngress); err != nil || len(p) > 0 {
		t.Errorf("policies %v, %v", p, err)
	}
	if q, err := client.Namespaces().Quotas(t.Context(), "acme-data"); err != nil || len(q) > 0 {
		t.Errorf("quotas %v, %v", q, err)
	}
}

// TestWatchOutlivesToken has a watch on a real API server while the token is
// refused, and writes through a client that must log in again.
func TestWatchOutlivesToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Config{})
	if _, err := w.sim.WCP().ListenTLS("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	w.namespace("acme-data")
	kube, err := kubernetes.NewForConfig(w.login(supervisorsim.DefaultUser, supervisorsim.DefaultPassword).Config())
	if err != nil {
		t.Fatal(err)
	}
	maps := kube.CoreV1().ConfigMaps("acme-data")
	watch, err := maps.Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	for _, name := range []string{"before", "after"} {
		if _, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			t.Fatalf("create %s: %v", name, err)
		}
		event, ok := <-watch.ResultChan()
		if cm, isMap := event.Object.(*corev1.ConfigMap); !ok || !isMap || cm.Name != name {
			t.Fatalf("event %v, want %s", event, name)
		}
		w.sim.WCP().ExpireTokens()
	}
	stranger, err := supervisor.NewLogin(w.sim.WCP().URL(), supervisor.PasswordAuth("who@vsphere.local", "x"), supervisor.WithCACert(w.sim.WCP().CACertPEM()), supervisor.WithAPIServer(w.sim.WCP().URL()))
	if err != nil {
		t.Fatal(err)
	}
	client, err := supervisor.NewClient(stranger.Config())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Pods("acme-data").List(t.Context(), supervisor.ListOptions{}); !errors.Is(err, viaduct.ErrUnauthenticated) {
		t.Errorf("a stranger: %v", err)
	}
}
