// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1beta1 "k8s.io/api/discovery/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	kubetest "k8s.io/client-go/testing"

	"github.com/viaduct-sdk/viaduct"
)

// shape is a graph without ids, which the servers choose.
func shape(g *Graph) []string {
	var all []string
	for _, n := range g.Nodes {
		all = append(all, strings.Join([]string{name(g, n.ID), n.Detail, string(n.State), n.Reason}, " | "))
	}
	return append(all, relationsByName(g)...)
}

func TestCollect(t *testing.T) {
	t.Parallel()
	w := shop()
	s := serve(t, w)
	w.vcenter.instance = s.vcenter.InstanceUUID()
	want := shape(join(w.observed))
	g := collect(t, s)
	if diff := cmp.Diff(want, shape(g)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if len(g.Holes) > 0 {
		t.Errorf("it has holes: %v", g.Holes)
	}
	for _, r := range append(s.nsx.Unsimulated(), s.vcenter.Unsimulated()...) {
		t.Errorf("not simulated: %s", r)
	}
	for _, r := range s.nsx.Requests() {
		if r.Method != http.MethodGet && !strings.HasPrefix(r.Path, "/api/session/") {
			t.Errorf("it wrote: %s %s", r.Method, r.Path)
		}
	}
}

// TestCollectScoped reads the namespaces that a user may read, one by one.
func TestCollectScoped(t *testing.T) {
	t.Parallel()
	s := serve(t, shop())
	for _, resource := range []string{"namespaces", "services", "pods", "endpointslices"} {
		s.kube["supervisor"].PrependReactor("list", resource, func(a kubetest.Action) (bool, runtime.Object, error) {
			if a.GetNamespace() == testNS {
				return false, nil, nil
			}
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New("no"))
		})
	}
	s.sources.Supervisor.Namespaces = []string{testNS}
	g := collect(t, s)
	if len(g.Holes) > 0 {
		t.Errorf("it has holes: %v", g.Holes)
	}
	find(t, g, KindPod, "order-postgres-0")
	if n := find(t, g, KindNamespace, testNS); n.Detail == "" {
		t.Error("its annotations were not read")
	}

	s.sources.Supervisor.Namespaces = []string{testNS, "acme-app"}
	want := []string{
		"supervisor supervisor: Services of namespace acme-app: forbidden",
		"supervisor supervisor: endpoints of imports of namespace acme-app: forbidden",
		"supervisor supervisor: pods of namespace acme-app: forbidden",
	}
	var holes []string
	for _, h := range collect(t, s).Holes {
		holes = append(holes, h.String())
	}
	if diff := cmp.Diff(want, holes); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestCollectOldClusters reads imports where the API server has slices of
// v1beta1 only, or none.
func TestCollectOldClusters(t *testing.T) {
	t.Parallel()
	gone := func(client *fake.Clientset, version string) {
		client.PrependReactor("list", "endpointslices", func(a kubetest.Action) (bool, runtime.Object, error) {
			if a.GetResource().Version == version {
				return true, nil, apierrors.NewNotFound(a.GetResource().GroupResource(), "")
			}
			return false, nil, nil
		})
	}
	cases := map[string]func(c *clusterSeen, old *fake.Clientset){
		"v1beta1": func(c *clusterSeen, old *fake.Clientset) {
			gone(old, "v1")
			list := &discoveryv1beta1.EndpointSliceList{}
			for _, s := range slicesOf(c) {
				list.Items = append(list.Items, discoveryv1beta1.EndpointSlice{
					ObjectMeta: s.ObjectMeta,
					Endpoints:  []discoveryv1beta1.Endpoint{{Addresses: s.Endpoints[0].Addresses}},
					Ports:      []discoveryv1beta1.EndpointPort{{Port: s.Ports[0].Port}},
				})
			}
			old.PrependReactor("list", "endpointslices", func(a kubetest.Action) (bool, runtime.Object, error) {
				return a.GetResource().Version == "v1beta1", list, nil
			})
		},
		"Endpoints": func(c *clusterSeen, old *fake.Clientset) {
			gone(old, "v1")
			gone(old, "v1beta1")
			list := &corev1.EndpointsList{} // what clusters before 1.17 have
			for _, s := range slicesOf(c) {
				//nolint:staticcheck // what clusters before 1.17 have
				list.Items = append(list.Items, corev1.Endpoints{ObjectMeta: s.ObjectMeta, Subsets: []corev1.EndpointSubset{{
					Addresses: []corev1.EndpointAddress{{IP: s.Endpoints[0].Addresses[0]}},
					Ports:     []corev1.EndpointPort{{Port: *s.Ports[0].Port}},
				}}})
			}
			old.PrependReactor("list", "endpoints", func(kubetest.Action) (bool, runtime.Object, error) { return true, list, nil })
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := shop()
			s := serve(t, w)
			change(&w.clusters[1], s.kube["acme-fitness"])
			w.vcenter.instance = s.vcenter.InstanceUUID()
			if diff := cmp.Diff(relationsByName(join(w.observed), EdgeResolves), relationsByName(collect(t, s), EdgeResolves)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestCollectRefuses(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	for name, sources := range map[string]Sources{
		"nothing to ask":    {},
		"a cluster unnamed": {Clusters: []Cluster{{Kubernetes: client}}},
		"a cluster twice":   {Clusters: []Cluster{{Name: "a", Kubernetes: client}, {Name: "a", Kubernetes: client}}},
		"no client":         {Supervisor: &Cluster{Name: "supervisor"}},
	} {
		if g, err := Collect(t.Context(), sources); g != nil || !errors.Is(err, viaduct.ErrInvalid) {
			t.Errorf("%s: got %v, %v", name, g, err)
		}
	}
	for name, config := range map[string]*rest.Config{"": {}, "tk": nil, "bad": {Host: "https://h", TLSClientConfig: rest.TLSClientConfig{CAData: []byte("no")}}} {
		if _, err := NewCluster(name, config); !errors.Is(err, viaduct.ErrInvalid) {
			t.Errorf("NewCluster(%q): got %v", name, err)
		}
	}
	c, err := NewCluster("tk", &rest.Config{Host: "https://192.168.30.70:6443"})
	if err != nil || c.Endpoint != "192.168.30.70:6443" || c.Dynamic == nil {
		t.Errorf("got %+v, %v", c, err)
	}
}

// TestCollectEndsWithItsContext returns the cause, and no half of a graph.
func TestCollectEndsWithItsContext(t *testing.T) {
	t.Parallel()
	cause := errors.New("the user went home")
	s := serve(t, shop())
	ctx, cancel := context.WithCancelCause(t.Context())
	s.kube["supervisor"].PrependReactor("list", "pods", func(kubetest.Action) (bool, runtime.Object, error) {
		cancel(cause)
		return false, nil, nil
	})
	if g, err := Collect(ctx, s.sources); g != nil || !errors.Is(err, cause) {
		t.Errorf("got %v, %v", g, err)
	}
}
