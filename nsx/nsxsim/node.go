// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"net/http"
	"strings"
)

func nodeRoutes() []route {
	return []route{
		newRoute(http.MethodGet, managerBase+"/node", nodeVersion),
		newRoute(http.MethodGet, managerBase+"/node/version", nodeVersion),
		newRoute(http.MethodGet, managerBase+"/reverse-proxy/node/health", nodeHealth),
		newRoute(http.MethodGet, managerBase+"/licenses/licensed-features", licensedFeatures),
		newRoute(http.MethodGet, managerBase+"/licenses", licenses),
	}
}

func nodeVersion(c *call) (any, error) {
	build := c.s.version
	if dot := strings.LastIndexByte(build, '.'); dot >= 0 {
		build = build[:dot]
	}
	return map[string]any{"product_version": c.s.version, "node_version": build, "hostname": c.m.host}, nil
}

func nodeHealth(*call) (any, error) { return map[string]any{"healthy": true}, nil }

func licensedFeatures(*call) (any, error) {
	features := []any{}
	for _, name := range []string{"LOAD_BALANCER", "DFW", "CONTAINER", "NAT"} {
		features = append(features, map[string]any{"feature_name": name, "is_licensed": true})
	}
	return map[string]any{"results": features, "result_count": len(features)}, nil
}

func licenses(*call) (any, error) {
	return map[string]any{"result_count": 1, "results": []any{map[string]any{
		"description": "NSX Data Center Enterprise Plus", "license_key": "00000-00000-00000-00000-00000",
		"is_eval": true, "is_expired": false, "quantity": 0, "capacity_type": "CPU", "features": "LOAD_BALANCER,DFW,CONTAINER,NAT",
	}}}, nil
}
