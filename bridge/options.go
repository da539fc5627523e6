// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"net/netip"

	"k8s.io/apimachinery/pkg/types"
)

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

// RemoveOption changes what [AuditReport.Apply] does.
type RemoveOption interface{ applyRemove(*removeOptions) }

// Option is good for all of them.
type Option interface {
	ExportOption
	ImportOption
	RemoveOption
}

type commonOptions struct {
	dryRun   bool
	progress func(Progress)
}

type exportOptions struct {
	commonOptions
	convert        bool
	handover       bool
	loadBalancerIP netip.Addr
	consumers      []string
	guard          Guard
	networkPolicy  bool
	sources        []netip.Prefix // beside the load balancer
}

type importOptions struct {
	commonOptions
	target          types.NamespacedName
	ports           map[string]int32
	createNamespace bool
	merge           bool
	adopt           bool
	source          string
	guard           Guard
	firewall        bool
}

type removeOptions struct {
	commonOptions
	mass bool
}

type (
	option       func(*commonOptions)
	exportOption func(*exportOptions)
	importOption func(*importOptions)
	removeOption func(*removeOptions)
)

func (f exportOption) applyExport(o *exportOptions) { f(o) }
func (f importOption) applyImport(o *importOptions) { f(o) }
func (f removeOption) applyRemove(o *removeOptions) { f(o) }

func (o option) applyExport(e *exportOptions) { o(&e.commonOptions) }
func (o option) applyImport(i *importOptions) { o(&i.commonOptions) }
func (o option) applyRemove(r *removeOptions) { o(&r.commonOptions) }

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

// WithConversion exports a Service of type ClusterIP or NodePort by changing its
// type to LoadBalancer instead of making a companion, as the vSphere
// documentation does by hand. The Service's type is remembered on it, and
// [Unexport] gives it back.
func WithConversion() ExportOption {
	return exportOption(func(o *exportOptions) { o.convert = true })
}

// WithHandover leaves the companion of a Service that has become a load balancer
// itself, or is converted now: it serves the old address while imports are moved
// to the new document. An Export without the option takes it away. In other cases
// the option changes nothing.
func WithHandover() ExportOption {
	return exportOption(func(o *exportOptions) { o.handover = true })
}

// WithLoadBalancerIP asks NCP for this virtual address, which must be free and
// in an ingress pool. Without it NCP chooses one, and a companion that is made
// anew may get another.
//
// A Service of type LoadBalancer is exported as it is: it asks in its own
// spec.loadBalancerIP, and the option is refused with [viaduct.ErrInvalid].
func WithLoadBalancerIP(address netip.Addr) ExportOption {
	return exportOption(func(o *exportOptions) { o.loadBalancerIP = address })
}

// WithTarget imports under another name or into another namespace; an empty
// part stays as in the exporting cluster. Unimport takes the name given here.
func WithTarget(target types.NamespacedName) ImportOption {
	return importOption(func(o *importOptions) { o.target = target })
}

// WithPort gives a port another number in the importing cluster: clients use
// number, and the cluster forwards to the port of the virtual address. The name
// is that of the exported port; empty for a port without a name.
//
// A name that the document lacks is refused with [viaduct.ErrInvalid].
func WithPort(name string, number int32) ImportOption {
	return importOption(func(o *importOptions) {
		if o.ports == nil {
			o.ports = make(map[string]int32)
		}
		o.ports[name] = number
	})
}

// WithMerge lets the import of another exporting cluster stay and adds this one
// beside it: connections are spread over the virtual addresses of both. Their
// ports must be the same by name and protocol. [Unimport] removes all, or one
// with [WithSource].
//
// A cluster without EndpointSlices cannot hold two exporters:
// [viaduct.ErrUnsupported].
func WithMerge() ImportOption {
	return importOption(func(o *importOptions) { o.merge = true })
}

// WithSource makes [Unimport] remove only what came from the exporting cluster
// of this name. [Import] does not heed it.
func WithSource(cluster string) ImportOption {
	return importOption(func(o *importOptions) { o.source = cluster })
}

// WithAdopt takes over a Service of the user that has the name: its selector goes,
// and it leads to the virtual address instead of its pods, with its cluster IP
// unchanged. What it was is remembered on it, and [Unimport] gives it back.
//
// Refused are Services without a cluster IP ([viaduct.ErrUnsupported]), with
// ports that the exported one lacks ([viaduct.ErrInvalid]), and those that a
// controller owns ([viaduct.ErrNotOwned]).
func WithAdopt() ImportOption {
	return importOption(func(o *importOptions) { o.adopt = true })
}

// WithCreateNamespace creates the namespace of the import when it is missing.
// Nothing removes it again: others may use it by then.
func WithCreateNamespace() ImportOption {
	return importOption(func(o *importOptions) { o.createNamespace = true })
}

// WithMassDeletion lets [AuditReport.Apply] remove more than half of what
// Viaduct owns in the audited clusters.
func WithMassDeletion() RemoveOption {
	return removeOption(func(o *removeOptions) { o.mass = true })
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
