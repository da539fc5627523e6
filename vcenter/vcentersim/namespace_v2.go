// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcentersim

import (
	"maps"
	"slices"
)

// The second version of the namespace API names Supervisors instead of
// clusters. It came with 8.0.

func (s *Server) listNamespacesV2(c *call) (any, error) {
	if err := c.may(privilegeRead); err != nil {
		return nil, err
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	list := []map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(s.world.namespaces)) {
		ns := s.world.namespaces[name]
		list = append(list, map[string]any{
			"supervisor": s.world.supervisorOf(ns.Cluster), "namespace": name, "config_status": ns.ConfigStatus,
			"description": ns.Description, "stats": ns.Stats, "self_service_namespace": ns.SelfService,
		})
	}
	return list, nil
}

func (s *Server) getNamespaceV2(c *call) (any, error) {
	if err := c.may(privilegeRead); err != nil {
		return nil, err
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	ns, err := s.world.namespace(c.PathValue("namespace"))
	if err != nil {
		return nil, err
	}
	info := ns.copy()
	libraries := ns.contentLibraries
	if libraries == nil {
		libraries = []map[string]any{}
	}
	return map[string]any{
		"supervisor":             s.world.supervisorOf(ns.Cluster),
		"zones":                  []string{"zone-" + ns.Cluster},
		"config_status":          info.ConfigStatus,
		"messages":               info.Messages,
		"stats":                  info.Stats,
		"description":            info.Description,
		"resource_spec":          info.ResourceSpec,
		"access_list":            info.AccessList,
		"storage_specs":          info.StorageSpecs,
		"vm_service_spec":        info.VMServiceSpec,
		"content_libraries":      libraries,
		"creator":                info.Creator,
		"self_service_namespace": info.SelfService,
		"network_spec":           map[string]any{"network_provider": "NSXT_CONTAINER_PLUGIN"},
	}, nil
}

func (s *Server) createNamespaceV2(c *call) (any, error) {
	if err := c.may(privilegeConfigure); err != nil {
		return nil, err
	}
	var spec namespaceSpec
	if err := c.decode(&spec); err != nil {
		return nil, err
	}
	s.world.mu.Lock()
	cluster, ok := s.world.clusterOf(spec.Supervisor)
	s.world.mu.Unlock()
	if !ok {
		return nil, notFound("supervisor", spec.Supervisor)
	}
	spec.Cluster = cluster
	return nil, s.create(c.user, spec)
}

// supervisorOf returns the id of a cluster's Supervisor. The caller holds mu.
func (w *world) supervisorOf(cluster string) string {
	if cl, ok := w.clusters[cluster]; ok {
		return cl.supervisor
	}
	return ""
}

// clusterOf returns the cluster of a Supervisor. The caller holds mu.
func (w *world) clusterOf(supervisor string) (string, bool) {
	for id, cl := range w.clusters {
		if cl.supervisor == supervisor {
			return id, true
		}
	}
	return "", false
}
