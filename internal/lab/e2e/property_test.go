// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/bridge"
)

// history is a user and a bridge that work on the same name. The user acts
// between any two requests of the bridge.
type history struct {
	t    *testing.T
	ns   string
	kube kubernetes.Interface
	rand *rand.Rand

	mu      sync.Mutex
	noisy   bool
	log     []string
	written int
}

const contested = "order-postgres"

// TestHistories lets users and the bridge change the same objects in random
// order. The bridge never changes or deletes an object that is not its own, and
// when the noise stops, it converges.
func TestHistories(t *testing.T) {
	t.Parallel()
	const workers, each, length = 6, 12, 14
	var written atomic.Int64
	t.Run("all", func(t *testing.T) {
		for w := range workers {
			t.Run(fmt.Sprint(w), func(t *testing.T) {
				t.Parallel()
				h := &history{t: t, ns: fmt.Sprintf("acme-history-%d", w), kube: tkCluster(t)}
				if _, err := h.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: h.ns}}, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
				for seed := range each {
					h.play(uint64(w*each+seed), length)
					if t.Failed() {
						t.Fatalf("seed %d:\n%s", w*each+seed, strings.Join(h.log, "\n"))
					}
				}
				written.Add(int64(h.written))
			})
		}
	})
	t.Logf("%d histories, in which the bridge wrote %d times", workers*each, written.Load())
	if written.Load() < workers*each {
		t.Errorf("the bridge wrote %d times: the histories are too quiet to show anything", written.Load())
	}
}

func (h *history) play(seed uint64, length int) {
	ctx := h.t.Context()
	h.rand = rand.New(rand.NewPCG(seed, 1))
	h.log = nil
	h.noisy = true
	for range length {
		err := h.bridge(ctx)
		h.say("-> %v", err)
		if err != nil && !documented(err) && !errors.Is(err, viaduct.ErrNotOwned) && !errors.Is(err, viaduct.ErrExists) {
			h.t.Errorf("got %v, want an error that matches a sentinel", err)
		}
	}
	h.noisy = false
	h.clear(ctx)
	document := documentFor(h.ns, "east", "192.0.2.1")
	if _, err := bridge.Import(ctx, h.importer(), document); err != nil {
		h.t.Errorf("after the noise: %v", err)
		return
	}
	if plan, err := bridge.PlanImport(ctx, h.importer(), document); err != nil || !plan.Empty() {
		h.t.Errorf("after the noise: got %v, %v; want nothing left to do", plan, err)
	}
	if _, err := bridge.Unimport(ctx, h.importer(), types.NamespacedName{Namespace: h.ns, Name: contested}); err != nil {
		h.t.Errorf("after the noise: %v", err)
	}
	if left := names(h.t, h.kube, h.ns); len(left) > 0 {
		h.t.Errorf("left: %v", left)
	}
}

// bridge does one thing with the bridge.
func (h *history) bridge(ctx context.Context) error {
	east, west := documentFor(h.ns, "east", "192.0.2.1"), documentFor(h.ns, "west", "192.0.2.2")
	var err error
	switch h.rand.IntN(5) {
	case 0, 1:
		h.say("import")
		_, err = bridge.Import(ctx, h.importer(), east)
	case 2:
		h.say("import, moved")
		moved := documentFor(h.ns, "east", "192.0.2.3")
		moved.Ports[0].AppProtocol = "postgresql"
		_, err = bridge.Import(ctx, h.importer(), moved)
	case 3:
		h.say("import, merged")
		_, err = bridge.Import(ctx, h.importer(), west, bridge.WithMerge())
	default:
		h.say("unimport")
		_, err = bridge.Unimport(ctx, h.importer(), types.NamespacedName{Namespace: h.ns, Name: contested})
	}
	return err
}

