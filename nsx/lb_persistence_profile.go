// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

// The resource types of persistence profiles.
const (
	LBSourceIPPersistence = "LBSourceIpPersistenceProfile"
	LBCookiePersistence   = "LBCookiePersistenceProfile"
	LBGenericPersistence  = "LBGenericPersistenceProfile"
)

// LBPersistenceProfile is how a client keeps its pool member. ResourceType says
// which of NSX's profiles it is, and so which of the other fields count.
type LBPersistenceProfile struct {
	Resource
	PersistenceShared *bool `json:"persistence_shared,omitzero"`

	// Of source addresses and the generic one.
	Timeout                       int64  `json:"timeout,omitzero"` // seconds
	HAPersistenceMirroringEnabled *bool  `json:"ha_persistence_mirroring_enabled,omitzero"`
	Purge                         string `json:"purge,omitzero"` // NO_PURGE or FULL

	// Of cookies.
	CookieName     string        `json:"cookie_name,omitzero"`
	CookieMode     string        `json:"cookie_mode,omitzero"` // INSERT, PREFIX, REWRITE
	CookieDomain   string        `json:"cookie_domain,omitzero"`
	CookiePath     string        `json:"cookie_path,omitzero"`
	CookieFallback *bool         `json:"cookie_fallback,omitzero"`
	CookieGarble   *bool         `json:"cookie_garble,omitzero"`
	CookieHTTPOnly *bool         `json:"cookie_httponly,omitzero"`
	CookieSecure   *bool         `json:"cookie_secure,omitzero"`
	CookieTime     *LBCookieTime `json:"cookie_time,omitzero"`
}

// LBCookieTime is how long a cookie lives. Type is LBSessionCookieTime or
// LBPersistenceCookieTime.
type LBCookieTime struct {
	Type    string `json:"type"`
	MaxIdle int64  `json:"cookie_max_idle,omitzero"` // seconds
	MaxLife int64  `json:"cookie_max_life,omitzero"` // seconds
}

// LBPersistenceProfiles returns the persistence profiles.
func (c *Client) LBPersistenceProfiles() Collection[LBPersistenceProfile] {
	return infra[LBPersistenceProfile](c, "persistence profile", "lb-persistence-profiles",
		LBSourceIPPersistence, LBCookiePersistence, LBGenericPersistence)
}
