// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package ncp

import (
	"slices"

	"github.com/viaduct-sdk/viaduct/nsx"
)

// Scopes is the tag scopes with which NCP marks what it makes, by what they
// say. Where several are given, any of them counts, the first that an object
// has first.
type Scopes struct {
	// Cluster is the cluster: "domain-c8:<vCenter UUID>" for a Supervisor,
	// "pks-<UUID>" for TKGI.
	Cluster []string

	// Namespace is the name of a namespace, NamespaceUID its UID.
	Namespace, NamespaceUID []string

	// ServiceUID is the UID of a Service.
	ServiceUID []string

	// CreatedFor says what infrastructure an object is part of: "DLB", "SLB".
	CreatedFor []string

	// SharedResource marks objects that several namespaces share, External
	// those that an administrator made for NCP to use.
	SharedResource, External []string

	// IPPool, on a virtual server, is the id of the IP pool that its address
	// is from. EgressPool, on a tier-1 gateway, is that of the pool from which
	// comes the address that traffic leaves with.
	IPPool, EgressPool []string

	// PoolOwner, on an IP pool that users made, is "cluster:" and the cluster
	// that may take addresses from it.
	PoolOwner []string
}

// DefaultScopes returns the scopes of NCP 3.x and 4.x, as its clean-up scripts
// and the nsx-operator know them.
func DefaultScopes() Scopes {
	return Scopes{
		Cluster:        []string{"ncp/cluster"},
		Namespace:      []string{"ncp/project"},
		NamespaceUID:   []string{"ncp/project_uid", "ncp/vif_project_uid"},
		ServiceUID:     []string{"ncp/service_uid"},
		CreatedFor:     []string{"ncp/created_for"},
		SharedResource: []string{"ncp/shared_resource"},
		External:       []string{"ncp/external"},
		IPPool:         []string{"ncp/ip_pool_id"},
		EgressPool:     []string{"ncp/extpoolid"},
		PoolOwner:      []string{"ncp/owner"},
	}
}

// value returns the first tag of any of the scopes.
func value(tags nsx.Tags, scopes []string) string {
	for _, scope := range scopes {
		if tag, ok := tags.Get(scope); ok {
			return tag
		}
	}
	return ""
}

// has reports whether any of the scopes has this tag.
func has(tags nsx.Tags, scopes []string, tag string) bool {
	return slices.ContainsFunc(scopes, func(scope string) bool { return tags.Has(scope, tag) })
}
