// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/bridge"
)

// oldServer makes the lab's API server answer as an older one did: Kubernetes
// 1.36 can no longer be made to serve discovery.k8s.io/v1beta1, nor to do
// without discovery.k8s.io/v1 or server-side apply. Storage, validation and
// everything else is the real server's.
type oldServer struct {
	discovery string // the one version that it serves; "" for none
	noApply   bool
}

func (o oldServer) wrap(next http.RoundTripper) http.RoundTripper {
	const group = "/apis/discovery.k8s.io"
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		if o.noApply && req.Header.Get("Content-Type") == string(types.ApplyPatchType) {
			return statusResponse(req, http.StatusUnsupportedMediaType, metav1.StatusReasonUnsupportedMediaType), nil
		}
		version, isDiscovery := strings.CutPrefix(req.URL.Path, group+"/")
		version, _, _ = strings.Cut(version, "/")
		if strings.HasPrefix(req.URL.Path, group) && (o.discovery == "" || isDiscovery && version != o.discovery) {
			return statusResponse(req, http.StatusNotFound, metav1.StatusReasonNotFound), nil
		}
		req = req.Clone(req.Context())
		old, current := "discovery.k8s.io/"+o.discovery, "discovery.k8s.io/v1"
		req.URL.Path = strings.Replace(req.URL.Path, group+"/"+o.discovery+"/", group+"/v1/", 1)
		if err := rewriteBody(&req.Body, &req.ContentLength, func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte(`"`+old+`"`), []byte(`"`+current+`"`))
		}); err != nil {
			return nil, err
		}
		res, err := next.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		return res, rewriteBody(&res.Body, &res.ContentLength, func(b []byte) []byte {
			if o.noApply {
				b = withoutManagedFields(b)
			}
			if o.discovery == "" || o.discovery == "v1" {
				return b
			}
			b = bytes.ReplaceAll(b, []byte(`"`+current+`"`), []byte(`"`+old+`"`))
			return bytes.ReplaceAll(b, []byte(`"version":"v1"`), []byte(`"version":"`+o.discovery+`"`))
		})
	})
}

func rewriteBody(body *io.ReadCloser, length *int64, rewrite func([]byte) []byte) error {
	if *body == nil {
		return nil
	}
	data, err := io.ReadAll(*body)
	if err != nil {
		return err
	}
	data = rewrite(data)
	*body, *length = io.NopCloser(bytes.NewReader(data)), int64(len(data))
	return nil
}

func statusResponse(req *http.Request, code int, reason metav1.StatusReason) *http.Response {
	data, err := json.Marshal(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: strings.ToLower(http.StatusText(code)),
	})
	if err != nil {
		panic(err)
	}
	return &http.Response{
		Request: req, StatusCode: code, Status: http.StatusText(code), Proto: "HTTP/1.1",
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(data)),
	}
}

func withoutManagedFields(data []byte) []byte {
	var value any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if decoder.Decode(&value) != nil {
		return data
	}
	strip(value)
	stripped, err := json.Marshal(value)
	if err != nil {
		return data
	}
	return stripped
}

func strip(value any) {
	switch v := value.(type) {
	case map[string]any:
		delete(v, "managedFields")
		for _, field := range v {
			strip(field)
		}
	case []any:
		for _, item := range v {
			strip(item)
		}
	}
}

// documentFor makes an exported document by hand: the importing side needs
// nothing else.
func documentFor(ns, cluster, vip string) *bridge.Exported {
	return &bridge.Exported{
		Version:    1,
		Source:     bridge.Source{Cluster: cluster, Namespace: ns, Name: "order-postgres", UID: types.UID("uid-" + cluster)},
		VIPService: bridge.VIPService{Name: "order-postgres-viaduct", UID: types.UID("uid-vip-" + cluster)},
		Addresses:  []netip.Addr{netip.MustParseAddr(vip)},
		Ports:      []bridge.Port{{Name: "main", Protocol: corev1.ProtocolTCP, Port: 5432}},
		Proof:      bridge.Proof{Source: bridge.ProofServiceStatus},
	}
}

