// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcentersim

import (
	"context"
	"fmt"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// The names in the inventory.
const (
	datacenterName = "DC0"
	switchName     = "DVS0"
	spareSwitch    = "DVS1"
)

// inventory is what the simulator needs to find again.
type inventory struct {
	datacenter *simulator.Datacenter
	networks   *simulator.Folder
	clusters   map[string]*simulator.ClusterComputeResource // by id
	switches   []*simulator.DistributedVirtualSwitch
}

// build makes one datacenter with two clusters, hosts, and two distributed
// switches that both clusters' hosts are members of. It calls the simulated
// objects directly, because govmomi's in-memory client keeps a session that
// all simulators of a process share.
func (v *vim) build() (inventory, error) {
	ctx := v.context()
	inv := inventory{clusters: map[string]*simulator.ClusterComputeResource{}}
	root, ok := v.registry.Get(v.service.Context.Map.Get(types.ManagedObjectReference{
		Type: "Folder", Value: "group-d1",
	}).Reference()).(*simulator.Folder)
	if !ok {
		return inv, fmt.Errorf("no root folder")
	}
	made := root.CreateDatacenter(ctx, &types.CreateDatacenter{This: root.Self, Name: datacenterName})
	if made.Fault() != nil {
		return inv, soap.WrapSoapFault(made.Fault())
	}
	dc, ok := made.(*methods.CreateDatacenterBody)
	if !ok {
		return inv, fmt.Errorf("create datacenter: got %T", made)
	}
	inv.datacenter, _ = v.registry.Get(dc.Res.Returnval).(*simulator.Datacenter)
	inv.networks, _ = v.registry.Get(inv.datacenter.NetworkFolder).(*simulator.Folder)
	for _, name := range []string{switchName, spareSwitch} {
		if err := v.addSwitch(&inv, name); err != nil {
			return inv, err
		}
	}
	if err := v.addCluster(&inv, SupervisorCluster, datacenterName+"_C0", 3); err != nil {
		return inv, err
	}
	if err := v.addCluster(&inv, SpareCluster, datacenterName+"_C1", 1); err != nil {
		return inv, err
	}
	return inv, nil
}

// run waits for a task that a simulated object started.
func (v *vim) run(ctx *simulator.Context, ref types.ManagedObjectReference) (types.AnyType, error) {
	task, ok := v.registry.Get(ref).(*simulator.Task)
	if !ok {
		return nil, fmt.Errorf("no task %s", ref)
	}
	note := notifier{types.ManagedObjectReference{Type: "Notifier", Value: ref.Value}, make(chan struct{}, 1)}
	v.registry.AddHandler(note)
	defer v.registry.RemoveHandler(note)
	for {
		var info types.TaskInfo
		ctx.WithLock(task, func() { info = task.Info })
		switch info.State {
		case types.TaskInfoStateSuccess:
			return info.Result, nil
		case types.TaskInfoStateError:
			return nil, fmt.Errorf("%s: %T", info.Name, info.Error.Fault)
		default: // it runs still
		}
		select {
		case <-note.wake:
		case <-v.s.ctx.Done():
			return nil, context.Cause(v.s.ctx)
		}
	}
}

// addSwitch makes a distributed switch with an uplink group and one port
// group on a VLAN.
func (v *vim) addSwitch(inv *inventory, name string) error {
	ctx := v.context()
	res := inv.networks.CreateDVSTask(ctx, &types.CreateDVS_Task{
		This: inv.networks.Self,
		Spec: types.DVSCreateSpec{ConfigSpec: &types.VMwareDVSConfigSpec{DVSConfigSpec: types.DVSConfigSpec{Name: name}, MaxMtu: 9000}},
	})
	body, ok := res.(*methods.CreateDVS_TaskBody)
	if !ok || body.Fault() != nil {
		return fmt.Errorf("create switch %s: %v", name, res.Fault())
	}
	result, err := v.run(v.context(), body.Res.Returnval)
	if err != nil {
		return err
	}
	ref, ok := result.(types.ManagedObjectReference)
	if !ok {
		return fmt.Errorf("create switch %s: got %T", name, result)
	}
	dvs, ok := v.registry.Get(ref).(*simulator.DistributedVirtualSwitch)
	if !ok {
		return fmt.Errorf("create switch %s: no %s", name, ref)
	}
	inv.switches = append(inv.switches, dvs)
	// The uplink group is still being made under the first context's locks.
	added := dvs.AddDVPortgroupTask(v.context(), &types.AddDVPortgroup_Task{This: ref, Spec: []types.DVPortgroupConfigSpec{{
		Name:        fmt.Sprintf("%s_DVPG%d", datacenterName, len(inv.switches)-1),
		Type:        string(types.DistributedVirtualPortgroupPortgroupTypeEarlyBinding),
		BackingType: string(types.DistributedVirtualPortgroupBackingTypeStandard),
		NumPorts:    1,
	}}})
	task, ok := added.(*methods.AddDVPortgroup_TaskBody)
	if !ok || task.Fault() != nil {
		return fmt.Errorf("add port group to %s: %v", name, added.Fault())
	}
	_, err = v.run(v.context(), task.Res.Returnval)
	return err
}

// addCluster makes a cluster with a given id and hosts that are members of
// every switch. The cluster is put together here because govmomi's simulator
// chooses ids itself.
func (v *vim) addCluster(inv *inventory, id, name string, hosts int) error {
	ctx := v.context()
	folder, ok := v.registry.Get(inv.datacenter.HostFolder).(*simulator.Folder)
	if !ok {
		return fmt.Errorf("no host folder")
	}
	browser := new(simulator.EnvironmentBrowser)
	v.registry.Put(browser)
	pool := simulator.NewResourcePool(ctx)
	v.registry.NewEntity(pool)
	cluster := &simulator.ClusterComputeResource{}
	cluster.Self = types.ManagedObjectReference{Type: "ClusterComputeResource", Value: id}
	cluster.Name = name
	cluster.EnvironmentBrowser = &browser.Self
	cluster.Network = []types.ManagedObjectReference{inv.datacenter.Network[0]}
	cluster.Summary = &types.ClusterComputeResourceSummary{UsageSummary: new(types.ClusterUsageSummary)}
	enabled := new(true)
	cluster.ConfigurationEx = &types.ClusterConfigInfoEx{
		DasConfig: types.ClusterDasConfigInfo{Enabled: enabled},
		DrsConfig: types.ClusterDrsConfigInfo{Enabled: enabled, DefaultVmBehavior: types.DrsBehaviorFullyAutomated},
	}
	cluster.ResourcePool = &pool.Self
	pool.Owner = cluster.Self
	v.registry.PutEntity(cluster, pool)
	v.putChild(ctx, folder, cluster)
	inv.clusters[id] = cluster
	for i := range hosts {
		if err := v.addHost(inv, cluster, fmt.Sprintf("%s-esx%d.%s", id, i, hostInProcess)); err != nil {
			return err
		}
	}
	return nil
}

func (v *vim) addHost(inv *inventory, cluster *simulator.ClusterComputeResource, name string) error {
	ctx := v.context()
	res := cluster.AddHostTask(ctx, &types.AddHost_Task{
		This: cluster.Self, Spec: types.HostConnectSpec{HostName: name}, AsConnected: true,
	})
	body, ok := res.(*methods.AddHost_TaskBody)
	if !ok || body.Fault() != nil {
		return fmt.Errorf("add host %s: %v", name, res.Fault())
	}
	result, err := v.run(v.context(), body.Res.Returnval)
	if err != nil {
		return err
	}
	host, ok := result.(types.ManagedObjectReference)
	if !ok {
		return fmt.Errorf("add host %s: got %T", name, result)
	}
	for _, dvs := range inv.switches {
		joined := dvs.ReconfigureDvsTask(ctx, &types.ReconfigureDvs_Task{
			This: dvs.Self,
			Spec: &types.DVSConfigSpec{Host: []types.DistributedVirtualSwitchHostMemberConfigSpec{{
				Operation: string(types.ConfigSpecOperationAdd), Host: host,
			}}},
		})
		task, ok := joined.(*methods.ReconfigureDvs_TaskBody)
		if !ok || task.Fault() != nil {
			return fmt.Errorf("join host %s to %s: %v", name, dvs.Name, joined.Fault())
		}
		if _, err := v.run(v.context(), task.Res.Returnval); err != nil {
			return err
		}
	}
	return nil
}

// putChild adds an object to a folder, the folder first, so that views that
// look for the object find it.
func (v *vim) putChild(ctx *simulator.Context, folder *simulator.Folder, child mo.Entity) {
	ctx.WithLock(folder, func() {
		folder.ChildEntity = append(folder.ChildEntity, child.Reference())
		v.registry.PutEntity(folder, child)
	})
}
