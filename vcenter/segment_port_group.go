// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// SegmentPortGroup is a port group of a distributed switch that NSX made for
// one of its segments, or the opaque network that hosts with an N-VDS show for
// a segment.
//
// A segment has one port group on each switch of its transport zone, so that
// neither LogicalSwitch nor Segment nor Name is unique; Ref is.
type SegmentPortGroup struct {
	Ref  types.ManagedObjectReference
	Name string // as vCenter shows it

	// LogicalSwitch is the UUID of the realized logical switch, in lower
	// case: what NCP writes on a Kubernetes namespace as ls_id-0.
	LogicalSwitch string

	// Segment is the policy path of the segment, such as
	// /infra/segments/web. Opaque networks lack it.
	Segment string

	TransportZone     string // its UUID
	TransportZoneName string

	// Key names the port group on its switch. Switch, SwitchName and
	// SwitchUUID, which is NSX's host_switch_id, are empty for opaque
	// networks, and for users who may not read the switch.
	Key        string
	Switch     types.ManagedObjectReference
	SwitchName string
	SwitchUUID string

	// Opaque marks the network of an N-VDS.
	Opaque bool
}

// String returns the name, the switch and the segment.
func (p SegmentPortGroup) String() string {
	where := p.SwitchName
	if p.Opaque {
		where = "N-VDS"
	}
	of := p.Segment
	if of == "" {
		of = p.LogicalSwitch
	}
	return p.Name + " on " + where + " of " + of
}

// SegmentPortGroups is the port groups of a vCenter that belong to segments of
// NSX.
type SegmentPortGroups struct{ c *Client }

// SegmentPortGroups returns the handle of the port groups that belong to
// segments of NSX.
func (c *Client) SegmentPortGroups() SegmentPortGroups { return SegmentPortGroups{c} }

// List returns the port groups that belong to segments of NSX, on all
// distributed switches of all datacenters, and the opaque networks, sorted by
// name. It takes one round trip, whatever their number, and another for each
// page if the vCenter limits its answers.
func (s SegmentPortGroups) List(ctx context.Context) ([]SegmentPortGroup, error) {
	root, err := s.root(ctx)
	if err != nil {
		return nil, err
	}
	list, err := s.list(ctx, root)
	if faultOf(err) == faultProperty {
		// The pages went with the session that they were made in.
		list, err = s.list(ctx, root)
	}
	return list, err
}

func (s SegmentPortGroups) list(ctx context.Context, root soapRoot) ([]SegmentPortGroup, error) {
	const op, object = "list segment port groups", "all"
	first := &methods.RetrievePropertiesExBody{Req: &types.RetrievePropertiesEx{
		This: root.collector, SpecSet: []types.PropertyFilterSpec{networkFilter(root.folder)},
	}}
	if err := s.c.vim(ctx, op, object, first); err != nil {
		return nil, err
	}
	page := first.Res.Returnval
	seen := newInventory()
	for page != nil {
		for _, o := range page.Objects {
			seen.set(o.Obj, o.PropSet)
		}
		if page.Token == "" {
			break
		}
		next := &methods.ContinueRetrievePropertiesExBody{Req: &types.ContinueRetrievePropertiesEx{This: root.collector, Token: page.Token}}
		if err := s.c.vim(ctx, op, object, next); err != nil {
			return nil, err
		}
		page = &next.Res.Returnval
	}
	return seen.portGroups(), nil
}

// All iterates over what [SegmentPortGroups.List] returns, fetched when the
// loop starts. It yields at most one error, last.
func (s SegmentPortGroups) All(ctx context.Context) iter.Seq2[SegmentPortGroup, error] {
	return all(func() ([]SegmentPortGroup, error) { return s.List(ctx) })
}

// Index returns an index of what [SegmentPortGroups.List] returns.
func (s SegmentPortGroups) Index(ctx context.Context) (*SegmentIndex, error) {
	list, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	return NewSegmentIndex(list), nil
}

// SegmentIndex finds port groups by what they belong to. Each lookup returns
// all that match, sorted by name and switch: one segment may have a port group
// on several switches, and one name may belong to several segments. It is
// immutable and safe for concurrent use.
type SegmentIndex struct {
	byLogicalSwitch, bySegment, byName map[string][]SegmentPortGroup
}

// NewSegmentIndex indexes port groups.
func NewSegmentIndex(list []SegmentPortGroup) *SegmentIndex {
	x := &SegmentIndex{
		byLogicalSwitch: map[string][]SegmentPortGroup{},
		bySegment:       map[string][]SegmentPortGroup{},
		byName:          map[string][]SegmentPortGroup{},
	}
	sorted := slices.SortedFunc(slices.Values(list), comparePortGroups)
	segments := map[string]string{} // of a logical switch
	for _, p := range sorted {
		if p.Segment != "" && p.LogicalSwitch != "" {
			segments[p.LogicalSwitch] = p.Segment
		}
	}
	for _, p := range sorted {
		if p.LogicalSwitch != "" {
			x.byLogicalSwitch[p.LogicalSwitch] = append(x.byLogicalSwitch[p.LogicalSwitch], p)
		}
		segment := p.Segment
		if segment == "" {
			// An opaque network belongs to the segment of its logical switch.
			segment = segments[p.LogicalSwitch]
		}
		if segment != "" {
			x.bySegment[segment] = append(x.bySegment[segment], p)
		}
		x.byName[p.Name] = append(x.byName[p.Name], p)
	}
	return x
}

// ByLogicalSwitch returns the port groups of a logical switch, named by its
// UUID in either case; none is an empty slice.
func (x *SegmentIndex) ByLogicalSwitch(uuid string) []SegmentPortGroup {
	return slices.Clone(x.byLogicalSwitch[strings.ToLower(uuid)])
}

// BySegment returns the port groups of a segment, named by its policy path,
// with the opaque networks of its logical switch; none is an empty slice.
func (x *SegmentIndex) BySegment(path string) []SegmentPortGroup {
	return slices.Clone(x.bySegment[path])
}

// ByName returns the port groups of this name; none is an empty slice.
func (x *SegmentIndex) ByName(name string) []SegmentPortGroup {
	return slices.Clone(x.byName[name])
}

func comparePortGroups(a, b SegmentPortGroup) int {
	return cmp.Or(
		strings.Compare(a.Name, b.Name),
		strings.Compare(a.SwitchName, b.SwitchName),
		strings.Compare(a.Ref.Value, b.Ref.Value),
		strings.Compare(a.Ref.Type, b.Ref.Type),
	)
}

// soapRoot is where reading starts.
type soapRoot struct{ folder, collector types.ManagedObjectReference }

func (s SegmentPortGroups) root(ctx context.Context) (soapRoot, error) {
	content, err := s.c.serviceContent(ctx)
	if err != nil {
		return soapRoot{}, err
	}
	return soapRoot{content.RootFolder, content.PropertyCollector}, nil
}
