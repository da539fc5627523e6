// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

import (
	"context"
	"fmt"
	"net/http"

	"github.com/viaduct-sdk/viaduct"
)

// LBStatus is how something of a load balancer is doing. Open set: servers may
// return others.
type LBStatus string

// The statuses of virtual servers, pools and members; not every one occurs with
// each.
const (
	LBUp               LBStatus = "UP"
	LBPartiallyUp      LBStatus = "PARTIALLY_UP"
	LBPrimaryDown      LBStatus = "PRIMARY_DOWN"
	LBDown             LBStatus = "DOWN"
	LBDetached         LBStatus = "DETACHED"
	LBDisabled         LBStatus = "DISABLED"
	LBGracefulDisabled LBStatus = "GRACEFUL_DISABLED"
	LBUnused           LBStatus = "UNUSED"
	LBUnknown          LBStatus = "UNKNOWN"
)

// LBServiceStatus is how a load balancer and all that runs on it is doing.
type LBServiceStatus struct {
	ServicePath          Path                  `json:"service_path"`
	Status               LBStatus              `json:"service_status"`
	ErrorMessage         string                `json:"error_message"`
	CPUUsage             int64                 `json:"cpu_usage"`
	MemoryUsage          int64                 `json:"memory_usage"`
	ActiveTransportNodes []string              `json:"active_transport_nodes"`
	StandbyNodes         []string              `json:"standby_transport_nodes"`
	VirtualServers       []VirtualServerStatus `json:"virtual_servers"`
	Pools                []PoolStatus          `json:"pools"`
	LastUpdate           int64                 `json:"last_update_timestamp"` // milliseconds since 1970
}

// VirtualServerStatus is how a virtual server is doing.
type VirtualServerStatus struct {
	VirtualServerPath Path     `json:"virtual_server_path"`
	Status            LBStatus `json:"status"`
	LastUpdate        int64    `json:"last_update_timestamp"` // milliseconds since 1970
}

// PoolStatus is how a pool and its members are doing.
type PoolStatus struct {
	PoolPath   Path           `json:"pool_path"`
	Status     LBStatus       `json:"status"`
	Members    []MemberStatus `json:"members"`
	LastUpdate int64          `json:"last_update_timestamp"` // milliseconds since 1970
}

// MemberStatus is how one member of a pool is doing. FailureCause says why it
// is not up.
type MemberStatus struct {
	IPAddress       string   `json:"ip_address"`
	Port            string   `json:"port"`
	Status          LBStatus `json:"status"`
	FailureCause    string   `json:"failure_cause"`
	LastCheck       int64    `json:"last_check_time"`        // milliseconds since 1970
	LastStateChange int64    `json:"last_state_change_time"` // milliseconds since 1970
}

// LBServiceStatistics counts what a load balancer did.
type LBServiceStatistics struct {
	ServicePath    Path                      `json:"service_path"`
	Statistics     LBServiceCounters         `json:"statistics"`
	VirtualServers []VirtualServerStatistics `json:"virtual_servers"`
	Pools          []PoolStatistics          `json:"pools"`
}

// LBServiceCounters counts the sessions of a load balancer by layer.
type LBServiceCounters struct {
	L4CurrentSessions int64 `json:"l4_current_sessions"`
	L4TotalSessions   int64 `json:"l4_total_sessions"`
	L7CurrentSessions int64 `json:"l7_current_sessions"`
	L7TotalSessions   int64 `json:"l7_total_sessions"`
}

// VirtualServerStatistics counts what a virtual server did.
type VirtualServerStatistics struct {
	VirtualServerPath Path       `json:"virtual_server_path"`
	Statistics        LBCounters `json:"statistics"`
}

// PoolStatistics counts what a pool and its members did.
type PoolStatistics struct {
	PoolPath   Path               `json:"pool_path"`
	Statistics LBCounters         `json:"statistics"`
	Members    []MemberStatistics `json:"members"`
}

