// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/bridge"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
	"github.com/viaduct-sdk/viaduct/supervisor/supervisorsim"
)

// TestBadInputIsRefused asks for what cannot be done. Nothing is written.
func TestBadInputIsRefused(t *testing.T) {
	t.Parallel()
	const ns = "acme-bad"
	ctx := testContext(t)
	namespace(t, ns)
	in := func(name string) types.NamespacedName { return types.NamespacedName{Namespace: ns, Name: name} }
	good := workload(t, in("good"), 5432, nil)
	workload(t, in("alias"), 5432, func(s *corev1.Service) {
		s.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "db.example.com"}
	})
	workload(t, in("headless"), 5432, func(s *corev1.Service) { s.Spec.ClusterIP = corev1.ClusterIPNone })
	workload(t, in("selectorless"), 5432, func(s *corev1.Service) { s.Spec.Selector = nil })
	exported, err := bridge.Export(ctx, exporter(t, nil), in(good.Name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bridge.Import(ctx, importer(t, nil), exported); err != nil {
		t.Fatal(err)
	}
	elsewhere := shipped(t, exported)
	elsewhere.Source.Namespace = "acme-nowhere"

	tk := end(t, "acme-fitness", world.TKCluster("acme-fitness").Config, nil)
	export := func(c *bridge.Cluster, name types.NamespacedName) error {
		_, err := bridge.Export(ctx, c, name)
		return err
	}
	cases := map[string]struct {
		err  error
		want error
		says []string
	}{
		"no such service":   {export(exporter(t, nil), in("absent")), viaduct.ErrNotFound, []string{ns + "/absent", "no such Service", "cluster supervisor"}},
		"no such namespace": {export(exporter(t, nil), types.NamespacedName{Namespace: "acme-nowhere", Name: "db"}), viaduct.ErrNotFound, []string{"acme-nowhere/db", "no such namespace"}},
		"external name":     {export(exporter(t, nil), in("alias")), viaduct.ErrUnsupported, []string{ns + "/alias", "ExternalName"}},
		"headless":          {export(exporter(t, nil), in("headless")), viaduct.ErrUnsupported, []string{ns + "/headless", "headless"}},
		"selectorless":      {export(exporter(t, nil), in("selectorless")), viaduct.ErrUnsupported, []string{ns + "/selectorless", "no selector"}},
		"an import":         {export(tk, in(good.Name)), viaduct.ErrInvalid, []string{ns + "/good", "itself an import of supervisor/" + ns + "/good"}},
		"into the exporter": {importInto(ctx, exporter(t, nil), exported), viaduct.ErrInvalid, []string{ns + "/good", "the cluster that exported it"}},
		"no namespace for the import": {
			importInto(ctx, importer(t, nil), elsewhere), viaduct.ErrNotFound, []string{"acme-nowhere/good", "no such namespace"},
		},
	}
	for name, tc := range cases {
		if !errors.Is(tc.err, tc.want) {
			t.Errorf("%s: got %v, want an error that matches %q", name, tc.err, tc.want)
			continue
		}
		for _, says := range tc.says {
			if !strings.Contains(tc.err.Error(), says) {
				t.Errorf("%s: got %v, want an error that says %q", name, tc.err, says)
			}
		}
	}
	want := []string{
		"EndpointSlice good", "Service alias", "Service good", "Service good-viaduct", "Service headless", "Service selectorless",
	}
	eventually(t, func(context.Context) string {
		var got []string
		for _, line := range names(t, supervisor(t), ns) {
			if kind, _, _ := strings.Cut(line, " "); kind == "Service" {
				got = append(got, line)
			}
		}
		return cmp.Diff(want[1:], got)
	})
	takeBack(t, ns, []string{good.Name})
}

func importInto(ctx context.Context, c *bridge.Cluster, e *bridge.Exported) error {
	_, err := bridge.Import(ctx, c, e)
	return err
}

// TestVIPThatNeverComes holds the virtual address up at each hop: the error
// names the hop that was seen last, and what was written before can be exported
// on, or taken back.
func TestVIPThatNeverComes(t *testing.T) {
	t.Parallel()
	const ns = "acme-stuck"
	name := types.NamespacedName{Namespace: ns, Name: "order-postgres"}
	ctx := testContext(t)
	namespace(t, ns)
	workload(t, name, 5432, nil)
	hold := func(value string) {
		patch := []byte(`{"metadata":{"annotations":{"` + supervisorsim.AnnotationHold + `":` + value + `}}}`)
		if _, err := supervisor(t).CoreV1().Pods(ns).Patch(ctx, name.Name+"-0", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	hold(`"` + supervisorsim.HoldNotReady + `"`)
	expect := func(says string) {
		t.Helper()
		seen := make(chan struct{}, 1)
		cut, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		_, err := bridge.Export(cut, exporter(t, nil), name, bridge.WithProgress(func(p bridge.Progress) {
			if strings.Contains(p.State, says) {
				select {
				case seen <- struct{}{}:
					cancel(context.DeadlineExceeded)
				default:
				}
			}
		}))
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), name.String()) {
			t.Errorf("got %v, want a deadline error that names %s and says %q", err, name, says)
		}
	}
	expect("is up")
	hold("null")
	exported, err := bridge.Export(ctx, exporter(t, nil), name)
	if err != nil {
		t.Fatal(err)
	}
	server := exported.Proof.VirtualServers[0].Path

	world.NSX.SetRealization(server, "UNREALIZED", "")
	expect(server + " is UNREALIZED")
	world.NSX.SetRealization(server, "ERROR", "edge cluster is full")
	_, err = bridge.Export(ctx, exporter(t, nil), name)
	if !errors.Is(err, viaduct.ErrUnavailable) || !strings.Contains(err.Error(), "edge cluster is full") {
		t.Errorf("got %v, want NSX's own reason", err)
	}
	world.NSX.SetRealization(server, "", "")
	if _, err := bridge.Export(ctx, exporter(t, nil), name); err != nil {
		t.Error(err)
	}
	takeBack(t, ns, []string{name.Name})
	if left := servers(t, exported.VIPService.UID); len(left) > 0 {
		t.Errorf("NSX still has %v", left)
	}
}

// servers returns what NSX has for a Service.
func servers(t *testing.T, uid types.UID) []ncp.VirtualServer {
	t.Helper()
	found, err := finder(t).VirtualServers(testContext(t), string(uid))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestClusterWithoutNSX exports from a cluster whose load balancer only writes
// the status, and imports into the Supervisor.
func TestClusterWithoutNSX(t *testing.T) {
	t.Parallel()
	const ns = "acme-plain"
	name := types.NamespacedName{Namespace: ns, Name: "web"}
	ctx := testContext(t)
	namespace(t, ns)
	services := tkCluster(t).CoreV1().Services(ns)
	s, err := services.Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name.Name},
		Spec: corev1.ServiceSpec{
			Type:     corev1.ServiceTypeLoadBalancer,
			Selector: map[string]string{"app": "web"},
			Ports:    []corev1.ServicePort{{Port: 80}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	tk := end(t, "acme-fitness", world.TKCluster("acme-fitness").Config, nil)
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if _, err := bridge.Export(short, tk, name); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no address in its status") {
		t.Errorf("without a VIP: got %v, want a deadline error that names the status", err)
	}
	status := func(ingress ...corev1.LoadBalancerIngress) {
		t.Helper()
		s.Status.LoadBalancer.Ingress = ingress
		if s, err = services.UpdateStatus(ctx, s, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	status(corev1.LoadBalancerIngress{Hostname: "web.example.com"})
	if _, err := bridge.Export(ctx, tk, name); !errors.Is(err, viaduct.ErrUnsupported) || !strings.Contains(err.Error(), "web.example.com") {
		t.Errorf("hostname: got %v, want an error that matches ErrUnsupported and names it", err)
	}
	status(corev1.LoadBalancerIngress{IP: "203.0.113.7"}, corev1.LoadBalancerIngress{IP: "100.64.16.2"})
	exported, err := bridge.Export(ctx, tk, name)
	if err != nil {
		t.Fatal(err)
	}
	if exported.Proof.Source != bridge.ProofServiceStatus || len(exported.Addresses) != 1 || !exported.Plan().Empty() {
		t.Errorf("got %+v and plan %v, want one address, proved by the status alone, and nothing done", exported, exported.Plan())
	}
	imported, err := bridge.Import(ctx, exporter(t, nil), exported)
	if err != nil {
		t.Fatal(err)
	}
	if len(imported.ClusterIPs) != 1 {
		t.Errorf("got cluster IPs %v, want one", imported.ClusterIPs)
	}
	if _, err := bridge.Unimport(ctx, exporter(t, nil), name); err != nil {
		t.Error(err)
	}
}

// TestDryRun plans both ways and writes nothing.
func TestDryRun(t *testing.T) {
	t.Parallel()
	const ns = "acme-dry"
	name := types.NamespacedName{Namespace: ns, Name: "order-postgres"}
	ctx := testContext(t)
	namespace(t, ns)
	workload(t, name, 5432, nil)
	var count counter
	source, target := exporter(t, count.wrap), importer(t, count.wrap)
	plan, err := bridge.PlanExport(ctx, source, name)
	if err != nil || len(plan.Steps) != 1 {
		t.Errorf("export: got %v, %v; want one step", plan, err)
	}
	unproved, err := bridge.Export(ctx, source, name, bridge.WithDryRun())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bridge.Import(ctx, target, unproved); !errors.Is(err, viaduct.ErrInvalid) || !strings.Contains(err.Error(), "dry run") {
		t.Errorf("import of a dry run: got %v, want an error that says so", err)
	}
	exported, err := bridge.Export(ctx, exporter(t, nil), name)
	if err != nil {
		t.Fatal(err)
	}
	plan, err = bridge.PlanImport(ctx, target, exported)
	if err != nil || len(plan.Steps) != 2 {
		t.Errorf("import: got %v, %v; want two steps", plan, err)
	}
	plan, err = bridge.Unexport(ctx, source, name, bridge.WithDryRun())
	if err != nil || len(plan.Steps) != 1 {
		t.Errorf("unexport: got %v, %v; want one step", plan, err)
	}
	if len(count.writes) > 0 {
		t.Errorf("got writes %v, want none", count.writes)
	}
	takeBack(t, ns, []string{name.Name})
}

// TestKubernetesCollects deletes what owns our objects, with Viaduct gone.
func TestKubernetesCollects(t *testing.T) {
	t.Parallel()
	const ns = "acme-orphan"
	name := types.NamespacedName{Namespace: ns, Name: "order-postgres"}
	ctx := testContext(t)
	namespace(t, ns)
	workload(t, name, 5432, nil)
	exported, err := bridge.Export(ctx, exporter(t, nil), name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bridge.Import(ctx, importer(t, nil), exported); err != nil {
		t.Fatal(err)
	}
	if err := tkCluster(t).CoreV1().Services(ns).Delete(ctx, name.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := supervisor(t).CoreV1().Services(ns).Delete(ctx, name.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(context.Context) string {
		return cmp.Diff([]string(nil), names(t, tkCluster(t), ns)) + cmp.Diff([]string(nil), names(t, supervisor(t), ns))
	})
	eventually(t, func(context.Context) string {
		if left := servers(t, exported.VIPService.UID); len(left) > 0 {
			return "in NSX: " + left[0].Path
		}
		return ""
	})
}

// TestVIPChanges exports again after the companion was made anew: the import
// follows, in place.
func TestVIPChanges(t *testing.T) {
	t.Parallel()
	const ns = "acme-move"
	name := types.NamespacedName{Namespace: ns, Name: "order-postgres"}
	ctx := testContext(t)
	namespace(t, ns)
	workload(t, name, 5432, nil)
	first, err := bridge.Export(ctx, exporter(t, nil), name)
	if err != nil {
		t.Fatal(err)
	}
	before, err := bridge.Import(ctx, importer(t, nil), first)
	if err != nil {
		t.Fatal(err)
	}
	// Another Service asks for an address while the companion is away.
	if _, err := bridge.Unexport(ctx, exporter(t, nil), name); err != nil {
		t.Fatal(err)
	}
	workload(t, types.NamespacedName{Namespace: ns, Name: "squatter"}, 80, func(s *corev1.Service) {
		s.Spec.Type, s.Spec.LoadBalancerIP = corev1.ServiceTypeLoadBalancer, first.Addresses[0].String()
	})
	eventually(t, func(ctx context.Context) string {
		s, err := supervisor(t).CoreV1().Services(ns).Get(ctx, "squatter", metav1.GetOptions{})
		if err != nil || len(s.Status.LoadBalancer.Ingress) == 0 {
			return "waiting for the squatter's address"
		}
		return ""
	})
	second, err := bridge.Export(ctx, exporter(t, nil), name)
	if err != nil {
		t.Fatal(err)
	}
	if second.Addresses[0] == first.Addresses[0] {
		t.Fatalf("got %v again, want another address", first.Addresses)
	}
	after, err := bridge.Import(ctx, importer(t, nil), second)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before.ClusterIPs, after.ClusterIPs, cmpopts.EquateComparable(netip.Addr{})); diff != "" || before.UID != after.UID {
		t.Errorf("the importing Service changed: %s -> %s %s", before.UID, after.UID, diff)
	}
	checkImport(t, after, 5432)
	takeBack(t, ns, []string{name.Name})
}
