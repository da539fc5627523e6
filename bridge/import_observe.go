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
	service          service
	namespaceMissing bool
	slices           []slice
	// original is the UID of the Service that has the exported one's name, when
	// the import has another.
	original types.UID
}

func (c *Cluster) observeImport(ctx context.Context, target types.NamespacedName) (importObserved, error) {
	var o importObserved
	var err error
	if o.service, err = c.getService(ctx, target); err != nil {
		return o, err
	}
	if o.service.live == nil {
		if o.namespaceMissing, err = c.namespaceMissing(ctx, target.Namespace); err != nil {
			return o, err
		}
	}
	if o.namespaceMissing {
		return o, nil
	}
	o.slices, err = c.listSlices(ctx, target)
	return o, err
}

// observeOriginal adds who has the exported Service's own name here, which
// tells whether this is the exporting cluster.
func (o *importObserved) observeOriginal(ctx context.Context, c *Cluster, source Source) error {
	s, err := c.getService(ctx, types.NamespacedName{Namespace: source.Namespace, Name: source.Name})
	if errors.Is(err, viaduct.ErrForbidden) {
		return nil // whoever may not look there imports into a namespace of their own
	}
	if err == nil && s.live != nil {
		o.original = s.UID
	}
	return err
}
