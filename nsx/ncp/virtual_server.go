// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package ncp

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
)

// VirtualServer is a virtual server that NCP made for a port of a Service, and
// how it is doing.
type VirtualServer struct {
	Path, DisplayName string

	IP       string
	Ports    []string
	Protocol string // TCP or UDP; "" when its application profile is gone

	LBServicePath, PoolPath string

	// IPPool is the id of the IP pool that NCP took the address from, "" when
	// it has not tagged the virtual server with one.
	IPPool string

	Realization Realization

	// Status is NSX's: UP, DOWN, PARTIALLY_UP, …; "" when it is not known yet.
	Status string

	Members []Member
	Tags    nsx.Tags
	Owner   Owner // as the tags tell
}

// Realization is how far NSX got with a virtual server: REALIZED, UNREALIZED or
// ERROR, then with a message.
type Realization struct {
	State, Message string
}

// Member is a server behind a virtual server.
type Member struct {
	IP, Port string

	// Status is NSX's: UP, DOWN, …; "" when it is not known yet. FailureCause
	// says why it is not UP.
	Status, FailureCause string
}

// VirtualServers returns the virtual servers that NCP made for the Kubernetes
// Service with this UID, sorted by path, and none when there are none (yet).
func (f *Finder) VirtualServers(ctx context.Context, serviceUID string) ([]VirtualServer, error) {
	if serviceUID == "" {
		return nil, fmt.Errorf("ncp: find virtual servers: %w: no Service UID", viaduct.ErrInvalid)
	}
	found, err := find(ctx, f, f.client.VirtualServers(), Selector{ServiceUID: serviceUID},
		func(v nsx.VirtualServer) nsx.Resource { return v.Resource })
	if err != nil {
		return nil, err
	}
	servers := make([]VirtualServer, 0, len(found))
	for _, v := range found {
		server, err := f.describe(ctx, v)
		if err != nil {
			return nil, fmt.Errorf("ncp: virtual server %s: %w", v.Path, err)
		}
		servers = append(servers, server)
	}
	return servers, nil
}

// describe adds to v what it takes other requests to know. What vanished
// meanwhile, or is not there yet, stays empty.
func (f *Finder) describe(ctx context.Context, v nsx.VirtualServer) (VirtualServer, error) {
	server := VirtualServer{
		Path: v.Path.String(), DisplayName: v.DisplayName,
		IP: v.IPAddress, Ports: v.Ports, Tags: v.Tags, Owner: f.Owner(v.Tags),
		LBServicePath: v.LBServicePath.String(), PoolPath: v.PoolPath.String(),
		IPPool: nsx.Path(value(v.Tags, f.scopes.IPPool)).ID(),
	}
	var err error
	if server.Protocol, err = f.protocol(ctx, v.ApplicationProfilePath); err != nil {
		return server, err
	}
	if server.Realization, err = f.realization(ctx, v.Path); err != nil {
		return server, err
	}
	if v.LBServicePath != "" {
		status, err := absent(f.client.LBServices().VirtualServerStatus(ctx, v.LBServicePath.ID(), v.ID))
		if err != nil {
			return server, err
		}
		server.Status = string(status.Status)
	}
	server.Members, err = f.members(ctx, v)
	return server, err
}

// protocol tells it from the kind of the application profile.
func (f *Finder) protocol(ctx context.Context, profile nsx.Path) (string, error) {
	switch profile {
	case "":
		return "", nil
	case nsx.DefaultTCPProfilePath, nsx.DefaultHTTPProfilePath:
		return "TCP", nil
	case nsx.DefaultUDPProfilePath:
		return "UDP", nil
	default:
	}
	p, err := absent(f.client.LBAppProfiles().Get(ctx, profile.ID()))
	switch p.ResourceType {
	case "":
		return "", err
	case nsx.LBFastUDPProfile:
		return "UDP", nil
	default:
		return "TCP", nil
	}
}

func (f *Finder) realization(ctx context.Context, path nsx.Path) (Realization, error) {
	entities, err := absent(f.client.RealizedState().Entities(ctx, path))
	if err != nil {
		return Realization{}, err
	}
	if len(entities) == 0 {
		return Realization{State: string(nsx.Unrealized)}, nil
	}
	r := Realization{State: string(nsx.Realized)}
	var messages []string
	for _, e := range entities {
		if e.State == nsx.Realized {
			continue
		}
		if r.State != string(nsx.Failed) {
			r.State = string(e.State)
		}
		for _, alarm := range e.Alarms {
			messages = append(messages, alarm.Message)
		}
	}
	r.Message = strings.Join(messages, "; ")
	return r, nil
}

// members returns the members with their status, or without it when the load
// balancer can't tell yet.
func (f *Finder) members(ctx context.Context, v nsx.VirtualServer) ([]Member, error) {
	if v.PoolPath == "" {
		return nil, nil
	}
	if v.LBServicePath != "" {
		status, err := f.client.LBServices().PoolStatus(ctx, v.LBServicePath.ID(), v.PoolPath.ID())
		if err == nil {
			return described(status), nil
		}
		if !errors.Is(err, viaduct.ErrNotFound) {
			return nil, err
		}
	}
	pool, err := absent(f.client.Pools().Get(ctx, v.PoolPath.ID()))
	members := make([]Member, len(pool.Members))
	for i, m := range pool.Members {
		members[i] = Member{IP: m.IPAddress, Port: m.Port}
	}
	return members, err
}

func described(status nsx.PoolStatus) []Member {
	members := make([]Member, len(status.Members))
	for i, m := range status.Members {
		members[i] = Member{
			IP: m.IPAddress, Port: m.Port,
			Status: string(m.Status), FailureCause: m.FailureCause,
		}
	}
	return members
}

// absent turns an absent object into a zero one.
func absent[T any](object T, err error) (T, error) {
	if errors.Is(err, viaduct.ErrNotFound) {
		var zero T
		return zero, nil
	}
	return object, err
}
