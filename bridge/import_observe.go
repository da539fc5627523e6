// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
)

// Observe reads and never writes.

// importObserved is what planImport looks at.
type importObserved struct {
	service          service
	namespaceMissing bool
	slices           []slice
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
	o.slices, err = c.listSlices(ctx, target)
	return o, err
}
