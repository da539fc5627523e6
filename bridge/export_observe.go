// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
)

// Observe reads and never writes.

// exportObserved is what planExport looks at.
type exportObserved struct {
	service          service
	namespaceMissing bool
	companion        service
}

func (c *Cluster) observeExport(ctx context.Context, name types.NamespacedName) (exportObserved, error) {
	var o exportObserved
	var err error
	if o.service, err = c.getService(ctx, name); err != nil {
		return o, err
	}
	if o.service.live == nil {
		if o.namespaceMissing, err = c.namespaceMissing(ctx, name.Namespace); err != nil {
			return o, err
		}
	}
	o.companion, err = c.getService(ctx, companionOf(name))
	return o, err
}
