// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"github.com/viaduct-sdk/viaduct"
)

// follower keeps somebody informed about objects, across ends of watches and
// restarts of the server.
type follower struct {
	objects dynamic.ResourceInterface
	opts    metav1.ListOptions
	op      string
	object  string
}

// change is what happened: a list, which replaces all that was known, or one
// object that is there or that has gone.
type change struct {
	listed   bool
	replaced []unstructured.Unstructured
	changed  *unstructured.Unstructured
	gone     *unstructured.Unstructured
}

// How long to wait after a failure, and how many refusals in a row end it: a
// server that has just been started refuses what it will allow in a moment.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
	mostRefusals = 10
)

// run tells sink of all changes in their order until ctx ends, sink returns false,
// or the server refuses.
func (f follower) run(ctx context.Context, sink func(change) bool) error {
	pause, refusals, succeeded := firstPause, 0, false
	for {
		progress, err := f.listAndWatch(ctx, sink)
		switch {
		case errors.Is(err, errStopped):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case progress:
			pause, refusals, succeeded = firstPause, 0, true
		}
		if err != nil && !isTransient(err) {
			if refusals++; !succeeded || refusals >= mostRefusals {
				return err
			}
		}
		if !sleep(ctx, pause/2+rand.N(pause/2)) { //nolint:gosec // to spread load, no secret
			return context.Cause(ctx)
		}
		pause = min(2*pause, longestPause)
	}
}

var errStopped = errors.New("stopped")

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

// listAndWatch lists, and watches until something goes wrong. It reports whether
// it got anywhere: a list without a watch does not count.
func (f follower) listAndWatch(ctx context.Context, sink func(change) bool) (bool, error) {
	items, version, err := listAll(ctx, f.objects, f.opts)
	if err != nil {
		return false, listError(f.op, f.object, err)
	}
	if !sink(change{listed: true, replaced: items}) {
		return true, errStopped
	}
	watched := false
	for {
		next, opened, err := f.watch(ctx, version, sink)
		watched = watched || opened
		if err != nil {
			return watched, err
		}
		if next == version {
			return watched, nil // it ended without a word: list again, after a pause
		}
		version = next
	}
}

// watch watches from a version on. It returns the version to go on from when the
// server ended the watch in good order, and whether the server let it watch.
func (f follower) watch(ctx context.Context, version string, sink func(change) bool) (next string, opened bool, err error) {
	const seconds = 240 // the server ends it then, so that a dead connection does not last
	opts := f.opts
	opts.ResourceVersion, opts.AllowWatchBookmarks = version, true
	opts.TimeoutSeconds = new(int64(seconds + rand.N(seconds))) //nolint:gosec // to spread load, no secret
	w, err := f.objects.Watch(ctx, opts)
	if err != nil {
		if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
			return "", true, f.ended() // too late for that version, and no refusal
		}
		return "", false, listError(f.op, f.object, err)
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return "", true, context.Cause(ctx)
		case event, open := <-w.ResultChan():
			if !open {
				return version, true, nil
			}
			o, ok := event.Object.(*unstructured.Unstructured)
			if !ok || event.Type == watch.Error {
				return "", true, f.ended()
			}
			version = o.GetResourceVersion()
			if !f.tell(event.Type, o, sink) {
				return "", true, errStopped
			}
		}
	}
}

func (f follower) ended() error {
	return &Error{Op: f.op, Object: f.object, Message: "the server ended the watch", kind: viaduct.ErrUnavailable}
}

func (f follower) tell(kind watch.EventType, o *unstructured.Unstructured, sink func(change) bool) bool {
	switch kind {
	case watch.Added, watch.Modified:
		return sink(change{changed: o})
	case watch.Deleted:
		return sink(change{gone: o})
	default: // bookmarks
		return true
	}
}
