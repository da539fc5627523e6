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
	address := ""
	if tk.Endpoint != (tkc.Endpoint{}) {
		address = endpoint(tk.Endpoint.String())
	}
	n := j.add(Node{
		ID: kubeID(c.name, tk.UID), Kind: KindTKCluster, System: SystemSupervisor, Cluster: c.name,
		Label: tk.Name, Detail: string(tk.Phase), Parent: parent,
		Attributes: map[string]string{
			attrName: tk.Name, attrNamespace: tk.Namespace, "phase": string(tk.Phase),
			"version": tk.Version, "endpoint": address,
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
	for i := range j.o.clusters {
		one := &j.o.clusters[i]
		if one != c && one.endpoint != "" && one.endpoint == address {
			j.connect(EdgeRealizes, n.ID, clusterID(one.name))
			return one.name
		}
	}
	return ""
}
