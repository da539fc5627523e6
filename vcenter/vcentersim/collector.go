// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcentersim

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/simulator/vpx"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	// settle lets changes that come together be reported together.
	settle = 5 * time.Millisecond
	// maxUpdates is how many objects vCenter reports at a time.
	maxUpdates = 100
)

// propertyCollector replaces the waiting of govmomi's simulator, which
// reports objects again and forgets removals when a view changes between two
// waits. This one compares what its filters select with what it reported
// last, so that each change is reported exactly once.
type propertyCollector struct {
	simulator.PropertyCollector

	server *Server // of the root collector only

	mu      sync.Mutex
	known   map[types.ManagedObjectReference]reported // by filter
	version int
	pending []types.PropertyFilterUpdate
	note    notifier
	cancel  context.CancelCauseFunc
	ended   bool
}

// reported is what a filter's objects looked like when they were reported.
type reported map[types.ManagedObjectReference]map[string]any

// Why a wait ended.
var (
	errCanceled = errors.New("canceled")
	errEnded    = errors.New("session ended")
)

// root returns the collector that knows the server.
func (pc *propertyCollector) root(ctx *simulator.Context) *Server {
	root, ok := ctx.Map.Get(vpx.ServiceContent.PropertyCollector).(*propertyCollector)
	if !ok {
		return pc.server
	}
	return root.server
}

// CreatePropertyCollector implements the method of the same name.
func (pc *propertyCollector) CreatePropertyCollector(ctx *simulator.Context, _ *types.CreatePropertyCollector) soap.HasFault {
	made := &propertyCollector{}
	made.Self = types.ManagedObjectReference{
		Type: "PropertyCollector", Value: fmt.Sprintf("session[%s]%s", ctx.Session.Key, uuid.NewString()),
	}
	ctx.Session.Put(made)
	return &methods.CreatePropertyCollectorBody{Res: &types.CreatePropertyCollectorResponse{Returnval: made.Self}}
}

// DestroyPropertyCollector implements the method of the same name.
func (pc *propertyCollector) DestroyPropertyCollector(ctx *simulator.Context, req *types.DestroyPropertyCollector) soap.HasFault {
	pc.CancelWaitForUpdates(&types.CancelWaitForUpdates{This: req.This})
	pc.unregister(ctx.Map)
	return pc.PropertyCollector.DestroyPropertyCollector(ctx, req)
}

// RetrievePropertiesEx implements the method of the same name.
func (pc *propertyCollector) RetrievePropertiesEx(ctx *simulator.Context, req *types.RetrievePropertiesEx) soap.HasFault {
	limit := int32(pc.root(ctx).opts.networkLimit) //nolint:gosec // a page's size
	if limit > 0 && (req.Options.MaxObjects == 0 || req.Options.MaxObjects > limit) {
		req.Options.MaxObjects = limit
	}
	return pc.PropertyCollector.RetrievePropertiesEx(ctx, req)
}

// CancelWaitForUpdates implements the method of the same name.
func (pc *propertyCollector) CancelWaitForUpdates(*types.CancelWaitForUpdates) soap.HasFault {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	if pc.cancel != nil {
		pc.cancel(errCanceled)
	}
	return &methods.CancelWaitForUpdatesBody{Res: new(types.CancelWaitForUpdatesResponse)}
}

// end ends the collector with its session.
func (pc *propertyCollector) end() {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	pc.ended = true
	if pc.cancel != nil {
		pc.cancel(errEnded)
	}
}

