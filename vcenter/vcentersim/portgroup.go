// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcentersim

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/viaduct-sdk/viaduct"
)

// SegmentPortGroup is a port group that NSX makes for one of its segments.
type SegmentPortGroup struct {
	Name string
	// SegmentPath is the policy path, such as /infra/segments/web.
	SegmentPath string
	// LogicalSwitchUUID is the id of the realized logical switch. Empty: a
	// new one.
	LogicalSwitchUUID string
	// TransportZoneUUID and TransportZoneName name the transport zone.
	TransportZoneUUID, TransportZoneName string
	// Switch is the name of the distributed switch. Empty: the first one,
	// DVS0. A segment that spans switches has one port group on each.
	Switch string
	// NoBackingType leaves the backing type out, as before vSphere 7.
	NoBackingType bool
	// HideSwitch leaves out which switch it is, as for a user that may not
	// read the switch.
	HideSwitch bool
}

// AddSegmentPortGroup adds the port group, as NSX does when it realizes a
// segment on a distributed switch. Names need not be unique. The error matches
// [viaduct.ErrExists] when the logical switch has a port group on this switch
// already, which then is not changed.
func (s *Server) AddSegmentPortGroup(ctx context.Context, pg SegmentPortGroup) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	return s.vim.addPortGroup(pg)
}

// AddPortGroup adds a port group that has nothing to do with NSX to the first
// distributed switch.
func (s *Server) AddPortGroup(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	s.vim.scene.Lock()
	defer s.vim.scene.Unlock()
	dvs := s.vim.inventory.switches[0]
	pg := newPortGroup(s.vim.registry, dvs, SegmentPortGroup{Name: name})
	pg.Config.BackingType = string(types.DistributedVirtualPortgroupBackingTypeStandard)
	pg.Config.Type = string(types.DistributedVirtualPortgroupPortgroupTypeEarlyBinding)
	s.vim.attach(dvs, pg)
	return nil
}

// RemoveSegmentPortGroup removes the port groups of a logical switch from all
// distributed switches. Absent is no error.
func (s *Server) RemoveSegmentPortGroup(ctx context.Context, logicalSwitchUUID string) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	s.vim.removePortGroups(logicalSwitchUUID)
	return nil
}

// UpdateSegmentPortGroup renames the port groups of a logical switch, as NSX
// does when the segment is renamed.
func (s *Server) UpdateSegmentPortGroup(ctx context.Context, logicalSwitchUUID, name string) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	groups := s.vim.portGroupsOf(logicalSwitchUUID)
	if len(groups) == 0 {
		return fmt.Errorf("vcentersim: no port group of logical switch %s", logicalSwitchUUID)
	}
	s.vim.scene.Lock()
	defer s.vim.scene.Unlock()
	for _, pg := range groups {
		s.vim.registry.AtomicUpdate(s.vim.context(), pg, []types.PropertyChange{
			{Name: "name", Val: name}, {Name: "config.name", Val: name}, {Name: "summary.name", Val: name},
		})
	}
	return nil
}

// AddOpaqueNetwork adds the network that hosts with an N-VDS show for a
// logical switch.
func (s *Server) AddOpaqueNetwork(ctx context.Context, name, logicalSwitchUUID string) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	s.vim.scene.Lock()
	defer s.vim.scene.Unlock()
	return s.vim.inventory.networks.AddOpaqueNetwork(s.vim.context(), types.OpaqueNetworkSummary{
		NetworkSummary: types.NetworkSummary{Name: name}, OpaqueNetworkId: logicalSwitchUUID,
	})
}

// SwitchUUID returns the UUID of a distributed switch, which is NSX's
// host_switch_id, or "" when there is none of this name.
func (s *Server) SwitchUUID(name string) string {
	for _, dvs := range s.vim.inventory.switches {
		if dvs.Name == name {
			return dvs.Uuid
		}
	}
	return ""
}

func (v *vim) addPortGroup(p SegmentPortGroup) error {
	if p.Switch == "" {
		p.Switch = switchName
	}
	if p.LogicalSwitchUUID == "" {
		p.LogicalSwitchUUID = uuid.NewString()
	}
	v.scene.Lock()
	defer v.scene.Unlock()
	i := slices.IndexFunc(v.inventory.switches, func(d *simulator.DistributedVirtualSwitch) bool { return d.Name == p.Switch })
	if i < 0 {
		return fmt.Errorf("vcentersim: add port group %q: no switch %q", p.Name, p.Switch)
	}
	dvs := v.inventory.switches[i]
	for _, pg := range v.portGroupsOf(p.LogicalSwitchUUID) {
		if pg.Config.DistributedVirtualSwitch != nil && *pg.Config.DistributedVirtualSwitch == dvs.Self {
			return fmt.Errorf("vcentersim: add port group %q: logical switch %s has one on %s: %w", p.Name, p.LogicalSwitchUUID, p.Switch, viaduct.ErrExists)
		}
	}
	pg := newPortGroup(v.registry, dvs, p)
	v.mu.Lock()
	v.segments[p.LogicalSwitchUUID] = append(v.segments[p.LogicalSwitchUUID], pg)
	v.mu.Unlock()
	v.attach(dvs, pg)
	return nil
}

