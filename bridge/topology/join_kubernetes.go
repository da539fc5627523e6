// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct/bridge"
	"github.com/viaduct-sdk/viaduct/supervisor"
)

// kubeIndex finds nodes of Kubernetes clusters.
type kubeIndex struct {
	// namespaces and services are nodes by cluster and name.
	namespaces map[[2]string]string
	services   []*serviceNode
	byUID      map[types.UID]*serviceNode
	byName     map[[3]string]*serviceNode
	namespace  map[string]string // nodes of namespaces by UID
	pods       map[podLabel][]podNode
	byAddress  map[[2]string]podNode // pods by cluster and address
	backends   map[string][]backend  // of imports, by their IDs
	// ncpClusters are the names that the Supervisor's NCP has of itself.
	ncpClusters []string
}

type serviceNode struct {
	*corev1.Service
	seen *clusterSeen
	node *Node
	// mark is what Viaduct wrote on the Service.
	mark bridge.Ownership
	ours bool
	// view is what NCP wrote on it.
	view supervisor.Service
}

type podNode struct {
	id     string
	labels map[string]string
	ready  bool
}

// podLabel is a label that a pod has.
type podLabel struct{ cluster, namespace, key, value string }

func (p podNode) has(labels map[string]string) bool {
	for key, value := range labels {
		if have, ok := p.labels[key]; !ok || have != value {
			return false
		}
	}
	return true
}

func clusterID(name string) string { return "cluster:" + name }

func kubeID(cluster string, uid types.UID) string { return cluster + ":" + string(uid) }

func (j *joiner) addKubernetes() {
	j.kube = kubeIndex{
		namespaces: map[[2]string]string{}, byUID: map[types.UID]*serviceNode{}, byName: map[[3]string]*serviceNode{},
		namespace: map[string]string{}, pods: map[podLabel][]podNode{}, byAddress: map[[2]string]podNode{},
		backends: map[string][]backend{},
	}
	for i := range j.o.clusters {
		c := &j.o.clusters[i]
		j.add(Node{
			ID: clusterID(c.name), Kind: KindCluster, System: c.system, Cluster: c.name, Label: c.name,
			Attributes: map[string]string{"endpoint": c.endpoint},
		})
		j.addNamespaces(c)
		for k := range c.services {
			j.addService(c, &c.services[k])
		}
		for k := range c.pods {
			j.addPod(c, &c.pods[k])
		}
		for _, s := range c.vmServices {
			j.addVMService(c, s)
		}
		for _, b := range c.backends {
			id := kubeID(c.name, b.service)
			j.kube.backends[id] = append(j.kube.backends[id], b)
		}
	}
}

// addNamespaces adds those that have to do with other clusters: vSphere
// Namespaces, those with a Service that others reach or that is somewhere else,
// and those that the caller asked for.
func (j *joiner) addNamespaces(c *clusterSeen) {
	wanted := map[string]bool{}
	for i := range c.services {
		s := &c.services[i]
		if _, ours := bridge.OwnershipOf(s); ours || s.Spec.Type == corev1.ServiceTypeLoadBalancer || c.scoped {
			wanted[s.Namespace] = true
		}
	}
	for i := range c.namespaces {
		live := &c.namespaces[i]
		ns := supervisor.ParseNamespace(live)
		if wanted[ns.Name] || ns.IsVSphere() || c.scoped {
			j.addNamespace(c, ns)
		}
		if id := ns.ExternalPool.NCPCluster; id != "" && !slices.Contains(j.kube.ncpClusters, id) {
			j.kube.ncpClusters = append(j.kube.ncpClusters, id)
		}
	}
	for name := range wanted { // those that may not be read themselves
		if _, ok := j.kube.namespaces[[2]string{c.name, name}]; !ok {
			j.addNamespace(c, supervisor.Namespace{Name: name})
		}
	}
}

func (j *joiner) addNamespace(c *clusterSeen, ns supervisor.Namespace) {
	n := &Node{
		ID: kubeID(c.name, types.UID(ns.UID)), Kind: KindNamespace, System: c.system, Cluster: c.name,
		Label: ns.Name, Parent: clusterID(c.name),
		Attributes: map[string]string{attrName: ns.Name, "cluster-id": ns.ClusterID},
	}
	if ns.UID == "" {
		n.ID = c.name + ":namespace/" + ns.Name
	}
	if ns.SNATAddress.IsValid() {
		n.Detail = "SNAT " + ns.SNATAddress.String()
		n.Attributes["snat"] = ns.SNATAddress.String()
	}
	if ns.Terminating {
		worsen(n, StateDegraded, "it is being deleted")
	}
	for _, problem := range ns.Problems {
		worsen(n, StateDegraded, problem)
	}
	j.add(*n)
	j.kube.namespaces[[2]string{c.name, ns.Name}] = n.ID
	if ns.UID != "" {
		j.kube.namespace[ns.UID] = n.ID
	}
}

