// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
)

// Observe reads and never writes.

// importObserved is what planImport looks at.
type importObserved struct {
	// api is how the cluster's endpoints are written.
	api              endpointsAPI
	service          service
	namespaceMissing bool
	// backends are what holds endpoints under the Service's name, in that API.
	backends []object
	// endpoints are the Endpoints that Kubernetes would mirror into slices of an
	// adopted Service.
	endpoints object
	// original is the UID of the Service that has the exported one's name, when
	// the import has another.
	original types.UID
	// guard says which addresses are refused.
	guard Guard
	// firewall is what is known of the way to the virtual addresses.
	firewall firewallObserved
}

// reader is where an observation comes from: the API server itself, or lists of
// whole namespaces.
type reader interface {
	getService(ctx context.Context, name types.NamespacedName) (service, error)
	listBackends(ctx context.Context, of types.NamespacedName, api endpointsAPI) ([]object, error)
	namespaceMissing(ctx context.Context, name string) (bool, error)
}

func (c *Cluster) observeImport(ctx context.Context, from reader, target types.NamespacedName) (importObserved, error) {
	var o importObserved
	var err error
	if o.service, err = from.getService(ctx, target); err != nil {
		return o, err
	}
	if o.service.live == nil {
		if o.namespaceMissing, err = from.namespaceMissing(ctx, target.Namespace); err != nil {
			return o, err
		}
	}
	if o.api, err = c.apis.endpoints(ctx); err != nil {
		return o, err
	}
	if o.namespaceMissing {
		return o, nil
	}
	if o.backends, err = from.listBackends(ctx, target, o.api); err != nil {
		return o, err
	}
	return o, nil
}

// observeMore adds what only some imports need: whether this is the exporting
// cluster when the import has another name, and what an adoption must remove.
//
// Of many imports what was read for all serves.
func (c *Cluster) observeMore(ctx context.Context, o *importObserved, e *Exported, opts *importOptions, many bool) error {
	own, err := c.ownGuard(ctx, e.Addresses...)
	if err != nil {
		return err
	}
	o.guard = own.and(opts.guard)
	target := opts.targetOf(e)
	if c.firewall != nil && o.wantsFirewall(target, opts) {
		if o.firewall, err = c.firewall.observe(ctx, c.name, target, e, many); err != nil {
			return err
		}
	}
	if original := (types.NamespacedName{Namespace: e.Source.Namespace, Name: e.Source.Name}); target != original {
		s, err := c.getService(ctx, original)
		switch {
		case errors.Is(err, viaduct.ErrForbidden): // whoever may not look there imports into a namespace of their own
		case err != nil:
			return err
		case s.live != nil:
			o.original = s.UID
		}
	}
	if o.api == endpointsOfCore || !o.adopting(target, opts) {
		return nil
	}
	endpoints, err := c.listBackends(ctx, target, endpointsOfCore)
	if err == nil && len(endpoints) > 0 {
		o.endpoints = endpoints[0]
	}
	return err
}
