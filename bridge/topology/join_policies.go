// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
)

// joinPolicies connects firewall policies with what they are about: the
// namespace that NCP made them for, and the segments and virtual servers that
// their scope and their rules' destinations refer to.
func (j *joiner) joinPolicies() {
	if j.o.nsx == nil {
		return
	}
	groups := make(map[nsx.Path]nsx.Group, len(j.o.nsx.groups))
	for _, g := range j.o.nsx.groups {
		groups[g.Path] = g
	}
	for _, p := range j.o.nsx.policies {
		id := nsxID(p.Path)
		if owner := j.o.nsx.owner(p.Tags); owner.Kind != ncp.OwnerNone {
			j.connect(EdgeGuards, id, j.kube.namespace[owner.NamespaceUID])
		}
		about := slices.Clone(p.Scope)
		for _, r := range j.nsx.rules[p.Path] {
			about = append(about, r.Scope...)
			about = append(about, r.DestinationGroups...)
		}
		for _, one := range about {
			j.guard(id, one.String())
			for _, reference := range references(groups[one].Expression) {
				j.guard(id, reference)
			}
		}
	}
}

// references are the paths and addresses in a group's expressions.
func references(all []nsx.Expression) []string {
	var found []string
	for _, e := range all {
		for _, path := range e.Paths {
			found = append(found, path.String())
		}
		found = append(found, e.IPAddresses...)
		found = append(found, references(e.Expressions)...)
	}
	return found
}

// guard connects a policy with the segment of a path, or with the virtual
// servers at an address.
func (j *joiner) guard(policy, reference string) {
	if segment, ok := j.nsx.segments[strings.ToLower(reference)]; ok {
		j.connect(EdgeGuards, policy, segment)
	}
	if address, err := netip.ParseAddr(reference); err == nil {
		for _, v := range j.nsx.byAddress[address.String()] {
			j.connect(EdgeGuards, policy, v.id)
		}
	}
}