// TestOldServers imports into API servers that lack what newer ones have. One
// kind of endpoints is written, and never two.
func TestOldServers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		server oldServer
		holds  string // the kind that holds the address
	}{
		"slices-v1":          {oldServer{discovery: "v1"}, "EndpointSlice"},
		"slices-v1beta1":     {oldServer{discovery: "v1beta1"}, "EndpointSlice"},
		"endpoints":          {oldServer{}, "Endpoints"},
		"no-apply":           {oldServer{discovery: "v1", noApply: true}, "EndpointSlice"},
		"no-apply-no-slices": {oldServer{noApply: true}, "Endpoints"},
		"no-apply-v1beta1":   {oldServer{discovery: "v1beta1", noApply: true}, "EndpointSlice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			ns := "acme-old-" + name
			if _, err := tkCluster(t).CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			document := documentFor(ns, "supervisor", "192.168.30.66")
			for _, step := range []struct {
				what   string
				change func()
				writes int
			}{
				{"first", func() {}, 2},
				{"again", func() {}, 0},
				{"new VIP", func() { document.Addresses[0] = netip.MustParseAddr("192.168.30.67") }, 1},
				{"new port", func() {
					document.Ports = append(document.Ports, bridge.Port{Name: "metrics", Protocol: corev1.ProtocolTCP, Port: 9187})
				}, 2},
				{"port gone", func() { document.Ports = document.Ports[:1] }, 2},
				{"and again", func() {}, 0},
			} {
				step.change()
				imported, err := bridge.Import(ctx, importer(t, tc.server.wrap), document)
				if err != nil {
					t.Fatalf("%s: %v", step.what, err)
				}
				if len(imported.Plan().Steps) != step.writes {
					t.Errorf("%s: got\n%s\nwant %d steps", step.what, imported.Plan(), step.writes)
				}
				if diff := cmp.Diff([]string{document.Addresses[0].String()}, backing(t, ns, tc.holds)); diff != "" {
					t.Errorf("%s: addresses in %s (-want +got):\n%s", step.what, tc.holds, diff)
				}
			}
			other := map[string]string{"EndpointSlice": "Endpoints", "Endpoints": "EndpointSlice"}[tc.holds]
			if also := backing(t, ns, other); len(also) > 0 {
				t.Errorf("%s hold %v too", other, also)
			}
			s, err := tkCluster(t).CoreV1().Services(ns).Get(ctx, "order-postgres", metav1.GetOptions{})
			if err != nil || len(s.Spec.Ports) != 1 {
				t.Errorf("got ports %+v, %v; want one", s.Spec.Ports, err)
			}
			if plan, err := bridge.Unimport(ctx, importer(t, tc.server.wrap), types.NamespacedName{Namespace: ns, Name: "order-postgres"}); err != nil || len(plan.Steps) != 2 {
				t.Errorf("unimport: got %v, %v; want two steps", plan, err)
			}
			if left := slices.Concat(names(t, tkCluster(t), ns), backing(t, ns, "Endpoints")); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// backing returns the addresses that objects of a kind hold.
func backing(t *testing.T, ns, kind string) []string {
	t.Helper()
	ctx := testContext(t)
	var found []string
	if kind == "Endpoints" {
		list, err := tkCluster(t).CoreV1().Endpoints(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list.Items {
			for _, subset := range e.Subsets {
				for _, a := range subset.Addresses {
					found = append(found, a.IP)
				}
			}
		}
		return found
	}
	list, err := tkCluster(t).DiscoveryV1().EndpointSlices(ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list.Items {
		for _, e := range s.Endpoints {
			found = append(found, e.Addresses...)
		}
	}
	slices.Sort(found)
	return found
}

// TestTwoExporters puts two clusters behind one name, and takes one away.
func TestTwoExporters(t *testing.T) {
	t.Parallel()
	const ns = "acme-two"
	name := types.NamespacedName{Namespace: ns, Name: "order-postgres"}
	ctx := testContext(t)
	namespace(t, ns)
	east, west := documentFor(ns, "east", "192.0.2.1"), documentFor(ns, "west", "192.0.2.2")
	west.Ports[0].Port = 5433 // ports are matched by name
	if _, err := bridge.Import(ctx, importer(t, nil), east); err != nil {
		t.Fatal(err)
	}
	if _, err := bridge.Import(ctx, importer(t, nil), west); !errors.Is(err, viaduct.ErrExists) {
		t.Errorf("a second exporter unasked: got %v, want an error that matches ErrExists", err)
	}
	other := documentFor(ns, "west", "192.0.2.2")
	other.Ports[0].Name = "other"
	if _, err := bridge.Import(ctx, importer(t, nil), other, bridge.WithMerge()); !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("other ports: got %v, want an error that matches ErrInvalid", err)
	}
	for round := range 2 {
		for _, e := range []*bridge.Exported{west, east} {
			imported, err := bridge.Import(ctx, importer(t, nil), e, bridge.WithMerge())
			if err != nil {
				t.Fatal(err)
			}
			if wantEmpty := round > 0 || e == east; imported.Plan().Empty() != wantEmpty {
				t.Errorf("round %d, %s: got\n%s", round, e.Source, imported.Plan())
			}
		}
	}
	if diff := cmp.Diff([]string{"192.0.2.1", "192.0.2.2"}, backing(t, ns, "EndpointSlice")); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	if plan, err := bridge.Unimport(ctx, importer(t, nil), name, bridge.WithSource("east")); err != nil || len(plan.Steps) != 1 {
		t.Errorf("unimport of one: got %v, %v; want one step", plan, err)
	}
	if diff := cmp.Diff([]string{"192.0.2.2"}, backing(t, ns, "EndpointSlice")); diff != "" {
		t.Errorf("addresses after one went (-want +got):\n%s", diff)
	}
	if plan, err := bridge.Unimport(ctx, importer(t, nil), name, bridge.WithSource("west")); err != nil || len(plan.Steps) != 2 {
		t.Errorf("unimport of the last: got %v, %v; want two steps", plan, err)
	}
	if left := names(t, tkCluster(t), ns); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestAdopt takes a user's Service over, pods and all, and gives it back.
func TestAdopt(t *testing.T) {
	t.Parallel()
	const ns = "acme-adopt"
	name := types.NamespacedName{Namespace: ns, Name: "order-postgres"}
	ctx := testContext(t)
	namespace(t, ns)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "adopt-node"}}
	if _, err := tkCluster(t).CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pods := tkCluster(t).CoreV1().Pods(ns)
	pod, err := pods.Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "old", Labels: map[string]string{"app": "postgres"}},
		Spec:       corev1.PodSpec{NodeName: node.Name, Containers: []corev1.Container{{Name: "main", Image: "postgres"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: "10.200.0.5", PodIPs: []corev1.PodIP{{IP: "10.200.0.5"}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	}
	if _, err := pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	before, err := tkCluster(t).CoreV1().Services(ns).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name.Name, Labels: map[string]string{"team": "orders"}},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "postgres"},
			Ports:    []corev1.ServicePort{{Name: "pg", Port: 5432}},
		},
	}, metav1.CreateOptions{FieldManager: "kubectl-client-side-apply"})
	if err != nil {
		t.Fatal(err)
	}
	settled := func(want string) {
		t.Helper()
		eventually(t, func(context.Context) string { return cmp.Diff([]string{want}, backing(t, ns, "EndpointSlice")) })
	}
	settled("10.200.0.5")

	document := documentFor(ns, "supervisor", "192.168.30.66")
	if _, err := bridge.Import(ctx, importer(t, nil), document); !errors.Is(err, viaduct.ErrNotOwned) || !strings.Contains(err.Error(), "kubectl") {
		t.Errorf("unasked: got %v, want an error that matches ErrNotOwned and names the owner", err)
	}
	missing := documentFor(ns, "supervisor", "192.168.30.66")
	missing.Ports[0].Port = 5433
	if _, err := bridge.Import(ctx, importer(t, nil), missing, bridge.WithAdopt()); !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("without its port: got %v, want an error that matches ErrInvalid", err)
	}
	imported, err := bridge.Import(ctx, importer(t, nil), document, bridge.WithAdopt())
	if err != nil {
		t.Fatal(err)
	}
	if imported.UID != before.UID || imported.ClusterIPs[0].String() != before.Spec.ClusterIP {
		t.Errorf("got UID %s and %v, want those of before: %s, %s", imported.UID, imported.ClusterIPs, before.UID, before.Spec.ClusterIP)
	}
	settled("192.168.30.66")
	eventually(t, func(context.Context) string {
		imported, err := bridge.Import(ctx, importer(t, nil), document)
		if err != nil {
			t.Fatal(err)
		}
		if !imported.Plan().Empty() {
			return "changing: " + imported.Plan().String()
		}
		return ""
	})

	if _, err := bridge.Unimport(ctx, importer(t, nil), name); err != nil {
		t.Fatal(err)
	}
	settled("10.200.0.5")
	after, err := tkCluster(t).CoreV1().Services(ns).Get(ctx, name.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before.Spec, after.Spec) + cmp.Diff(before.Labels, after.Labels) + cmp.Diff(before.Annotations, after.Annotations); diff != "" {
		t.Errorf("given back (-before +after):\n%s", diff)
	}
	if plan, err := bridge.Unimport(ctx, importer(t, nil), name); err != nil || !plan.Empty() {
		t.Errorf("unimport again: got %v, %v; want nothing to do", plan, err)
	}
}
