// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"context"
	"sync"

	"github.com/viaduct-sdk/viaduct/vcenter"
)

// vcenterSeen is what vCenter said.
type vcenterSeen struct {
	holes

	instance   string // the instance UUID
	namespaces []vcenter.NamespaceSummary
	portGroups []vcenter.SegmentPortGroup
}

// What is read of vCenter, as holes name it.
const (
	objectVSphereNamespaces = "vSphere Namespaces"
	objectPortGroups        = "port groups"
)

func (v *vcenterSeen) look(ctx context.Context, c *vcenter.Client) {
	var wg sync.WaitGroup
	wg.Go(func() {
		found, err := c.Namespaces().List(ctx)
		v.note(ctx, objectVSphereNamespaces, err)
		v.namespaces = found
	})
	wg.Go(func() {
		found, err := c.SegmentPortGroups().List(ctx)
		v.note(ctx, objectPortGroups, err)
		v.portGroups = found
	})
	wg.Go(func() {
		about, err := c.About(ctx)
		if err == nil { // it only serves to doubt a join; its lack is no hole
			v.instance = about.InstanceUUID
		}
	})
	wg.Wait()
}
