// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

import (
	"context"
	"fmt"

	"github.com/viaduct-sdk/viaduct"
)

// IPAllocation is an address that a pool gave out. With AllocationIP empty, NSX
// chooses one.
type IPAllocation struct {
	Resource
	AllocationIP string `json:"allocation_ip,omitzero"`
}

// IPAllocations is the addresses that one pool gave out.
type IPAllocations struct{ Collection[IPAllocation] }

// allocationAttribute is where the realized entity has the address.
const allocationAttribute = "allocation_ip"

// Allocate asks for an address and waits until it is there. It is the same
// address each time it is called with the same id.
//
// Errors match [viaduct.ErrInvalid] when the pool is exhausted: the error is a
// [*RealizationError] then, and the allocation stays, to be deleted.
func (a IPAllocations) Allocate(ctx context.Context, allocation IPAllocation, opts ...WriteOption) (string, error) {
	if err := a.Apply(ctx, allocation, opts...); err != nil {
		return "", err
	}
	return a.Address(ctx, allocation.ID)
}

// Address waits until NSX has realized the allocation with this id, and returns
// its address.
//
// Errors match [viaduct.ErrNotFound] when there is no such allocation.
func (a IPAllocations) Address(ctx context.Context, id string) (string, error) {
	path := a.Path(id)
	entities, err := (RealizedStates{a.client}).Wait(ctx, path, nil)
	if err != nil {
		return "", err
	}
	for _, e := range entities {
		if ip, ok := e.Attribute(allocationAttribute); ok {
			return ip, nil
		}
	}
	allocation, err := a.Get(ctx, id)
	if err == nil && allocation.AllocationIP == "" {
		err = fmt.Errorf("nsx: %s: %w: realized without an address", path, viaduct.ErrNotFound)
	}
	return allocation.AllocationIP, err
}
