// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/viaduct-sdk/viaduct"
)

// NetworkProvider is what connects the workloads of a Supervisor. It is an open
// set: servers may return others.
type NetworkProvider string

// The known providers.
const (
	NetworkNSXT    NetworkProvider = "NSXT_CONTAINER_PLUGIN"
	NetworkVSphere NetworkProvider = "VSPHERE_NETWORK"
	NetworkVPC     NetworkProvider = "NSX_VPC"
)

// SizeHint is the size of the control plane. It is an open set: servers may
// return others.
type SizeHint string

// The documented sizes.
const (
	SizeTiny   SizeHint = "TINY"
	SizeSmall  SizeHint = "SMALL"
	SizeMedium SizeHint = "MEDIUM"
	SizeLarge  SizeHint = "LARGE"
)

// SupervisorClusterSummary is a cluster with workload management in a list.
type SupervisorClusterSummary struct {
	ID               string           `json:"cluster"` // such as domain-c8
	Name             string           `json:"cluster_name"`
	ConfigStatus     ConfigStatus     `json:"config_status"`
	KubernetesStatus KubernetesStatus `json:"kubernetes_status"`
}

// SupervisorCluster is a cluster with workload management.
type SupervisorCluster struct {
	ID string `json:"-"` // such as domain-c8

	ConfigStatus       ConfigStatus       `json:"config_status"`
	Messages           []StatusMessage    `json:"messages"`
	Conditions         []ClusterCondition `json:"conditions"` // since vSphere 8.0
	KubernetesStatus   KubernetesStatus   `json:"kubernetes_status"`
	KubernetesMessages []StatusMessage    `json:"kubernetes_status_messages"`

	// Endpoint is the address of the Supervisor's Kubernetes API for users,
	// ManagementEndpoint the one on the management network, APIServers are
	// those of its control plane machines. They are empty while it is being
	// configured.
	Endpoint           string   `json:"api_server_cluster_endpoint"`
	ManagementEndpoint string   `json:"api_server_management_endpoint"`
	APIServers         []string `json:"api_servers"`

	// EndpointCertificate and ManagementCertificate are the PEM chains, leaf
	// first, that the endpoints serve: a trust anchor that needs no trust on
	// first use. They are empty while the cluster is being configured.
	EndpointCertificate   string `json:"tls_endpoint_certificate"`
	ManagementCertificate string `json:"tls_management_endpoint_certificate"`

	NetworkProvider NetworkProvider `json:"network_provider"`
	// NSX is the network on NSX-T; nil on others.
	NSX         *NSXClusterNetwork `json:"ncp_cluster_network_info"`
	ServiceCIDR CIDR               `json:"service_cidr"`

	SizeHint    SizeHint `json:"size_hint"`
	DNSNames    []string `json:"Master_DNS_names"` // of the endpoint's certificate
	DNS         []string `json:"master_DNS"`
	WorkerDNS   []string `json:"worker_DNS"`
	NTP         []string `json:"master_NTP_servers"`
	LoginBanner string   `json:"login_banner"`
}

// IsReady reports whether the cluster is configured and its Kubernetes serves.
func (c SupervisorCluster) IsReady() bool {
	return c.ConfigStatus == ConfigStatusRunning && c.KubernetesStatus == KubernetesStatusReady
}

// ClusterCondition is one aspect of the state of a cluster.
type ClusterCondition struct {
	Type        string  `json:"type"`
	Status      string  `json:"status"` // TRUE, FALSE, UNKNOWN and others
	Reason      string  `json:"reason"`
	Description Message `json:"description"`
}

// NSXClusterNetwork is the network of a Supervisor on NSX-T.
type NSXClusterNetwork struct {
	PodCIDRs     []CIDR `json:"pod_cidrs"`
	IngressCIDRs []CIDR `json:"ingress_cidrs"`
	EgressCIDRs  []CIDR `json:"egress_cidrs"`

	// DistributedSwitch is the switch's UUID, NSX's host_switch_id.
	DistributedSwitch string `json:"cluster_distributed_switch"`
	EdgeCluster       string `json:"nsx_edge_cluster"`
	Tier0Gateway      string `json:"nsx_tier0_gateway,omitempty"` // since vSphere 7.0U3
}

// CIDR is a range of addresses. vCenter writes it as an object.
type CIDR struct{ netip.Prefix }

type wireCIDR struct {
	Address string `json:"address"`
	Prefix  int    `json:"prefix"`
}

// MarshalJSON writes the range as vCenter does.
func (c CIDR) MarshalJSON() ([]byte, error) {
	return json.Marshal(wireCIDR{c.Addr().String(), c.Bits()})
}

