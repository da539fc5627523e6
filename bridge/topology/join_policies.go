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

// The tags that package bridge writes on what an import has in NSX, and the
// annotation on the import that is the policy's path.
const (
	tagManagedBy       = "viaduct-sdk.github.io/managed-by"
	tagCluster         = "viaduct-sdk.github.io/cluster"
	tagNamespace       = "viaduct-sdk.github.io/namespace"
	tagName            = "viaduct-sdk.github.io/name"
	annotationFirewall = "viaduct-sdk.github.io/firewall"

	attrImport = "import"
)

// importOf returns the cluster, namespace and name of the import that an object
// in NSX was made for, if Viaduct made it.
func importOf(tags nsx.Tags) (key [3]string, ok bool) {
	for i, scope := range []string{tagCluster, tagNamespace, tagName} {
		if key[i], ok = tags.Get(scope); !ok {
			return key, false
		}
	}
	return key, tags.Has(tagManagedBy, "viaduct")
}

// joinPolicies connects firewall policies with what they are about: the
// namespace that NCP made them for, or the import that Viaduct did, and the
// segments and virtual servers that their scope and their rules' destinations
// refer to.
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
		if key, ours := importOf(p.Tags); ours {
			j.joinPolicy(p, key)
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

// joinPolicy connects a policy with its import. Both must know each other: tags
// can be copied.
func (j *joiner) joinPolicy(p nsx.SecurityPolicy, key [3]string) {
	n := j.nodes[nsxID(p.Path)]
	s := j.kube.byName[key]
	switch {
	case s != nil && s.node.Kind == KindImport && s.Annotations[annotationFirewall] == p.Path.String():
		j.connect(EdgeGuards, n.ID, s.node.ID)
	case s != nil:
		worsen(n, StateDegraded, "the import that it is for has another, or none")
	case j.readServices(key[0]):
		worsen(n, StateDegraded, "the import that it is for is gone")
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
