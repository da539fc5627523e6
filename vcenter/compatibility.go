// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter

import (
	"context"
	"net/http"
	"net/url"
)

// CompatibleCluster is a cluster and whether workload management can be enabled
// on it.
type CompatibleCluster struct {
	Cluster    string    `json:"cluster"` // such as domain-c8
	Compatible bool      `json:"compatible"`
	Reasons    []Message `json:"incompatibility_reasons"`
}

// CompatibleSwitch is a distributed switch and whether a Supervisor can use it.
type CompatibleSwitch struct {
	DistributedSwitch string    `json:"distributed_switch"` // its UUID
	Compatible        bool      `json:"compatible"`
	Reasons           []Message `json:"incompatibility_reasons"`
}

// CompatibleEdgeCluster is an edge cluster of NSX and whether a Supervisor can
// use it.
type CompatibleEdgeCluster struct {
	EdgeCluster string    `json:"edge_cluster"` // NSX's id
	Name        string    `json:"display_name"`
	Compatible  bool      `json:"compatible"`
	Reasons     []Message `json:"incompatibility_reasons"`
}

// Tier0Gateway is a tier-0 gateway of NSX, or one for a VRF of it.
type Tier0Gateway struct {
	ID   string `json:"tier0_gateway"`
	Name string `json:"display_name"`
	Path string `json:"path"` // NSX's policy path
}

// Capability is what a vCenter may do with vSphere Namespaces at all.
type Capability struct {
	Supported bool `json:"namespaces_supported"`
	Licensed  bool `json:"namespaces_licensed"` // for any of its hosts
}

// Compatibility is what workload management could be enabled with.
type Compatibility struct{ c *Client }

// Compatibility returns the handle of what workload management could be enabled
// with.
func (c *Client) Compatibility() Compatibility { return Compatibility{c} }

const managementRoute = "/api/vcenter/namespace-management"

// Clusters returns all clusters, also those that are not compatible with the
// reasons why.
func (k Compatibility) Clusters(ctx context.Context) ([]CompatibleCluster, error) {
	var list []CompatibleCluster
	err := k.c.get(ctx, "list compatible clusters", "all", managementRoute+"/cluster-compatibility", &list)
	return list, err
}

// Switches returns the distributed switches of a cluster. Errors match
// [viaduct.ErrNotFound] when there is no such cluster.
func (k Compatibility) Switches(ctx context.Context, cluster string) ([]CompatibleSwitch, error) {
	var list []CompatibleSwitch
	err := k.c.do(ctx, call{
		op: "list compatible switches", object: cluster, method: http.MethodGet,
		route: managementRoute + "/distributed-switch-compatibility",
		query: url.Values{"cluster": {cluster}}, into: &list,
	})
	return list, err
}

// EdgeClusters returns the edge clusters for a cluster and one of its switches,
// named by its UUID.
func (k Compatibility) EdgeClusters(ctx context.Context, cluster, distributedSwitch string) ([]CompatibleEdgeCluster, error) {
	var list []CompatibleEdgeCluster
	err := k.c.do(ctx, call{
		op: "list compatible edge clusters", object: cluster, method: http.MethodGet,
		route: managementRoute + "/edge-cluster-compatibility",
		query: url.Values{"cluster": {cluster}, "distributed_switch": {distributedSwitch}}, into: &list,
	})
	return list, err
}

// Tier0Gateways returns the tier-0 gateways for a switch, named by its UUID.
// Since vSphere 7.0U2; before, the error matches [viaduct.ErrUnsupported].
func (k Compatibility) Tier0Gateways(ctx context.Context, distributedSwitch string) ([]Tier0Gateway, error) {
	if err := k.c.require(ctx, "the list of tier-0 gateways", Version{Major: 7, Update: 2}); err != nil {
		return nil, err
	}
	var list []Tier0Gateway
	err := k.c.do(ctx, call{
		op: "list tier-0 gateways", object: distributedSwitch, method: http.MethodGet,
		route: managementRoute + "/nsx-tier0-gateways",
		query: url.Values{"distributed_switch": {distributedSwitch}}, into: &list,
	})
	return list, err
}

// Capability returns whether vSphere Namespaces are supported and licensed.
func (k Compatibility) Capability(ctx context.Context) (Capability, error) {
	var capability Capability
	err := k.c.get(ctx, "get capability", "vcenter", managementRoute+"/capability", &capability)
	return capability, err
}