// attach puts a port group where clients find it: on its switch, the switch's
// hosts and their clusters, and in the folder. The caller holds scene.
func (v *vim) attach(dvs *simulator.DistributedVirtualSwitch, pg *simulator.DistributedVirtualPortgroup) {
	ctx := v.context()
	var members []types.ManagedObjectReference
	ctx.WithLock(dvs, func() {
		dvs.Portgroup = append(dvs.Portgroup, pg.Self)
		dvs.Summary.PortgroupName = append(dvs.Summary.PortgroupName, pg.Name)
		members = dvs.Summary.HostMember
	})
	pg.Host = slices.Clone(members)
	for owner, networks := range v.networksOf(members) {
		v.registry.AppendReference(ctx, owner, networks, pg.Self)
	}
	v.registry.AppendReference(ctx, v.inventory.datacenter, &v.inventory.datacenter.Network, pg.Self)
	v.putChild(ctx, v.inventory.networks, pg)
}

func newPortGroup(registry *simulator.Registry, dvs *simulator.DistributedVirtualSwitch, p SegmentPortGroup) *simulator.DistributedVirtualPortgroup {
	pg := &simulator.DistributedVirtualPortgroup{}
	registry.NewEntity(pg)
	pg.Name = p.Name
	pg.Entity().Name = p.Name
	pg.Key = pg.Self.Value
	pg.Config = types.DVPortgroupConfigInfo{
		Key:                      pg.Key,
		Name:                     p.Name,
		DistributedVirtualSwitch: &dvs.Self,
		DefaultPortConfig:        &types.VMwareDVSPortSetting{Vlan: new(types.VmwareDistributedVirtualSwitchVlanIdSpec)},
		Policy:                   &types.VMwareDVSPortgroupPolicy{},
		Type:                     string(types.DistributedVirtualPortgroupPortgroupTypeEphemeral),
		BackingType:              string(types.DistributedVirtualPortgroupBackingTypeNsx),
		LogicalSwitchUuid:        p.LogicalSwitchUUID,
		SegmentId:                p.SegmentPath,
		TransportZoneUuid:        p.TransportZoneUUID,
		TransportZoneName:        p.TransportZoneName,
	}
	if p.NoBackingType {
		pg.Config.BackingType = ""
	}
	if p.HideSwitch {
		pg.Config.DistributedVirtualSwitch = nil
	}
	pg.Summary = &types.NetworkSummary{Network: &pg.Self, Name: p.Name, Accessible: true}
	return pg
}

// networksOf returns the lists of networks of hosts and of their clusters.
func (v *vim) networksOf(hosts []types.ManagedObjectReference) map[mo.Reference]*[]types.ManagedObjectReference {
	lists := map[mo.Reference]*[]types.ManagedObjectReference{}
	for _, ref := range hosts {
		host, ok := v.registry.Get(ref).(*simulator.HostSystem)
		if !ok {
			continue
		}
		lists[host] = &host.Network
		if cluster, ok := v.registry.Get(*host.Parent).(*simulator.ClusterComputeResource); ok {
			lists[cluster] = &cluster.Network
		}
	}
	return lists
}

func (v *vim) portGroupsOf(logicalSwitch string) []*simulator.DistributedVirtualPortgroup {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.segments[logicalSwitch])
}

func (v *vim) removePortGroups(logicalSwitch string) {
	v.scene.Lock()
	defer v.scene.Unlock()
	v.mu.Lock()
	groups := v.segments[logicalSwitch]
	delete(v.segments, logicalSwitch)
	v.mu.Unlock()
	ctx := v.context()
	for _, pg := range groups {
		for _, dvs := range v.inventory.switches {
			ctx.WithLock(dvs, func() {
				if i := slices.Index(dvs.Portgroup, pg.Self); i >= 0 {
					dvs.Portgroup = slices.Delete(slices.Clone(dvs.Portgroup), i, i+1)
					dvs.Summary.PortgroupName = slices.Delete(slices.Clone(dvs.Summary.PortgroupName), i, i+1)
				}
			})
		}
		for owner, networks := range v.networksOf(pg.Host) {
			v.registry.RemoveReference(ctx, owner, networks, pg.Self)
		}
		v.registry.RemoveReference(ctx, v.inventory.datacenter, &v.inventory.datacenter.Network, pg.Self)
		v.registry.RemoveReference(ctx, v.inventory.networks, &v.inventory.networks.ChildEntity, pg.Self)
		v.registry.Remove(ctx, pg.Self)
	}
}
