// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct/bridge"
	"github.com/viaduct-sdk/viaduct/tkc"
)

// state is how far a cluster is.
type state string

const (
	waiting  state = "waiting"
	retrying state = "retrying"
	serving  state = "serving"
	failing  state = "failing"
	gone     state = "gone"
)

// follower imports the documents into every TK cluster that becomes ready.
type follower struct {
	clusters  *tkc.Client
	documents []*bridge.Exported
	// report is called by several goroutines.
	report func(cluster types.NamespacedName, s state, text string)
}

// run follows the TK clusters until ctx ends; the error is its cause then. Each
// cluster has a goroutine of its own, so that one that does not answer holds up
// no other.
func (f *follower) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	cancel := map[types.NamespacedName]context.CancelFunc{}
	for event, err := range f.clusters.Watch(ctx, tkc.ListOptions{}) {
		if err != nil {
			return err
		}
		key := event.Cluster.Key()
		switch event.Type {
		case tkc.EventAdded:
			f.report(key, waiting, fmt.Sprintf("%s has come.", key))
		case tkc.EventReady:
			if cancel[key] != nil {
				cancel[key]() // it was ready before: look again
			}
			var own context.Context
			own, cancel[key] = context.WithCancel(ctx)
			work.Go(func() { f.serve(own, key) })
		case tkc.EventGone:
			if cancel[key] != nil {
				cancel[key]()
				delete(cancel, key)
			}
			// What was imported went with the cluster.
			f.report(key, gone, fmt.Sprintf("%s is gone.", key))
		case tkc.EventChanged:
		}
	}
	return context.Cause(ctx)
}

// serve imports, again after a pause when another try may help.
func (f *follower) serve(ctx context.Context, key types.NamespacedName) {
	for pause := time.Second; ; pause = min(2*pause, time.Minute) {
		n, err := f.importAll(ctx, key)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			f.report(key, serving, fmt.Sprintf("%s has %d services (%d writes).", key, len(f.documents), n))
			return
		case !bridge.Retryable(err):
			f.report(key, failing, fmt.Sprintf("%s cannot have them: %v", key, err))
			return
		}
		f.report(key, retrying, fmt.Sprintf("%s: again in %s: %v", key, pause, err))
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// importAll gives a cluster all services and returns how many objects it wrote
// for that: none when they are there already.
func (f *follower) importAll(ctx context.Context, key types.NamespacedName) (writes int, err error) {
	access, err := f.clusters.Access(ctx, key.Namespace, key.Name)
	if err != nil {
		return 0, err
	}
	cluster, err := bridge.NewCluster(key.Name, access.Config())
	if err != nil {
		return 0, err
	}
	all, err := bridge.ImportAll(ctx, cluster, f.documents, bridge.WithCreateNamespace())
	if err != nil {
		return 0, err
	}
	for _, item := range all.Items {
		writes += len(item.Plan.Steps)
	}
	return writes, all.Err()
}
