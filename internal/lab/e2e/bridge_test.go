// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/bridge"
)

// shop is the data services of the ACME Fitness shop.
var shop = map[string]int32{
	"cart-redis": 6379, "catalog-mongo": 27017, "order-postgres": 5432, "users-mongo": 27017, "users-redis": 6379,
}

// TestFiveServices is the main job: there, again, and back.
func TestFiveServices(t *testing.T) {
	t.Parallel()
	const ns = "acme-five"
	ctx := testContext(t)
	namespace(t, ns)
	for name, port := range shop {
		workload(t, types.NamespacedName{Namespace: ns, Name: name}, port, func(s *corev1.Service) {
			if name == "order-postgres" {
				s.Spec.Type = corev1.ServiceTypeLoadBalancer
			}
		})
	}
	before := [][]string{names(t, supervisor(t), ns), names(t, tkCluster(t), ns)}

	exportAndImport := func(into map[string]bridge.Plan, wrap func(http.RoundTripper) http.RoundTripper) {
		source, target := exporter(t, wrap), importer(t, wrap)
		for _, name := range slices.Sorted(maps.Keys(shop)) {
			exported, err := bridge.Export(ctx, source, types.NamespacedName{Namespace: ns, Name: name})
			if err != nil {
				t.Fatal(err)
			}
			imported, err := bridge.Import(ctx, target, shipped(t, exported))
			if err != nil {
				t.Fatal(err)
			}
			into[name] = bridge.JoinPlans(exported.Plan(), imported.Plan())
			if exported.Proof.Source != bridge.ProofNSX || exported.Proof.VirtualServers[0].MembersUp != 1 {
				t.Errorf("%s: got proof %+v, want NSX's with one member up", name, exported.Proof)
			}
			checkImport(t, imported, shop[name])
		}
	}
	plans := map[string]bridge.Plan{}
	exportAndImport(plans, nil)
	for name, p := range plans {
		want := 3 // companion, Service, slice
		if name == "order-postgres" {
			want = 2
		}
		if len(p.Steps) != want {
			t.Errorf("%s: got %d steps, want %d:\n%s", name, len(p.Steps), want, p)
		}
	}

	written := [][]string{versions(t, supervisor(t), ns), versions(t, tkCluster(t), ns)}
	var count counter
	exportAndImport(plans, count.wrap)
	for name, p := range plans {
		if !p.Empty() {
			t.Errorf("%s, second time: got\n%s\nwant nothing to do", name, p)
		}
	}
	if len(count.writes) > 0 {
		t.Errorf("second time: got writes %v, want none", count.writes)
	}
	if diff := cmp.Diff(written, [][]string{versions(t, supervisor(t), ns), versions(t, tkCluster(t), ns)}); diff != "" {
		t.Errorf("second time: objects changed (-before +after):\n%s", diff)
	}

	takeBack(t, ns, slices.Sorted(maps.Keys(shop)))
	eventually(t, func(context.Context) string {
		return cmp.Diff(before, [][]string{names(t, supervisor(t), ns), names(t, tkCluster(t), ns)})
	})
}

// takeBack unimports and unexports, and checks that doing so twice is no error.
func takeBack(t *testing.T, ns string, services []string) {
	t.Helper()
	ctx := testContext(t)
	for round := range 2 {
		for _, name := range services {
			key := types.NamespacedName{Namespace: ns, Name: name}
			removed, err := bridge.Unimport(ctx, importer(t, nil), key)
			if err != nil || round > 0 && !removed.Empty() {
				t.Errorf("unimport %s, round %d: got %v, %v", name, round, removed, err)
			}
			removed, err = bridge.Unexport(ctx, exporter(t, nil), key)
			if err != nil || round > 0 && !removed.Empty() {
				t.Errorf("unexport %s, round %d: got %v, %v", name, round, removed, err)
			}
		}
	}
}

// shipped sends a document through JSON, as a pipeline does.
func shipped(t *testing.T, e *bridge.Exported) *bridge.Exported {
	t.Helper()
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var arrived bridge.Exported
	if err := json.Unmarshal(data, &arrived); err != nil {
		t.Fatal(err)
	}
	return &arrived
}

