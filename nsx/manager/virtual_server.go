// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	nsxt "github.com/vmware/go-vmware-nsxt"
	"github.com/vmware/go-vmware-nsxt/loadbalancer"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
)

// The paths of load balancer objects in the Manager API.
const (
	serverPath  = "/loadbalancer/virtual-servers/"
	poolPath    = "/loadbalancer/pools/"
	servicePath = "/loadbalancer/services/"
)

// VirtualServers returns the virtual servers that NCP made for the Kubernetes
// Service with this UID, sorted by path, and none when there are none (yet).
//
// The Manager API does not tell how far the realization of a virtual server
// got. It is REALIZED here when its load balancer reports on it, ERROR when the
// load balancer reports an error of its own, else UNREALIZED.
//
// Errors match [viaduct.ErrUnsupported] from NSX 9.0 on.
func (f *Finder) VirtualServers(ctx context.Context, serviceUID string) ([]ncp.VirtualServer, error) {
	if serviceUID == "" {
		return nil, fmt.Errorf("manager: virtual servers: %w: no Service UID", viaduct.ErrInvalid)
	}
	found, err := f.virtualServers(ctx, func(tags nsx.Tags) bool { return hasAny(tags, f.scopes.ServiceUID, serviceUID) })
	if err != nil {
		return nil, fmt.Errorf("manager: virtual servers of service %s: %w", serviceUID, err)
	}
	return found, nil
}

// AllVirtualServers returns the virtual servers of the selector, sorted by path.
// The rest is as for [Finder.VirtualServers].
func (f *Finder) AllVirtualServers(ctx context.Context, of Selector) ([]ncp.VirtualServer, error) {
	found, err := f.virtualServers(ctx, func(tags nsx.Tags) bool { return of.matches(f.scopes, tags) })
	if err != nil {
		return nil, fmt.Errorf("manager: virtual servers: %w", err)
	}
	return found, nil
}

// Pool is a load balancer's pool.
type Pool struct {
	ID, DisplayName string
	// Status is NSX's: UP, DOWN, PARTIALLY_UP, …; "" when it is not known,
	// because no load balancer uses the pool yet.
	Status  string
	Members []ncp.Member
	Tags    nsx.Tags
}

// Pools returns the load balancer pools of the selector, sorted by id.
//
// Errors match [viaduct.ErrUnsupported] from NSX 9.0 on.
func (f *Finder) Pools(ctx context.Context, of Selector) ([]Pool, error) {
	if err := f.requireLB(ctx); err != nil {
		return nil, fmt.Errorf("manager: pools: %w", err)
	}
	found, err := list(ctx, "id", f.poolPage, func(p loadbalancer.LbPool) bool { return of.matches(f.scopes, tagsOf(p.Tags)) })
	if err != nil || len(found) == 0 {
		return nil, wrap("pools", err)
	}
	services, err := list(ctx, "id", f.servicePage, func(loadbalancer.LbService) bool { return true })
	if err != nil {
		return nil, wrap("pools", err)
	}
	status := map[string]loadbalancer.LbPoolStatus{}
	for _, service := range services {
		reported, err := f.status(ctx, service.Id)
		if err != nil {
			return nil, wrap("pools", err)
		}
		for _, s := range reported.Pools {
			status[s.PoolId] = s
		}
	}
	slices.SortFunc(found, func(a, b loadbalancer.LbPool) int { return strings.Compare(a.Id, b.Id) })
	pools := make([]Pool, len(found))
	for i, p := range found {
		pools[i] = Pool{
			ID: p.Id, DisplayName: p.DisplayName, Status: status[p.Id].Status,
			Members: members(p, status[p.Id]), Tags: tagsOf(p.Tags),
		}
	}
	return pools, nil
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("manager: %s: %w", what, err)
}

// requireLB refuses to ask a version that has no load balancer in this API.
func (f *Finder) requireLB(ctx context.Context) error {
	return f.client.RequireBefore(ctx, "load balancer of the Manager API", nsx.Version{Major: 9})
}

