// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package ncp

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/viaduct-sdk/viaduct/nsx"
)

// Object is something that NCP made, of whatever kind.
type Object struct {
	Path         nsx.Path
	ResourceType string
	DisplayName  string
	Tags         nsx.Tags
	Owner        Owner
}

// Owner is the Kubernetes object for which NCP made something, as far as its
// tags tell.
type Owner struct {
	Kind OwnerKind

	Cluster      string
	Namespace    string // its name
	NamespaceUID string
	ServiceUID   string
}

// OwnerKind is a kind of Kubernetes object. Open set: later versions of this
// package may know more.
type OwnerKind string

// The kinds of owners. Something for the cluster as a whole, such as its load
// balancer, belongs to the Cluster; OwnerShared is what several namespaces share,
// and OwnerNone what NCP has not tagged.
const (
	OwnerService   OwnerKind = "Service"
	OwnerNamespace OwnerKind = "Namespace"
	OwnerCluster   OwnerKind = "Cluster"
	OwnerShared    OwnerKind = "Shared"
	OwnerNone      OwnerKind = ""
)

// Owner returns for which Kubernetes object NCP made the object with these tags.
func (f *Finder) Owner(tags nsx.Tags) Owner { return f.scopes.Owner(tags) }

// Owner returns for which Kubernetes object NCP made the object with these tags.
func (s Scopes) Owner(tags nsx.Tags) Owner {
	o := Owner{
		Cluster:      value(tags, s.Cluster),
		Namespace:    value(tags, s.Namespace),
		NamespaceUID: value(tags, s.NamespaceUID),
		ServiceUID:   value(tags, s.ServiceUID),
	}
	switch {
	case has(tags, s.SharedResource, "true"):
		o.Kind = OwnerShared
	case o.ServiceUID != "":
		o.Kind = OwnerService
	case o.Namespace+o.NamespaceUID != "":
		o.Kind = OwnerNamespace
	case o.Cluster != "":
		o.Kind = OwnerCluster
	default:
		o.Kind = OwnerNone
	}
	return o
}

// resourceTypes are the kinds of objects that NCP makes. A search without them
// fails where the index of any other type is broken.
func resourceTypes() []string {
	return []string{
		"Segment", "Tier1", "IpAddressPool", "IpAddressBlock", "IpAddressAllocation",
		"LBService", "LBVirtualServer", "LBPool",
		"SecurityPolicy", "Group", "PolicyNatRule",
	}
}

// Objects iterates over everything that NCP made for the selected Kubernetes
// objects. It comes from the search index, which is some seconds behind: unlike
// with the methods for one kind, nothing is read again.
func (f *Finder) Objects(ctx context.Context, of Selector) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		queries, err := f.queries(of)
		if err != nil {
			yield(Object{}, err)
			return
		}
		seen := map[nsx.Path]bool{}
		for _, query := range queries {
			for hit, err := range f.client.Search().All(ctx, query.Type(resourceTypes()...)) {
				if err != nil {
					yield(Object{}, fmt.Errorf("ncp: %w", err))
					return
				}
				if seen[hit.Path] || !f.fits(of, hit.Tags) {
					continue
				}
				seen[hit.Path] = true
				if !yield(f.object(hit.Resource), nil) {
					return
				}
			}
		}
	}
}

func (f *Finder) object(r nsx.Resource) Object {
	return Object{
		Path: r.Path, ResourceType: r.ResourceType, DisplayName: r.DisplayName,
		Tags: r.Tags, Owner: f.Owner(r.Tags),
	}
}

func sortByPath(objects []Object) {
	slices.SortFunc(objects, func(a, b Object) int { return strings.Compare(string(a.Path), string(b.Path)) })
}
