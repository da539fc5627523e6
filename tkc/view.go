// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// pair is what the Supervisor has under one name: a TanzuKubernetesCluster, a
// Cluster, or both.
type pair struct {
	tanzu, cluster *unstructured.Unstructured
}

func (p *pair) isEmpty() bool { return p.tanzu == nil && p.cluster == nil }

// coherent returns the pair without the Cluster when that belongs to another
// TanzuKubernetesCluster, of which it is what remains.
func (p *pair) coherent() pair {
	if p.tanzu == nil || p.cluster == nil {
		return *p
	}
	if owner := tanzuOwner(p.cluster); owner != "" && owner != p.tanzu.GetUID() {
		return pair{tanzu: p.tanzu}
	}
	return *p
}

// tanzuOwner returns the UID of the TanzuKubernetesCluster that an object belongs
// to, or "".
func tanzuOwner(o *unstructured.Unstructured) types.UID {
	for _, ref := range o.GetOwnerReferences() {
		if ref.Kind == TanzuV1alpha1.kind() && API(ref.APIVersion).isTanzu() {
			return ref.UID
		}
	}
	return ""
}

// view makes one Cluster of the pair, which must not be empty.
func (p *pair) view() Cluster {
	both := p.coherent()
	if both.tanzu == nil {
		c := viewOf(both.cluster)
		if owner := tanzuOwner(both.cluster); owner != "" {
			c.UID = owner
		}
		return c
	}
	c := viewOf(both.tanzu)
	if both.cluster == nil {
		return c
	}
	beside := viewOf(both.cluster)
	if (tree{both.tanzu.Object}).at("status", "phase").text() == "" {
		phaseBeside(&c, beside)
	}
	c.APIs = append(c.APIs, beside.APIs...)
	c.Class = beside.Class
	for _, condition := range beside.Conditions {
		if _, said := c.Condition(condition.Type); !said {
			c.Conditions = append(c.Conditions, condition)
		}
	}
	if c.Endpoint == (Endpoint{}) {
		c.Endpoint = beside.Endpoint
	}
	if !c.Nodes.ReadyKnown && beside.Nodes.ReadyKnown {
		c.Nodes.Ready, c.Nodes.ReadyKnown = beside.Nodes.Ready, true
	}
	c.Network = c.Network.or(beside.Network)
	return c
}

// phaseBeside completes what a TanzuKubernetesCluster without phase says by what
// its Cluster says.
func phaseBeside(c *Cluster, beside Cluster) {
	if _, said := c.Condition("Ready"); !said && beside.ready {
		c.ready = true
		c.Phase = c.phaseFromConditions()
	}
	if !c.ready && c.Deleted.IsZero() && beside.Phase != "" && beside.Phase != PhaseRunning {
		c.Phase = beside.Phase
	}
}

// or returns the network with its empty fields taken from other.
func (n Network) or(other Network) Network {
	if n.CNI == "" {
		n.CNI = other.CNI
	}
	if len(n.Pods) == 0 {
		n.Pods = other.Pods
	}
	if len(n.Services) == 0 {
		n.Services = other.Services
	}
	if n.Domain == "" {
		n.Domain = other.Domain
	}
	return n
}

func viewOf(o *unstructured.Unstructured) Cluster {
	api := API(o.GetAPIVersion())
	t := tree{o.Object}
	c := Cluster{
		Namespace: o.GetNamespace(), Name: o.GetName(), UID: o.GetUID(),
		APIs: []API{api}, Labels: t.at("metadata", "labels").texts(),
		Created: o.GetCreationTimestamp().UTC(), Conditions: conditionsOf(t.at("status", "conditions")),
	}
	if deleted := o.GetDeletionTimestamp(); deleted != nil {
		c.Deleted = deleted.UTC()
	}
	if api.isTanzu() {
		addTanzu(&c, t)
	} else {
		addClusterAPI(&c, t, api)
	}
	if c.Phase == "" {
		c.Phase = c.phaseFromConditions()
	}
	return c
}

func conditionsOf(t tree) []Condition {
	var all []Condition
	for _, item := range t.list() {
		c := Condition{
			Type: item.at("type").text(), Status: item.at("status").text(), Reason: item.at("reason").text(),
			Severity: item.at("severity").text(), Message: item.at("message").text(), Since: item.at("lastTransitionTime").time(),
		}
		if c.Type != "" {
			all = append(all, c)
		}
	}
	return all
}

// isTrue reports whether a condition is true, and whether it is there.
func (c Cluster) isTrue(kind string) (yes, said bool) {
	condition, said := c.Condition(kind)
	return condition.Status == string(metav1.ConditionTrue), said
}

// phaseFromConditions tells as much as conditions do.
func (c Cluster) phaseFromConditions() Phase {
	switch {
	case !c.Deleted.IsZero():
		return PhaseDeleting
	case c.ready:
		return PhaseRunning
	case c.Endpoint == Endpoint{}:
		return PhaseCreating
	default:
		return ""
	}
}

