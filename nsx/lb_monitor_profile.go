// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

// The resource types of monitor profiles.
const (
	LBTCPMonitor     = "LBTcpMonitorProfile"
	LBUDPMonitor     = "LBUdpMonitorProfile"
	LBHTTPMonitor    = "LBHttpMonitorProfile"
	LBHTTPSMonitor   = "LBHttpsMonitorProfile"
	LBICMPMonitor    = "LBIcmpMonitorProfile"
	LBPassiveMonitor = "LBPassiveMonitorProfile"
)

// LBMonitorProfile is how the members of a pool are watched. ResourceType says
// which of NSX's profiles it is, and so which of the other fields count.
type LBMonitorProfile struct {
	Resource
	Timeout int64 `json:"timeout,omitzero"` // seconds

	// Of all but the passive one.
	Interval    int64 `json:"interval,omitzero"` // seconds
	FallCount   int64 `json:"fall_count,omitzero"`
	RiseCount   int64 `json:"rise_count,omitzero"`
	MonitorPort int64 `json:"monitor_port,omitzero"` // 0: the member's

	// Of TCP and UDP.
	Send    string `json:"send,omitzero"`
	Receive string `json:"receive,omitzero"`

	// Of HTTP and HTTPS.
	RequestMethod       string         `json:"request_method,omitzero"`
	RequestURL          string         `json:"request_url,omitzero"`
	RequestVersion      string         `json:"request_version,omitzero"`
	RequestHeaders      []LBHTTPHeader `json:"request_headers,omitzero"`
	RequestBody         string         `json:"request_body,omitzero"`
	ResponseStatusCodes []int64        `json:"response_status_codes,omitzero"`
	ResponseBody        string         `json:"response_body,omitzero"`
	ServerSSL           *LBServerSSL   `json:"server_ssl_profile_binding,omitzero"`

	// Of ICMP.
	DataLength int64 `json:"data_length,omitzero"`

	// Of the passive one.
	MaxFails int64 `json:"max_fails,omitzero"`
}

// LBHTTPHeader is a header that a monitor sends.
type LBHTTPHeader struct {
	Name  string `json:"header_name,omitzero"`
	Value string `json:"header_value,omitzero"`
}

// LBMonitorProfiles returns the monitor profiles.
func (c *Client) LBMonitorProfiles() Collection[LBMonitorProfile] {
	return infra[LBMonitorProfile](c, "monitor profile", "lb-monitor-profiles",
		LBTCPMonitor, LBUDPMonitor, LBHTTPMonitor, LBHTTPSMonitor, LBICMPMonitor, LBPassiveMonitor)
}