// WaitForUpdatesEx implements the method of the same name.
func (pc *propertyCollector) WaitForUpdatesEx(ctx *simulator.Context, req *types.WaitForUpdatesEx) soap.HasFault {
	server := pc.root(ctx)
	wait, stop := pc.begin(server.ctx, req.Options)
	defer stop(nil)
	body := &methods.WaitForUpdatesExBody{Res: &types.WaitForUpdatesExResponse{}}
	if fault := pc.resume(ctx, req.Version); fault != nil {
		return &methods.WaitForUpdatesExBody{Fault_: simulator.Fault("", fault)}
	}
	once := req.Version == "" || req.Options != nil && req.Options.MaxWaitSeconds != nil && *req.Options.MaxWaitSeconds == 0
	for {
		if err := pc.look(ctx); err != nil {
			return &methods.WaitForUpdatesExBody{Fault_: err}
		}
		body.Res.Returnval = pc.take(req.Options, req.Version == "")
		if body.Res.Returnval != nil || once {
			return body
		}
		if err := pc.sleep(wait); err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				return body
			}
			return &methods.WaitForUpdatesExBody{Fault_: simulator.Fault("", pc.whyEnded(err, server, req.This))}
		}
	}
}

// begin makes the context that ends the wait.
func (pc *propertyCollector) begin(ctx context.Context, o *types.WaitOptions) (context.Context, context.CancelCauseFunc) {
	wait, cancel := context.WithCancelCause(ctx)
	pc.mu.Lock()
	pc.cancel = cancel
	if pc.ended {
		cancel(errEnded)
	}
	pc.mu.Unlock()
	if o != nil && o.MaxWaitSeconds != nil && *o.MaxWaitSeconds > 0 {
		timed, stop := context.WithTimeout(wait, time.Duration(*o.MaxWaitSeconds)*time.Second)
		return timed, func(cause error) { cancel(cause); stop() }
	}
	return wait, cancel
}

// resume starts over when there is no version, and checks it when there is.
func (pc *propertyCollector) resume(ctx *simulator.Context, version string) types.BaseMethodFault {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	if version != "" {
		if version != strconv.Itoa(pc.version) {
			return &types.InvalidCollectorVersion{}
		}
		return nil
	}
	pc.known = map[types.ManagedObjectReference]reported{}
	pc.pending = nil
	if pc.note.wake == nil {
		// Sessions share the name of the root collector, so that the
		// registration needs a name of its own.
		ref := types.ManagedObjectReference{Type: "Notifier", Value: uuid.NewString()}
		pc.note = notifier{ref, make(chan struct{}, 1)}
		ctx.Map.AddHandler(pc.note)
	}
	return nil
}

func (pc *propertyCollector) unregister(registry *simulator.Registry) {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	if pc.note.wake != nil {
		registry.RemoveHandler(pc.note)
	}
}

// look compares what the filters select with what was reported.
func (pc *propertyCollector) look(ctx *simulator.Context) *soap.Fault {
	scene := &pc.root(ctx).vim.scene
	scene.RLock()
	defer scene.RUnlock()
	pc.mu.Lock()
	defer pc.mu.Unlock()
	for _, ref := range pc.Filter {
		filter, ok := ctx.Session.Get(ref).(*simulator.PropertyFilter)
		if !ok {
			continue
		}
		res := pc.PropertyCollector.RetrievePropertiesEx(ctx, &types.RetrievePropertiesEx{SpecSet: []types.PropertyFilterSpec{filter.Spec}})
		if res.Fault() != nil {
			return res.Fault()
		}
		body, ok := res.(*methods.RetrievePropertiesExBody)
		if !ok {
			continue
		}
		if changes := pc.compare(ref, body.Res.Returnval.Objects); len(changes) > 0 {
			pc.pending = append(pc.pending, types.PropertyFilterUpdate{Filter: ref, ObjectSet: changes})
		}
	}
	return nil
}

