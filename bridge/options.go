// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

// Progress is a change worth telling somebody who waits.
type Progress struct {
	// Object is what changed, or what is waited for.
	Object ObjectRef
	// State is the step that was done, or the state that the object is in.
	State string
}

// ExportOption changes what [Export], [PlanExport] and [Unexport] do.
type ExportOption interface{ applyExport(*exportOptions) }

// ImportOption changes what [Import], [PlanImport] and [Unimport] do.
type ImportOption interface{ applyImport(*importOptions) }

// Option is good for both directions.
type Option interface {
	ExportOption
	ImportOption
}

type commonOptions struct {
	dryRun   bool
	progress func(Progress)
}

type (
	exportOptions struct{ commonOptions }
	importOptions struct{ commonOptions }
)

type option func(*commonOptions)

func (o option) applyExport(e *exportOptions) { o(&e.commonOptions) }
func (o option) applyImport(i *importOptions) { o(&i.commonOptions) }

// WithDryRun stops after the plan: nothing is written and nothing waited for.
// The result's Plan method returns what would be done.
func WithDryRun() Option {
	return option(func(c *commonOptions) { c.dryRun = true })
}

// WithProgress calls f for each step done, and each time that the state waited
// for changes. Calls come one after the other, from the goroutine that called
// the bridge.
func WithProgress(f func(Progress)) Option {
	return option(func(c *commonOptions) { c.progress = f })
}

func (c *commonOptions) report(object ObjectRef, state string) {
	if c.progress != nil {
		c.progress(Progress{Object: object, State: state})
	}
}

func newExportOptions(opts []ExportOption) *exportOptions {
	var o exportOptions
	for _, opt := range opts {
		opt.applyExport(&o)
	}
	return &o
}

func newImportOptions(opts []ImportOption) *importOptions {
	var o importOptions
	for _, opt := range opts {
		opt.applyImport(&o)
	}
	return &o
}
