// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/tkc"
)

// cluster returns an object of the API, ready or not.
func cluster(api tkc.API, namespace, name string, ready bool) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetAPIVersion(string(api))
	u.SetKind("TanzuKubernetesCluster")
	if strings.HasPrefix(string(api), "cluster.") {
		u.SetKind("Cluster")
	}
	u.SetNamespace(namespace)
	u.SetName(name)
	u.SetUID(types.UID(u.GetKind() + "-" + namespace + "-" + name))
	status := "False"
	if ready {
		status = "True"
	}
	u.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": status}}}
	return u
}

// TestAPIs negotiates with servers of several ages.
func TestAPIs(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		served []tkc.API
		want   []tkc.API
	}{
		"7.0":   {[]tkc.API{tkc.TanzuV1alpha1}, []tkc.API{tkc.TanzuV1alpha1}},
		"7.0U3": {[]tkc.API{tkc.TanzuV1alpha1, tkc.TanzuV1alpha2}, []tkc.API{tkc.TanzuV1alpha2}},
		"8.0": {
			[]tkc.API{tkc.TanzuV1alpha1, tkc.TanzuV1alpha2, tkc.TanzuV1alpha3, tkc.ClusterV1beta1},
			[]tkc.API{tkc.TanzuV1alpha3, tkc.ClusterV1beta1},
		},
		"9":           {[]tkc.API{tkc.ClusterV1beta1, tkc.ClusterV1beta2}, []tkc.API{tkc.ClusterV1beta2}},
		"the future":  {[]tkc.API{"cluster.x-k8s.io/v2", tkc.ClusterV1beta2}, []tkc.API{tkc.ClusterV1beta2}},
		"not ours":    {[]tkc.API{"cluster.x-k8s.io/v1alpha3"}, nil},
		"no clusters": {nil, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := newFake(tt.served...).client(t).APIs(t.Context())
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if (tt.want == nil) != errors.Is(err, viaduct.ErrUnsupported) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestAPIWithoutClusters checks that a group without the resource does not count:
// releases of Kubernetes stay in run.tanzu.vmware.com when clusters have left it.
func TestAPIWithoutClusters(t *testing.T) {
	t.Parallel()
	f := newFake(tkc.ClusterV1beta1)
	f.served[string(tkc.TanzuV1alpha3)] = []string{"tanzukubernetesreleases"}
	got, err := f.client(t).APIs(t.Context())
	if diff := cmp.Diff([]tkc.API{tkc.ClusterV1beta1}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

// TestUpgrade takes an API away from under a client that knows it.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	f := newFake(tkc.TanzuV1alpha3, tkc.ClusterV1beta1)
	f.put(cluster(tkc.ClusterV1beta1, "acme-app", "a", true))
	c := f.client(t)
	asks := []func() error{
		func() error { _, err := c.Get(t.Context(), "acme-app", "a"); return err },
		func() error { _, err := c.List(t.Context(), tkc.ListOptions{}); return err },
	}
	serve := func(api tkc.API, yes bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.served, string(api))
		if yes {
			f.served[string(api)] = []string{plural(string(api))}
		}
	}
	for i, ask := range asks {
		serve(tkc.TanzuV1alpha3, true)
		if apis, err := c.APIs(t.Context()); err != nil || len(apis) != 2 {
			t.Fatal(apis, err)
		}
		serve(tkc.TanzuV1alpha3, false)
		before := f.discoveries()
		for range 2 {
			if err := ask(); err != nil {
				t.Errorf("%d: %v", i, err)
			}
		}
		if n := f.discoveries() - before; n != 1 {
			t.Errorf("%d: discovered %d times", i, n)
		}
		f.drop(string(tkc.ClusterV1beta1), "acme-app", "a")
		if _, err := c.Get(t.Context(), "acme-app", "a"); !errors.Is(err, viaduct.ErrNotFound) {
			t.Errorf("%d: what is not there: %v", i, err)
		}
		f.put(cluster(tkc.ClusterV1beta1, "acme-app", "a", true))
	}
}

// TestList reads several pages of both APIs and joins them.
func TestList(t *testing.T) {
	t.Parallel()
	f := newFake(tkc.TanzuV1alpha3, tkc.ClusterV1beta1)
	var want []string
	for i := range 8 {
		name := fmt.Sprintf("c%d", i)
		want = append(want, "acme-app/"+name)
		if i%2 == 0 {
			f.put(cluster(tkc.TanzuV1alpha3, "acme-app", name, true))
		}
		if i%3 != 1 || i%2 == 1 {
			f.put(cluster(tkc.ClusterV1beta1, "acme-app", name, true))
		}
	}
	f.put(cluster(tkc.TanzuV1alpha3, "acme-data", "b", false))
	c := f.client(t)
	var got []string
	seq := c.All(t.Context(), tkc.ListOptions{Namespace: "acme-app"})
	for range 2 { // it may be ranged over again
		got = nil
		for cluster, err := range seq {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, cluster.Key().String())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for range c.All(t.Context(), tkc.ListOptions{}) {
		break
	}
	all, err := c.List(t.Context(), tkc.ListOptions{})
	if err != nil || len(all) != 9 || all[8].Namespace != "acme-data" {
		t.Errorf("all namespaces: %d, %v", len(all), err)
	}
}

// TestNamespaces looks only where the user may.
func TestNamespaces(t *testing.T) {
	t.Parallel()
	f := newFake(tkc.TanzuV1alpha2)
	for _, ns := range []string{"acme-app", "acme-data", "others"} {
		f.put(cluster(tkc.TanzuV1alpha2, ns, "a", true))
	}
	f.put(cluster(tkc.TanzuV1alpha2, "acme-data", "b", true))
	f.setFault(func(r *http.Request) (int, metav1.StatusReason) {
		if strings.HasSuffix(r.URL.Path, "v1alpha2/tanzukubernetesclusters") {
			return http.StatusForbidden, metav1.StatusReasonForbidden
		}
		return 0, ""
	})
	if _, err := f.client(t).List(t.Context(), tkc.ListOptions{}); !errors.Is(err, viaduct.ErrForbidden) {
		t.Errorf("all namespaces: %v", err)
	}
	c := f.client(t, tkc.WithNamespaces(func(context.Context) ([]string, error) {
		return []string{"acme-data", "acme-app", "acme-data"}, nil
	}))
	all, err := c.List(t.Context(), tkc.ListOptions{})
	if err != nil || len(all) != 3 {
		t.Errorf("%v, %v", all, err)
	}
	if b, err := c.Get(t.Context(), "", "b"); err != nil || b.Namespace != "acme-data" {
		t.Errorf("b: %v, %v", b, err)
	}
	_, err = c.Get(t.Context(), "", "a")
	var e *tkc.Error
	if !errors.As(err, &e) || !errors.Is(err, viaduct.ErrInvalid) {
		t.Fatalf("an ambiguous name: %v", err)
	}
	if diff := cmp.Diff([]types.NamespacedName{{Namespace: "acme-app", Name: "a"}, {Namespace: "acme-data", Name: "a"}}, e.Candidates); diff != "" {
		t.Error(diff)
	}
	if _, err := c.Get(t.Context(), "", "nobody"); !errors.Is(err, viaduct.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	broken := errors.New("no login")
	c = f.client(t, tkc.WithNamespaces(func(context.Context) ([]string, error) { return nil, broken }))
	if _, err := c.List(t.Context(), tkc.ListOptions{}); !errors.Is(err, broken) {
		t.Errorf("namespaces that are not known: %v", err)
	}
}

// TestErrors checks which sentinel an answer of the server matches.
func TestErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		code   int
		reason metav1.StatusReason
		want   error
	}{
		"unauthorized": {http.StatusUnauthorized, metav1.StatusReasonUnauthorized, viaduct.ErrUnauthenticated},
		"forbidden":    {http.StatusForbidden, metav1.StatusReasonForbidden, viaduct.ErrForbidden},
		"internal":     {http.StatusInternalServerError, metav1.StatusReasonInternalError, viaduct.ErrUnavailable},
		"bad":          {http.StatusBadRequest, metav1.StatusReasonBadRequest, viaduct.ErrInvalid},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(tkc.TanzuV1alpha3)
			c := f.client(t)
			if _, err := c.APIs(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.setFault(func(*http.Request) (int, metav1.StatusReason) { return tt.code, tt.reason })
			_, getErr := c.Get(t.Context(), "acme-app", "a")
			_, listErr := c.List(t.Context(), tkc.ListOptions{})
			_, createErr := c.Create(t.Context(), spec())
			_, apisErr := c.APIs(t.Context())
			_, kubeconfigErr := c.Kubeconfig(t.Context(), "acme-app", "a")
			deleteErr := c.Delete(t.Context(), "acme-app", "a", tkc.DeleteOptions{})
			for _, err := range []error{getErr, listErr, createErr, apisErr, kubeconfigErr, deleteErr} {
				var e *tkc.Error
				if !errors.Is(err, tt.want) || !errors.As(err, &e) || e.Status != tt.code || !strings.HasPrefix(err.Error(), "tkc: ") {
					t.Errorf("%v; want %v", err, tt.want)
				}
			}
		})
	}
}

func spec() tkc.Spec {
	return tkc.Spec{
		Namespace: "acme-app", Name: "acme-fitness", Version: "v1.26.5+vmware.2", VMClass: "best-effort-small", StorageClass: "gold",
		Pools:  []tkc.PoolSpec{{Name: "web", Replicas: 2}},
		Labels: map[string]string{"team": "fitness"},
		Network: tkc.Network{
			Pods: []netip.Prefix{netip.MustParsePrefix("172.20.0.0/16")}, Services: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")}, Domain: "cluster.local",
		},
	}
}

// TestCreate makes a cluster through each API, reads back what was asked for, and
// removes it.
func TestCreate(t *testing.T) {
	t.Parallel()
	apis := []tkc.API{tkc.TanzuV1alpha1, tkc.TanzuV1alpha2, tkc.TanzuV1alpha3, tkc.ClusterV1beta1, tkc.ClusterV1beta2}
	for _, api := range apis {
		t.Run(string(api), func(t *testing.T) {
			t.Parallel()
			f := newFake(api)
			c := f.client(t)
			s := spec()
			if !strings.HasPrefix(string(api), "cluster.") {
				s.Network.CNI = "antrea"
			}
			made, err := c.Create(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			if made.IsReady() || made.Nodes.ControlPlane != 1 || made.Nodes.Workers != 2 || strings.ReplaceAll(made.DesiredVersion, "---", "+") != s.Version {
				t.Errorf("made %+v", made)
			}
			if diff := cmp.Diff(s.Network, made.Network, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]tkc.API{api}, made.APIs); diff != "" {
				t.Error(diff)
			}
			if _, err := c.Create(t.Context(), s); !errors.Is(err, viaduct.ErrExists) {
				t.Errorf("again: %v", err)
			}
			if err := c.Delete(t.Context(), s.Namespace, s.Name, tkc.DeleteOptions{UID: "another"}); !errors.Is(err, viaduct.ErrConflict) {
				t.Errorf("delete another: %v", err)
			}
			for range 2 {
				if err := c.Delete(t.Context(), s.Namespace, s.Name, tkc.DeleteOptions{}); err != nil {
					t.Errorf("delete: %v", err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := c.WaitGone(ctx, s.Namespace, s.Name, ""); err != nil {
				t.Errorf("wait: %v", err)
			}
		})
	}
}

// TestCreateRefused names specs that nothing is made of.
func TestCreateRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		served []tkc.API
		change func(*tkc.Spec)
		want   error
		reason string
	}{
		"no name":    {[]tkc.API{tkc.TanzuV1alpha3}, func(s *tkc.Spec) { s.Name = "" }, viaduct.ErrInvalid, "it needs one"},
		"no version": {[]tkc.API{tkc.TanzuV1alpha3}, func(s *tkc.Spec) { s.Version = "" }, viaduct.ErrInvalid, "it needs one"},
		"pool twice": {[]tkc.API{tkc.TanzuV1alpha3}, func(s *tkc.Spec) { s.Pools = append(s.Pools, s.Pools[0]) }, viaduct.ErrInvalid, "names are unique"},
		"negative":   {[]tkc.API{tkc.TanzuV1alpha3}, func(s *tkc.Spec) { s.ControlPlane = -1 }, viaduct.ErrInvalid, "fewer than none"},
		"two pools":  {[]tkc.API{tkc.TanzuV1alpha1}, func(s *tkc.Spec) { s.Pools = append(s.Pools, tkc.PoolSpec{Name: "b"}) }, viaduct.ErrUnsupported, "v1alpha1 has one"},
		"cni":        {[]tkc.API{tkc.ClusterV1beta1}, func(s *tkc.Spec) { s.Network.CNI = "calico" }, viaduct.ErrUnsupported, "another object says so"},
		"other api":  {[]tkc.API{tkc.TanzuV1alpha1}, func(s *tkc.Spec) { s.API = tkc.TanzuV1alpha3 }, viaduct.ErrUnsupported, "not served"},
		"no api":     {[]tkc.API{tkc.TanzuV1alpha1}, func(s *tkc.Spec) { s.API = "v1" }, viaduct.ErrInvalid, "not of clusters"},
		"none":       {nil, func(*tkc.Spec) {}, viaduct.ErrUnsupported, "no TKG service"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(tt.served...)
			s := spec()
			tt.change(&s)
			if _, err := f.client(t).Create(t.Context(), s); !errors.Is(err, tt.want) {
				t.Errorf("%s: %v; want %v", tt.reason, err, tt.want)
			}
			if n := f.seen(http.MethodPost); n > 0 {
				t.Errorf("%s: %d writes", tt.reason, n)
			}
		})
	}
}

// TestCreateOlderVersion writes with the version that was asked for.
func TestCreateOlderVersion(t *testing.T) {
	t.Parallel()
	f := newFake(tkc.TanzuV1alpha1, tkc.TanzuV1alpha2, tkc.TanzuV1alpha3, tkc.ClusterV1beta1)
	s := spec()
	s.API = tkc.ClusterV1beta1
	made, err := f.client(t).Create(t.Context(), s)
	if err != nil || !slices.Equal(made.APIs, []tkc.API{tkc.ClusterV1beta1}) || made.Class != "tanzukubernetescluster" {
		t.Errorf("%+v, %v", made, err)
	}
	if _, err := f.client(t).Create(t.Context(), spec()); !errors.Is(err, viaduct.ErrExists) {
		t.Errorf("under the other API: %v", err)
	}
}

// TestArguments checks what needs both names.
func TestArguments(t *testing.T) {
	t.Parallel()
	if _, err := tkc.NewClient(nil); !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("no config: %v", err)
	}
	c := newFake(tkc.TanzuV1alpha3).client(t)
	_, getErr := c.Get(t.Context(), "acme-app", "")
	_, waitErr := c.WaitReady(t.Context(), "", "a", tkc.WaitOptions{})
	_, kubeconfigErr := c.Kubeconfig(t.Context(), "", "a")
	deleteErr := c.Delete(t.Context(), "acme-app", "", tkc.DeleteOptions{})
	for _, err := range []error{getErr, waitErr, kubeconfigErr, deleteErr} {
		if !errors.Is(err, viaduct.ErrInvalid) {
			t.Error(err)
		}
	}
}
