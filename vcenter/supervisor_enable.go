// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/viaduct-sdk/viaduct"
)

// IPMode is how the control plane machines get their addresses. It is an open
// set: servers may take others.
type IPMode string

// The documented modes.
const (
	IPModeDHCP   IPMode = "DHCP"
	IPModeStatic IPMode = "STATICRANGE"
)

// ManagementNetwork is the network of the control plane machines.
type ManagementNetwork struct {
	Network string   `json:"network"` // the network's id, such as dvportgroup-12
	Mode    IPMode   `json:"mode"`
	Range   *IPRange `json:"address_range,omitempty"` // for IPModeStatic
	// FloatingIP is the address of the control plane with IPModeDHCP.
	FloatingIP string `json:"floating_IP,omitempty"`
}

// IPRange is a range of addresses for the control plane: five for a Supervisor.
type IPRange struct {
	Start   string `json:"starting_address"`
	Count   int    `json:"address_count"`
	Gateway string `json:"gateway"`
	Mask    string `json:"subnet_mask"`
}

// EnableSpec is a Supervisor to be made on NSX-T. Storage policies are ids, not
// names.
type EnableSpec struct {
	Size              SizeHint
	ManagementNetwork ManagementNetwork
	// Network is what NSX provides: all fields but Tier0Gateway are required.
	Network     NSXClusterNetwork
	ServiceCIDR CIDR

	ControlPlaneStoragePolicy string
	EphemeralStoragePolicy    string
	ImageStoragePolicy        string

	DNSNames      []string // for the endpoint's certificate
	DNS           []string // of the control plane
	SearchDomains []string
	WorkerDNS     []string
	NTP           []string
	LoginBanner   string
	// ContentLibrary holds the images of Tanzu Kubernetes clusters.
	ContentLibrary string
}

// wireEnable is EnableSpec as the API takes it.
type wireEnable struct {
	SizeHint          SizeHint          `json:"size_hint"`
	NetworkProvider   NetworkProvider   `json:"network_provider"`
	ManagementNetwork ManagementNetwork `json:"master_management_network"`
	Network           NSXClusterNetwork `json:"ncp_cluster_network_spec"`
	ServiceCIDR       CIDR              `json:"service_cidr"`
	MasterPolicy      string            `json:"master_storage_policy"`
	EphemeralPolicy   string            `json:"ephemeral_storage_policy"`
	ImageStorage      map[string]string `json:"image_storage"`
	DNSNames          []string          `json:"Master_DNS_names,omitempty"`
	DNS               []string          `json:"master_DNS,omitempty"`
	SearchDomains     []string          `json:"master_DNS_search_domains,omitempty"`
	WorkerDNS         []string          `json:"worker_DNS,omitempty"`
	NTP               []string          `json:"master_NTP_servers,omitempty"`
	LoginBanner       string            `json:"login_banner,omitempty"`
	ContentLibrary    string            `json:"default_kubernetes_service_content_library,omitempty"`
}

// Enable starts to enable workload management on a cluster, on NSX-T, and
// returns when vCenter accepted it: see [SupervisorClusters.Wait], which may
// take half an hour.
//
// Errors match [viaduct.ErrExists] when the cluster has it already,
// [viaduct.ErrInvalid] for what vCenter or the check before it refuses,
// [viaduct.ErrNotFound] for a cluster that does not exist.
func (s SupervisorClusters) Enable(ctx context.Context, id string, spec EnableSpec) error {
	const op = "enable supervisor cluster"
	if err := spec.check(); err != nil {
		return fmt.Errorf("vcenter: %s %q: %w", op, id, err)
	}
	return s.c.do(ctx, call{
		op: op, object: id, method: http.MethodPost, route: clusterRoute,
		args: []string{id}, query: url.Values{"action": {"enable"}}, body: spec.wire(),
	})
}

func (e EnableSpec) wire() wireEnable {
	return wireEnable{
		SizeHint: e.Size, NetworkProvider: NetworkNSXT, ManagementNetwork: e.ManagementNetwork,
		Network: e.Network, ServiceCIDR: e.ServiceCIDR,
		MasterPolicy: e.ControlPlaneStoragePolicy, EphemeralPolicy: e.EphemeralStoragePolicy,
		ImageStorage: map[string]string{"storage_policy": e.ImageStoragePolicy},
		DNSNames:     e.DNSNames, DNS: e.DNS, SearchDomains: e.SearchDomains, WorkerDNS: e.WorkerDNS, NTP: e.NTP,
		LoginBanner: e.LoginBanner, ContentLibrary: e.ContentLibrary,
	}
}

// check finds what is missing, and ranges that overlap, before anything is
// sent.
func (e EnableSpec) check() error {
	for name, missing := range map[string]bool{
		"a size":                           e.Size == "",
		"a management network":             e.ManagementNetwork.Network == "",
		"an IP mode":                       e.ManagementNetwork.Mode == "",
		"a distributed switch":             e.Network.DistributedSwitch == "",
		"an edge cluster":                  e.Network.EdgeCluster == "",
		"pod CIDRs":                        len(e.Network.PodCIDRs) == 0,
		"ingress CIDRs":                    len(e.Network.IngressCIDRs) == 0,
		"egress CIDRs":                     len(e.Network.EgressCIDRs) == 0,
		"a service CIDR":                   !e.ServiceCIDR.IsValid(),
		"a storage policy of its machines": e.ControlPlaneStoragePolicy == "",
		"a storage policy of pods":         e.EphemeralStoragePolicy == "",
		"a storage policy of images":       e.ImageStoragePolicy == "",
	} {
		if missing {
			return fmt.Errorf("%w: a Supervisor needs %s", viaduct.ErrInvalid, name)
		}
	}
	ranges := append([]CIDR{e.ServiceCIDR}, e.Network.PodCIDRs...)
	ranges = append(append(ranges, e.Network.IngressCIDRs...), e.Network.EgressCIDRs...)
	for i, a := range ranges {
		if !a.IsValid() {
			return fmt.Errorf("%w: a CIDR is not one", viaduct.ErrInvalid)
		}
		for _, b := range ranges[:i] {
			if a.Overlaps(b.Prefix) {
				return fmt.Errorf("%w: %s and %s overlap", viaduct.ErrInvalid, b, a)
			}
		}
	}
	return nil
}
