// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcentersim

import (
	"maps"
	"slices"
	"strconv"
)

// The edge clusters and gateways there are.
const (
	edgeCluster     = "6e9b2d1c-52d1-4f5c-8a7b-3f60a4d6c0de"
	edgeClusterName = "Edge-Cluster-1"
	tier0           = "t0"
)

func (s *Server) compatibilityRoutes(base string) map[string]endpoint {
	return map[string]endpoint{
		"GET " + base + "/capability":                       s.getCapability,
		"GET " + base + "/cluster-compatibility":            s.compatibleClusters,
		"GET " + base + "/distributed-switch-compatibility": s.compatibleSwitches,
		"GET " + base + "/edge-cluster-compatibility":       s.compatibleEdges,
		"GET " + base + "/nsx-tier0-gateways":               s.listTier0s,
	}
}

func (s *Server) getCapability(c *call) (any, error) {
	if err := c.may(privilegeRead); err != nil {
		return nil, err
	}
	return map[string]bool{"namespaces_supported": true, "namespaces_licensed": true}, nil
}

// wanted applies the filter that all these lists take.
func wanted(c *call, compatible bool) bool {
	filter := c.URL.Query().Get("compatible")
	return filter == "" || filter == strconv.FormatBool(compatible)
}

func (s *Server) compatibleClusters(c *call) (any, error) {
	if err := c.may(privilegeRead); err != nil {
		return nil, err
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	list := []any{}
	for _, id := range slices.Sorted(maps.Keys(s.vim.inventory.clusters)) {
		_, enabled := s.world.clusters[id]
		if !wanted(c, !enabled) {
			continue
		}
		reasons := []message{}
		if enabled {
			reasons = append(reasons, newMessage("vcenter.wcp.cluster.enabled", "The cluster "+id+" is enabled already.", id))
		}
		list = append(list, map[string]any{"cluster": id, "compatible": !enabled, "incompatibility_reasons": reasons})
	}
	return list, nil
}

func (s *Server) compatibleSwitches(c *call) (any, error) {
	if err := c.may(privilegeRead); err != nil {
		return nil, err
	}
	id := c.URL.Query().Get("cluster")
	if _, known := s.vim.inventory.clusters[id]; !known {
		return nil, notFound("cluster", id)
	}
	list := []any{}
	for i, dvs := range s.vim.inventory.switches {
		compatible := i == 0 // the others are not prepared for NSX
		if wanted(c, compatible) {
			list = append(list, map[string]any{"distributed_switch": dvs.Uuid, "compatible": compatible})
		}
	}
	return list, nil
}

func (s *Server) compatibleEdges(c *call) (any, error) {
	if err := c.may(privilegeRead); err != nil {
		return nil, err
	}
	query := c.URL.Query()
	if _, known := s.vim.inventory.clusters[query.Get("cluster")]; !known {
		return nil, notFound("cluster", query.Get("cluster"))
	}
	if query.Get("distributed_switch") != s.SwitchUUID(switchName) {
		return nil, invalid("network.switch", "The distributed switch %s is not compatible.", query.Get("distributed_switch"))
	}
	list := []any{}
	if wanted(c, true) {
		list = append(list, map[string]any{"edge_cluster": edgeCluster, "display_name": edgeClusterName, "compatible": true})
	}
	return list, nil
}

func (s *Server) listTier0s(c *call) (any, error) {
	if err := c.may(privilegeRead); err != nil {
		return nil, err
	}
	if id := c.URL.Query().Get("distributed_switch"); id != s.SwitchUUID(switchName) {
		return nil, invalid("network.switch", "The distributed switch %s is not compatible.", id)
	}
	return []any{map[string]any{"tier0_gateway": tier0, "display_name": tier0, "path": "/infra/tier-0s/" + tier0}}, nil
}
