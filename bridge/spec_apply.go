// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
)

// perCluster is how many services are worked on at a time in one cluster.
const perCluster = 16

// ApplyOption changes what [Apply] does. [WithDryRun] and [WithProgress] are
// such options.
type ApplyOption = Option

// Report is what [Apply] did, an item for each export and each import.
type Report struct {
	Items []ReportItem `json:"items"`
}

// ReportItem is one export, or one import of it.
type ReportItem struct {
	// Service is the exported Service.
	Service types.NamespacedName `json:"service"`
	From    string               `json:"from"`
	// Into is the importing cluster; empty for the export itself.
	Into string `json:"into,omitempty"`
	// Plan is what was done, or would be in a dry run.
	Plan Plan `json:"plan"`
	// Exported is the document of an export that succeeded.
	Exported *Exported `json:"exported,omitempty"`
	// Err is why it could not be done; nil when it was.
	Err error `json:"-"`
	// Error is the text of Err.
	Error string `json:"error,omitempty"`
}

// Err returns the errors of all items as one, nil when there are none.
func (r *Report) Err() error {
	var all []error
	for _, item := range r.Items {
		all = append(all, item.Err)
	}
	return errors.Join(all...)
}

// Apply exports and imports what a spec says, many services at once. What fails
// is reported with its item and holds up nothing else: a cluster that is slow or
// away delays only what needs that cluster. In a dry run, imports are planned
// where the address is known.
//
// Services that are no longer in the spec are left as they are; [Audit] finds
// them. Apply is idempotent, as [Export] and [Import] are.
//
// The report is complete even when ctx ends. The error is that of the spec, and
// matches [viaduct.ErrInvalid]; nothing was done then. Errors of items are in
// the report.
func Apply(ctx context.Context, spec Spec, clusters []*Cluster, opts ...ApplyOption) (*Report, error) {
	byName := make(map[string]*Cluster, len(clusters))
	for _, c := range clusters {
		if byName[c.name] != nil {
			return nil, fmt.Errorf("bridge: apply: two clusters are named %q: %w", c.name, viaduct.ErrInvalid)
		}
		byName[c.name] = c
	}
	if err := spec.validate(byName); err != nil {
		return nil, err
	}
	a := newApplier(byName, opts)
	a.serializeProgress()
	for _, s := range spec.Services {
		a.work.Go(func() { a.find(ctx, s) })
	}
	return a.finish(), nil
}

// ImportAll imports many documents into one cluster, as [Import] does each, but
// observes all of them with a few lists for each namespace: importing a
// thousand again takes no more requests than importing ten. What fails is
// reported with its item; the report has an item for each document, sorted by
// source.
//
// The error matches [viaduct.ErrInvalid] when a document is nil; nothing was
// done then. Errors of items are in the report.
func ImportAll(ctx context.Context, c *Cluster, documents []*Exported, opts ...ImportOption) (*Report, error) {
	if slices.Contains(documents, nil) {
		return nil, fmt.Errorf("bridge: import into cluster %s: a document is nil: %w", c.name, viaduct.ErrInvalid)
	}
	a := newApplier(map[string]*Cluster{c.name: c}, nil)
	o := newImportOptions(opts)
	if report := o.progress; report != nil {
		o.progress = serialized(report)
	}
	for _, e := range documents {
		a.work.Go(func() {
			item := ReportItem{
				Service: types.NamespacedName{Namespace: e.Source.Namespace, Name: e.Source.Name},
				From:    e.Source.Cluster, Into: c.name,
			}
			a.doImport(ctx, &item, e, o)
			a.add(item)
		})
	}
	return a.finish(), nil
}

// applier carries out one spec.
type applier struct {
	clusters map[string]*Cluster
	opts     []ApplyOption
	slots    map[string]chan struct{}
	listings map[string]*listing
	work     sync.WaitGroup

	mu     sync.Mutex
	report Report
}

func newApplier(clusters map[string]*Cluster, opts []ApplyOption) *applier {
	a := &applier{
		clusters: clusters, opts: opts,
		slots:    make(map[string]chan struct{}, len(clusters)),
		listings: make(map[string]*listing, len(clusters)),
	}
	for name, c := range clusters {
		a.slots[name] = make(chan struct{}, perCluster)
		a.listings[name] = newListing(c)
	}
	return a
}

