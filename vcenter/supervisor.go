// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter

import (
	"context"
)

// Supervisor is a Supervisor as vSphere 8.0 and later know it, on one cluster
// or on the clusters of several zones.
type Supervisor struct {
	ID               string           `json:"-"`
	Name             string           `json:"name"`
	ConfigStatus     ConfigStatus     `json:"config_status"`
	KubernetesStatus KubernetesStatus `json:"kubernetes_status"`
	Stats            SupervisorStats  `json:"stats"`
}

// SupervisorStats is what a Supervisor uses and has: CPU in MHz, memory and
// storage in MiB.
type SupervisorStats struct {
	CPUUsed         int64 `json:"cpus_used"`
	CPUCapacity     int64 `json:"cpus_capacity"`
	MemoryUsed      int64 `json:"memory_used"`
	MemoryCapacity  int64 `json:"memory_capacity"`
	StorageUsed     int64 `json:"storage_used"`
	StorageCapacity int64 `json:"storage_capacity"`
}

// SupervisorZone is a zone of a Supervisor and the clusters in it.
type SupervisorZone struct {
	Zone     string   `json:"zone"`
	Clusters []string `json:"clusters"`
}

// Supervisors is the Supervisors of a vCenter. vCenter has no call that returns
// a Supervisor in full: endpoint and certificates are those of its cluster, see
// [SupervisorClusters.Get].
//
// Before vSphere 8.0 each call returns an [*UnsupportedError].
type Supervisors struct{ c *Client }

// Supervisors returns the handle of the Supervisors. Since vSphere 8.0.
func (c *Client) Supervisors() Supervisors { return Supervisors{c} }

const supervisorsRoute = managementRoute + "/supervisors"

func (s Supervisors) since8(ctx context.Context) error {
	return s.c.require(ctx, "the Supervisor API", Version{Major: 8})
}

// List returns all Supervisors.
func (s Supervisors) List(ctx context.Context) ([]Supervisor, error) {
	if err := s.since8(ctx); err != nil {
		return nil, err
	}
	var body struct {
		Items []struct {
			ID   string     `json:"supervisor"`
			Info Supervisor `json:"info"`
		} `json:"items"`
	}
	if err := s.c.get(ctx, "list supervisors", "all", supervisorsRoute+"/summaries", &body); err != nil {
		return nil, err
	}
	list := make([]Supervisor, len(body.Items))
	for i, item := range body.Items {
		list[i] = item.Info
		list[i].ID = item.ID
	}
	return list, nil
}

// Get returns a Supervisor. Errors match [viaduct.ErrNotFound] when there is no
// such Supervisor.
func (s Supervisors) Get(ctx context.Context, id string) (Supervisor, error) {
	if err := s.since8(ctx); err != nil {
		return Supervisor{}, err
	}
	supervisor := Supervisor{ID: id}
	err := s.c.get(ctx, "get supervisor", id, supervisorsRoute+"/{supervisor}/summary", &supervisor, id)
	if err != nil {
		return Supervisor{}, err
	}
	return supervisor, nil
}

// Topology returns the zones of a Supervisor. Errors match
// [viaduct.ErrNotFound] when there is no such Supervisor.
func (s Supervisors) Topology(ctx context.Context, id string) ([]SupervisorZone, error) {
	if err := s.since8(ctx); err != nil {
		return nil, err
	}
	var zones []SupervisorZone
	err := s.c.get(ctx, "get supervisor topology", id, supervisorsRoute+"/{supervisor}/topology", &zones, id)
	return zones, err
}

// OfCluster returns the id of the Supervisor that a cluster belongs to. Errors
// match [viaduct.ErrNotFound] when the cluster lacks workload management.
func (s Supervisors) OfCluster(ctx context.Context, cluster string) (string, error) {
	if err := s.since8(ctx); err != nil {
		return "", err
	}
	var id string
	err := s.c.get(ctx, "get the supervisor of cluster", cluster, clusterRoute+"/topology", &id, cluster)
	return id, err
}
