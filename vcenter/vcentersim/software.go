// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcentersim

import (
	"maps"
	"slices"
	"time"
)

// software is the Kubernetes version of a Supervisor.
type software struct {
	current, desired string
	available        []string
	upgraded         time.Time
}

func newSoftware() software {
	return software{
		current:   "v1.21.0+vmware.wcp.2-vsc0.0.12-18735554",
		available: []string{"v1.22.6+vmware.wcp.1-vsc0.0.17-19939323", "v1.23.12+vmware.wcp.1-vsc0.1.1-20841893"},
	}
}

func (s *Server) softwareRoutes(base string) map[string]endpoint {
	return map[string]endpoint{
		"GET " + base + "/software/clusters":                   s.listSoftware,
		"GET " + base + "/software/clusters/{cluster}":         s.getSoftware,
		"POST " + base + "/software/clusters/{cluster}":        s.upgrade,
		"GET " + base + "/software/cluster-available-versions": s.listVersions,
	}
}

func (s *Server) softwareSummary(cl *cluster) map[string]any {
	state := "READY"
	if cl.software.desired != "" {
		state = "PENDING"
	}
	summary := map[string]any{
		"cluster": cl.id, "cluster_name": s.clusterName(cl.id), "state": state,
		"current_version": cl.software.current, "available_versions": cl.software.available,
	}
	if cl.software.desired != "" {
		summary["desired_version"] = cl.software.desired
	}
	if !cl.software.upgraded.IsZero() {
		summary["last_upgraded_date"] = cl.software.upgraded.UTC()
	}
	return summary
}

func (s *Server) listSoftware(c *call) (any, error) {
	if err := c.may(privilegeRead); err != nil {
		return nil, err
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	list := []any{}
	for _, id := range slices.Sorted(maps.Keys(s.world.clusters)) {
		list = append(list, s.softwareSummary(s.world.clusters[id]))
	}
	return list, nil
}

func (s *Server) getSoftware(c *call) (any, error) {
	if err := c.may(privilegeRead); err != nil {
		return nil, err
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	cl, err := s.enabled(c.PathValue("cluster"))
	if err != nil {
		return nil, err
	}
	info := s.softwareSummary(cl)
	info["messages"] = []stateMessage{}
	if cl.software.desired != "" {
		info["upgrade_status"] = map[string]any{
			"desired_version": cl.software.desired, "messages": []stateMessage{},
			"progress": map[string]any{"total": 100, "completed": 10, "message": newMessage("vcenter.wcp.upgrade", "Upgrading the control plane.")},
		}
	}
	return info, nil
}

func (s *Server) upgrade(c *call) (any, error) {
	if err := c.may(privilegeManage); err != nil {
		return nil, err
	}
	var spec struct {
		Version string `json:"desired_version"`
	}
	if err := c.decode(&spec); err != nil {
		return nil, err
	}
	if action := c.URL.Query().Get("action"); action != "upgrade" {
		return nil, operationNotFound(c.Request)
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	cl, err := s.enabled(c.PathValue("cluster"))
	if err != nil {
		return nil, err
	}
	if !slices.Contains(cl.software.available, spec.Version) {
		return nil, invalid("upgrade.version", "The version %q is not available for cluster %s.", spec.Version, cl.id)
	}
	cl.software.desired = spec.Version
	if !s.opts.manual {
		cl.finishUpgrade()
	}
	return nil, nil //nolint:nilnil // an empty answer is one
}

// finishUpgrade makes the desired version the current one.
func (c *cluster) finishUpgrade() {
	if c.software.desired == "" {
		return
	}
	c.software.current, c.software.desired, c.software.upgraded = c.software.desired, "", time.Now()
	i := slices.Index(c.software.available, c.software.current)
	c.software.available = slices.Clone(c.software.available[i+1:])
}

func (s *Server) listVersions(c *call) (any, error) {
	if err := c.may(privilegeRead); err != nil {
		return nil, err
	}
	all := newSoftware()
	list := []any{}
	for _, version := range append([]string{all.current}, all.available...) {
		list = append(list, map[string]any{
			"version": version, "name": "Supervisor " + version, "description": "", "release_date": "2022-03-01T00:00:00.000Z",
			"release_notes": newMessage("vcenter.wcp.release", ""),
		})
	}
	return list, nil
}