// importer is an importing cluster that watches over what the bridge writes.
func (h *history) importer() *bridge.Cluster {
	return importer(h.t, func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.noisy && h.rand.IntN(3) == 0 {
				h.user(req.Context())
			}
			if req.Method == http.MethodGet {
				return next.RoundTrip(req)
			}
			kind, name := path.Base(path.Dir(req.URL.Path)), path.Base(req.URL.Path)
			before := h.get(req.Context(), kind, name)
			res, err := next.RoundTrip(req)
			if err != nil || res.StatusCode >= 300 {
				return res, err
			}
			h.written++
			h.log = append(h.log, "   bridge: "+req.Method+" "+kind+"/"+name)
			if before != nil {
				if _, ours := bridge.OwnershipOf(before); !ours {
					h.t.Errorf("%s changed %s %s, which is not the bridge's: labels %v", req.Method, kind, name, before.GetLabels())
				}
			}
			return res, nil
		})
	})
}

func (h *history) get(ctx context.Context, kind, name string) metav1.Object {
	if kind == "services" {
		if s, err := h.kube.CoreV1().Services(h.ns).Get(ctx, name, metav1.GetOptions{}); err == nil {
			return s
		}
		return nil
	}
	if s, err := h.kube.DiscoveryV1().EndpointSlices(h.ns).Get(ctx, name, metav1.GetOptions{}); err == nil {
		return s
	}
	return nil
}

// user does something that users do.
func (h *history) user(ctx context.Context) {
	services, endpointSlices := h.kube.CoreV1().Services(h.ns), h.kube.DiscoveryV1().EndpointSlices(h.ns)
	patch := func(labels string) []byte { return []byte(`{"metadata":{"labels":{` + labels + `}}}`) }
	var what string
	var err error
	switch h.rand.IntN(7) {
	case 0:
		what = "creates a Service, with marks copied from elsewhere"
		_, err = services.Create(ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{
				Name:        contested,
				Labels:      map[string]string{"viaduct-sdk.github.io/role": "import", "viaduct-sdk.github.io/id": "0123456789"},
				Annotations: map[string]string{"viaduct-sdk.github.io/source": `{"cluster":"east","namespace":"` + h.ns + `","name":"` + contested + `","uid":"x"}`},
			},
			Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 5432}}},
		}, metav1.CreateOptions{})
	case 1:
		what = "deletes the Service"
		err = services.Delete(ctx, contested, metav1.DeleteOptions{})
	case 2:
		what = "edits the Service"
		_, err = services.Patch(ctx, contested, types.MergePatchType, []byte(`{"spec":{"ports":[{"name":"mine","port":1234}]}}`), metav1.PatchOptions{})
	case 3:
		what = "takes the Service out of the bridge's hands"
		_, err = services.Patch(ctx, contested, types.MergePatchType, patch(`"viaduct-sdk.github.io/id":null`), metav1.PatchOptions{})
	case 4:
		what = "creates a slice"
		_, err = endpointSlices.Create(ctx, &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Name: contested + "-mine", Labels: map[string]string{discoveryv1.LabelServiceName: contested}},
			AddressType: discoveryv1.AddressTypeIPv4,
		}, metav1.CreateOptions{})
	case 5:
		what = "deletes a slice"
		err = h.someSlice(ctx, func(name string) error { return endpointSlices.Delete(ctx, name, metav1.DeleteOptions{}) })
	case 6:
		what = "relabels a slice"
		err = h.someSlice(ctx, func(name string) error {
			_, err := endpointSlices.Patch(ctx, name, types.MergePatchType, patch(`"viaduct-sdk.github.io/role":"mine"`), metav1.PatchOptions{})
			return err
		})
	}
	h.log = append(h.log, fmt.Sprintf("   user: %s: %v", what, apierrors.ReasonForError(err)))
}

func (h *history) someSlice(ctx context.Context, f func(name string) error) error {
	list, err := h.kube.DiscoveryV1().EndpointSlices(h.ns).List(ctx, metav1.ListOptions{})
	if err != nil || len(list.Items) == 0 {
		return err
	}
	return f(list.Items[h.rand.IntN(len(list.Items))].Name)
}

// clear removes what is there, as the user.
func (h *history) clear(ctx context.Context) {
	if err := h.kube.CoreV1().Services(h.ns).Delete(ctx, contested, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		h.t.Error(err)
	}
	if err := h.kube.DiscoveryV1().EndpointSlices(h.ns).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		h.t.Error(err)
	}
}

func (h *history) say(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log = append(h.log, fmt.Sprintf(format, args...))
}
