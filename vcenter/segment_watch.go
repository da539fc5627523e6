// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/viaduct-sdk/viaduct"
)

// SegmentEventKind is what happened to a port group.
type SegmentEventKind string

// The kinds of event.
const (
	SegmentAdded   SegmentEventKind = "added"
	SegmentChanged SegmentEventKind = "changed"
	SegmentRemoved SegmentEventKind = "removed"
	// SegmentSynced comes once, when all port groups that were there at the
	// beginning were reported as added.
	SegmentSynced SegmentEventKind = "synced"
)

// SegmentEvent is one event of a watch.
type SegmentEvent struct {
	Kind SegmentEventKind
	// Before is the zero value when the port group was added, After when it
	// was removed; both are when the watch is synced.
	Before, After SegmentPortGroup
}

// String returns the kind and the port group.
func (e SegmentEvent) String() string {
	switch e.Kind {
	case SegmentSynced:
		return string(e.Kind)
	case SegmentRemoved:
		return string(e.Kind) + " " + e.Before.String()
	default:
		return string(e.Kind) + " " + e.After.String()
	}
}

// waitSeconds is how long the server holds a wait in which nothing happens:
// less than an attempt may take.
const waitSeconds = 30

// closeTimeout is how long ending a watch may take.
const closeTimeout = 10 * time.Second

// Watch reports the port groups that belong to segments of NSX: first all that
// there are as added, then a SegmentSynced, then each change as it happens,
// until the loop breaks or ctx ends. Changes that come together are sorted by
// name.
//
// When the session or the connection is lost, the watch makes a new one and
// goes on: what changed meanwhile is reported once, what did not is not
// reported again. A port group that was added and removed between two looks is
// not seen. When the server can't be reached again, the watch ends with an
// error that matches [viaduct.ErrUnavailable].
//
// It yields at most one error, last. The wait happens on the goroutine that
// ranges; nothing is left behind when the loop ends.
func (s SegmentPortGroups) Watch(ctx context.Context) iter.Seq2[SegmentEvent, error] {
	return func(yield func(SegmentEvent, error) bool) {
		w := &segmentWatch{c: s.c, known: map[types.ManagedObjectReference]SegmentPortGroup{}}
		for vain := 0; ; vain++ {
			w.looked = false
			began := time.Now()
			more, err := w.session(ctx, s, yield)
			if !more {
				return
			}
			if w.looked {
				vain = 0
			}
			if !resumable(err) || vain == maxVain {
				yield(SegmentEvent{}, err)
				return
			}
			if rest := resumePause - time.Since(began); rest > 0 && !sleep(ctx, rest) {
				yield(SegmentEvent{}, fmt.Errorf("vcenter: watch segment port groups: %w", context.Cause(ctx)))
				return
			}
		}
	}
}

// A watch that is lost is resumed not sooner than resumePause after it began,
// and given up when it was lost maxVain times in a row before it saw anything.
const (
	maxVain     = 5
	resumePause = time.Second
)

// sleep reports whether ctx lasted so long.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// segmentWatch is one loop over a watch.
type segmentWatch struct {
	c      *Client
	known  map[types.ManagedObjectReference]SegmentPortGroup // as reported
	synced bool
	looked bool // the current session answered a wait
}

// lost is a wait that was lost on its way, together with what it would have
// reported.
type lost struct{ error }

func (l lost) Unwrap() error { return l.error }

// resumable reports whether an error means that what the watch kept on the
// server is gone, with the session or otherwise, while the server may answer.
func resumable(err error) bool {
	switch faultOf(err) {
	case faultObjectNotFound, faultVersion, faultCanceled, faultNotAuthenticated:
		return true
	default:
		var l lost
		return errors.As(err, &l)
	}
}

// session watches with one property collector of its own, until that is lost.
// It reports false when the loop over the watch ended.
func (w *segmentWatch) session(ctx context.Context, s SegmentPortGroups, yield func(SegmentEvent, error) bool) (more bool, err error) {
	root, err := s.root(ctx)
	if err != nil {
		return true, err
	}
	collector, err := w.open(ctx, root)
	if err != nil {
		return true, err
	}
	defer w.close(ctx, collector)
	seen := newInventory()
	version, first := "", true
	for {
		set, err := w.next(ctx, collector, version)
		if err != nil {
			return true, err
		}
		w.looked = true
		var touched []types.ManagedObjectReference
		truncated := false
		if set != nil {
			version = set.Version
			truncated = set.Truncated != nil && *set.Truncated
			for _, filter := range set.FilterSet {
				for _, u := range filter.ObjectSet {
					seen.apply(u)
					touched = append(touched, u.Obj)
				}
			}
		}
		switch {
		case first && truncated:
			continue // the whole state first
		case first:
			first = false
			touched = w.everything(seen)
		}
		if !w.report(seen, touched, yield) {
			return false, nil
		}
		if !w.synced {
			w.synced = true
			if !yield(SegmentEvent{Kind: SegmentSynced}, nil) {
				return false, nil
			}
		}
	}
}

