// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/bridge"
)

// TestConversion exports by changing the Service, and gives its type back.
func TestConversion(t *testing.T) {
	t.Parallel()
	const ns = "acme-convert"
	ctx := testContext(t)
	namespace(t, ns)
	for _, from := range []corev1.ServiceType{corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort} {
		name := types.NamespacedName{Namespace: ns, Name: "from-" + strings.ToLower(string(from))}
		before := workload(t, name, 5432, func(s *corev1.Service) { s.Spec.Type = from })
		for round := range 2 {
			exported, err := bridge.Export(ctx, exporter(t, nil), name, bridge.WithConversion())
			if err != nil {
				t.Fatal(err)
			}
			if exported.VIPService.UID != before.UID || exported.Plan().Empty() == (round == 0) {
				t.Errorf("%s, round %d: got %+v and plan %v, want the Service itself, changed once", from, round, exported.VIPService, exported.Plan())
			}
		}
		// Without the option it is a load balancer like any other.
		if plan, err := bridge.PlanExport(ctx, exporter(t, nil), name); err != nil || !plan.Empty() {
			t.Errorf("%s: export without conversion: got %v, %v; want nothing to do", from, plan, err)
		}
		for round := range 2 {
			plan, err := bridge.Unexport(ctx, exporter(t, nil), name)
			if err != nil || plan.Empty() == (round == 0) {
				t.Errorf("%s, round %d: unexport: got %v, %v", from, round, plan, err)
			}
		}
		after, err := supervisor(t).CoreV1().Services(ns).Get(ctx, name.Name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before.Spec, after.Spec); diff != "" || len(after.Labels)+len(after.Status.LoadBalancer.Ingress) > 0 {
			t.Errorf("%s: afterwards it has labels %v, status %v and spec (-before +after):\n%s", from, after.Labels, after.Status, diff)
		}
		if left := servers(t, before.UID); len(left) > 0 {
			t.Errorf("%s: NSX still has %v", from, left)
		}
	}
}

// TestMakeBeforeBreak converts a Service that has a companion: the companion
// serves until the Service's own address is proved, unless it is to have the
// companion's.
func TestMakeBeforeBreak(t *testing.T) {
	t.Parallel()
	const ns = "acme-own"
	ctx := testContext(t)
	namespace(t, ns)
	for _, same := range []bool{false, true} {
		name := types.NamespacedName{Namespace: ns, Name: fmt.Sprintf("db-%t", same)}
		workload(t, name, 5432, nil)
		first, err := bridge.Export(ctx, exporter(t, nil), name)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var seen []string
		record := func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(req *http.Request) (*http.Response, error) {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, req.Method+" "+path.Base(req.URL.Path))
				return next.RoundTrip(req)
			})
		}
		opts := []bridge.ExportOption{bridge.WithConversion()}
		if same {
			opts = append(opts, bridge.WithLoadBalancerIP(first.Addresses[0]))
		}
		second, err := bridge.Export(ctx, exporter(t, record), name, opts...)
		if err != nil {
			t.Fatal(err)
		}
		if got := second.Addresses[0] == first.Addresses[0]; got != same || len(second.Plan().Steps) != 2 {
			t.Errorf("same address %t: got %v after %v by\n%s", same, second.Addresses, first.Addresses, second.Plan())
		}
		withdrawn := max(0, slices.Index(seen, "DELETE "+first.VIPService.Name))
		converted := withdrawn - 1
		for converted >= 0 && seen[converted] != "PATCH "+name.Name {
			converted--
		}
		if converted < 0 {
			t.Fatalf("same address %t: got requests %v, want a conversion and then a deletion", same, seen)
		}
		looked := slices.Contains(seen[converted:withdrawn], "GET "+name.Name)
		if looked == same {
			t.Errorf("same address %t: the companion was deleted after a look at the Service's own address: %t; requests %v", same, looked, seen)
		}
	}
}

// TestHandover has a converted Service's companion serve on until it is told to
// go.
func TestHandover(t *testing.T) {
	t.Parallel()
	name := types.NamespacedName{Namespace: "acme-handover", Name: "db"}
	ctx := testContext(t)
	namespace(t, name.Namespace)
	workload(t, name, 5432, nil)
	first, err := bridge.Export(ctx, exporter(t, nil), name, bridge.WithHandover())
	if err != nil {
		t.Fatal(err)
	}
	before := servers(t, first.VIPService.UID)
	for round := range 2 {
		second, err := bridge.Export(ctx, exporter(t, nil), name, bridge.WithConversion(), bridge.WithHandover())
		if err != nil {
			t.Fatal(err)
		}
		if len(second.Plan().Steps) != 1-round || second.Addresses[0] == first.Addresses[0] {
			t.Errorf("round %d: got %v beside %v by\n%s\nwant another address, and one step the first time", round, second.Addresses, first.Addresses, second.Plan())
		}
	}
	if diff := cmp.Diff(before, servers(t, first.VIPService.UID)); diff != "" {
		t.Errorf("the old address, while it is handed over (-before +after):\n%s", diff)
	}
	last, err := bridge.Export(ctx, exporter(t, nil), name)
	if err != nil || len(last.Plan().Steps) != 1 || last.Plan().Steps[0].Action != bridge.ActionDelete {
		t.Errorf("export without the option: got %v, %v; want the companion deleted", last.Plan(), err)
	}
	if _, err := bridge.Unexport(ctx, exporter(t, nil), name); err != nil {
		t.Error(err)
	}
}

