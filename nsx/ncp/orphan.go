// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package ncp

import (
	"context"
	"errors"
	"fmt"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/page"
	"github.com/viaduct-sdk/viaduct/nsx"
)

// Live is the UIDs of the Kubernetes objects that exist. A nil set means that
// they were not looked at, so that nothing is an orphan for want of one.
type Live struct {
	NamespaceUIDs map[string]bool
	ServiceUIDs   map[string]bool
}

// Orphan is something whose Kubernetes object is gone.
type Orphan struct {
	Object
	Reason string
}

// LeakedAddress is an address that a pool gave out and nobody needs.
type LeakedAddress struct {
	Object // the allocation

	Pool   nsx.Path
	IP     string // "" when the allocation was never realized
	Reason string
}

// Orphans returns what NCP made in the cluster for Services and namespaces that
// no longer exist, sorted by path. What is shared, or belongs to the cluster as
// a whole, is never an orphan.
//
// live is called after NSX was asked, so that an object that came into being
// meanwhile is not taken for an orphan: it should read the cluster then, and not
// return what was read before. NCP itself takes a while to delete what a
// deleted Service leaves behind.
func (f *Finder) Orphans(ctx context.Context, cluster string, live func(context.Context) (Live, error)) ([]Orphan, error) {
	objects, err := page.Collect(f.Objects(ctx, Selector{Cluster: cluster}))
	if err != nil {
		return nil, err
	}
	sortByPath(objects)
	alive, err := live(ctx)
	if err != nil {
		return nil, fmt.Errorf("ncp: read what lives in cluster %s: %w", cluster, err)
	}
	var orphans []Orphan
	for _, o := range objects {
		if alive.reason(o.Owner) == "" {
			continue
		}
		current, err := f.current(ctx, o.Path)
		if err != nil {
			return nil, err
		}
		if reason := alive.reason(current.Owner); reason != "" && current.Owner.Cluster == cluster {
			orphans = append(orphans, Orphan{Object: current, Reason: reason})
		}
	}
	return orphans, nil
}

// LeakedAddresses returns the addresses that IP pools gave out in the name of
// the cluster's Services although nobody needs them, sorted by path: their
// Service is gone, or it has virtual servers and none of them has the address.
// live is what [Finder.Orphans] says of it.
func (f *Finder) LeakedAddresses(
	ctx context.Context, cluster string, live func(context.Context) (Live, error),
) ([]LeakedAddress, error) {
	var allocations []Object
	used := map[string]map[string]bool{} // addresses by Service UID
	for o, err := range f.Objects(ctx, Selector{Cluster: cluster}) {
		if err != nil {
			return nil, err
		}
		if o.ResourceType == "IpAddressAllocation" && o.Owner.Kind == OwnerService {
			allocations = append(allocations, o)
		}
	}
	sortByPath(allocations)
	alive, err := live(ctx)
	if err != nil {
		return nil, fmt.Errorf("ncp: read what lives in cluster %s: %w", cluster, err)
	}
	var leaked []LeakedAddress
	for _, o := range allocations {
		uid := o.Owner.ServiceUID
		if used[uid] == nil {
			if used[uid], err = f.addresses(ctx, uid); err != nil {
				return nil, err
			}
		}
		l, err := f.leak(ctx, o, alive, used[uid])
		if err != nil {
			return nil, err
		}
		if l.Reason != "" {
			leaked = append(leaked, l)
		}
	}
	return leaked, nil
}

// leak says why the allocation is not needed, if so.
func (f *Finder) leak(ctx context.Context, o Object, alive Live, used map[string]bool) (LeakedAddress, error) {
	l := LeakedAddress{Object: o, Pool: o.Path.Parent(), Reason: alive.reason(o.Owner)}
	var allocation nsx.IPAllocation
	err := f.client.Raw().Get(ctx, o.Path.String(), &allocation)
	if errors.Is(err, viaduct.ErrNotFound) {
		return LeakedAddress{}, nil // released meanwhile
	}
	if err != nil {
		return l, fmt.Errorf("ncp: %w", err)
	}
	if l.IP = allocation.AllocationIP; l.IP == "" {
		entities, err := absent(f.client.RealizedState().Entities(ctx, o.Path))
		if err != nil {
			return l, fmt.Errorf("ncp: %w", err)
		}
		for _, e := range entities {
			if ip, ok := e.Attribute("allocation_ip"); ok {
				l.IP = ip
			}
		}
	}
	if l.Reason == "" && l.IP != "" && len(used) > 0 && !used[l.IP] {
		l.Reason = "no virtual server of its Service has the address"
	}
	return l, nil
}

// addresses returns the addresses of the virtual servers of a Service.
func (f *Finder) addresses(ctx context.Context, serviceUID string) (map[string]bool, error) {
	servers, err := find(ctx, f, f.client.VirtualServers(), Selector{ServiceUID: serviceUID},
		func(v nsx.VirtualServer) nsx.Resource { return v.Resource })
	addresses := map[string]bool{}
	for _, v := range servers {
		addresses[v.IPAddress] = true
	}
	return addresses, err
}

// current reads an object again; it is empty, and belongs to nobody, when it is
// gone.
func (f *Finder) current(ctx context.Context, path nsx.Path) (Object, error) {
	var r nsx.Resource
	err := f.client.Raw().Get(ctx, path.String(), &r)
	if errors.Is(err, viaduct.ErrNotFound) {
		return Object{}, nil
	}
	if err != nil {
		return Object{}, fmt.Errorf("ncp: %w", err)
	}
	return f.object(r), nil
}

// reason says why something with this owner is an orphan; empty when it is not.
func (l Live) reason(o Owner) string {
	switch {
	case o.Kind != OwnerService && o.Kind != OwnerNamespace:
		return ""
	case o.ServiceUID != "" && l.ServiceUIDs != nil && !l.ServiceUIDs[o.ServiceUID]:
		return "no Service has the UID " + o.ServiceUID
	case o.NamespaceUID != "" && l.NamespaceUIDs != nil && !l.NamespaceUIDs[o.NamespaceUID]:
		return "no namespace has the UID " + o.NamespaceUID
	default:
		return ""
	}
}
