// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_tkc_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/poll"
	"github.com/viaduct-sdk/viaduct/supervisor/supervisorsim"
	"github.com/viaduct-sdk/viaduct/tkc"
)

// replay is what the events of a watch add up to.
type replay struct {
	t *testing.T

	mu     sync.Mutex
	state  map[types.NamespacedName]tkc.Cluster
	events map[tkc.EventType]int
}

// take applies an event, which must make sense where it comes.
func (r *replay) take(e tkc.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events[e.Type]++
	key := e.Cluster.Key()
	old, known := r.state[key]
	if known == (e.Type == tkc.EventAdded) {
		r.t.Errorf("event %s of %s, which was known: %t", e.Type, key, known)
	}
	if known && old.UID != e.Cluster.UID {
		r.t.Errorf("event %s of %s is about another cluster of that name", e.Type, key)
	}
	if e.Type == tkc.EventReady && (old.IsReady() || !e.Cluster.IsReady()) {
		r.t.Errorf("%s became ready, and was %t and is %t", key, old.IsReady(), e.Cluster.IsReady())
	}
	if e.Type == tkc.EventGone {
		delete(r.state, key)
	} else {
		r.state[key] = e.Cluster
	}
}

func (r *replay) snapshot() (map[types.NamespacedName]tkc.Cluster, map[tkc.EventType]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.state), maps.Clone(r.events)
}

// persist tries until the API server answers again.
func persist(ctx context.Context, attempt func() error) error {
	return poll.Until(ctx, func(context.Context) (string, bool, error) {
		err := attempt()
		if errors.Is(err, viaduct.ErrUnavailable) || errors.Is(err, viaduct.ErrForbidden) || errors.Is(err, viaduct.ErrUnsupported) {
			return err.Error(), false, nil // as a server answers that is starting
		}
		return "", err == nil, err
	})
}

// TestWatch200 creates and deletes 200 TK clusters in random order, kills the
// Supervisor's API server in the middle and starts it again, and compares what the
// events add up to with what is there.
func TestWatch200(t *testing.T) {
	t.Parallel()
	const clusters, workers = 200, 8
	l := newLab(t, supervisorsim.VSphere8())
	ctx := testContext(t)
	c := adminClient(t, l)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	r := &replay{t: t, state: map[types.NamespacedName]tkc.Cluster{}, events: map[tkc.EventType]int{}}
	var background sync.WaitGroup
	background.Go(func() {
		for e := range collect(watching, t, c, tkc.ListOptions{}) {
			r.take(e)
		}
	})

	random := rand.New(rand.NewPCG(200, 5))
	order := random.Perm(clusters)
	work := make(chan int)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for n := range work {
				if err := live(ctx, c, n, order); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i, n := range order {
		if i == clusters/2 {
			l.Supervisor.Kill()
			group.Go(func() {
				if err := l.Supervisor.Restart(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		select {
		case work <- n:
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		}
	}
	close(work)
	group.Wait()
	settle(ctx, t, c, clusters)

	// Events may lag behind the list, and end where it is.
	var want map[types.NamespacedName]tkc.Cluster
	var diff string
	err := poll.Until(ctx, func(ctx context.Context) (string, bool, error) {
		all, err := c.List(ctx, tkc.ListOptions{})
		if err != nil {
			return "", false, err
		}
		want = map[types.NamespacedName]tkc.Cluster{}
		for _, cluster := range all {
			want[cluster.Key()] = cluster
		}
		got, _ := r.snapshot()
		diff = cmp.Diff(want, got, cmp.AllowUnexported(tkc.Cluster{}))
		return "the events differ", diff == "", nil
	})
	if err != nil {
		t.Errorf("%v: %s", err, diff)
	}
	_, events := r.snapshot()
	t.Logf("%d clusters left; events: %v", len(want), events)
	if events[tkc.EventAdded] < len(want) || events[tkc.EventReady] < len(want) {
		t.Errorf("too few events: %v", events)
	}
	stop()
	background.Wait()
}

func name(n int) string { return fmt.Sprintf("short-lived-%03d", n) }

// live creates a cluster and deletes another, which may not be there yet, or may
// be halfway.
func live(ctx context.Context, c *tkc.Client, n int, order []int) error {
	apis := []tkc.API{tkc.TanzuV1alpha3, tkc.ClusterV1beta1}
	err := persist(ctx, func() error {
		_, err := c.Create(ctx, spec(name(n), apis[n%len(apis)]))
		if errors.Is(err, viaduct.ErrExists) {
			return nil // the answer to the first attempt was lost
		}
		return err
	})
	if err != nil || n%3 == 0 {
		return err
	}
	return persist(ctx, func() error { return c.Delete(ctx, "acme-app", name(order[n/2]), tkc.DeleteOptions{}) })
}

// settle waits until each cluster that is left is ready.
func settle(ctx context.Context, t *testing.T, c *tkc.Client, most int) {
	t.Helper()
	err := poll.Until(ctx, func(ctx context.Context) (string, bool, error) {
		all, err := c.List(ctx, tkc.ListOptions{})
		if err != nil {
			return "", false, err
		}
		busy := 0
		for _, cluster := range all {
			if !cluster.IsReady() {
				busy++
			}
		}
		return fmt.Sprintf("%d of %d clusters are not ready", busy, len(all)), busy == 0 && len(all) < most, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