// virtualServers lists the virtual servers with the tags, and asks each load
// balancer that has any of them once for the status of all.
func (f *Finder) virtualServers(ctx context.Context, wanted func(nsx.Tags) bool) ([]ncp.VirtualServer, error) {
	if err := f.requireLB(ctx); err != nil {
		return nil, err
	}
	found, err := list(ctx, "id", f.serverPage, func(v loadbalancer.LbVirtualServer) bool { return wanted(tagsOf(v.Tags)) })
	if err != nil || len(found) == 0 {
		return nil, err
	}
	services, err := list(ctx, "id", f.servicePage, func(s loadbalancer.LbService) bool {
		return slices.ContainsFunc(found, func(v loadbalancer.LbVirtualServer) bool {
			return slices.Contains(s.VirtualServerIds, v.Id)
		})
	})
	if err != nil {
		return nil, err
	}
	status := make([]loadbalancer.LbServiceStatus, len(services))
	for i, s := range services {
		if status[i], err = f.status(ctx, s.Id); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(found, func(a, b loadbalancer.LbVirtualServer) int { return strings.Compare(a.Id, b.Id) })
	servers := make([]ncp.VirtualServer, len(found))
	for i, v := range found {
		servers[i] = f.describe(v)
		for j, s := range services {
			if slices.Contains(s.VirtualServerIds, v.Id) {
				attach(&servers[i], v.Id, status[j])
			}
		}
		if servers[i].Members, err = f.members(ctx, v.PoolId, status); err != nil {
			return nil, err
		}
	}
	return servers, nil
}

func (f *Finder) describe(v loadbalancer.LbVirtualServer) ncp.VirtualServer {
	tags := tagsOf(v.Tags)
	server := ncp.VirtualServer{
		Path: serverPath + v.Id, DisplayName: v.DisplayName, IP: v.IpAddress, Ports: v.Ports, Protocol: v.IpProtocol,
		Realization: ncp.Realization{State: string(nsx.Unrealized)}, Tags: tags, Owner: f.scopes.Owner(tags),
	}
	if len(server.Ports) == 0 && v.Port != "" {
		server.Ports = []string{v.Port} // of NSX before 2.3
	}
	for _, scope := range f.scopes.IPPool {
		if id, ok := tags.Get(scope); ok && server.IPPool == "" {
			server.IPPool = id
		}
	}
	if v.PoolId != "" {
		server.PoolPath = poolPath + v.PoolId
	}
	return server
}

// attach adds what the load balancer says of the virtual server.
func attach(server *ncp.VirtualServer, id string, service loadbalancer.LbServiceStatus) {
	server.LBServicePath = servicePath + service.ServiceId
	for _, s := range service.VirtualServers {
		if s.VirtualServerId == id {
			server.Status = s.Status
			server.Realization.State = string(nsx.Realized)
		}
	}
	if service.ServiceStatus == "ERROR" {
		server.Realization = ncp.Realization{State: string(nsx.Failed), Message: service.ErrorMessage}
	}
}

// members returns the members of a pool, with their status when one of the load
// balancers knows it.
func (f *Finder) members(ctx context.Context, pool string, known []loadbalancer.LbServiceStatus) ([]ncp.Member, error) {
	if pool == "" {
		return nil, nil
	}
	p, err := ask(ctx, f.chain, func(ctx context.Context, api *nsxt.APIClient) (loadbalancer.LbPool, *http.Response, error) {
		return api.ServicesApi.ReadLoadBalancerPool(ctx, pool)
	})
	if errors.Is(err, viaduct.ErrNotFound) {
		return nil, nil // it went meanwhile
	}
	if err != nil {
		return nil, err
	}
	for _, service := range known {
		for _, s := range service.Pools {
			if s.PoolId == pool {
				return members(p, s), nil
			}
		}
	}
	return members(p, loadbalancer.LbPoolStatus{}), nil
}

// members returns the members that the status names, or else those of the pool.
// A pool that takes its members from a group has them in its status only.
func members(p loadbalancer.LbPool, status loadbalancer.LbPoolStatus) []ncp.Member {
	var all []ncp.Member
	for _, m := range status.Members {
		all = append(all, ncp.Member{IP: m.IPAddress, Port: m.Port, Status: m.Status, FailureCause: m.FailureCause})
	}
	if len(all) > 0 {
		return all
	}
	for _, m := range p.Members {
		all = append(all, ncp.Member{IP: m.IpAddress, Port: m.Port})
	}
	return all
}

// status returns what a load balancer reports; nothing when it went meanwhile.
func (f *Finder) status(ctx context.Context, service string) (loadbalancer.LbServiceStatus, error) {
	status, err := ask(ctx, f.chain, func(ctx context.Context, api *nsxt.APIClient) (loadbalancer.LbServiceStatus, *http.Response, error) {
		return api.ServicesApi.ReadLoadBalancerServiceStatus(ctx, service, map[string]any{})
	})
	if errors.Is(err, viaduct.ErrNotFound) {
		return loadbalancer.LbServiceStatus{ServiceId: service}, nil
	}
	return status, err
}

func (f *Finder) serverPage(ctx context.Context, options map[string]any) (chunk[loadbalancer.LbVirtualServer], error) {
	page, err := ask(ctx, f.chain, func(ctx context.Context, api *nsxt.APIClient) (loadbalancer.LbVirtualServerListResult, *http.Response, error) {
		return api.ServicesApi.ListLoadBalancerVirtualServers(ctx, options)
	})
	return chunk[loadbalancer.LbVirtualServer]{page.Results, page.Cursor}, err
}

func (f *Finder) poolPage(ctx context.Context, options map[string]any) (chunk[loadbalancer.LbPool], error) {
	page, err := ask(ctx, f.chain, func(ctx context.Context, api *nsxt.APIClient) (loadbalancer.LbPoolListResult, *http.Response, error) {
		return api.ServicesApi.ListLoadBalancerPools(ctx, options)
	})
	return chunk[loadbalancer.LbPool]{page.Results, page.Cursor}, err
}

func (f *Finder) servicePage(ctx context.Context, options map[string]any) (chunk[loadbalancer.LbService], error) {
	page, err := ask(ctx, f.chain, func(ctx context.Context, api *nsxt.APIClient) (loadbalancer.LbServiceListResult, *http.Response, error) {
		return api.ServicesApi.ListLoadBalancerServices(ctx, options)
	})
	return chunk[loadbalancer.LbService]{page.Results, page.Cursor}, err
}
