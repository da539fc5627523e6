// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

// VirtualServer is an address and ports at which a load balancer accepts
// connections. Its application profile makes it one of layer 4 or of layer 7.
type VirtualServer struct {
	Resource
	IPAddress                string        `json:"ip_address,omitzero"`
	Ports                    []string      `json:"ports,omitzero"` // "80", "8000-8010"
	DefaultPoolMemberPorts   []string      `json:"default_pool_member_ports,omitzero"`
	PoolPath                 Path          `json:"pool_path,omitzero"`
	SorryPoolPath            Path          `json:"sorry_pool_path,omitzero"`
	ApplicationProfilePath   Path          `json:"application_profile_path,omitzero"`
	LBServicePath            Path          `json:"lb_service_path,omitzero"`
	LBPersistenceProfilePath Path          `json:"lb_persistence_profile_path,omitzero"`
	Enabled                  *bool         `json:"enabled,omitzero"` // nil: true
	AccessLogEnabled         *bool         `json:"access_log_enabled,omitzero"`
	LogSignificantEventOnly  *bool         `json:"log_significant_event_only,omitzero"`
	MaxConcurrentConnections int64         `json:"max_concurrent_connections,omitzero"`
	MaxNewConnectionRate     int64         `json:"max_new_connection_rate,omitzero"`
	AccessListControl        *LBAccessList `json:"access_list_control,omitzero"`
	Rules                    []LBRule      `json:"rules,omitzero"`
	ClientSSL                *LBClientSSL  `json:"client_ssl_profile_binding,omitzero"`
	ServerSSL                *LBServerSSL  `json:"server_ssl_profile_binding,omitzero"`
}

// LBAccessList lets the members of a group in, or keeps them out.
type LBAccessList struct {
	Action    string `json:"action,omitzero"` // ALLOW or DROP
	Enabled   *bool  `json:"enabled,omitzero"`
	GroupPath Path   `json:"group_path,omitzero"`
}

// LBClientSSL is the TLS towards clients.
type LBClientSSL struct {
	SSLProfilePath         Path   `json:"ssl_profile_path,omitzero"`
	DefaultCertificatePath Path   `json:"default_certificate_path,omitzero"`
	SNICertificatePaths    []Path `json:"sni_certificate_paths,omitzero"`
	ClientAuth             string `json:"client_auth,omitzero"` // REQUIRED or IGNORE
	ClientAuthCAPaths      []Path `json:"client_auth_ca_paths,omitzero"`
	ClientAuthCRLPaths     []Path `json:"client_auth_crl_paths,omitzero"`
	CertificateChainDepth  int64  `json:"certificate_chain_depth,omitzero"`
}

// LBServerSSL is the TLS towards pool members.
type LBServerSSL struct {
	SSLProfilePath        Path   `json:"ssl_profile_path,omitzero"`
	ClientCertificatePath Path   `json:"client_certificate_path,omitzero"`
	ServerAuth            string `json:"server_auth,omitzero"` // REQUIRED, IGNORE or AUTO_APPLY
	ServerAuthCAPaths     []Path `json:"server_auth_ca_paths,omitzero"`
	ServerAuthCRLPaths    []Path `json:"server_auth_crl_paths,omitzero"`
	CertificateChainDepth int64  `json:"certificate_chain_depth,omitzero"`
}

// LBRule is a rule of a virtual server of layer 7: if the conditions match, the
// actions are taken.
type LBRule struct {
	DisplayName     string        `json:"display_name,omitzero"`
	Phase           string        `json:"phase,omitzero"`          // HTTP_FORWARDING, HTTP_REQUEST_REWRITE, …
	MatchStrategy   string        `json:"match_strategy,omitzero"` // ALL or ANY
	MatchConditions []LBCondition `json:"match_conditions,omitzero"`
	Actions         []LBAction    `json:"actions,omitzero"`
}

// LBCondition is one condition of a rule. Type says which of NSX's conditions
// it is, and so which of the other fields count. Conditions and actions that
// have fields beyond these survive an Update.
type LBCondition struct {
	Type          string `json:"type"` // LBHttpRequestUriCondition, LBSslSniCondition, …
	Inverse       *bool  `json:"inverse,omitzero"`
	MatchType     string `json:"match_type,omitzero"` // STARTS_WITH, ENDS_WITH, EQUALS, CONTAINS, REGEX
	CaseSensitive *bool  `json:"case_sensitive,omitzero"`
	URI           string `json:"uri,omitzero"`
	URIArguments  string `json:"uri_arguments,omitzero"`
	HeaderName    string `json:"header_name,omitzero"`
	HeaderValue   string `json:"header_value,omitzero"`
	CookieName    string `json:"cookie_name,omitzero"`
	CookieValue   string `json:"cookie_value,omitzero"`
	Method        string `json:"method,omitzero"`
	Version       string `json:"version,omitzero"`
	BodyValue     string `json:"body_value,omitzero"`
	SourceAddress string `json:"source_address,omitzero"`
	GroupPath     Path   `json:"group_path,omitzero"`
	SourcePort    string `json:"source_port,omitzero"`
	SNI           string `json:"sni,omitzero"`
	VariableName  string `json:"variable_name,omitzero"`
	VariableValue string `json:"variable_value,omitzero"`
}

// LBAction is one action of a rule. Type says which.
type LBAction struct {
	Type           string `json:"type"` // LBSelectPoolAction, LBHttpRedirectAction, …
	PoolID         string `json:"pool_id,omitzero"`
	URI            string `json:"uri,omitzero"`
	URIArguments   string `json:"uri_arguments,omitzero"`
	HeaderName     string `json:"header_name,omitzero"`
	HeaderValue    string `json:"header_value,omitzero"`
	RedirectStatus string `json:"redirect_status,omitzero"`
	RedirectURL    string `json:"redirect_url,omitzero"`
	ReplyStatus    string `json:"reply_status,omitzero"`
	ReplyMessage   string `json:"reply_message,omitzero"`
	SSLMode        string `json:"ssl_mode,omitzero"`
	VariableName   string `json:"variable_name,omitzero"`
	VariableValue  string `json:"variable_value,omitzero"`
}

// VirtualServers returns the virtual servers of all load balancers.
func (c *Client) VirtualServers() Collection[VirtualServer] {
	return infra[VirtualServer](c, "virtual server", "lb-virtual-servers", "LBVirtualServer")
}