func (j *joiner) addService(c *clusterSeen, s *corev1.Service) {
	parent, ok := j.kube.namespaces[[2]string{c.name, s.Namespace}]
	if !ok {
		return
	}
	mark, ours := bridge.OwnershipOf(s)
	view := supervisor.ParseService(s)
	kind, detail := KindService, ports(s)
	switch {
	case ours && mark.Role == bridge.RoleImport:
		kind = KindImport
	case ours && mark.Role == bridge.RoleCompanion:
		kind = KindExport
	}
	if len(view.VIPs) > 0 {
		detail = view.VIPs[0].String()
	}
	n := j.add(Node{
		ID: kubeID(c.name, s.UID), Kind: kind, System: c.system, Cluster: c.name,
		Label: s.Name, Detail: detail, Parent: parent,
		Attributes: map[string]string{
			attrName: s.Name, attrNamespace: s.Namespace, "type": string(s.Spec.Type),
			"cluster-ip": s.Spec.ClusterIP, "ports": ports(s), "vips": joinAddresses(view.VIPs),
		},
	})
	if ours {
		n.Attributes["role"], n.Attributes["source"] = string(mark.Role), mark.Source.String()
	}
	node := &serviceNode{Service: s, seen: c, node: n, mark: mark, ours: ours, view: view}
	j.kube.services = append(j.kube.services, node)
	j.kube.byUID[s.UID] = node
	j.kube.byName[[3]string{c.name, s.Namespace, s.Name}] = node
}

func ports(s *corev1.Service) string {
	text := make([]string, len(s.Spec.Ports))
	for i, p := range s.Spec.Ports {
		text[i] = fmt.Sprintf("%d/%s", p.Port, cmp.Or(p.Protocol, corev1.ProtocolTCP))
	}
	return strings.Join(text, ", ")
}

func joinAddresses(all []netip.Addr) string {
	text := make([]string, len(all))
	for i, a := range all {
		text[i] = a.String()
	}
	return strings.Join(text, ", ")
}

// addPod adds a pod that is not done.
func (j *joiner) addPod(c *clusterSeen, pod *corev1.Pod) {
	parent, ok := j.kube.namespaces[[2]string{c.name, pod.Namespace}]
	if !ok || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return
	}
	view := supervisor.ParsePod(pod)
	n := j.add(Node{
		ID: kubeID(c.name, pod.UID), Kind: KindPod, System: c.system, Cluster: c.name,
		Label: pod.Name, Detail: pod.Status.PodIP, Parent: parent,
		Attributes: map[string]string{
			attrName: pod.Name, attrNamespace: pod.Namespace, "address": pod.Status.PodIP,
			"phase": string(pod.Status.Phase), "host": view.Host, "vm": view.VMID,
		},
	})
	switch {
	case pod.DeletionTimestamp != nil:
		worsen(n, StateDegraded, "it is being deleted")
	case view.Ready:
		worsen(n, StateUp, "")
	default:
		worsen(n, StateDown, "it is "+cmp.Or(string(pod.Status.Phase), "pending")+" and not ready")
	}
	one := podNode{id: n.ID, labels: pod.Labels, ready: view.Ready}
	for key, value := range pod.Labels {
		label := podLabel{c.name, pod.Namespace, key, value}
		j.kube.pods[label] = append(j.kube.pods[label], one)
	}
	if view.Address.IsValid() && !pod.Spec.HostNetwork {
		j.kube.byAddress[[2]string{c.name, view.Address.String()}] = one
	}
}

func (j *joiner) addVMService(c *clusterSeen, s supervisor.VirtualMachineService) {
	parent, ok := j.kube.namespaces[[2]string{c.name, s.Namespace}]
	if !ok {
		return
	}
	n := Node{
		ID: kubeID(c.name, types.UID(s.UID)), Kind: KindVMService, System: c.system, Cluster: c.name,
		Label: s.Name, Detail: joinAddresses(s.VIPs), Parent: parent,
		Attributes: map[string]string{
			attrName: s.Name, attrNamespace: s.Namespace, "type": s.Type,
			"vips": joinAddresses(s.VIPs), "guest-cluster": s.GuestCluster,
		},
	}
	if s.GuestService.Name != "" {
		n.Label = s.GuestService.Name
		n.Attributes["guest-service"] = s.GuestService.String()
	}
	j.add(n)
}