// TestImportElsewhere imports under another name, into a namespace that is not
// there yet, and with other ports.
func TestImportElsewhere(t *testing.T) {
	t.Parallel()
	const ns = "acme-elsewhere"
	name := types.NamespacedName{Namespace: ns, Name: "dns"}
	target := types.NamespacedName{Namespace: "acme-elsewhere-too", Name: "resolver"}
	ctx := testContext(t)
	namespace(t, ns)
	workload(t, name, 5353, func(s *corev1.Service) {
		s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
		s.Spec.Ports = []corev1.ServicePort{
			{Name: "dns-udp", Protocol: corev1.ProtocolUDP, Port: 5353, TargetPort: intstr.FromInt32(5353)},
			{Name: "dns-tcp", Protocol: corev1.ProtocolTCP, Port: 5353, TargetPort: intstr.FromInt32(5353)},
		}
	})
	vip := netip.MustParseAddr("192.168.30.90")
	exported, err := bridge.Export(ctx, exporter(t, nil), name, bridge.WithLoadBalancerIP(vip))
	if err != nil {
		t.Fatal(err)
	}
	if exported.Addresses[0] != vip || len(exported.Proof.VirtualServers) != 2 {
		t.Errorf("got %v, proved by %+v; want %s on TCP and UDP", exported.Addresses, exported.Proof, vip)
	}

	opts := []bridge.ImportOption{bridge.WithTarget(target), bridge.WithPort("dns-udp", 53), bridge.WithPort("dns-tcp", 53)}
	if _, err := bridge.Import(ctx, importer(t, nil), exported, opts...); !errors.Is(err, viaduct.ErrNotFound) {
		t.Errorf("without the namespace: got %v, want an error that matches ErrNotFound", err)
	}
	if _, err := bridge.Import(ctx, importer(t, nil), exported, bridge.WithPort("ntp", 123)); !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("with a port that is not there: got %v, want an error that matches ErrInvalid", err)
	}
	if _, err := bridge.Import(ctx, exporter(t, nil), exported, append(opts, bridge.WithCreateNamespace())...); !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("into the exporter under another name: got %v, want an error that matches ErrInvalid", err)
	}
	opts = append(opts, bridge.WithCreateNamespace())
	for round := range 2 {
		imported, err := bridge.Import(ctx, importer(t, nil), shipped(t, exported), opts...)
		if err != nil {
			t.Fatal(err)
		}
		if want := []int{3, 0}[round]; len(imported.Plan().Steps) != want {
			t.Errorf("round %d: got\n%s\nwant %d steps", round, imported.Plan(), want)
		}
	}
	s, err := tkCluster(t).CoreV1().Services(target.Namespace).Get(ctx, target.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	slices, err := tkCluster(t).DiscoveryV1().EndpointSlices(target.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: discoveryv1.LabelServiceName + "=" + target.Name,
	})
	if err != nil || len(slices.Items) != 1 {
		t.Fatalf("got %d slices, %v; want one", len(slices.Items), err)
	}
	for _, p := range s.Spec.Ports {
		if p.Port != 53 {
			t.Errorf("port %s: got %d in the Service, want 53", p.Name, p.Port)
		}
	}
	for _, p := range slices.Items[0].Ports {
		if *p.Port != 5353 {
			t.Errorf("port %s: got %d in the slice, want 5353", *p.Name, *p.Port)
		}
	}
	if s.Spec.SessionAffinity != corev1.ServiceAffinityClientIP {
		t.Errorf("got session affinity %s, want the exported Service's", s.Spec.SessionAffinity)
	}

	if plan, err := bridge.Unimport(ctx, importer(t, nil), target); err != nil || len(plan.Steps) != 2 {
		t.Errorf("unimport: got %v, %v; want two steps", plan, err)
	}
	eventually(t, func(context.Context) string {
		return cmp.Diff([]string(nil), names(t, tkCluster(t), target.Namespace))
	})
	takeBack(t, ns, []string{name.Name})
}
