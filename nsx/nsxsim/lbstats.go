// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

// The statistics are those of load balancers that nobody uses: nothing passes
// through a simulated one.

func counters() map[string]any {
	zeros := map[string]any{}
	for _, name := range []string{
		"bytes_in", "bytes_in_rate", "bytes_out", "bytes_out_rate", "current_session_rate", "current_sessions",
		"max_sessions", "packets_in", "packets_in_rate", "packets_out", "packets_out_rate", "total_sessions",
	} {
		zeros[name] = 0
	}
	return zeros
}

func (s *Server) measure(typ, field string, o *object) map[string]any {
	return map[string]any{
		"resource_type": typ, "enforcement_point_path": enforcementPoint, field: o.path,
		"last_update_timestamp": s.now().UnixMilli(), "statistics": counters(),
	}
}

func (s *Server) measurePool(pool *object) map[string]any {
	members := []any{}
	for _, m := range s.members(pool) {
		members = append(members, map[string]any{"ip_address": m.ip, "port": m.port, "statistics": counters()})
	}
	measured := s.measure("LBPoolStatistics", "pool_path", pool)
	measured["members"] = members
	return measured
}

func serviceStatistics(c *call) (any, error) {
	service, err := c.lbObject("lb-services")
	if err != nil {
		return nil, err
	}
	servers, pools := []any{}, []any{}
	for _, server := range c.s.virtualServersOf(service.path) {
		servers = append(servers, c.s.measure("LBVirtualServerStatistics", "virtual_server_path", server))
	}
	for _, pool := range c.s.poolsOf(service.path) {
		pools = append(pools, c.s.measurePool(pool))
	}
	measured := c.s.measure("LBServiceStatistics", "service_path", service)
	measured["virtual_servers"], measured["pools"] = servers, pools
	measured["statistics"] = map[string]any{
		"l4_current_sessions": 0, "l4_total_sessions": 0, "l7_current_sessions": 0, "l7_total_sessions": 0,
	}
	return aggregate(service.path, measured), nil
}

func poolStatistics(c *call) (any, error) {
	if _, err := c.lbObject("lb-services"); err != nil {
		return nil, err
	}
	pool, err := c.lbObject("lb-pools")
	if err != nil {
		return nil, err
	}
	return aggregate(pool.path, c.s.measurePool(pool)), nil
}

func virtualServerStatistics(c *call) (any, error) {
	server, err := c.serverOfService()
	if err != nil {
		return nil, err
	}
	return aggregate(server.path, c.s.measure("LBVirtualServerStatistics", "virtual_server_path", server)), nil
}

// capacity is what a load balancer service of a size can hold: virtual
// servers, pools and pool members.
func capacity(size string) (servers, pools, members int) {
	switch size {
	case "MEDIUM":
		return 100, 300, 2000
	case "LARGE":
		return 1000, 3000, 7500
	case "XLARGE", "DLB":
		return 1000, 4000, 10000
	default:
		return 20, 60, 300
	}
}

func serviceUsage(c *call) (any, error) {
	service, err := c.lbObject("lb-services")
	if err != nil {
		return nil, err
	}
	servers, pools := c.s.virtualServersOf(service.path), c.s.poolsOf(service.path)
	members := 0
	for _, pool := range pools {
		members += len(c.s.members(pool))
	}
	size := service.text("size")
	maxServers, maxPools, maxMembers := capacity(size)
	percentage := 100 * max(
		float64(len(servers))/float64(maxServers),
		float64(len(pools))/float64(maxPools),
		float64(members)/float64(maxMembers),
	)
	severity := "GREEN"
	if percentage >= 100 {
		severity = "RED"
	} else if percentage >= 80 {
		severity = "ORANGE"
	}
	return aggregate(service.path, map[string]any{
		"resource_type": "LBServiceUsage", "enforcement_point_path": enforcementPoint, "service_path": service.path,
		"service_size": size, "usage_percentage": percentage, "severity": severity,
		"current_virtual_server_count": len(servers), "virtual_server_capacity": maxServers,
		"current_pool_count": len(pools), "pool_capacity": maxPools,
		"current_pool_member_count": members, "pool_member_capacity": maxMembers,
		"last_update_timestamp": c.s.now().UnixMilli(),
	}), nil
}
