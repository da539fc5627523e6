// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcentersim

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"

	"github.com/google/uuid"
)

// cidr is a range of addresses as the API writes it.
type cidr struct {
	Address string `json:"address"`
	Prefix  int    `json:"prefix"`
}

// ncpNetwork is the network of a cluster on NSX.
type ncpNetwork struct {
	PodCIDRs     []cidr `json:"pod_cidrs"`
	IngressCIDRs []cidr `json:"ingress_cidrs"`
	EgressCIDRs  []cidr `json:"egress_cidrs"`
	Switch       string `json:"cluster_distributed_switch"`
	EdgeCluster  string `json:"nsx_edge_cluster"`
	Tier0        string `json:"nsx_tier0_gateway,omitempty"`
}

// cluster is one cluster with workload management, as the API shows it.
type cluster struct {
	id         string
	supervisor string
	software   software

	SizeHint           string         `json:"size_hint"`
	ConfigStatus       string         `json:"config_status"`
	Messages           []stateMessage `json:"messages"`
	Conditions         []condition    `json:"conditions,omitempty"`
	KubernetesStatus   string         `json:"kubernetes_status"`
	KubernetesMessages []stateMessage `json:"kubernetes_status_messages"`
	Management         string         `json:"api_server_management_endpoint"`
	Endpoint           string         `json:"api_server_cluster_endpoint"`
	Servers            []string       `json:"api_servers"`
	ManagementCert     string         `json:"tls_management_endpoint_certificate"`
	EndpointCert       string         `json:"tls_endpoint_certificate"`
	NetworkProvider    string         `json:"network_provider"`
	NCP                *ncpNetwork    `json:"ncp_cluster_network_info,omitempty"`
	ServiceCIDR        cidr           `json:"service_cidr"`
	DNSNames           []string       `json:"Master_DNS_names"`
	DNS                []string       `json:"master_DNS"`
	WorkerDNS          []string       `json:"worker_DNS"`
	NTP                []string       `json:"master_NTP_servers"`
	LoginBanner        string         `json:"login_banner"`
	StatSummary        map[string]any `json:"stat_summary"`
}

