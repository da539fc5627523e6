// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"errors"
	"fmt"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
)

// view is what NSX says of its load balancers.
type view struct {
	servers     []nsx.VirtualServer
	services    map[nsx.Path]nsx.LBService
	pools       map[nsx.Path]nsx.Pool
	monitors    map[nsx.Path]nsx.LBMonitorProfile
	persistence map[nsx.Path]nsx.LBPersistenceProfile
	profiles    map[nsx.Path]nsx.LBAppProfile

	// What the load balancers report of themselves, of their virtual servers
	// and of the members of their pools.
	health  map[nsx.Path]nsx.LBStatus
	members map[nsx.Path][]nsx.MemberStatus
}

// read asks NSX for everything.
func read(ctx context.Context, client *nsx.Client) (*view, error) {
	v := &view{health: map[nsx.Path]nsx.LBStatus{}, members: map[nsx.Path][]nsx.MemberStatus{}}
	for s, err := range client.VirtualServers().All(ctx, nsx.ListOptions{}) {
		if err != nil {
			return nil, fmt.Errorf("edge: %w", err)
		}
		v.servers = append(v.servers, s)
	}
	err := errors.Join(
		index(ctx, client.LBServices().Collection, func(o nsx.LBService) nsx.Path { return o.Path }, &v.services),
		index(ctx, client.Pools(), func(o nsx.Pool) nsx.Path { return o.Path }, &v.pools),
		index(ctx, client.LBMonitorProfiles(), func(o nsx.LBMonitorProfile) nsx.Path { return o.Path }, &v.monitors),
		index(ctx, client.LBPersistenceProfiles(), func(o nsx.LBPersistenceProfile) nsx.Path { return o.Path }, &v.persistence),
		index(ctx, client.LBAppProfiles(), func(o nsx.LBAppProfile) nsx.Path { return o.Path }, &v.profiles),
	)
	if err != nil {
		return nil, fmt.Errorf("edge: %w", err)
	}
	for path, service := range v.services {
		status, err := client.LBServices().Status(ctx, service.ID)
		if errors.Is(err, viaduct.ErrNotFound) {
			continue // gone meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("edge: %w", err)
		}
		v.health[path] = status.Status
		for _, s := range status.VirtualServers {
			v.health[s.VirtualServerPath] = s.Status
		}
		for _, p := range status.Pools {
			v.members[p.PoolPath] = p.Members
		}
	}
	return v, nil
}

// index lists a collection by path.
func index[T nsx.Object](ctx context.Context, c nsx.Collection[T], path func(T) nsx.Path, into *map[nsx.Path]T) error {
	*into = map[nsx.Path]T{}
	for object, err := range c.All(ctx, nsx.ListOptions{}) {
		if err != nil {
			return err
		}
		(*into)[path(object)] = object
	}
	return nil
}