// MemberStatistics counts what a member did.
type MemberStatistics struct {
	IPAddress  string     `json:"ip_address"`
	Port       string     `json:"port"`
	Statistics LBCounters `json:"statistics"`
}

// LBCounters are NSX's counters; rates are per second.
type LBCounters struct {
	CurrentSessions    int64   `json:"current_sessions"`
	MaxSessions        int64   `json:"max_sessions"`
	TotalSessions      int64   `json:"total_sessions"`
	CurrentSessionRate float64 `json:"current_session_rate"`
	BytesIn            int64   `json:"bytes_in"`
	BytesInRate        float64 `json:"bytes_in_rate"`
	BytesOut           int64   `json:"bytes_out"`
	BytesOutRate       float64 `json:"bytes_out_rate"`
	PacketsIn          int64   `json:"packets_in"`
	PacketsInRate      float64 `json:"packets_in_rate"`
	PacketsOut         int64   `json:"packets_out"`
	PacketsOutRate     float64 `json:"packets_out_rate"`
}

// Status returns how the load balancer with this id is doing. NSX refreshes it
// every few seconds.
//
// Errors match [viaduct.ErrNotFound] when there is no such load balancer, or it
// has not been realized yet.
func (s LBServices) Status(ctx context.Context, id string) (LBServiceStatus, error) {
	return aggregate[LBServiceStatus](ctx, s.client, "lb service status", "/infra/lb-services/{id}/detailed-status", id)
}

// VirtualServerStatus returns how a virtual server of the load balancer is
// doing. Errors are those of Status.
func (s LBServices) VirtualServerStatus(ctx context.Context, id, virtualServer string) (VirtualServerStatus, error) {
	return aggregate[VirtualServerStatus](ctx, s.client, "virtual server status",
		"/infra/lb-services/{id}/lb-virtual-servers/{id}/detailed-status", id, virtualServer)
}

// PoolStatus returns how a pool is doing that the load balancer uses. Errors
// are those of Status.
func (s LBServices) PoolStatus(ctx context.Context, id, pool string) (PoolStatus, error) {
	return aggregate[PoolStatus](ctx, s.client, "pool status",
		"/infra/lb-services/{id}/lb-pools/{id}/detailed-status", id, pool)
}

// Statistics returns the counters of the load balancer with this id. Errors are
// those of Status.
func (s LBServices) Statistics(ctx context.Context, id string) (LBServiceStatistics, error) {
	return aggregate[LBServiceStatistics](ctx, s.client, "lb service statistics", "/infra/lb-services/{id}/statistics", id)
}

// VirtualServerStatistics returns the counters of a virtual server of the load
// balancer. Errors are those of Status.
func (s LBServices) VirtualServerStatistics(ctx context.Context, id, virtualServer string) (VirtualServerStatistics, error) {
	return aggregate[VirtualServerStatistics](ctx, s.client, "virtual server statistics",
		"/infra/lb-services/{id}/lb-virtual-servers/{id}/statistics", id, virtualServer)
}

// PoolStatistics returns the counters of a pool that the load balancer uses.
// Errors are those of Status.
func (s LBServices) PoolStatistics(ctx context.Context, id, pool string) (PoolStatistics, error) {
	return aggregate[PoolStatistics](ctx, s.client, "pool statistics",
		"/infra/lb-services/{id}/lb-pools/{id}/statistics", id, pool)
}

// aggregate gets an answer that has one result for each enforcement point, of
// which an NSX-T Local Manager has one.
func aggregate[T any](ctx context.Context, c *Client, noun, route string, args ...string) (T, error) {
	var body struct {
		Results []T `json:"results"`
	}
	object := args[len(args)-1]
	err := c.do(ctx, call{
		op: "get " + noun, object: object, method: http.MethodGet, route: route, args: args, into: &body,
	})
	if err == nil && len(body.Results) == 0 {
		err = fmt.Errorf("nsx: get %s %q: %w: not realized yet", noun, object, viaduct.ErrNotFound)
	}
	if err != nil {
		var zero T
		return zero, err
	}
	return body.Results[0], nil
}