func addTanzu(c *Cluster, t tree) {
	spec, status := t.at("spec"), t.at("status")
	c.Phase = Phase(status.at("phase").text())
	c.Version = status.at("version").text()
	c.DesiredVersion = spec.first(
		[]string{"topology", "controlPlane", "tkr", "reference", "name"},
		[]string{"distribution", "fullVersion"}, []string{"distribution", "version"},
	)
	c.Endpoint = endpointOf(status.at("apiEndpoints"))
	if c.Endpoint == (Endpoint{}) {
		c.Endpoint = endpointOf(status.at("clusterApiStatus", "apiEndpoints"))
	}
	c.Nodes = tanzuNodes(spec.at("topology"), status)
	network := spec.at("settings", "network")
	c.Network = Network{
		CNI:  network.at("cni", "name").text(),
		Pods: network.at("pods", "cidrBlocks").prefixes(), Services: network.at("services", "cidrBlocks").prefixes(),
		Domain: network.at("serviceDomain").text(),
	}
	ready, said := c.isTrue("Ready")
	if !said {
		ready = c.Phase == PhaseRunning
	}
	c.ready = ready
}

func endpointOf(t tree) Endpoint {
	for _, e := range t.list() {
		if host := e.at("host").text(); host != "" {
			return Endpoint{Host: host, Port: e.at("port").number()}
		}
	}
	return Endpoint{}
}

func tanzuNodes(topology, status tree) Nodes {
	replicas := func(t tree) int { return t.at("replicas").number() + t.at("count").number() }
	class := func(t tree) string { return t.first([]string{"vmClass"}, []string{"class"}) }
	n := Nodes{ControlPlane: replicas(topology.at("controlPlane"))}
	for _, pool := range topology.at("nodePools").list() {
		n.Pools = append(n.Pools, NodePool{Name: pool.at("name").text(), Replicas: replicas(pool), Class: class(pool)})
	}
	// v1alpha1 has one pool, without a name.
	if workers := topology.at("workers"); workers.has() {
		n.Pools = append(n.Pools, NodePool{Name: "workers", Replicas: replicas(workers), Class: class(workers)})
	}
	for _, pool := range n.Pools {
		n.Workers += pool.Replicas
	}
	if nodes := status.at("nodeStatus"); nodes.has() {
		n.ReadyKnown = true
		for _, state := range nodes.texts() {
			if state == "ready" {
				n.Ready++
			}
		}
	}
	return n
}

func addClusterAPI(c *Cluster, t tree, api API) {
	spec, status := t.at("spec"), t.at("status")
	c.Phase = clusterAPIPhase(status.at("phase").text())
	topology := spec.at("topology")
	c.DesiredVersion = topology.at("version").text()
	c.Class = topology.first([]string{"class"}, []string{"classRef", "name"})
	if host := spec.at("controlPlaneEndpoint", "host").text(); host != "" {
		c.Endpoint = Endpoint{Host: host, Port: spec.at("controlPlaneEndpoint", "port").number()}
	}
	n := Nodes{ControlPlane: topology.at("controlPlane", "replicas").number()}
	for _, pool := range topology.at("workers", "machineDeployments").list() {
		n.Pools = append(n.Pools, NodePool{Name: pool.at("name").text(), Replicas: pool.at("replicas").number(), Class: pool.at("class").text()})
		n.Workers += pool.at("replicas").number()
	}
	// v1beta2 counts.
	if cp, w := status.at("controlPlane", "readyReplicas"), status.at("workers", "readyReplicas"); cp.has() || w.has() {
		n.Ready, n.ReadyKnown = cp.number()+w.number(), true
	}
	c.Nodes = n
	network := spec.at("clusterNetwork")
	c.Network = Network{
		Pods: network.at("pods", "cidrBlocks").prefixes(), Services: network.at("services", "cidrBlocks").prefixes(),
		Domain: network.at("serviceDomain").text(),
	}
	c.ready = c.clusterAPIReady(status, api)
}

// clusterAPIReady reports whether a Cluster is complete. What v1beta2 calls
// Available is Ready in v1beta1.
func (c Cluster) clusterAPIReady(status tree, api API) bool {
	kinds := []string{"Ready", "Available"}
	if api == ClusterV1beta2 {
		slices.Reverse(kinds)
	}
	for _, kind := range kinds {
		if yes, said := c.isTrue(kind); said {
			return yes
		}
	}
	done := status.at("initialization")
	return c.Phase == PhaseRunning &&
		(status.at("controlPlaneReady").flag() || done.at("controlPlaneInitialized").flag()) &&
		(status.at("infrastructureReady").flag() || done.at("infrastructureProvisioned").flag())
}

func clusterAPIPhase(phase string) Phase {
	switch phase {
	case "Pending", "Provisioning":
		return PhaseCreating
	case "Provisioned":
		return PhaseRunning
	case "Deleting":
		return PhaseDeleting
	case "Failed":
		return PhaseFailed
	case "Unknown":
		return ""
	default:
		return Phase(phase)
	}
}
