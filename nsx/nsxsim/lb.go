// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// The statuses of members, pools and virtual servers that the simulator
// computes.
const (
	statusUp          = "UP"
	statusPartiallyUp = "PARTIALLY_UP"
	statusPrimaryDown = "PRIMARY_DOWN"
	statusDown        = "DOWN"
	statusDetached    = "DETACHED"
	statusDisabled    = "DISABLED"
	statusUnknown     = "UNKNOWN"
)

// memberKey names a member of a pool.
type memberKey struct{ pool, ip string }

// SetMemberStatus sets what the load balancer's health check finds of the
// member with the address in the pool at poolPath: UP, which is the default,
// DOWN, UNUSED or UNKNOWN. The pool need not exist yet. A pool of the Manager
// API has the path /loadbalancer/pools/<id>.
func (s *Server) SetMemberStatus(poolPath, ip, status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.memberStatus[memberKey{pool: poolPath, ip: ip}] = status
	s.notify()
}

// monitorKey names a member of a pool as monitors do, who ask at a port.
type monitorKey struct {
	pool   string
	member netip.AddrPort
}

// SetMonitorStatus sets what monitors find of the member of the pool at
// poolPath: UP or DOWN; the empty status takes that back. The port is 0 for a
// member without one. A member is up when this status and the one that
// [Server.SetMemberStatus] has set are.
func (s *Server) SetMonitorStatus(poolPath string, member netip.AddrPort, status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := monitorKey{pool: poolPath, member: member}
	if s.monitorStatus[key] == status {
		return
	}
	if status == "" {
		delete(s.monitorStatus, key)
	} else {
		s.monitorStatus[key] = status
	}
	s.notify()
}

func loadBalancerRoutes() []route {
	service := policyBase + "/infra/lb-services/{lb-service}"
	pool, server := service+"/lb-pools/{lb-pool}", service+"/lb-virtual-servers/{lb-virtual-server}"
	return []route{
		newRoute(http.MethodGet, service+"/detailed-status", serviceStatus),
		newRoute(http.MethodGet, service+"/statistics", serviceStatistics),
		newRoute(http.MethodGet, service+"/service-usage", serviceUsage),
		newRoute(http.MethodGet, pool+"/detailed-status", poolStatus),
		newRoute(http.MethodGet, pool+"/statistics", poolStatistics),
		newRoute(http.MethodGet, server+"/detailed-status", virtualServerStatus),
		newRoute(http.MethodGet, server+"/statistics", virtualServerStatistics),
	}
}

// aggregate is the envelope of what one enforcement point reports.
func aggregate(path string, result any) map[string]any {
	return map[string]any{"intent_path": path, "results": []any{result}}
}

// lbObject returns the object of the service that the route's variables name.
func (c *call) lbObject(collection string) (*object, error) {
	path := "/infra/" + collection + "/" + c.vars[strings.TrimSuffix(collection, "s")]
	o := c.s.intent.objects[path]
	if o == nil {
		return nil, c.s.notFound(path)
	}
	return o, nil
}

func serviceStatus(c *call) (any, error) {
	service, err := c.lbObject("lb-services")
	if err != nil {
		return nil, err
	}
	s := c.s
	servers, pools := []any{}, []any{}
	for _, server := range s.virtualServersOf(service.path) {
		servers = append(servers, s.describeServer(server))
	}
	for _, pool := range s.poolsOf(service.path) {
		pools = append(pools, s.describePool(service, pool))
	}
	return aggregate(service.path, map[string]any{
		"resource_type":           "LBServiceStatus",
		"enforcement_point_path":  enforcementPoint,
		"service_path":            service.path,
		"service_status":          s.serviceState(service),
		"cpu_usage":               0,
		"memory_usage":            0,
		"active_transport_nodes":  []string{"edge-1"},
		"standby_transport_nodes": []string{"edge-2"},
		"last_update_timestamp":   s.now().UnixMilli(),
		"virtual_servers":         servers,
		"pools":                   pools,
	}), nil
}

func (s *Server) serviceState(service *object) string {
	switch {
	case !service.flag("enabled", true):
		return statusDisabled
	case service.text("connectivity_path") == "" && service.text("size") != "DLB":
		return statusDetached
	case !s.realized(service):
		return statusUnknown
	default:
		return statusUp
	}
}

