// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package sdktest

import (
	"fmt"
	"testing"

	"github.com/vmware/vsphere-automation-sdk-go/runtime/data"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra/ip_pools"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra/realized_state"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra/realized_state/enforcement_points"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/model"

	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// inPool lends the clients of what lies in a pool the shape of a dynamic one.
type inPool struct {
	pool    string
	subnets interface {
		Patch(pool, id string, object *data.StructValue) error
		Get(pool, id string) (*data.StructValue, error)
		Update(pool, id string, object *data.StructValue) (*data.StructValue, error)
		Delete(pool, id string, ignore *bool) error
	}
}

func (p inPool) Patch(id string, object *data.StructValue) error {
	return p.subnets.Patch(p.pool, id, object)
}
func (p inPool) Get(id string) (*data.StructValue, error) { return p.subnets.Get(p.pool, id) }
func (p inPool) Update(id string, object *data.StructValue) (*data.StructValue, error) {
	return p.subnets.Update(p.pool, id, object)
}
func (p inPool) Delete(id string, ignore *bool) error { return p.subnets.Delete(p.pool, id, ignore) }

func TestAddresses(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	connector := connect(srv)

	pools := infra.NewIpPoolsClient(connector)
	resource[model.IpAddressPool]{
		typ: "IpAddressPool", make: func(int) model.IpAddressPool { return model.IpAddressPool{} },
		patch: pools.Patch, get: pools.Get, update: pools.Update, delete: pools.Delete,
		list: func(cursor *string, size *int64) (any, error) { return pools.List(cursor, nil, nil, size, nil, nil) },
	}.test(t, connector)

	blocks := infra.NewIpBlocksClient(connector)
	resource[model.IpAddressBlock]{
		typ: "IpAddressBlock", make: func(int) model.IpAddressBlock { return model.IpAddressBlock{Cidr: new("10.244.0.0/20")} },
		patch: blocks.Patch, update: blocks.Update, delete: blocks.Delete,
		get:  func(id string) (model.IpAddressBlock, error) { return blocks.Get(id, nil) },
		list: func(cursor *string, size *int64) (any, error) { return blocks.List(cursor, nil, nil, size, nil, nil) },
	}.test(t, connector)

	put(t, srv, "/infra/ip-pools/p", map[string]any{})
	put(t, srv, "/infra/ip-blocks/b", map[string]any{"cidr": "10.244.0.0/20"})
	subnets := ip_pools.NewIpSubnetsClient(connector)
	list := func(cursor *string, size *int64) (any, error) {
		return subnets.List("p", cursor, nil, nil, size, nil, nil)
	}
	carved := profile("IpAddressPoolBlockSubnet", model.IpAddressPoolBlockSubnetBindingType(),
		model.IpAddressPoolBlockSubnet{ResourceType: "IpAddressPoolBlockSubnet", IpBlockPath: new("/infra/ip-blocks/b"), Size: new(int64(16))},
		inPool{"p", subnets}, list)
	carved.test(t, connector)
	static := profile("IpAddressPoolStaticSubnet", model.IpAddressPoolStaticSubnetBindingType(),
		model.IpAddressPoolStaticSubnet{}, inPool{"p", subnets}, list)
	static.make = func(n int) model.IpAddressPoolStaticSubnet {
		return model.IpAddressPoolStaticSubnet{
			ResourceType: "IpAddressPoolStaticSubnet", Cidr: new("192.168.30.64/27"),
			AllocationRanges: []model.IpPoolRange{{Start: new(fmt.Sprintf("192.168.30.%d", 66+2*n)), End: new(fmt.Sprintf("192.168.30.%d", 67+2*n))}},
		}
	}
	static.test(t, connector)

	if err := subnets.Patch("p", "s", pack(static.make(0), model.IpAddressPoolStaticSubnetBindingType())); err != nil {
		t.Fatal(describe(err))
	}
	allocations := ip_pools.NewIpAllocationsClient(connector)
	resource[model.IpAddressAllocation]{
		typ: "IpAddressAllocation", make: func(int) model.IpAddressAllocation { return model.IpAddressAllocation{} },
		patch: func(id string, o model.IpAddressAllocation) error { return allocations.Patch("p", id, o) },
		get:   func(id string) (model.IpAddressAllocation, error) { return allocations.Get("p", id) },
		update: func(id string, o model.IpAddressAllocation) (model.IpAddressAllocation, error) {
			return allocations.Update("p", id, o)
		},
		delete: func(id string) error { return allocations.Delete("p", id) },
		list: func(cursor *string, size *int64) (any, error) {
			return allocations.List("p", cursor, nil, nil, size, nil, nil)
		},
	}.test(t, connector)
}

func TestRealizedState(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	connector := connect(srv)
	put(t, srv, "/infra/ip-pools/p", map[string]any{})
	put(t, srv, "/infra/ip-pools/p/ip-allocations/a", map[string]any{})
	srv.SetVirtualMachine(nsxsim.VirtualMachine{ID: "vm", Name: "db", Tags: []nsxsim.Tag{{Scope: "a", Tag: "b"}}, Interfaces: []nsxsim.Interface{{ID: "vif"}}})

	status, err := realized_state.NewStatusClient(connector).Get("/infra/ip-pools/p", new(true), nil)
	if err != nil || *status.PublishStatus != "REALIZED" || *status.ConsolidatedStatus.ConsolidatedStatus != "SUCCESS" {
		t.Errorf("status: %+v %v", status, err)
	}
	entities, err := realized_state.NewRealizedEntitiesClient(connector).List("/infra/ip-pools/p/ip-allocations/a", nil)
	if err != nil || len(entities.Results) != 1 || *entities.Results[0].State != "ERROR" || *entities.Results[0].Alarms[0].ErrorDetails.ErrorCode != 5109 {
		t.Errorf("entities: %+v %v", entities, err)
	}
	alarms, err := realized_state.NewAlarmsClient(connector).List(nil, nil, nil, nil, nil)
	if err != nil || len(alarms.Results) != 1 {
		t.Errorf("alarms: %+v %v", alarms, err)
	}
	if entity, err := realized_state.NewRealizedEntityClient(connector).Get(*entities.Results[0].Path); err != nil || *entity.Id != *entities.Results[0].Id {
		t.Errorf("entity: %+v %v", entity, err)
	}
	found, err := enforcement_points.NewVirtualMachinesClient(connector).List("default", nil, nil, nil, nil, nil, nil, nil)
	if err != nil || len(found.Results) != 1 {
		t.Errorf("virtual machines of the enforcement point: %+v %v", found, err)
	}
	vifs, err := enforcement_points.NewVifsClient(connector).List("default", nil, nil, new("vif"), nil, nil, nil)
	if err != nil || len(vifs.Results) != 1 {
		t.Errorf("interfaces of the enforcement point: %+v %v", vifs, err)
	}
	machines, err := realized_state.NewVirtualMachinesClient(connector).List(nil, nil, nil, nil, nil, nil, nil)
	if err != nil || len(machines.Results) != 1 || *machines.Results[0].ExternalId != "vm" {
		t.Errorf("virtual machines: %+v %v", machines, err)
	}
}