// finish waits for all work and returns the report.
func (a *applier) finish() *Report {
	a.work.Wait()
	slices.SortStableFunc(a.report.Items, func(x, y ReportItem) int {
		return cmp.Or(cmp.Compare(x.From, y.From), cmp.Compare(x.Service.String(), y.Service.String()), cmp.Compare(x.Into, y.Into))
	})
	return &a.report
}

// serializeProgress makes the caller's progress function be called by one
// goroutine at a time, as it is by a single export.
func (a *applier) serializeProgress() {
	var o exportOptions
	for _, opt := range a.opts {
		opt.applyExport(&o)
	}
	if o.progress == nil {
		return
	}
	a.opts = append(slices.Clone(a.opts), WithProgress(serialized(o.progress)))
}

func serialized(report func(Progress)) func(Progress) {
	var mu sync.Mutex
	return func(p Progress) {
		mu.Lock()
		defer mu.Unlock()
		report(p)
	}
}

// find resolves a selector and starts the work on each Service.
func (a *applier) find(ctx context.Context, s ServiceSpec) {
	names := []string{s.Name}
	if s.Selector != "" {
		var err error
		if names, err = a.clusters[s.From].selectServices(ctx, s.Namespace, s.Selector); err != nil {
			a.add(ReportItem{Service: types.NamespacedName{Namespace: s.Namespace}, From: s.From, Err: fmt.Errorf("bridge: find %q in %s of cluster %s: %w", s.Selector, s.Namespace, s.From, err)})
			return
		}
	}
	for _, name := range names {
		a.work.Go(func() { a.export(ctx, s, types.NamespacedName{Namespace: s.Namespace, Name: name}) })
	}
}

// selectServices returns the Services that a selector finds, without those that
// Viaduct made.
func (c *Cluster) selectServices(ctx context.Context, namespace, selector string) ([]string, error) {
	list, err := c.resource("v1", kindService, namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, kubeError(err)
	}
	var names []string
	for i := range list.Items {
		if o, ours := OwnershipOf(&list.Items[i]); !ours || o.Role == RoleConverted {
			names = append(names, list.Items[i].GetName())
		}
	}
	return names, nil
}

func (a *applier) export(ctx context.Context, s ServiceSpec, name types.NamespacedName) {
	item := ReportItem{Service: name, From: s.From}
	opts := s.exportOptions()
	for _, o := range a.opts {
		opts = append(opts, o)
	}
	a.in(ctx, s.From, func() { item.Exported, item.Err = Export(ctx, a.clusters[s.From], name, opts...) })
	if item.Exported != nil {
		item.Plan = item.Exported.Plan()
	}
	exported := item.Exported
	if exported != nil && exported.validate() != nil {
		item.Exported = nil // a dry run that does not know the address
	}
	a.add(item)
	for _, into := range s.Into {
		a.work.Go(func() { a.importInto(ctx, s, into, name, exported) })
	}
}

func (a *applier) importInto(ctx context.Context, s ServiceSpec, into string, name types.NamespacedName, e *Exported) {
	item := ReportItem{Service: name, From: s.From, Into: into}
	if e == nil {
		item.Err = fmt.Errorf("bridge: import %s into cluster %s: its export failed: %w", name, into, viaduct.ErrUnavailable)
		a.add(item)
		return
	}
	opts := s.importOptions()
	for _, o := range a.opts {
		opts = append(opts, o)
	}
	a.doImport(ctx, &item, e, newImportOptions(opts))
	a.add(item)
}

// doImport imports when the cluster has a slot free.
func (a *applier) doImport(ctx context.Context, item *ReportItem, e *Exported, o *importOptions) {
	from := a.listings[item.Into]
	a.in(ctx, item.Into, func() {
		item.Err = from.into(ctx, o.targetOf(e).Namespace, func() error {
			imported, err := a.clusters[item.Into].importFrom(ctx, from, e, o)
			if err == nil {
				item.Plan = imported.Plan()
			}
			return err
		})
	})
}

// in calls f when the cluster has a slot free.
func (a *applier) in(ctx context.Context, cluster string, f func()) {
	select {
	case a.slots[cluster] <- struct{}{}:
		defer func() { <-a.slots[cluster] }()
	case <-ctx.Done(): // f says so
	}
	f()
}

func (a *applier) add(item ReportItem) {
	if item.Err != nil {
		item.Error = item.Err.Error()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.report.Items = append(a.report.Items, item)
}