func poolStatus(c *call) (any, error) {
	service, err := c.lbObject("lb-services")
	if err != nil {
		return nil, err
	}
	pool, err := c.lbObject("lb-pools")
	if err != nil {
		return nil, err
	}
	return aggregate(pool.path, c.s.describePool(service, pool)), nil
}

func virtualServerStatus(c *call) (any, error) {
	server, err := c.serverOfService()
	if err != nil {
		return nil, err
	}
	return aggregate(server.path, c.s.describeServer(server)), nil
}

// serverOfService returns the route's virtual server if it is of the route's
// service.
func (c *call) serverOfService() (*object, error) {
	service, err := c.lbObject("lb-services")
	if err != nil {
		return nil, err
	}
	server, err := c.lbObject("lb-virtual-servers")
	if err != nil {
		return nil, err
	}
	if server.text("lb_service_path") != service.path {
		return nil, c.s.notFound(service.path + "/lb-virtual-servers/" + server.id())
	}
	return server, nil
}

func (s *Server) describePool(service, pool *object) map[string]any {
	members := s.members(pool)
	listed := []any{}
	for _, m := range members {
		listed = append(listed, m.describe(s.now().UnixMilli()))
	}
	return map[string]any{
		"resource_type":          "LBPoolStatus",
		"enforcement_point_path": enforcementPoint,
		"pool_path":              pool.path,
		"status":                 s.poolState(service.path, pool, members),
		"members":                listed,
		"last_update_timestamp":  s.now().UnixMilli(),
	}
}

func (s *Server) describeServer(server *object) map[string]any {
	return map[string]any{
		"resource_type":          "LBVirtualServerStatus",
		"enforcement_point_path": enforcementPoint,
		"virtual_server_path":    server.path,
		"status":                 s.serverState(server),
		"last_update_timestamp":  s.now().UnixMilli(),
	}
}

// serverState follows the API reference: a virtual server is as its default
// pool is.
func (s *Server) serverState(server *object) string {
	servicePath := server.text("lb_service_path")
	pool := s.intent.objects[server.text("pool_path")]
	profile := s.intent.objects[server.text("application_profile_path")]
	switch {
	case !server.flag("enabled", true):
		return statusDisabled
	case s.intent.objects[servicePath] == nil:
		return statusDetached
	case !s.realized(server):
		return statusUnknown
	case pool != nil:
		return s.poolState(servicePath, pool, s.members(pool))
	case profile != nil && profile.text("resource_type") == "LBHttpProfile":
		return statusUp
	default:
		return statusUnknown
	}
}

// member is one server of a pool.
type member struct {
	ip, port, status string
	backup           bool
}

func (m member) describe(now int64) map[string]any {
	described := map[string]any{
		"ip_address": m.ip, "port": m.port, "status": m.status,
		"last_check_time": now, "last_state_change_time": now,
	}
	if m.status == statusDown {
		described["failure_cause"] = "Connect to Peer Failure"
	}
	return described
}

// members returns the members of the pool: those it lists, and those of its
// group.
func (s *Server) members(pool *object) []member {
	var members []member
	for _, sent := range asObjects(pool.body["members"]) {
		ip, _ := sent["ip_address"].(string)
		port, _ := sent["port"].(string)
		backup, _ := sent["backup_member"].(bool)
		status, _ := sent["admin_state"].(string)
		if status == "" || status == "ENABLED" {
			status = s.health(pool, ip, port)
		}
		members = append(members, member{ip: ip, port: port, status: status, backup: backup})
	}
	dynamic, ok := pool.body["member_group"].(map[string]any)
	if !ok {
		return members
	}
	path, _ := dynamic["group_path"].(string)
	port := ""
	if dynamic["port"] != nil {
		port = strconv.FormatInt(asInt(dynamic["port"]), 10)
	}
	for _, ip := range s.groupAddresses(path) {
		members = append(members, member{ip: ip, port: port, status: s.health(pool, ip, port)})
	}
	return members
}

