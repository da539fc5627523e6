// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"cmp"
	"strings"

	"github.com/viaduct-sdk/viaduct/vcenter"
)

// vcenterIndex finds nodes of vCenter.
type vcenterIndex struct {
	// namespaces are vSphere Namespaces by cluster and name.
	namespaces map[[2]string]string
	// portGroups are port groups by logical switch, and by path of the segment.
	byLogicalSwitch, bySegment map[string][]string
}

func (j *joiner) addVCenter() {
	j.vcenter = vcenterIndex{
		namespaces:      map[[2]string]string{},
		byLogicalSwitch: map[string][]string{}, bySegment: map[string][]string{},
	}
	if j.o.vcenter == nil {
		return
	}
	for _, ns := range j.o.vcenter.namespaces {
		n := j.add(Node{
			ID: "vcenter:" + ns.Cluster + "/" + ns.Name, Kind: KindVSphereNamespace, System: SystemVCenter,
			Label: ns.Name, Detail: "on " + ns.Cluster,
			Attributes: map[string]string{attrName: ns.Name, "cluster": ns.Cluster, "status": string(ns.Status)},
		})
		worsen(n, stateOfConfig(ns.Status), "vCenter says "+string(ns.Status))
		j.vcenter.namespaces[[2]string{ns.Cluster, ns.Name}] = n.ID
	}
	for _, pg := range j.o.vcenter.portGroups {
		j.addPortGroup(pg)
	}
}

func (j *joiner) addPortGroup(pg vcenter.SegmentPortGroup) {
	detail := "opaque network"
	if !pg.Opaque {
		detail = "on " + cmp.Or(pg.SwitchName, "a switch that may not be read")
	}
	n := j.add(Node{
		ID: "vcenter:" + pg.Ref.Value, Kind: KindPortGroup, System: SystemVCenter,
		Label: j.shorten(pg.Name), Detail: detail,
		Attributes: map[string]string{
			attrName: pg.Name, "logical-switch": pg.LogicalSwitch, "segment": pg.Segment,
			"switch": pg.SwitchName, "transport-zone": pg.TransportZoneName,
		},
	})
	if pg.LogicalSwitch != "" {
		key := strings.ToLower(pg.LogicalSwitch)
		j.vcenter.byLogicalSwitch[key] = append(j.vcenter.byLogicalSwitch[key], n.ID)
	}
	if pg.Segment != "" {
		j.vcenter.bySegment[pg.Segment] = append(j.vcenter.bySegment[pg.Segment], n.ID)
	}
}

func stateOfConfig(s vcenter.ConfigStatus) State {
	switch s {
	case vcenter.ConfigStatusRunning:
		return StateUp
	case vcenter.ConfigStatusConfiguring, vcenter.ConfigStatusRemoving:
		return StateDegraded
	case vcenter.ConfigStatusError:
		return StateDown
	default:
		return StateUnknown
	}
}
