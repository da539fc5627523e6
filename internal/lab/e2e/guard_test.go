// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/bridge"
)

// A document that leads to the importing cluster's own addresses is refused, and
// nothing is written; the ranges are read once for many imports.
func TestGuard(t *testing.T) {
	t.Parallel()
	const ns = "acme-guard"
	ctx := testContext(t)
	namespace(t, ns)
	name := types.NamespacedName{Namespace: ns, Name: "order-postgres"}
	workload(t, name, 5432, nil)
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: ns},
		Spec:       corev1.NodeSpec{PodCIDR: "172.30.7.0/24", PodCIDRs: []string{"172.30.7.0/24"}},
	}
	node, err := tkCluster(t).CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), timeout)
		defer cancel()
		if err := tkCluster(t).CoreV1().Nodes().Delete(ctx, ns, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "172.31.7.7"}, {Type: corev1.NodeHostName, Address: ns}}
	if _, err := tkCluster(t).CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	own, err := tkCluster(t).CoreV1().Services(ns).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "own"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	own.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "203.0.113.9"}}
	if _, err := tkCluster(t).CoreV1().Services(ns).UpdateStatus(ctx, own, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	exported, err := bridge.Export(ctx, exporter(t, nil), name)
	if err != nil {
		t.Fatal(err)
	}

	var count counter
	var lists atomic.Int32
	target := importer(t, func(next http.RoundTripper) http.RoundTripper {
		counted := count.wrap(next)
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			switch strings.TrimPrefix(req.URL.Path, "/api/v1") {
			case "/nodes", "/services", "/apis/networking.k8s.io/v1/servicecidrs":
				lists.Add(1)
			}
			return counted.RoundTrip(req)
		})
	})
	for address, reason := range map[string]string{
		"172.30.7.1":                   "pods",
		"172.31.7.7":                   "nodes",
		"203.0.113.9":                  "virtual address of the importing cluster itself",
		own.Spec.ClusterIP:             "Services",
		"198.51.100.1":                 "none of the exporting cluster's pools",
		"169.254.169.254":              "metadata",
		"192.168.30.64":                "", // in the ingress pool
		exported.Addresses[0].String(): "",
	} {
		forged := *exported
		forged.Addresses = []netip.Addr{netip.MustParseAddr(address)}
		imported, err := bridge.Import(ctx, target, &forged, bridge.WithDryRun(),
			bridge.WithGuard(bridge.Guard{Pools: []netip.Prefix{netip.MustParsePrefix("192.168.30.64/27")}}))
		switch {
		case reason == "" && err != nil:
			t.Errorf("%s: got %v, want no error", address, err)
		case reason == "" && len(imported.Unguarded) > 0:
			t.Errorf("%s: got unguarded %q, want none", address, imported.Unguarded)
		case reason != "" && (!errors.Is(err, viaduct.ErrInvalid) || !strings.Contains(err.Error(), reason)):
			t.Errorf("%s: got %v, want an invalid address: %s", address, err, reason)
		}
	}
	if lists.Load() != 3 || len(count.writes) > 0 {
		t.Errorf("got %d lists and writes %v, want 3 and none", lists.Load(), count.writes)
	}
	_, err = bridge.Export(ctx, exporter(t, nil), name, bridge.WithGuard(bridge.Guard{Pools: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}))
	if !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("export from another pool: got %v, want invalid", err)
	}
	if _, err := bridge.Unexport(ctx, exporter(t, nil), name); err != nil {
		t.Fatal(err)
	}
}