// UnmarshalJSON reads the range as vCenter writes it. Absent is the zero CIDR.
func (c *CIDR) UnmarshalJSON(data []byte) error {
	var w wireCIDR
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	if w.Address == "" {
		*c = CIDR{}
		return nil
	}
	addr, err := netip.ParseAddr(w.Address)
	if err != nil {
		return err
	}
	c.Prefix = netip.PrefixFrom(addr, w.Prefix)
	return nil
}

// SupervisorClusters is the clusters of a vCenter with workload management.
type SupervisorClusters struct{ c *Client }

// SupervisorClusters returns the handle of the clusters with workload
// management.
func (c *Client) SupervisorClusters() SupervisorClusters { return SupervisorClusters{c} }

const (
	clustersRoute = "/api/vcenter/namespace-management/clusters"
	clusterRoute  = clustersRoute + "/{cluster}"
)

// Get returns a cluster, with the endpoint of its Kubernetes API and the
// certificates to trust there.
//
// Errors match [viaduct.ErrNotFound] when there is no such cluster, or when it
// lacks workload management.
func (s SupervisorClusters) Get(ctx context.Context, id string) (SupervisorCluster, error) {
	cluster := SupervisorCluster{ID: id}
	err := s.c.get(ctx, "get supervisor cluster", id, clusterRoute, &cluster, id)
	if err != nil {
		return SupervisorCluster{}, err
	}
	return cluster, nil
}

// List returns all clusters with workload management. The list has no pages.
func (s SupervisorClusters) List(ctx context.Context) ([]SupervisorClusterSummary, error) {
	var list []SupervisorClusterSummary
	err := s.c.get(ctx, "list supervisor clusters", "all", clustersRoute, &list)
	return list, err
}

// All iterates over what [SupervisorClusters.List] returns, fetched when the
// loop starts. It yields at most one error, last.
func (s SupervisorClusters) All(ctx context.Context) iter.Seq2[SupervisorClusterSummary, error] {
	return all(func() ([]SupervisorClusterSummary, error) { return s.List(ctx) })
}

// Disable starts the removal of workload management from a cluster, with all
// namespaces, and does not wait: see [SupervisorClusters.WaitDisabled]. A
// cluster without it is no error.
//
// Errors match [viaduct.ErrInUse] when vCenter wants something removed first.
func (s SupervisorClusters) Disable(ctx context.Context, id string) error {
	err := s.c.do(ctx, call{
		op: "disable supervisor cluster", object: id, method: http.MethodPost, route: clusterRoute,
		args: []string{id}, query: url.Values{"action": {"disable"}},
	})
	if errors.Is(err, viaduct.ErrNotFound) {
		return nil
	}
	return err
}

// Wait waits until a cluster is RUNNING and its Kubernetes READY, and returns
// it. The deadline is the context's; the error then names the last state. When
// the state becomes ERROR, the error is a [*StateError] with vCenter's
// messages.
func (s SupervisorClusters) Wait(ctx context.Context, id string, opts WaitOptions[SupervisorCluster]) (SupervisorCluster, error) {
	const op = "wait for supervisor cluster"
	return wait(ctx, op, id, opts,
		func(ctx context.Context) (SupervisorCluster, error) { return s.Get(ctx, id) },
		SupervisorCluster.state,
		func(c SupervisorCluster) (bool, error) { return c.IsReady(), c.failure(op, opts) })
}

// failure is the error of a cluster that does not get better by itself.
func (c SupervisorCluster) failure(op string, opts WaitOptions[SupervisorCluster]) error {
	if c.ConfigStatus != ConfigStatusError || opts.TolerateError {
		return nil
	}
	return &StateError{Op: op, Object: c.ID, Status: c.ConfigStatus, Messages: c.Messages}
}

// WaitDisabled waits until a cluster lacks workload management. When the state
// becomes ERROR, the error is a [*StateError] with vCenter's messages.
func (s SupervisorClusters) WaitDisabled(ctx context.Context, id string, opts WaitOptions[SupervisorCluster]) error {
	const op = "wait for the end of supervisor cluster"
	_, err := wait(ctx, op, id, opts,
		func(ctx context.Context) (SupervisorCluster, error) { return s.Get(ctx, id) },
		SupervisorCluster.state,
		func(c SupervisorCluster) (bool, error) { return false, c.failure(op, opts) })
	if errors.Is(err, viaduct.ErrNotFound) {
		return nil
	}
	return err
}

func (c SupervisorCluster) state() string {
	return describe(fmt.Sprintf("%s, Kubernetes %s", c.ConfigStatus, c.KubernetesStatus), c.Messages)
}
