// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"net/http"
	"slices"
)

const (
	mpServices = "/loadbalancer/services"
	mpServers  = "/loadbalancer/virtual-servers"
	mpLBPools  = "/loadbalancer/pools"
)

func mpStatusRoutes() []route {
	service := managerBase + mpServices + "/{id}"
	return []route{
		newRoute(http.MethodGet, service+"/status", mpServiceStatus),
		newRoute(http.MethodGet, service+"/virtual-servers/{member}/status", mpServerStatus),
		newRoute(http.MethodGet, service+"/pools/{member}/status", mpPoolStatus),
		newRoute(http.MethodGet, managerBase+"/logical-switches/{id}/state", func(c *call) (any, error) {
			o, err := c.managerObject("/logical-switches")
			if err != nil {
				return nil, err
			}
			return map[string]any{"logical_switch_id": o.id(), "state": "success"}, nil
		}),
	}
}

func mpServiceStatus(c *call) (any, error) {
	service, err := c.managerObject(mpServices)
	if err != nil {
		return nil, err
	}
	state := statusUp
	if !service.flag("enabled", true) {
		state = statusDisabled
	} else if service.body["attachment"] == nil {
		state = statusDetached
	}
	servers, pools := []any{}, []any{}
	var seen []string
	for _, id := range service.texts("virtual_server_ids") {
		server := c.s.manager.objects[mpServers+"/"+id]
		servers = append(servers, c.s.mpServer(server))
		if pool := c.s.manager.objects[mpLBPools+"/"+server.text("pool_id")]; pool != nil && !slices.Contains(seen, pool.path) {
			seen = append(seen, pool.path)
			pools = append(pools, c.s.mpPool(pool))
		}
	}
	return map[string]any{
		"service_id": service.id(), "service_status": state, "cpu_usage": 0, "memory_usage": 0,
		"active_transport_nodes": []string{"edge-1"}, "standby_transport_nodes": []string{"edge-2"},
		"last_update_timestamp": c.s.now().UnixMilli(), "virtual_servers": servers, "pools": pools,
	}, nil
}

func (s *Server) mpServer(server *object) map[string]any {
	state := statusUnknown
	switch pool := s.manager.objects[mpLBPools+"/"+server.text("pool_id")]; {
	case !server.flag("enabled", true):
		state = statusDisabled
	case pool != nil:
		state = s.state(pool, s.members(pool))
	}
	return map[string]any{
		"virtual_server_id": server.id(), "status": state, "last_update_timestamp": s.now().UnixMilli(),
	}
}

func (s *Server) mpPool(pool *object) map[string]any {
	members := s.members(pool)
	listed := []any{}
	for _, m := range members {
		listed = append(listed, m.describe(s.now().UnixMilli()))
	}
	return map[string]any{
		"pool_id": pool.id(), "status": s.state(pool, members), "members": listed,
		"last_update_timestamp": s.now().UnixMilli(),
	}
}

func mpServerStatus(c *call) (any, error) {
	service, err := c.managerObject(mpServices)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(service.texts("virtual_server_ids"), c.vars["member"]) {
		return nil, missingManager(mpServers, c.vars["member"])
	}
	return c.s.mpServer(c.s.manager.objects[mpServers+"/"+c.vars["member"]]), nil
}

func mpPoolStatus(c *call) (any, error) {
	if _, err := c.managerObject(mpServices); err != nil {
		return nil, err
	}
	pool := c.s.manager.objects[mpLBPools+"/"+c.vars["member"]]
	if pool == nil {
		return nil, missingManager(mpLBPools, c.vars["member"])
	}
	return c.s.mpPool(pool), nil
}
