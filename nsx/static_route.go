// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

// StaticRoute is a static route of a gateway.
type StaticRoute struct {
	Resource
	Network            string    `json:"network,omitzero"` // a CIDR
	NextHops           []NextHop `json:"next_hops,omitzero"`
	EnabledOnSecondary *bool     `json:"enabled_on_secondary,omitzero"`
}

// NextHop is a router on the way. Without an address the route leads nowhere.
type NextHop struct {
	IPAddress     string `json:"ip_address,omitzero"`
	AdminDistance int64  `json:"admin_distance,omitzero"` // 1 by default
	Scope         []Path `json:"scope,omitzero"`
}

// StaticRoutes returns the static routes of the gateway.
func (g Gateway) StaticRoutes() Collection[StaticRoute] {
	return ofGateway[StaticRoute](g, "static route", "static-routes", "StaticRoutes")
}
