// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/tkc"
)

// watching runs a watch and hands its events out one by one.
type watching struct {
	t      *testing.T
	events chan string
	ended  chan error
}

func startWatch(t *testing.T, c *tkc.Client) *watching {
	w := &watching{t: t, events: make(chan string, 1000), ended: make(chan error, 1)}
	go func() {
		for e, err := range c.Watch(t.Context(), tkc.ListOptions{}) {
			if err != nil {
				w.ended <- err
				return
			}
			w.events <- fmt.Sprintf("%s %s/%s", e.Type, e.Cluster.Namespace, e.Cluster.Name)
		}
	}()
	return w
}

func (w *watching) want(events ...string) {
	w.t.Helper()
	synctest.Wait()
	for _, want := range events {
		select {
		case got := <-w.events:
			if got != want {
				w.t.Errorf("event %q, want %q", got, want)
			}
		default:
			w.t.Errorf("no event, want %q", want)
		}
	}
	select {
	case got := <-w.events:
		w.t.Errorf("one event more: %q", got)
	default:
	}
}

// end returns the error that the watch ends with.
func (w *watching) end() error {
	const patience = time.Hour // of the bubble's time
	select {
	case err := <-w.ended:
		return err
	case <-time.After(patience):
		return nil
	}
}

// TestWatch sees a cluster through its life, under two APIs.
func TestWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(tkc.TanzuV1alpha3, tkc.ClusterV1beta1)
		f.put(cluster(tkc.TanzuV1alpha3, "acme-app", "old", true))
		f.put(cluster(tkc.TanzuV1alpha3, "acme-app", "two", true))
		f.put(cluster(tkc.ClusterV1beta1, "acme-app", "two", true))
		w := startWatch(t, f.client(t))
		w.want("added acme-app/old", "ready acme-app/old", "added acme-app/two", "ready acme-app/two")

		tanzu := cluster(tkc.TanzuV1alpha3, "acme-app", "a", false)
		f.put(tanzu)
		w.want("added acme-app/a")
		beside := cluster(tkc.ClusterV1beta1, "acme-app", "a", false)
		beside.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: string(tkc.TanzuV1alpha3), Kind: "TanzuKubernetesCluster", Name: "a", UID: tanzu.GetUID()}})
		f.put(beside)
		w.want("changed acme-app/a")
		f.put(cluster(tkc.TanzuV1alpha3, "acme-app", "a", true))
		w.want("ready acme-app/a")
		same := cluster(tkc.TanzuV1alpha3, "acme-app", "a", true)
		same.SetAnnotations(map[string]string{"touched": "yes"})
		f.put(same)
		w.want() // nothing that is in the view

		now := metav1.Now()
		same.SetDeletionTimestamp(&now)
		f.put(same)
		w.want("changed acme-app/a")
		ready := beside.DeepCopy()
		ready.Object["status"] = cluster(tkc.ClusterV1beta1, "", "", true).Object["status"]
		f.put(ready)
		w.want() // what the TanzuKubernetesCluster says counts
		f.drop(string(tkc.TanzuV1alpha3), "acme-app", "a")
		w.want("changed acme-app/a") // and not ready again
		f.drop(string(tkc.ClusterV1beta1), "acme-app", "a")
		w.want("gone acme-app/a")

		anew := cluster(tkc.TanzuV1alpha3, "acme-app", "old", true)
		anew.SetUID("anew")
		f.put(anew)
		w.want("gone acme-app/old", "added acme-app/old", "ready acme-app/old")
	})
}

// TestWatchReconnects loses connections, and the server's memory.
func TestWatchReconnects(t *testing.T) {
	t.Parallel()
	for _, code := range []int32{0, http.StatusGone, http.StatusInternalServerError} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFake(tkc.ClusterV1beta2)
				f.put(cluster(tkc.ClusterV1beta2, "acme-app", "stays", true))
				f.put(cluster(tkc.ClusterV1beta2, "acme-app", "goes", true))
				w := startWatch(t, f.client(t))
				w.want("added acme-app/goes", "ready acme-app/goes", "added acme-app/stays", "ready acme-app/stays")
				// Away, refusing for a while as a server does that is starting.
				refusals := 0
				f.setFault(func(*http.Request) (int, metav1.StatusReason) {
					if refusals++; refusals > 6 {
						return 0, ""
					}
					return []int{http.StatusServiceUnavailable, http.StatusForbidden, http.StatusNotFound}[refusals%3], ""
				})
				f.disconnect(code)
				f.drop(string(tkc.ClusterV1beta2), "acme-app", "goes")
				f.put(cluster(tkc.ClusterV1beta2, "acme-app", "comes", false))
				if err := pass(t.Context(), 60_000); err != nil {
					t.Fatal(err)
				}
				w.want("added acme-app/comes", "gone acme-app/goes")
			})
		})
	}
}

