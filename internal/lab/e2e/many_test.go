// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/bridge"
)

// TestApplySpec exports and imports what a selector finds, beside a cluster that
// never answers and a service that cannot be exported.
func TestApplySpec(t *testing.T) {
	t.Parallel()
	const ns, count = "acme-many", 12
	ctx := testContext(t)
	namespace(t, ns)
	for i := range count {
		workload(t, types.NamespacedName{Namespace: ns, Name: fmt.Sprintf("data-%02d", i)}, 5432, func(s *corev1.Service) {
			s.Labels = map[string]string{"tier": "data"}
			s.Spec.Type = corev1.ServiceTypeClusterIP
			if i == 0 {
				s.Spec.ClusterIP = corev1.ClusterIPNone // cannot be exported
			}
		})
	}
	config := *world.TKCluster("acme-fitness").Config
	hung := end(t, "hung", &config, func(http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		})
	})
	var spec bridge.Spec
	document := `{"services": [{"from": "supervisor", "namespace": "` + ns + `", "selector": "tier=data", "into": ["acme-fitness", "hung"]}]}`
	if err := json.Unmarshal([]byte(document), &spec); err != nil {
		t.Fatal(err)
	}
	clusters := []*bridge.Cluster{exporter(t, nil), importer(t, nil), hung}

	for _, wrong := range []string{
		`{"services": [{"from": "supervisor", "namespace": "a", "name": "b", "intoo": []}]}`,
		`{"services": [{"from": "nowhere", "namespace": "a", "name": "b"}]}`,
		`{"services": [{"from": "supervisor", "namespace": "a"}]}`,
		`{"services": [{"from": "supervisor", "namespace": "a", "name": "b", "selector": "c"}]}`,
		`{"services": [{"from": "supervisor", "namespace": "a", "selector": "(("}]}`,
		`{"services": [{"from": "supervisor", "namespace": "a", "name": "b", "into": ["supervisor"]}]}`,
	} {
		var bad bridge.Spec
		err := json.Unmarshal([]byte(wrong), &bad)
		if err == nil {
			_, err = bridge.Apply(ctx, bad, clusters)
		}
		if !errors.Is(err, viaduct.ErrInvalid) {
			t.Errorf("%s: got %v, want an error that matches ErrInvalid", wrong, err)
		}
	}

	// The hung cluster is given up when all that does not need it is done.
	cut, cancel := context.WithCancel(ctx)
	done := 0
	report, err := bridge.Apply(cut, spec, clusters, bridge.WithProgress(func(p bridge.Progress) {
		if p.Object.Kind == "EndpointSlice" && p.Object.Cluster == "acme-fitness" {
			if done++; done == count-1 {
				cancel()
			}
		}
	}))
	cancel()
	if err != nil {
		t.Fatal(err)
	}
	failed := map[string]int{}
	for _, item := range report.Items {
		switch {
		case item.Service.Name == "data-00":
			if item.Err == nil {
				t.Errorf("%+v: got no error for a headless Service", item)
			}
		case item.Into == "hung":
			if !errors.Is(item.Err, context.Canceled) {
				t.Errorf("%s into hung: got %v, want it cancelled", item.Service, item.Err)
			}
			failed["hung"]++
		case item.Err != nil:
			t.Errorf("%s into %q: %v", item.Service, item.Into, item.Err)
		case item.Into == "" && item.Exported == nil:
			t.Errorf("%s: exported without a document", item.Service)
		}
	}
	if failed["hung"] != count-1 || len(report.Items) != 3*count {
		t.Errorf("got %d items, %d of them cancelled; want %d and %d", len(report.Items), failed["hung"], 3*count, count-1)
	}
	if text := fmt.Sprint(report.Err()); !strings.Contains(text, "headless") {
		t.Errorf("got %s, want the errors of all items", text)
	}
	if data, err := json.Marshal(report); err != nil || !strings.Contains(string(data), "headless") {
		t.Errorf("report as JSON: %v", err)
	}
	spec.Services[0].Into = []string{"acme-fitness"}
	var writes counter
	again, err := bridge.Apply(ctx, spec, []*bridge.Cluster{exporter(t, writes.wrap), importer(t, writes.wrap)})
	if err != nil || len(writes.writes) > 0 {
		t.Errorf("again: got %v and writes %v, want none", err, writes.writes)
	}
	for _, item := range again.Items {
		if !item.Plan.Empty() {
			t.Errorf("again: %s into %q: got\n%s", item.Service, item.Into, item.Plan)
		}
	}
	var all []string
	for i := 1; i < count; i++ {
		all = append(all, fmt.Sprintf("data-%02d", i))
	}
	takeBack(t, ns, all)
}

