// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

// The resource types of application profiles, which make a virtual server one
// of TCP, of UDP, or of HTTP.
const (
	LBFastTCPProfile = "LBFastTcpProfile"
	LBFastUDPProfile = "LBFastUdpProfile"
	LBHTTPProfile    = "LBHttpProfile"
)

// The application profiles that NSX brings along.
const (
	DefaultTCPProfilePath  Path = "/infra/lb-app-profiles/default-tcp-lb-app-profile"
	DefaultUDPProfilePath  Path = "/infra/lb-app-profiles/default-udp-lb-app-profile"
	DefaultHTTPProfilePath Path = "/infra/lb-app-profiles/default-http-lb-app-profile"
)

// LBAppProfile is how a virtual server treats connections. ResourceType says
// which of NSX's profiles it is, and so which of the other fields count.
type LBAppProfile struct {
	Resource
	IdleTimeout int64 `json:"idle_timeout,omitzero"` // seconds

	// Of TCP and UDP.
	CloseTimeout           int64 `json:"close_timeout,omitzero"` // seconds
	HAFlowMirroringEnabled *bool `json:"ha_flow_mirroring_enabled,omitzero"`
	FlowMirroringEnabled   *bool `json:"flow_mirroring_enabled,omitzero"`

	// Of HTTP.
	HTTPRedirectTo      string `json:"http_redirect_to,omitzero"`
	HTTPRedirectToHTTPS *bool  `json:"http_redirect_to_https,omitzero"`
	NTLM                *bool  `json:"ntlm,omitzero"`
	ServerKeepAlive     *bool  `json:"server_keep_alive,omitzero"`
	RequestBodySize     int64  `json:"request_body_size,omitzero"`
	RequestHeaderSize   int64  `json:"request_header_size,omitzero"`
	ResponseBuffering   *bool  `json:"response_buffering,omitzero"`
	ResponseHeaderSize  int64  `json:"response_header_size,omitzero"`
	ResponseTimeout     int64  `json:"response_timeout,omitzero"` // seconds
	XForwardedFor       string `json:"x_forwarded_for,omitzero"`  // INSERT or REPLACE
}

// LBAppProfiles returns the application profiles.
func (c *Client) LBAppProfiles() Collection[LBAppProfile] {
	return infra[LBAppProfile](c, "application profile", "lb-app-profiles",
		LBFastTCPProfile, LBFastUDPProfile, LBHTTPProfile)
}