// compare returns what changed for a filter and remembers it. The caller
// holds mu.
func (pc *propertyCollector) compare(filter types.ManagedObjectReference, objects []types.ObjectContent) []types.ObjectUpdate {
	before, now := pc.known[filter], make(reported, len(objects))
	var updates []types.ObjectUpdate
	for _, o := range objects {
		values := make(map[string]any, len(o.PropSet))
		for _, p := range o.PropSet {
			values[p.Name] = p.Val
		}
		now[o.Obj] = values
		old, seen := before[o.Obj]
		update := types.ObjectUpdate{Obj: o.Obj, Kind: types.ObjectUpdateKindModify}
		if !seen {
			update.Kind = types.ObjectUpdateKindEnter
		}
		for _, p := range o.PropSet {
			if !seen || !reflect.DeepEqual(old[p.Name], p.Val) {
				update.ChangeSet = append(update.ChangeSet, types.PropertyChange{Name: p.Name, Op: types.PropertyChangeOpAssign, Val: p.Val})
			}
		}
		for name := range old {
			if _, still := values[name]; !still {
				update.ChangeSet = append(update.ChangeSet, types.PropertyChange{Name: name, Op: types.PropertyChangeOpRemove})
			}
		}
		if !seen || len(update.ChangeSet) > 0 {
			updates = append(updates, update)
		}
	}
	for ref := range before {
		if _, still := now[ref]; !still {
			updates = append(updates, types.ObjectUpdate{Obj: ref, Kind: types.ObjectUpdateKindLeave})
		}
	}
	pc.known[filter] = now
	return updates
}

// take returns the next updates to report. When there are none it returns nil
// or, the first time, an empty set with a version to go on from.
func (pc *propertyCollector) take(o *types.WaitOptions, first bool) *types.UpdateSet {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	if len(pc.pending) == 0 && !first {
		return nil
	}
	room := maxUpdates
	if o != nil && o.MaxObjectUpdates > 0 && int(o.MaxObjectUpdates) < room {
		room = int(o.MaxObjectUpdates)
	}
	pc.version++
	set := &types.UpdateSet{Version: strconv.Itoa(pc.version)}
	for len(pc.pending) > 0 && room > 0 {
		next := pc.pending[0]
		n := min(room, len(next.ObjectSet))
		set.FilterSet = append(set.FilterSet, types.PropertyFilterUpdate{Filter: next.Filter, ObjectSet: next.ObjectSet[:n]})
		room -= n
		if n == len(next.ObjectSet) {
			pc.pending = pc.pending[1:]
		} else {
			pc.pending[0].ObjectSet = next.ObjectSet[n:]
		}
	}
	if len(pc.pending) > 0 {
		set.Truncated = new(true)
	}
	return set
}

// sleep waits for something to change.
func (pc *propertyCollector) sleep(wait context.Context) error {
	pc.mu.Lock()
	wake := pc.note.wake
	pc.mu.Unlock()
	select {
	case <-wait.Done():
		return context.Cause(wait)
	case <-wake:
	}
	timer := time.NewTimer(settle)
	defer timer.Stop()
	select {
	case <-wait.Done():
		return context.Cause(wait)
	case <-timer.C:
		return nil
	}
}

// whyEnded is the fault that a wait ends with.
func (pc *propertyCollector) whyEnded(err error, server *Server, this types.ManagedObjectReference) types.BaseMethodFault {
	if errors.Is(err, errCanceled) {
		return &types.RequestCanceled{}
	}
	switch server.opts.endedWait {
	case WaitEndsCanceled:
		return &types.RequestCanceled{}
	case WaitEndsNotFound:
		return &types.ManagedObjectNotFound{Obj: this}
	default:
		return &types.NotAuthenticated{NoPermission: types.NoPermission{Object: &this, PrivilegeId: "System.View"}}
	}
}

// notifier wakes a collector when anything changes.
type notifier struct {
	ref  types.ManagedObjectReference
	wake chan struct{}
}

func (n notifier) Reference() types.ManagedObjectReference { return n.ref }

func (n notifier) poke() {
	select {
	case n.wake <- struct{}{}:
	default: // it is awake already
	}
}

func (n notifier) PutObject(*simulator.Context, mo.Reference) { n.poke() }

func (n notifier) UpdateObject(*simulator.Context, mo.Reference, []types.PropertyChange) { n.poke() }

func (n notifier) RemoveObject(*simulator.Context, types.ManagedObjectReference) { n.poke() }