// open makes a property collector with the filter.
func (w *segmentWatch) open(ctx context.Context, root soapRoot) (types.ManagedObjectReference, error) {
	const op, object = "watch segment port groups", "all"
	created := &methods.CreatePropertyCollectorBody{Req: &types.CreatePropertyCollector{This: root.collector}}
	if err := w.c.vim(ctx, op, object, created); err != nil {
		return types.ManagedObjectReference{}, err
	}
	collector := created.Res.Returnval
	filter := &methods.CreateFilterBody{Req: &types.CreateFilter{This: collector, Spec: networkFilter(root.folder)}}
	if err := w.c.vim(ctx, op, object, filter); err != nil {
		w.close(ctx, collector)
		return types.ManagedObjectReference{}, err
	}
	return collector, nil
}

// close gives the collector back, also when ctx ended. One that is gone with
// its session is no matter.
func (w *segmentWatch) close(ctx context.Context, collector types.ManagedObjectReference) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_ = w.c.vim(ctx, "end watch of segment port groups", "all", &methods.DestroyPropertyCollectorBody{
		Req: &types.DestroyPropertyCollector{This: collector},
	})
}

// next waits for changes since version. The first time it does not wait. Nil
// means that nothing happened.
func (w *segmentWatch) next(ctx context.Context, collector types.ManagedObjectReference, version string) (*types.UpdateSet, error) {
	seconds := int32(waitSeconds)
	if version == "" {
		seconds = 0
	}
	body := &methods.WaitForUpdatesExBody{Req: &types.WaitForUpdatesEx{
		This: collector, Version: version, Options: &types.WaitOptions{MaxWaitSeconds: new(seconds)},
	}}
	err := w.c.vim(ctx, "watch segment port groups", "all", body)
	switch {
	case err == nil:
		return body.Res.Returnval, nil
	case ctx.Err() == nil && errors.Is(err, viaduct.ErrUnavailable):
		return nil, lost{err}
	default:
		return nil, err
	}
}

// everything returns all that is known or seen, to compare both after a start.
func (w *segmentWatch) everything(seen *networkInventory) []types.ManagedObjectReference {
	refs := make([]types.ManagedObjectReference, 0, len(seen.objects)+len(w.known))
	for ref := range seen.objects {
		refs = append(refs, ref)
	}
	for ref := range w.known {
		if _, ok := seen.objects[ref]; !ok {
			refs = append(refs, ref)
		}
	}
	return refs
}

// report compares the objects that were touched with what was reported, and
// yields the differences.
func (w *segmentWatch) report(seen *networkInventory, touched []types.ManagedObjectReference, yield func(SegmentEvent, error) bool) bool {
	if slices.ContainsFunc(touched, isSwitch) {
		touched = w.everything(seen) // a switch's name is on its port groups
	}
	var events []SegmentEvent
	for _, ref := range touched {
		before, was := w.known[ref]
		after, is := seen.portGroup(ref)
		switch {
		case is && !was:
			events = append(events, SegmentEvent{Kind: SegmentAdded, After: after})
		case is && before != after:
			events = append(events, SegmentEvent{Kind: SegmentChanged, Before: before, After: after})
		case was && !is:
			events = append(events, SegmentEvent{Kind: SegmentRemoved, Before: before})
			delete(w.known, ref)
			continue
		default:
			continue
		}
		w.known[ref] = after
	}
	slices.SortFunc(events, func(a, b SegmentEvent) int { return comparePortGroups(a.subject(), b.subject()) })
	for _, e := range events {
		if !yield(e, nil) {
			return false
		}
	}
	return true
}

// subject is the port group that the event is about.
func (e SegmentEvent) subject() SegmentPortGroup {
	if e.Kind == SegmentRemoved {
		return e.Before
	}
	return e.After
}
