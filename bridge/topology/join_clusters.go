// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"cmp"
	"net/netip"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct/tkc"
)

// joinTKClusters connects the objects of TK clusters with the clusters, and
// their LoadBalancer Services with what stands for them on the Supervisor.
func (j *joiner) joinTKClusters() {
	c := j.o.supervisor()
	if c == nil {
		return
	}
	guests := map[[2]string]string{} // names of clusters by namespace and name of their object
	for _, tk := range j.o.tkClusters {
		if parent, ok := j.kube.namespaces[[2]string{c.name, tk.Namespace}]; ok {
			guests[[2]string{tk.Namespace, tk.Name}] = j.addTKCluster(c, tk, parent)
			for _, v := range c.vmServices { // its control plane's
				if slices.ContainsFunc(v.VIPs, func(a netip.Addr) bool { return a.String() == tk.Endpoint.Host }) {
					j.connect(EdgeRealizes, kubeID(c.name, tk.UID), kubeID(c.name, types.UID(v.UID)))
				}
			}
		}
	}
	for _, v := range c.vmServices {
		id := kubeID(c.name, types.UID(v.UID))
		guest := guests[[2]string{v.Namespace, v.GuestCluster}]
		if s := j.kube.byName[[3]string{guest, v.GuestService.Namespace, v.GuestService.Name}]; s != nil && guest != "" {
			j.connect(EdgeRealizes, s.node.ID, id)
		}
	}
	for _, s := range j.kube.services {
		if ref := metav1.GetControllerOf(s); s.seen == c && ref != nil && ref.Kind == "VirtualMachineService" {
			j.connect(EdgeRealizes, kubeID(c.name, ref.UID), s.node.ID)
		}
	}
}

// addTKCluster adds the object of a TK cluster, and returns the name of the
// cluster that it became, if that was asked.
func (j *joiner) addTKCluster(c *clusterSeen, tk tkc.Cluster, parent string) string {
	n := j.add(Node{
		ID: kubeID(c.name, tk.UID), Kind: KindTKCluster, System: SystemSupervisor, Cluster: c.name,
		Label: tk.Name, Detail: string(tk.Phase), Parent: parent,
		Attributes: map[string]string{
			attrName: tk.Name, attrNamespace: tk.Namespace, "phase": string(tk.Phase),
			"version": tk.Version, "endpoint": addressOf(tk),
		},
	})
	phase := "its phase is " + cmp.Or(string(tk.Phase), "not known")
	switch {
	case tk.IsDeleted():
		worsen(n, StateDegraded, "it is being deleted")
	case tk.IsFailed():
		worsen(n, StateDown, phase)
	case tk.Phase == tkc.PhaseRunning:
		worsen(n, StateUp, "")
	case tk.Phase == tkc.PhaseUnhealthy:
		worsen(n, StateDown, phase)
	case tk.Phase == "":
		worsen(n, StateUnknown, phase)
	default:
		worsen(n, StateDegraded, phase)
	}
	name := j.clusterOf(tk)
	if name != "" {
		j.connect(EdgeRealizes, n.ID, clusterID(name))
	}
	return name
}

// clusterOf returns the name of the cluster that an object asks for, if that
// was asked: the one with the address of its API server.
func (j *joiner) clusterOf(tk tkc.Cluster) string {
	address := addressOf(tk)
	for i := range j.o.clusters {
		if c := &j.o.clusters[i]; c.system != SystemSupervisor && address != "" && c.endpoint == address {
			return c.name
		}
	}
	return ""
}

// addressOf returns host and port of a TK cluster's API server; empty when it is
// not known.
func addressOf(tk tkc.Cluster) string {
	if tk.Endpoint == (tkc.Endpoint{}) {
		return ""
	}
	return endpoint(tk.Endpoint.String())
}

// ofSupervisor reports whether a cluster is the Supervisor or one of its TK
// clusters, of which NCP makes all virtual servers with the Policy API.
func (j *joiner) ofSupervisor(cluster string) bool {
	c := j.o.supervisor()
	return c != nil && (c.name == cluster || cluster != "" &&
		slices.ContainsFunc(j.o.tkClusters, func(tk tkc.Cluster) bool { return j.clusterOf(tk) == cluster }))
}
