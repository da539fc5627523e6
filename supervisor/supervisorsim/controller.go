// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

// How soon and how late a failed key is tried again.
const (
	retryFirst = 20 * time.Millisecond
	retryLast  = 5 * time.Second
)

// objectKey names one life of an object: another object that takes the name
// over has another UID.
type objectKey struct {
	types.NamespacedName
	uid types.UID
}

// controller brings what one kind of object asks for about, level-triggered: a
// key says that something changed, never what.
type controller struct {
	kind      string
	queue     workqueue.TypedRateLimitingInterface[objectKey]
	reconcile func(context.Context, objectKey) error
	log       *slog.Logger
}

func newController(kind string, log *slog.Logger, reconcile func(context.Context, objectKey) error) *controller {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[objectKey](retryFirst, retryLast)
	return &controller{
		kind:      kind,
		queue:     workqueue.NewTypedRateLimitingQueue(limiter),
		reconcile: reconcile,
		log:       log,
	}
}

// run works until ctx ends. It returns when the workers have ended.
func (c *controller) run(ctx context.Context, workers int) {
	stop := context.AfterFunc(ctx, c.queue.ShutDown)
	defer stop()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for c.next(ctx) {
			}
		})
	}
	wg.Wait()
}

func (c *controller) next(ctx context.Context) bool {
	key, shutdown := c.queue.Get()
	if shutdown {
		return false
	}
	defer c.queue.Done(key)
	if err := c.reconcile(ctx, key); err != nil && ctx.Err() == nil {
		c.log.Debug("will try again", "kind", c.kind, "object", key.String(), "error", err)
		c.queue.AddRateLimited(key)
		return true
	}
	c.queue.Forget(key)
	return true
}

// watch adds the key of each object of the informer that appears, changes or
// goes, and calls more, when given, with it.
func (c *controller) watch(informer cache.SharedIndexInformer, more ...func(object)) error {
	return onChange(informer, func(o object) {
		c.queue.Add(keyOf(o))
		for _, f := range more {
			f(o)
		}
	})
}

// object is what every Kubernetes object can tell of itself.
type object interface {
	GetNamespace() string
	GetName() string
	GetUID() types.UID
}

func keyOf(o object) objectKey {
	return objectKey{types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}, o.GetUID()}
}

// onChange calls changed with each object that appears, changes or goes. Of an
// update it gets both states, because either may concern others.
func onChange(informer cache.SharedIndexInformer, changed func(object)) error {
	call := func(obj any) {
		if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = gone.Obj
		}
		if o, ok := obj.(object); ok {
			changed(o)
		}
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    call,
		UpdateFunc: func(before, after any) { call(before); call(after) },
		DeleteFunc: call,
	})
	if err != nil {
		return fmt.Errorf("supervisorsim: watch: %w", err)
	}
	return nil
}
