// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"reflect"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// EventType is what happened to a TK cluster.
type EventType string

// The events. A cluster begins with EventAdded and ends with EventGone.
const (
	EventAdded EventType = "added"
	// EventReady is a cluster that has become ready; it follows EventAdded for
	// one that was when it was first seen.
	EventReady   EventType = "ready"
	EventChanged EventType = "changed"
	// EventGone has the cluster as it was last seen.
	EventGone EventType = "gone"
)

// Event is a change of a TK cluster.
type Event struct {
	Type    EventType
	Cluster Cluster
}

// Watch iterates over what happens to the TK clusters until ctx ends: first one or
// two events for each that is there, then each change of a [Cluster]. A cluster
// that was replaced by another of its name goes, and the other one is added.
//
// It outlives ends of its connections and restarts of the API server, and lists
// again then: events that happened meanwhile may be missing, but those that
// follow lead from what was seen before to what is there now.
// What the namespaces of [WithNamespaces] are is asked once.
//
// It yields at most one error, last: the cause of ctx's end; or one that matches
// [viaduct.ErrForbidden] when the user may not watch, [viaduct.ErrUnsupported]
// when the server has no TK clusters. Breaking out of the loop ends everything.
func (c *Client) Watch(ctx context.Context, opts ListOptions) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if err := c.watch(ctx, opts, func(e Event) bool { return yield(e, nil) }); err != nil {
			yield(Event{}, err)
		}
	}
}

// source is one of the watches that a Watch is made of.
type source struct {
	api       API
	namespace string // empty: all
}

func (s source) has(key types.NamespacedName) bool {
	return s.namespace == "" || s.namespace == key.Namespace
}

// sourced is a change that a source saw, or its end.
type sourced struct {
	source source
	change
	err error
}

func (c *Client) watch(ctx context.Context, opts ListOptions, yield func(Event) bool) error {
	const op = "watch clusters"
	namespaces, err := c.namespaces(ctx, opts.Namespace)
	if err != nil {
		return err
	}
	apis, err := c.APIs(ctx)
	if err != nil {
		return err
	}
	inner, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	changes := make(chan sourced)
	send := func(s sourced) bool {
		select {
		case changes <- s:
			return true
		case <-inner.Done():
			return false
		}
	}
	w := &watched{
		pairs: map[types.NamespacedName]pair{}, known: map[types.NamespacedName]Cluster{}, unsynced: map[source]bool{}, yield: yield,
	}
	for _, api := range apis {
		for _, namespace := range namespaces {
			s := source{api, namespace}
			w.unsynced[s] = true
			f := follower{objects: c.objects(api, namespace), opts: metav1.ListOptions{LabelSelector: opts.LabelSelector}, op: op, object: namespace}
			group.Go(func() {
				err := f.run(inner, func(c change) bool { return send(sourced{source: s, change: c}) })
				send(sourced{source: s, err: err})
			})
		}
	}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case s := <-changes:
			if s.err != nil {
				return s.err
			}
			if !w.take(s) {
				return nil
			}
		}
	}
}

// watched is what a watch has seen and told.
type watched struct {
	pairs    map[types.NamespacedName]pair
	known    map[types.NamespacedName]Cluster // as told
	unsynced map[source]bool
	yield    func(Event) bool
}

// take takes a change in and tells what follows from it. It returns false when
// nobody listens any more.
func (w *watched) take(s sourced) bool {
	touched := map[types.NamespacedName]bool{}
	set := func(key types.NamespacedName, o *unstructured.Unstructured) {
		p := w.pairs[key]
		p.set(s.source.api, o)
		w.pairs[key] = p
		touched[key] = true
	}
	switch {
	case s.listed:
		for key := range w.pairs {
			if s.source.has(key) {
				set(key, nil)
			}
		}
		for i := range s.replaced {
			set(keyOf(&s.replaced[i]), &s.replaced[i])
		}
	case s.changed != nil:
		set(keyOf(s.changed), s.changed)
	case s.gone != nil:
		set(keyOf(s.gone), nil)
	}
	// Half of what there is would look like another cluster.
	if len(w.unsynced) > 0 {
		delete(w.unsynced, s.source)
		if len(w.unsynced) > 0 {
			return true
		}
		touched = map[types.NamespacedName]bool{}
		for key := range w.pairs {
			touched[key] = true
		}
	}
	keys := slices.SortedFunc(maps.Keys(touched), func(a, b types.NamespacedName) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	for _, key := range keys {
		if !w.tell(key) {
			return false
		}
	}
	return true
}

// tell yields the events that lead from what was told about a cluster to what is
// there.
func (w *watched) tell(key types.NamespacedName) bool {
	old, known := w.known[key]
	p := w.pairs[key]
	if p.isEmpty() {
		delete(w.pairs, key)
		delete(w.known, key)
		return !known || w.yield(Event{EventGone, old})
	}
	now := p.view()
	if known && old.UID != now.UID {
		if !w.yield(Event{EventGone, old}) {
			return false
		}
		known = false
	}
	if !known {
		w.known[key] = now
		return w.yield(Event{EventAdded, now}) && (!now.IsReady() || w.yield(Event{EventReady, now}))
	}
	if old.IsDeleted() && !now.IsDeleted() {
		// The object that was to be deleted has gone, and another's watch is
		// behind: nothing that is deleted comes back.
		now.Deleted, now.Phase = old.Deleted, PhaseDeleting
	}
	w.known[key] = now
	switch {
	case reflect.DeepEqual(old, now):
		return true
	case now.IsReady() && !old.IsReady():
		return w.yield(Event{EventReady, now})
	default:
		return w.yield(Event{EventChanged, now})
	}
}
