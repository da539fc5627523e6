// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"maps"
	"slices"
)

// seedText is what a new NSX Manager holds: policy paths, and the objects.
const seedText = `{
	"/infra": {"connectivity_strategy": "BLACKLIST"},
	"/infra/domains/default": {},
	"/infra/lb-app-profiles/default-tcp-lb-app-profile": {"resource_type": "LBFastTcpProfile", "idle_timeout": 1800, "close_timeout": 8},
	"/infra/lb-app-profiles/default-udp-lb-app-profile": {"resource_type": "LBFastUdpProfile", "idle_timeout": 300},
	"/infra/lb-app-profiles/default-http-lb-app-profile": {"resource_type": "LBHttpProfile", "idle_timeout": 15},
	"/infra/lb-monitor-profiles/default-tcp-lb-monitor": {"resource_type": "LBTcpMonitorProfile", "interval": 5, "timeout": 15, "rise_count": 3, "fall_count": 3},
	"/infra/lb-monitor-profiles/default-http-lb-monitor": {"resource_type": "LBHttpMonitorProfile", "interval": 5, "timeout": 15, "rise_count": 3, "fall_count": 3, "request_method": "GET", "request_url": "/"},
	"/infra/lb-monitor-profiles/default-icmp-lb-monitor": {"resource_type": "LBIcmpMonitorProfile", "interval": 5, "timeout": 15, "rise_count": 3, "fall_count": 3},
	"/infra/lb-monitor-profiles/default-passive-lb-monitor": {"resource_type": "LBPassiveMonitorProfile", "max_fails": 5, "timeout": 5},
	"/infra/lb-persistence-profiles/default-source-ip-lb-persistence-profile": {"resource_type": "LBSourceIpPersistenceProfile", "timeout": 300, "purge": "FULL"},
	"/infra/lb-persistence-profiles/default-cookie-lb-persistence-profile": {"resource_type": "LBCookiePersistenceProfile", "cookie_name": "NSXLB", "cookie_mode": "INSERT"},
	"/infra/services/DNS": {"is_default": true, "service_entries": [{"resource_type": "L4PortSetServiceEntry", "id": "DNS", "display_name": "DNS", "l4_protocol": "TCP", "destination_ports": ["53"]}]},
	"/infra/services/DNS-UDP": {"is_default": true, "service_entries": [{"resource_type": "L4PortSetServiceEntry", "id": "DNS-UDP", "display_name": "DNS-UDP", "l4_protocol": "UDP", "destination_ports": ["53"]}]},
	"/infra/services/HTTP": {"is_default": true, "service_entries": [{"resource_type": "L4PortSetServiceEntry", "id": "HTTP", "display_name": "HTTP", "l4_protocol": "TCP", "destination_ports": ["80"]}]},
	"/infra/services/HTTPS": {"is_default": true, "service_entries": [{"resource_type": "L4PortSetServiceEntry", "id": "HTTPS", "display_name": "HTTPS", "l4_protocol": "TCP", "destination_ports": ["443"]}]},
	"/infra/services/ICMP-ALL": {"is_default": true, "service_entries": [{"resource_type": "ICMPTypeServiceEntry", "id": "ICMP-ALL", "display_name": "ICMP-ALL", "protocol": "ICMPv4"}]},
	"/infra/services/SSH": {"is_default": true, "service_entries": [{"resource_type": "L4PortSetServiceEntry", "id": "SSH", "display_name": "SSH", "l4_protocol": "TCP", "destination_ports": ["22"]}]},
	"/infra/domains/default/security-policies/default-layer3-section": {"category": "Application", "sequence_number": 2147483647, "is_default": true, "display_name": "Default Layer3 Section"},
	"/infra/domains/default/security-policies/default-layer3-section/rules/default-layer3-rule": {"action": "ALLOW", "sequence_number": 2147483647, "is_default": true, "display_name": "Default Layer3 Rule"},
	"/infra/settings/firewall/security/exclude-list": {}
}`

// seed stores what a new NSX Manager holds.
func (s *Server) seed() {
	objects, _ := decodeObject([]byte(seedText)) // a test proves that all of it is stored
	for _, path := range slices.Sorted(maps.Keys(objects)) {
		body, _ := objects[path].(map[string]any)
		t := &txn{who: Principal{Name: systemUser}, trusted: true}
		_ = s.transact(t, func() error {
			return t.write(path, body, replace)
		})
	}
}