// TestWatchResumes goes on with a watch that the server ended in good order, and
// is refused at first: because the version is too old, or because the server has
// just been started.
func TestWatchResumes(t *testing.T) {
	t.Parallel()
	for _, code := range []int{http.StatusGone, http.StatusForbidden, http.StatusNotFound, http.StatusUnauthorized} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFake(tkc.ClusterV1beta2)
				w := startWatch(t, f.client(t))
				w.want()
				f.put(cluster(tkc.ClusterV1beta2, "acme-app", "first", false))
				w.want("added acme-app/first")
				refused := false
				f.setFault(func(r *http.Request) (int, metav1.StatusReason) {
					if !refused && r.URL.Query().Get("watch") != "" {
						refused = true
						return code, metav1.StatusReasonExpired
					}
					return 0, ""
				})
				f.disconnect(0)
				if err := pass(t.Context(), 60_000); err != nil {
					t.Fatal(err)
				}
				f.put(cluster(tkc.ClusterV1beta2, "acme-app", "second", false))
				w.want("added acme-app/second")
				if !refused {
					t.Error("the watch was not refused")
				}
			})
		})
	}
}

// TestWatchEnds checks what ends a watch.
func TestWatchEnds(t *testing.T) {
	t.Parallel()
	forbidden := func(r *http.Request) (int, metav1.StatusReason) {
		if strings.Contains(r.URL.Path, "clusters") {
			return http.StatusForbidden, metav1.StatusReasonForbidden
		}
		return 0, ""
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFake(tkc.ClusterV1beta2)
		f.setFault(forbidden)
		if err := startWatch(t, f.client(t)).end(); !errors.Is(err, viaduct.ErrForbidden) {
			t.Errorf("forbidden: %v", err)
		}
		if err := startWatch(t, newFake().client(t)).end(); !errors.Is(err, viaduct.ErrUnsupported) {
			t.Errorf("no API: %v", err)
		}
		// Forbidden later on, and staying so.
		f.setFault(nil)
		w := startWatch(t, f.client(t))
		synctest.Wait()
		f.setFault(forbidden)
		f.disconnect(http.StatusGone)
		if err := w.end(); !errors.Is(err, viaduct.ErrForbidden) {
			t.Errorf("forbidden later: %v", err)
		}
		f.setFault(nil)
		over := errors.New("over")
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		f.put(cluster(tkc.ClusterV1beta2, "acme-app", "a", false))
		var last error
		for _, err := range f.client(t).Watch(ctx, tkc.ListOptions{Namespace: "acme-app"}) {
			last = err
			cancel(over)
		}
		if !errors.Is(last, over) {
			t.Errorf("ended with %v", last)
		}
		for range f.client(t).Watch(t.Context(), tkc.ListOptions{}) {
			break // and nothing is left that runs, or the bubble would not end
		}
	})
}

// TestWatchReplay makes and removes clusters at random while connections are lost,
// and compares what the events add up to with what is there.
func TestWatchReplay(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { replay(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func replay(t *testing.T, random *rand.Rand) {
	f := newFake(tkc.TanzuV1alpha3, tkc.ClusterV1beta1)
	c := f.client(t)
	ctx, cancel := context.WithCancel(t.Context())
	state := map[types.NamespacedName]tkc.Cluster{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for e, err := range c.Watch(ctx, tkc.ListOptions{}) {
			if err != nil {
				return
			}
			apply(t, state, e)
		}
	}()
	apis := []tkc.API{tkc.TanzuV1alpha3, tkc.ClusterV1beta1}
	for range 300 {
		api, name := apis[random.IntN(2)], fmt.Sprintf("c%d", random.IntN(10))
		switch random.IntN(5) {
		case 0, 1:
			u := cluster(api, "acme-app", name, random.IntN(2) == 0)
			u.SetUID(types.UID(fmt.Sprintf("%s-%d", name, random.IntN(2))))
			if api == tkc.ClusterV1beta1 && random.IntN(2) == 0 {
				u.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: string(tkc.TanzuV1alpha3), Kind: "TanzuKubernetesCluster", Name: name, UID: types.UID(name + "-0")}})
			}
			f.put(u)
		case 2:
			f.drop(string(api), "acme-app", name)
		case 3:
			f.disconnect([]int32{0, http.StatusGone}[random.IntN(2)])
		default:
			if err := pass(ctx, random.IntN(300)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := pass(ctx, 60_000); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	cancel()
	<-ended
	all, err := c.List(t.Context(), tkc.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[types.NamespacedName]tkc.Cluster{}
	for _, cluster := range all {
		want[cluster.Key()] = cluster
	}
	if diff := cmp.Diff(want, state, cmp.AllowUnexported(tkc.Cluster{})); diff != "" {
		t.Error(diff)
	}
}

// apply does to the state what the event says, and checks that the event makes
// sense there.
func apply(t *testing.T, state map[types.NamespacedName]tkc.Cluster, e tkc.Event) {
	t.Helper()
	old, known := state[e.Cluster.Key()]
	if known == (e.Type == tkc.EventAdded) {
		t.Errorf("event %s of %s, which was known: %t", e.Type, e.Cluster.Key(), known)
	}
	if known && old.UID != e.Cluster.UID {
		t.Errorf("event %s of %s has another UID", e.Type, e.Cluster.Key())
	}
	if e.Type == tkc.EventGone {
		delete(state, e.Cluster.Key())
		return
	}
	state[e.Cluster.Key()] = e.Cluster
}

// pass lets time pass in the bubble.
func pass(ctx context.Context, milliseconds int) error {
	select {
	case <-time.After(time.Duration(milliseconds) * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