// checkImport looks at what the importing API server holds, as kube-proxy and
// the cluster's DNS do.
func checkImport(t *testing.T, i *bridge.Imported, port int32) {
	t.Helper()
	ctx := testContext(t)
	s, err := tkCluster(t).CoreV1().Services(i.Namespace).Get(ctx, i.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Spec.ClusterIP != i.ClusterIPs[0].String() || len(s.Spec.Selector) > 0 || len(s.Spec.Ports) != 1 || s.Spec.Ports[0].Port != port {
		t.Errorf("%s: got Service %+v, want cluster IP %v, no selector and port %d", i.Name, s.Spec, i.ClusterIPs, port)
	}
	found, err := tkCluster(t).DiscoveryV1().EndpointSlices(i.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: discoveryv1.LabelServiceName + "=" + i.Name,
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found.Items) != 1 {
		t.Fatalf("%s: got %d slices, want one", i.Name, len(found.Items))
	}
	slice := found.Items[0]
	switch {
	case !metav1.IsControlledBy(&slice, s):
		t.Errorf("%s: slice has owners %v, want the Service", i.Name, slice.OwnerReferences)
	case len(slice.Endpoints) != 1 || slice.Endpoints[0].Addresses[0] != i.Addresses[0].String() || !*slice.Endpoints[0].Conditions.Ready:
		t.Errorf("%s: got endpoints %+v, want %v, ready", i.Name, slice.Endpoints, i.Addresses)
	case *slice.Ports[0].Port != port || *slice.Ports[0].Name != s.Spec.Ports[0].Name:
		t.Errorf("%s: got ports %+v, want %d by the Service's port name", i.Name, slice.Ports, port)
	}
}

// TestCutOff kills each verb before and after each of its writes, and runs it
// again.
func TestCutOff(t *testing.T) {
	t.Parallel()
	const ns = "acme-cut"
	name := types.NamespacedName{Namespace: ns, Name: "order-postgres"}
	ctx := testContext(t)
	namespace(t, ns)
	workload(t, name, 5432, nil)
	var exported *bridge.Exported
	verbs := []struct {
		name string
		run  func(wrap func(http.RoundTripper) http.RoundTripper) error
		undo func() error
	}{
		{"export", func(wrap func(http.RoundTripper) http.RoundTripper) (err error) {
			exported, err = bridge.Export(ctx, exporter(t, wrap), name)
			return err
		}, func() error {
			_, err := bridge.Unexport(ctx, exporter(t, nil), name)
			return err
		}},
		{"import", func(wrap func(http.RoundTripper) http.RoundTripper) error {
			_, err := bridge.Import(ctx, importer(t, wrap), exported)
			return err
		}, func() error {
			_, err := bridge.Unimport(ctx, importer(t, nil), name)
			return err
		}},
		{"unimport", func(wrap func(http.RoundTripper) http.RoundTripper) error {
			_, err := bridge.Unimport(ctx, importer(t, wrap), name)
			return err
		}, func() error {
			_, err := bridge.Import(ctx, importer(t, nil), exported)
			return err
		}},
		{"unexport", func(wrap func(http.RoundTripper) http.RoundTripper) error {
			_, err := bridge.Unexport(ctx, exporter(t, wrap), name)
			return err
		}, func() (err error) {
			exported, err = bridge.Export(ctx, exporter(t, nil), name)
			return err
		}},
	}
	cases := 0
	for _, v := range verbs {
		if err := v.run(nil); err != nil {
			t.Fatalf("%s: %v", v.name, err)
		}
		want := [][]string{names(t, supervisor(t), ns), names(t, tkCluster(t), ns)}
		for _, afterEffect := range []bool{false, true} {
			for passes := 0; ; passes++ {
				if err := v.undo(); err != nil {
					t.Fatalf("undo %s: %v", v.name, err)
				}
				cut := &cutter{passes: passes, afterEffect: afterEffect}
				err := v.run(cut.wrap)
				if !cut.dead {
					if err != nil {
						t.Errorf("%s, not cut off: %v", v.name, err)
					}
					break
				}
				cases++
				if !bridge.Retryable(err) {
					t.Errorf("%s, cut off after %d writes: got %v, want a retryable error", v.name, passes, err)
				}
				if err := v.run(nil); err != nil {
					t.Errorf("%s, again after it was cut off after %d writes: %v", v.name, passes, err)
				}
				eventually(t, func(context.Context) string {
					return cmp.Diff(want, [][]string{names(t, supervisor(t), ns), names(t, tkCluster(t), ns)})
				})
			}
		}
	}
	t.Logf("cut off %d times", cases)
	if cases < 12 {
		t.Errorf("cut off %d times, want at least 12: two writes of import and unimport, one of export and unexport, before and after", cases)
	}
}

// TestNothingForeignIsTouched puts a user's objects where the bridge would write.
func TestNothingForeignIsTouched(t *testing.T) {
	t.Parallel()
	const ns = "acme-foreign"
	name := types.NamespacedName{Namespace: ns, Name: "order-postgres"}
	ctx := testContext(t)
	namespace(t, ns)
	workload(t, name, 5432, nil)
	exported, err := bridge.Export(ctx, exporter(t, nil), name)
	if err != nil {
		t.Fatal(err)
	}
	foreign := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name.Name},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "main", Port: 5432}}},
	}
	create := func() []byte {
		if _, err := tkCluster(t).CoreV1().Services(ns).Create(ctx, foreign, metav1.CreateOptions{}); err != nil {
			t.Error(err)
		}
		return raw(t, name)
	}
	check := func(what string, before []byte, err error) {
		t.Helper()
		if !errors.Is(err, viaduct.ErrNotOwned) || !strings.Contains(err.Error(), name.String()) {
			t.Errorf("%s: got %v, want an error that matches ErrNotOwned and names %s", what, err, name)
		}
		if diff := cmp.Diff(string(before), string(raw(t, name))); diff != "" {
			t.Errorf("%s: the foreign Service changed (-before +after):\n%s", what, diff)
		}
	}

	before := create()
	_, err = bridge.Import(ctx, importer(t, nil), exported)
	check("import", before, err)
	if plan, err := bridge.Unimport(ctx, importer(t, nil), name); err != nil || !plan.Empty() {
		t.Errorf("unimport of a foreign Service: got %v, %v; want nothing done", plan, err)
	}
	check("unimport", before, viaductNotOwned(name))
	if err := tkCluster(t).CoreV1().Services(ns).Delete(ctx, name.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}

	// The user is faster: the Service appears after the bridge has looked.
	race := &racer{act: func() { before = create() }}
	_, err = bridge.Import(ctx, importer(t, race.wrap), exported)
	check("import, overtaken", before, err)
	if !race.done {
		t.Error("the race was not run")
	}

	// The user deletes our Service and makes one of that name between look and write.
	if err := tkCluster(t).CoreV1().Services(ns).Delete(ctx, name.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := bridge.Import(ctx, importer(t, nil), exported); err != nil {
		t.Fatal(err)
	}
	changed := shipped(t, exported)
	changed.Ports[0].AppProtocol = "postgresql"
	race = &racer{act: func() {
		if err := tkCluster(t).CoreV1().Services(ns).Delete(ctx, name.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
		before = create()
	}}
	_, err = bridge.Import(ctx, importer(t, race.wrap), changed)
	check("import, replaced", before, err)
	if !race.done {
		t.Error("the race was not run")
	}
}

// viaductNotOwned stands for the error that a verb without one has.
func viaductNotOwned(name types.NamespacedName) error {
	return fmt.Errorf("%s: %w", name, viaduct.ErrNotOwned)
}

// racer acts before the first write.
type racer struct {
	act  func()
	mu   sync.Mutex
	done bool
}

func (r *racer) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if req.Method != http.MethodGet && !r.done {
			r.done = true
			r.act()
		}
		return next.RoundTrip(req)
	})
}

// raw returns a Service of the TK cluster as the API server sends it.
func raw(t *testing.T, name types.NamespacedName) []byte {
	t.Helper()
	data, err := tkCluster(t).CoreV1().RESTClient().Get().Namespace(name.Namespace).Resource("services").Name(name.Name).
		DoRaw(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return data
}
