// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcentersim

import (
	"maps"
	"slices"
)

// supervisorRoutes is the Supervisor API, which came with 8.0.
func (s *Server) supervisorRoutes(base string) map[string]endpoint {
	return map[string]endpoint{
		"GET " + base + "/supervisors/summaries":             s.listSupervisors,
		"GET " + base + "/supervisors/{supervisor}/summary":  s.getSupervisor,
		"GET " + base + "/supervisors/{supervisor}/topology": s.getTopology,
		"GET " + base + "/clusters/{cluster}/topology":       s.getClusterTopology,
	}
}

func (s *Server) supervisorInfo(cl *cluster) map[string]any {
	return map[string]any{
		"name": s.clusterName(cl.id), "config_status": cl.ConfigStatus, "kubernetes_status": cl.KubernetesStatus,
		"stats": map[string]any{
			"cpus_used": 4200, "cpus_capacity": 72000, "memory_used": 48000, "memory_capacity": 393216,
			"storage_used": 210000, "storage_capacity": 4000000,
		},
	}
}

func (s *Server) listSupervisors(c *call) (any, error) {
	if err := c.may(privilegeRead); err != nil {
		return nil, err
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	items := []any{}
	for _, id := range slices.Sorted(maps.Keys(s.world.clusters)) {
		cl := s.world.clusters[id]
		items = append(items, map[string]any{"supervisor": cl.supervisor, "info": s.supervisorInfo(cl)})
	}
	return map[string]any{"items": items}, nil
}

// bySupervisor finds the cluster of a Supervisor. The caller holds mu.
func (w *world) bySupervisor(id string) (*cluster, error) {
	for _, cl := range w.clusters {
		if cl.supervisor == id {
			return cl, nil
		}
	}
	return nil, notFound("supervisor", id)
}

func (s *Server) getSupervisor(c *call) (any, error) {
	if err := c.may(privilegeRead); err != nil {
		return nil, err
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	cl, err := s.world.bySupervisor(c.PathValue("supervisor"))
	if err != nil {
		return nil, err
	}
	return s.supervisorInfo(cl), nil
}

func (s *Server) getTopology(c *call) (any, error) {
	if err := c.may(privilegeRead); err != nil {
		return nil, err
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	cl, err := s.world.bySupervisor(c.PathValue("supervisor"))
	if err != nil {
		return nil, err
	}
	return []any{map[string]any{"zone": "zone-" + cl.id, "clusters": []string{cl.id}}}, nil
}

// getClusterTopology leads from a cluster to its Supervisor.
func (s *Server) getClusterTopology(c *call) (any, error) {
	if err := c.may(privilegeRead); err != nil {
		return nil, err
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	cl, err := s.enabled(c.PathValue("cluster"))
	if err != nil {
		return nil, err
	}
	return cl.supervisor, nil
}
