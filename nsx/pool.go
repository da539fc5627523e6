// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

// LBAlgorithm is how a pool spreads connections over its members. Open set:
// servers may return others.
type LBAlgorithm string

// The algorithms.
const (
	LBRoundRobin              LBAlgorithm = "ROUND_ROBIN"
	LBWeightedRoundRobin      LBAlgorithm = "WEIGHTED_ROUND_ROBIN"
	LBLeastConnection         LBAlgorithm = "LEAST_CONNECTION"
	LBWeightedLeastConnection LBAlgorithm = "WEIGHTED_LEAST_CONNECTION"
	LBIPHash                  LBAlgorithm = "IP_HASH"
)

// Pool is the servers behind virtual servers.
type Pool struct {
	Resource
	Members               []PoolMember     `json:"members,omitzero"`
	MemberGroup           *PoolMemberGroup `json:"member_group,omitzero"`
	Algorithm             LBAlgorithm      `json:"algorithm,omitzero"`
	SNAT                  *SNATTranslation `json:"snat_translation,omitzero"`
	ActiveMonitorPaths    []Path           `json:"active_monitor_paths,omitzero"`
	PassiveMonitorPath    Path             `json:"passive_monitor_path,omitzero"`
	MinActiveMembers      int64            `json:"min_active_members,omitzero"`
	TCPMultiplexing       *bool            `json:"tcp_multiplexing_enabled,omitzero"`
	TCPMultiplexingNumber int64            `json:"tcp_multiplexing_number,omitzero"`
}

// PoolMember is one server.
type PoolMember struct {
	DisplayName              string `json:"display_name,omitzero"`
	IPAddress                string `json:"ip_address,omitzero"`
	Port                     string `json:"port,omitzero"`
	AdminState               string `json:"admin_state,omitzero"` // ENABLED, DISABLED, GRACEFUL_DISABLED
	Weight                   int64  `json:"weight,omitzero"`
	BackupMember             *bool  `json:"backup_member,omitzero"`
	MaxConcurrentConnections int64  `json:"max_concurrent_connections,omitzero"`
}

// PoolMemberGroup makes the members of a group the members of the pool.
type PoolMemberGroup struct {
	GroupPath        Path   `json:"group_path,omitzero"`
	Port             int64  `json:"port,omitzero"`
	IPRevisionFilter string `json:"ip_revision_filter,omitzero"` // IPV4, IPV6, IPV4_IPV6
	MaxIPListSize    int64  `json:"max_ip_list_size,omitzero"`
}

// SNATTranslation is the source address that members see. Type is
// LBSnatAutoMap, LBSnatDisabled, or LBSnatIpPool with IPAddresses.
type SNATTranslation struct {
	Type        string        `json:"type"`
	IPAddresses []SNATAddress `json:"ip_addresses,omitzero"`
}

// SNATAddress is an address or a range of them.
type SNATAddress struct {
	IPAddress    string `json:"ip_address,omitzero"`
	PrefixLength int64  `json:"prefix_length,omitzero"`
}

// Pools returns the server pools.
func (c *Client) Pools() Collection[Pool] {
	return infra[Pool](c, "pool", "lb-pools", "LBPool")
}
