// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/bridge"
)

// TestAudit leaves things behind, finds them, and removes those and no others.
// Its clusters see one namespace only, so that parallel tests don't count.
func TestAudit(t *testing.T) {
	t.Parallel()
	const ns = "acme-audit"
	ctx := testContext(t)
	namespace(t, ns)
	source, target := exporter(t, only(ns)), importer(t, only(ns))
	clusters := []*bridge.Cluster{source, target}
	for _, name := range []string{"kept-a", "kept-b", "gone", "unexported"} {
		key := types.NamespacedName{Namespace: ns, Name: name}
		workload(t, key, 5432, nil)
		exported, err := bridge.Export(ctx, exporter(t, nil), key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bridge.Import(ctx, importer(t, nil), exported); err != nil {
			t.Fatal(err)
		}
	}
	report, err := bridge.Audit(ctx, clusters)
	if err != nil || len(report.Findings)+len(report.Holes) > 0 || report.Owned != 12 {
		t.Fatalf("all in order: got %+v, %v; want no findings and 12 objects", report, err)
	}
	if plan, err := report.Apply(ctx); err != nil || !plan.Empty() {
		t.Errorf("all in order: got %v, %v; want nothing to do", plan, err)
	}

	services := supervisor(t).CoreV1().Services(ns)
	if err := services.Delete(ctx, "gone", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := bridge.Unexport(ctx, exporter(t, nil), types.NamespacedName{Namespace: ns, Name: "unexported"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) string {
		if _, err := services.Get(ctx, "gone-viaduct", metav1.GetOptions{}); err == nil {
			return "waiting for Kubernetes to collect the companion"
		}
		return ""
	})

	// The exporting API server is away: nothing is judged by that.
	away := end(t, "supervisor", world.Supervisor.Config, func(http.RoundTripper) http.RoundTripper {
		return roundTripper(func(*http.Request) (*http.Response, error) { return nil, errCut })
	})
	blind, err := bridge.Audit(ctx, []*bridge.Cluster{away, target})
	if err != nil || len(blind.Findings) > 0 || len(blind.Holes) != 1 || blind.Holes[0].Server != "supervisor" {
		t.Errorf("exporter away: got %+v, %v; want one hole and no findings", blind, err)
	}

	report, err = bridge.Audit(ctx, clusters)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"stale-import EndpointSlice gone: Service supervisor/" + ns + "/gone is gone",
		"stale-import EndpointSlice unexported: Service supervisor/" + ns + "/unexported is not exported any more",
		"stale-import Service gone: Service supervisor/" + ns + "/gone is gone",
		"stale-import Service unexported: Service supervisor/" + ns + "/unexported is not exported any more",
	}
	var got []string
	for _, f := range report.Findings {
		name, _, _ := strings.Cut(f.Object.Name, "-viaduct")
		got = append(got, string(f.Kind)+" "+f.Object.Kind+" "+name+": "+f.Reason)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if plan, err := report.Apply(ctx, bridge.WithDryRun()); err != nil || len(plan.Steps) != 4 {
		t.Errorf("dry run: got %v, %v; want four deletions", plan, err)
	}
	if _, err := report.Apply(ctx); err != nil {
		t.Error(err)
	}
	if report, err = bridge.Audit(ctx, clusters); err != nil || len(report.Findings) > 0 || report.Owned != 6 {
		t.Errorf("afterwards: got %+v, %v; want no findings and 6 objects", report, err)
	}

	// Most of it is stale: that needs a word.
	for _, name := range []string{"kept-a", "kept-b"} {
		if err := services.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func(ctx context.Context) string {
		left, err := services.List(ctx, metav1.ListOptions{})
		if err != nil || len(left.Items) > 1 {
			return "waiting for Kubernetes to collect the companions"
		}
		return ""
	})
	if report, err = bridge.Audit(ctx, clusters); err != nil {
		t.Fatal(err)
	}
	if _, err := report.Apply(ctx); !errors.Is(err, viaduct.ErrInvalid) || !strings.Contains(err.Error(), "WithMassDeletion") {
		t.Errorf("brake: got %v, want a refusal that says how to go on", err)
	}
	if _, err := report.Apply(ctx, bridge.WithMassDeletion()); err != nil {
		t.Error(err)
	}
	if left := names(t, tkCluster(t), ns); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// only makes lists across all namespaces see one.
func only(ns string) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			req = req.Clone(req.Context())
			for _, resource := range []string{"services", "endpointslices"} {
				if strings.HasSuffix(req.URL.Path, "/"+resource) && !strings.Contains(req.URL.Path, "/namespaces/") {
					req.URL.Path = strings.TrimSuffix(req.URL.Path, resource) + "namespaces/" + ns + "/" + resource
				}
			}
			return next.RoundTrip(req)
		})
	}
}

// TestAuditNSX finds what NCP left behind for a Service that is gone.
func TestAuditNSX(t *testing.T) {
	t.Parallel()
	const ns, leak = "acme-leak", "/infra/lb-pools/leaked-by-a-test"
	ctx := testContext(t)
	namespace(t, ns)
	workload(t, types.NamespacedName{Namespace: ns, Name: "db"}, 5432, func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeLoadBalancer })
	if _, err := bridge.Export(ctx, exporter(t, nil), types.NamespacedName{Namespace: ns, Name: "db"}); err != nil {
		t.Fatal(err)
	}
	ncpCluster := "domain-c8:" + world.VCenter.InstanceUUID()
	pool := map[string]any{"resource_type": "LBPool", "tags": []map[string]string{
		{"scope": "ncp/cluster", "tag": ncpCluster}, {"scope": "ncp/service_uid", "tag": "00000000-gone"},
	}}
	if err := world.NSX.Put(leak, pool); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := world.NSX.Remove(leak); err != nil {
			t.Error(err)
		}
	})
	source := exporter(t, nil)
	report, err := bridge.Audit(ctx, []*bridge.Cluster{source}, bridge.WithNSXAudit("supervisor", ncpCluster, finder(t)))
	if err != nil || len(report.Holes) > 0 {
		t.Fatalf("got %+v, %v; want no holes", report, err)
	}
	found := false
	for _, f := range report.Findings {
		found = found || f.Kind == bridge.FindingNSX && f.Object.Name == leak
	}
	if !found {
		t.Errorf("got findings %+v, want %s among them", report.Findings, leak)
	}
	for _, s := range report.Plan().Steps {
		if s.Object.Cluster == "nsx" {
			t.Errorf("the plan touches %s, which is NCP's", s.Object)
		}
	}
	if _, err := bridge.Audit(ctx, []*bridge.Cluster{source}, bridge.WithNSXAudit("nowhere", ncpCluster, finder(t))); !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("an unknown cluster: got %v, want an error that matches ErrInvalid", err)
	}
}