// TestImportAll imports many documents. One name is a user's already, another
// becomes one after the bridge has listed the namespace.
func TestImportAll(t *testing.T) {
	t.Parallel()
	const ns, count = "acme-all", 40
	ctx := testContext(t)
	namespace(t, ns)
	mine := func(name string) {
		_, err := tkCluster(t).CoreV1().Services(ns).Create(ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Error(err)
		}
	}
	documents := manyDocuments(ns, count)
	mine("db-0007")
	race := &racer{act: func() { mine("db-0008") }}
	for round, c := range []*bridge.Cluster{importer(t, race.wrap), importer(t, nil)} {
		report, err := bridge.ImportAll(ctx, c, documents)
		if err != nil || len(report.Items) != count {
			t.Fatalf("got %d items, %v; want %d", len(report.Items), err, count)
		}
		for _, item := range report.Items {
			foreign := item.Service.Name == "db-0007" || item.Service.Name == "db-0008"
			switch {
			case foreign && !errors.Is(item.Err, viaduct.ErrNotOwned):
				t.Errorf("%s: got %v, want an error that matches ErrNotOwned", item.Service, item.Err)
			case !foreign && item.Err != nil:
				t.Errorf("%s: %v", item.Service, item.Err)
			case round > 0 && !item.Plan.Empty():
				t.Errorf("%s, again: got\n%s", item.Service, item.Plan)
			}
		}
	}
	if _, err := bridge.ImportAll(ctx, importer(t, nil), []*bridge.Exported{nil}); !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("a nil document: got %v, want an error that matches ErrInvalid", err)
	}
}

// TestImportAllIntoNewNamespace imports many documents into a namespace that
// none of them finds: one makes it, and nobody writes in vain.
func TestImportAllIntoNewNamespace(t *testing.T) {
	t.Parallel()
	const ns, count = "acme-new", 40
	ctx := testContext(t)
	documents := manyDocuments(ns, count)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), timeout)
		defer cancel()
		if err := tkCluster(t).CoreV1().Namespaces().Delete(ctx, ns, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	for _, tc := range []struct {
		name string
		opts []bridge.ImportOption
		want int
	}{
		{"dry run", []bridge.ImportOption{bridge.WithDryRun()}, 0},
		{"run", nil, 2*count + 1},
	} {
		var seen counter
		report, err := bridge.ImportAll(ctx, importer(t, seen.wrap), documents, append(tc.opts, bridge.WithCreateNamespace())...)
		if err = errors.Join(err, report.Err()); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		var all bridge.Plan
		for _, item := range report.Items {
			all = bridge.JoinPlans(all, item.Plan)
		}
		if len(all.Steps) != 2*len(documents)+1 || all.Steps[0].Object.Kind != "Namespace" {
			t.Errorf("%s: got %d steps, the first %v; want the namespace and two for each of %d", tc.name, len(all.Steps), all.Steps[0].Object, len(documents))
		}
		if len(seen.writes) != tc.want {
			t.Errorf("%s: got %d writes, want %d", tc.name, len(seen.writes), tc.want)
		}
	}
}
