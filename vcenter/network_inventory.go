// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter

import (
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

// The properties that make a SegmentPortGroup.
const (
	propName       = "name"
	propKey        = "key"
	propUUID       = "uuid"
	propBacking    = "config.backingType"
	propSwitch     = "config.distributedVirtualSwitch"
	propLogical    = "config.logicalSwitchUuid"
	propSegment    = "config.segmentId"
	propZone       = "config.transportZoneUuid"
	propZoneName   = "config.transportZoneName"
	propOpaqueID   = "summary.opaqueNetworkId"
	propOpaqueType = "summary.opaqueNetworkType"
)

// The kinds of object that are read. A switch may come back as the subtype.
const (
	kindPortGroup = "DistributedVirtualPortgroup"
	kindSwitch    = "DistributedVirtualSwitch"
	kindVDS       = "VmwareDistributedVirtualSwitch"
	kindOpaque    = "OpaqueNetwork"
)

// networkFilter selects the properties of all port groups, switches and opaque
// networks beneath a folder: through folders of any depth to the datacenters,
// and from there through their network folders. It needs no view on the
// server that would have to be made, and that a lost session would take along.
func networkFilter(root types.ManagedObjectReference) types.PropertyFilterSpec {
	again := []types.BaseSelectionSpec{
		&types.SelectionSpec{Name: "folders"}, &types.SelectionSpec{Name: "networks"},
	}
	return types.PropertyFilterSpec{
		ObjectSet: []types.ObjectSpec{{
			Obj: root, Skip: new(true),
			SelectSet: []types.BaseSelectionSpec{
				&types.TraversalSpec{
					SelectionSpec: types.SelectionSpec{Name: "folders"}, Type: "Folder", Path: "childEntity", SelectSet: again,
				},
				&types.TraversalSpec{
					SelectionSpec: types.SelectionSpec{Name: "networks"}, Type: "Datacenter", Path: "networkFolder", SelectSet: again,
				},
			},
		}},
		PropSet: []types.PropertySpec{
			{Type: kindPortGroup, PathSet: []string{
				propName, propKey, propBacking, propSwitch, propLogical, propSegment, propZone, propZoneName,
			}},
			{Type: kindSwitch, PathSet: []string{propName, propUUID}},
			{Type: kindOpaque, PathSet: []string{propName, propOpaqueID, propOpaqueType}},
		},
		// Objects that go away meanwhile are no reason to fail.
		ReportMissingObjectsInResults: new(true),
	}
}

// networkInventory is the objects that were read, each with its properties.
type networkInventory struct {
	objects map[types.ManagedObjectReference]map[string]any
}

func newInventory() *networkInventory {
	return &networkInventory{objects: map[types.ManagedObjectReference]map[string]any{}}
}

func (v *networkInventory) set(ref types.ManagedObjectReference, props []types.DynamicProperty) {
	values := make(map[string]any, len(props))
	for _, p := range props {
		values[p.Name] = p.Val
	}
	v.objects[ref] = values
}

// apply takes one change that a wait reported.
func (v *networkInventory) apply(u types.ObjectUpdate) {
	if u.Kind == types.ObjectUpdateKindLeave {
		delete(v.objects, u.Obj)
		return
	}
	values := v.objects[u.Obj]
	if values == nil || u.Kind == types.ObjectUpdateKindEnter {
		values = map[string]any{}
		v.objects[u.Obj] = values
	}
	for _, change := range u.ChangeSet {
		switch change.Op {
		case types.PropertyChangeOpRemove, types.PropertyChangeOpIndirectRemove:
			delete(values, change.Name)
		default:
			values[change.Name] = change.Val
		}
	}
}

// portGroups returns what belongs to segments, sorted.
func (v *networkInventory) portGroups() []SegmentPortGroup {
	list := make([]SegmentPortGroup, 0, len(v.objects))
	for ref := range v.objects {
		if p, ok := v.portGroup(ref); ok {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, comparePortGroups)
	return list
}

// portGroup makes a SegmentPortGroup of an object, if it is one.
func (v *networkInventory) portGroup(ref types.ManagedObjectReference) (SegmentPortGroup, bool) {
	switch ref.Type {
	case kindOpaque:
		kind := v.text(ref, propOpaqueType)
		return SegmentPortGroup{
			Ref: ref, Name: v.text(ref, propName), Opaque: true,
			LogicalSwitch: strings.ToLower(v.text(ref, propOpaqueID)),
		}, kind == "nsx.LogicalSwitch"
	case kindPortGroup:
		p := SegmentPortGroup{
			Ref: ref, Name: v.text(ref, propName), Key: v.text(ref, propKey),
			LogicalSwitch: strings.ToLower(v.text(ref, propLogical)), Segment: v.text(ref, propSegment),
			TransportZone: v.text(ref, propZone), TransportZoneName: v.text(ref, propZoneName),
		}
		if owner, ok := v.objects[ref][propSwitch].(types.ManagedObjectReference); ok {
			p.Switch, p.SwitchName, p.SwitchUUID = owner, v.text(owner, propName), v.text(owner, propUUID)
		}
		// Before vSphere 7 there is no backing type.
		return p, v.text(ref, propBacking) == "nsx" || p.LogicalSwitch != ""
	default:
		return SegmentPortGroup{}, false
	}
}

// isSwitch reports whether the object is a distributed switch.
func isSwitch(ref types.ManagedObjectReference) bool {
	return ref.Type == kindSwitch || ref.Type == kindVDS
}

// text returns a property that is a string, empty when it is absent.
func (v *networkInventory) text(ref types.ManagedObjectReference, name string) string {
	s, _ := v.objects[ref][name].(string)
	return s
}