func (s *Server) health(pool *object, ip, port string) string {
	if pool.kind != nil && !s.realized(pool) {
		return statusUnknown
	}
	reported := orDefault(s.memberStatus[memberKey{pool: pool.path, ip: ip}], statusUp)
	if reported != statusUp {
		return reported
	}
	// What is no address, or a range of ports, has no monitor.
	address, _ := netip.ParseAddr(ip)
	number, _ := strconv.ParseUint(port, 10, 16)
	member := netip.AddrPortFrom(address, uint16(number))
	return orDefault(s.monitorStatus[monitorKey{pool: pool.path, member: member}], statusUp)
}

// poolState is the pool's status within the service, as the API reference
// defines it.
func (s *Server) poolState(servicePath string, pool *object, members []member) string {
	if !slices.ContainsFunc(s.virtualServersOf(servicePath), func(server *object) bool {
		return slices.Contains(server.refs, pool.path)
	}) {
		return statusDetached
	}
	return s.state(pool, members)
}

// state is the pool's status, from that of its members.
func (s *Server) state(pool *object, members []member) string {
	if len(members) == 0 {
		return orDefault(s.switches.EmptyPoolStatus, statusUnknown)
	}
	t := tally(members)
	switch {
	case t.unknown == len(members):
		return statusUnknown
	case t.up > 0 && t.up == t.primaries:
		return statusUp
	case t.up > 0 && (t.backups == 0 || int64(t.up) >= pool.number("min_active_members")):
		return statusPartiallyUp
	case t.backups > 0:
		return statusPrimaryDown
	default:
		return statusDown
	}
}

// count is how many members of a pool are in which state.
type count struct {
	primaries, up int // primary members that are not disabled, those that are up
	backups       int // backup members that are up
	unknown       int
}

func tally(members []member) count {
	var t count
	for _, m := range members {
		switch {
		case m.status == statusUnknown:
			t.unknown++
		case m.backup && m.status == statusUp:
			t.backups++
		case m.backup, m.status == statusDisabled, m.status == "GRACEFUL_DISABLED":
		case m.status == statusUp:
			t.up++
			t.primaries++
		default:
			t.primaries++
		}
	}
	return t
}

// virtualServersOf returns the virtual servers of the service, sorted.
func (s *Server) virtualServersOf(servicePath string) []*object {
	var servers []*object
	for _, path := range s.intent.referring(servicePath) {
		if o := s.intent.objects[path]; o.text("lb_service_path") == servicePath {
			servers = append(servers, o)
		}
	}
	return servers
}

// poolsOf returns the pools that the service's virtual servers use, sorted.
func (s *Server) poolsOf(servicePath string) []*object {
	var paths []string
	for _, server := range s.virtualServersOf(servicePath) {
		for _, ref := range server.refs {
			if strings.HasPrefix(ref, "/infra/lb-pools/") {
				paths = append(paths, ref)
			}
		}
	}
	slices.Sort(paths)
	var pools []*object
	for _, path := range slices.Compact(paths) {
		if pool := s.intent.objects[path]; pool != nil { // nil after a forced deletion
			pools = append(pools, pool)
		}
	}
	return pools
}

func checkVirtualServer(_ *txn, o *object) error {
	if _, err := netip.ParseAddr(o.text("ip_address")); err != nil {
		return invalidField("ip_address %s is not an IP address", o.text("ip_address"))
	}
	ports := o.texts("ports")
	if len(ports) == 0 {
		return invalidField("ports is a required property of type LBVirtualServer")
	}
	return checkPorts(append(ports, o.texts("default_pool_member_ports")...))
}

func checkPool(_ *txn, o *object) error {
	for _, m := range asObjects(o.body["members"]) {
		ip, _ := m["ip_address"].(string)
		if _, err := netip.ParseAddr(ip); err != nil {
			return invalidField("ip_address %s of a member is not an IP address", ip)
		}
		if port, ok := m["port"].(string); ok {
			if err := checkPorts([]string{port}); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkPorts refuses what is neither a port nor a range of ports.
func checkPorts(ports []string) error {
	for _, port := range ports {
		first, last, ranged := strings.Cut(port, "-")
		low, err := strconv.ParseUint(first, 10, 16)
		high := low
		if err == nil && ranged {
			high, err = strconv.ParseUint(last, 10, 16)
		}
		if err != nil || low == 0 || high < low {
			return invalidField("port %s is neither a port nor a range of ports", port)
		}
	}
	return nil
}