type condition struct {
	Type   string `json:"type"`
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

// enableSpec is what enabling takes. Its passwords are read and dropped.
type enableSpec struct {
	SizeHint        string      `json:"size_hint"`
	NetworkProvider string      `json:"network_provider"`
	NCP             *ncpNetwork `json:"ncp_cluster_network_spec"`
	ServiceCIDR     *cidr       `json:"service_cidr"`
	DNSNames        []string    `json:"Master_DNS_names"`
	DNS             []string    `json:"master_DNS"`
	WorkerDNS       []string    `json:"worker_DNS"`
	NTP             []string    `json:"master_NTP_servers"`
	LoginBanner     string      `json:"login_banner"`
	Management      *struct {
		Network string `json:"network"`
	} `json:"master_management_network"`
	MasterPolicy    string `json:"master_storage_policy"`
	EphemeralPolicy string `json:"ephemeral_storage_policy"`
	ImageStorage    struct {
		Policy string `json:"storage_policy"`
	} `json:"image_storage"`
}

// referenceCluster is the Supervisor that every simulator starts with.
func referenceCluster(s *Server) *cluster {
	c := &cluster{
		id: SupervisorCluster, supervisor: uuid.NewString(), software: newSoftware(),
		SizeHint: "TINY", NetworkProvider: "NSXT_CONTAINER_PLUGIN",
		NCP: &ncpNetwork{
			PodCIDRs:     []cidr{{"10.244.0.0", 20}},
			IngressCIDRs: []cidr{{"192.168.30.64", 27}},
			EgressCIDRs:  []cidr{{"192.168.30.96", 27}},
			EdgeCluster:  edgeCluster,
		},
		ServiceCIDR: cidr{"10.96.0.0", 23},
	}
	c.run(s)
	return c
}

// run makes a cluster RUNNING with an endpoint.
func (c *cluster) run(s *Server) {
	c.ConfigStatus, c.KubernetesStatus = stateRunning, "READY"
	c.Messages, c.KubernetesMessages = []stateMessage{}, []stateMessage{}
	if c.Endpoint == "" {
		ip := net.IPv4(192, 168, 30, 65).To4()
		if c.NCP != nil && len(c.NCP.IngressCIDRs) > 0 {
			if base := net.ParseIP(c.NCP.IngressCIDRs[0].Address).To4(); base != nil {
				ip = net.IPv4(base[0], base[1], base[2], base[3]+1).To4()
			}
		}
		c.Endpoint = ip.String()
		if pem, err := endpointPEM(s.ca, ip); err == nil {
			c.EndpointCert, c.ManagementCert = pem, pem
		}
	}
	c.Management = "192.168.10.60"
	c.Servers = []string{"192.168.10.61", "192.168.10.62", "192.168.10.63"}
	c.StatSummary = map[string]any{
		"cpu_used": 4200, "cpu_capacity": 72000, "memory_used": 48000, "memory_capacity": 393216,
		"storage_used": 210000, "storage_capacity": 4000000,
	}
	if s.atLeast(8) {
		c.Conditions = []condition{{Type: "Ready", Status: "TRUE"}}
	}
}

// SetSupervisorEndpoint sets the address of a cluster's Kubernetes API and
// the certificates, leaf first, that it serves.
func (s *Server) SetSupervisorEndpoint(clusterID, address string, certificatePEM []byte) error {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	cl, ok := s.world.clusters[clusterID]
	if !ok {
		return fmt.Errorf("vcentersim: cluster %s is not enabled", clusterID)
	}
	cl.Endpoint = address
	cl.EndpointCert, cl.ManagementCert = string(certificatePEM), string(certificatePEM)
	return nil
}

// SetClusterState overrides the states that a cluster reports; strings that
// vCenter does not document are kept as they are. Messages become errors of
// the cluster.
func (s *Server) SetClusterState(clusterID, configStatus, kubernetesStatus string, messages ...string) error {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	cl, ok := s.world.clusters[clusterID]
	if !ok {
		return fmt.Errorf("vcentersim: cluster %s is not enabled", clusterID)
	}
	cl.ConfigStatus, cl.KubernetesStatus = configStatus, kubernetesStatus
	cl.Messages = []stateMessage{}
	for _, text := range messages {
		cl.Messages = append(cl.Messages, stateMessage{Severity: "ERROR", Details: newMessage("vcenter.wcp.cluster.error", text, clusterID)})
	}
	return nil
}

// SetNetworkProvider overrides the network provider that a cluster reports.
func (s *Server) SetNetworkProvider(clusterID, provider string) error {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	cl, ok := s.world.clusters[clusterID]
	if !ok {
		return fmt.Errorf("vcentersim: cluster %s is not enabled", clusterID)
	}
	cl.NetworkProvider = provider
	return nil
}

// FinishCluster ends CONFIGURING or REMOVING of a cluster that
// WithManualClusters holds. A failure turns the cluster's state to ERROR.
func (s *Server) FinishCluster(clusterID string, failure error) error {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	cl, ok := s.world.clusters[clusterID]
	if !ok {
		return fmt.Errorf("vcentersim: cluster %s is not enabled", clusterID)
	}
	switch {
	case failure != nil:
		cl.ConfigStatus, cl.KubernetesStatus = stateError, stateError
		cl.Messages = append(cl.Messages, stateMessage{Severity: "ERROR", Details: newMessage("vcenter.wcp.cluster.error", failure.Error(), clusterID)})
	case cl.ConfigStatus == stateRemoving:
		delete(s.world.clusters, clusterID)
	default:
		cl.run(s)
	}
	return nil
}

func (s *Server) clusterRoutes() map[string]endpoint {
	const base = "/api/vcenter/namespace-management"
	routes := map[string]endpoint{
		"GET " + base + "/clusters":            s.listClusters,
		"GET " + base + "/clusters/{cluster}":  s.getCluster,
		"POST " + base + "/clusters/{cluster}": s.clusterAction,
	}
	maps.Copy(routes, s.softwareRoutes(base))
	maps.Copy(routes, s.compatibilityRoutes(base))
	if s.atLeast(8) {
		maps.Copy(routes, s.supervisorRoutes(base))
	}
	return routes
}

func (s *Server) listClusters(c *call) (any, error) {
	if err := c.may(privilegeRead); err != nil {
		return nil, err
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	list := []map[string]any{}
	for _, id := range slices.Sorted(maps.Keys(s.world.clusters)) {
		cl := s.world.clusters[id]
		list = append(list, map[string]any{
			"cluster": id, "cluster_name": s.clusterName(id),
			"config_status": cl.ConfigStatus, "kubernetes_status": cl.KubernetesStatus,
		})
	}
	return list, nil
}

func (s *Server) clusterName(id string) string {
	if c, ok := s.vim.inventory.clusters[id]; ok {
		return c.Name
	}
	return ""
}

func (s *Server) getCluster(c *call) (any, error) {
	if err := c.may(privilegeRead); err != nil {
		return nil, err
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	cl, err := s.enabled(c.PathValue("cluster"))
	if err != nil {
		return nil, err
	}
	out := *cl
	out.Messages = slices.Clone(cl.Messages)
	if out.NCP != nil && out.NCP.Switch == "" {
		ncp := *out.NCP
		ncp.Switch = s.SwitchUUID(switchName)
		out.NCP = &ncp
	}
	return out, nil
}

// enabled finds a cluster with workload management. The caller holds the
// world's lock.
func (s *Server) enabled(id string) (*cluster, error) {
	cl, ok := s.world.clusters[id]
	if ok {
		return cl, nil
	}
	if _, known := s.vim.inventory.clusters[id]; known {
		return nil, &apiError{
			status: http.StatusNotFound, kind: "NOT_FOUND", id: "vcenter.wcp.cluster.disabled",
			text: fmt.Sprintf("The cluster %s is not enabled for workload management.", id), args: []string{id},
		}
	}
	return nil, notFound("cluster", id)
}

func (s *Server) clusterAction(c *call) (any, error) {
	if err := c.may(privilegeManage); err != nil {
		return nil, err
	}
	id, action := c.PathValue("cluster"), c.URL.Query().Get("action")
	switch action {
	case "enable":
		var spec enableSpec
		if err := c.decode(&spec); err != nil {
			return nil, err
		}
		return nil, s.enable(id, spec)
	case "disable":
		return nil, s.disable(id)
	default:
		return nil, &apiError{
			status: http.StatusNotImplemented, kind: "UNSUPPORTED", id: "viaduct.vcentersim.unsimulated",
			text: fmt.Sprintf("vcentersim does not simulate the action %q of clusters", action),
		}
	}
}

func (s *Server) enable(id string, spec enableSpec) error {
	if _, known := s.vim.inventory.clusters[id]; !known {
		return notFound("cluster", id)
	}
	if err := s.checkEnable(spec); err != nil {
		return err
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	if _, there := s.world.clusters[id]; there {
		return exists("cluster", id)
	}
	cl := &cluster{
		id: id, supervisor: uuid.NewString(), software: newSoftware(),
		SizeHint: spec.SizeHint, NetworkProvider: spec.NetworkProvider, NCP: spec.NCP, ServiceCIDR: *spec.ServiceCIDR,
		DNSNames: spec.DNSNames, DNS: spec.DNS, WorkerDNS: spec.WorkerDNS, NTP: spec.NTP, LoginBanner: spec.LoginBanner,
		ConfigStatus: stateConfiguring, KubernetesStatus: "WARNING",
		Messages: []stateMessage{}, KubernetesMessages: []stateMessage{}, StatSummary: map[string]any{},
	}
	s.world.clusters[id] = cl
	if !s.opts.manual {
		cl.run(s)
	}
	return nil
}

func (s *Server) checkEnable(spec enableSpec) error {
	if spec.NetworkProvider != "NSXT_CONTAINER_PLUGIN" {
		return invalid("network.provider", "The network provider %q is not simulated.", spec.NetworkProvider)
	}
	if spec.NCP == nil || len(spec.NCP.PodCIDRs) == 0 || spec.ServiceCIDR == nil {
		return invalid("network.cidr", "Pod and service CIDRs are required on NSX.")
	}
	if spec.NCP.Switch != s.SwitchUUID(switchName) && spec.NCP.Switch != s.SwitchUUID(spareSwitch) {
		return invalid("network.switch", "The distributed switch %s is not compatible.", spec.NCP.Switch)
	}
	if spec.NCP.EdgeCluster != edgeCluster {
		return invalid("network.edge", "The edge cluster %s is not compatible.", spec.NCP.EdgeCluster)
	}
	for _, policy := range []string{spec.MasterPolicy, spec.EphemeralPolicy, spec.ImageStorage.Policy} {
		if !slices.ContainsFunc(storagePolicies(), func(p storagePolicy) bool { return p.id == policy }) {
			return invalid("storage.policy", "The storage policy %q does not exist.", policy)
		}
	}
	return nil
}

func (s *Server) disable(id string) error {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	cl, err := s.enabled(id)
	if err != nil {
		return err
	}
	for _, ns := range s.world.namespaces {
		if ns.Cluster == id {
			return &apiError{
				status: http.StatusBadRequest, kind: "RESOURCE_IN_USE", id: "vcenter.wcp.cluster.inuse",
				text: fmt.Sprintf("The cluster %s has the namespace %s.", id, ns.name), args: []string{id, ns.name},
			}
		}
	}
	if s.opts.manual {
		cl.ConfigStatus = stateRemoving
		return nil
	}
	delete(s.world.clusters, id)
	return nil
}
