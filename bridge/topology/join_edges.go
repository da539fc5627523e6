// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/viaduct-sdk/viaduct/bridge"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
	"github.com/viaduct-sdk/viaduct/supervisor"
)

// joinNamespaces connects the namespaces of the Supervisor with vCenter, and
// with their network.
func (j *joiner) joinNamespaces() {
	if c := j.o.supervisor(); c != nil {
		for i := range c.namespaces {
			ns := supervisor.ParseNamespace(&c.namespaces[i])
			id, ok := j.kube.namespaces[[2]string{c.name, ns.Name}]
			if !ok {
				continue
			}
			if j.sameVCenter(ns) {
				j.connect(EdgeRealizes, j.vcenter.namespaces[[2]string{ns.ClusterID, ns.Name}], id)
			}
			j.connect(EdgeRoutes, id, nsxID(nsx.Path(ns.Tier1Path())))
			j.joinNetworks(id, ns)
		}
	}
	j.joinOwned()
	for _, segment := range j.nsx.segments {
		path := strings.TrimPrefix(segment, "nsx:")
		for _, pg := range j.vcenter.bySegment[path] {
			j.connect(EdgeRealizes, segment, pg)
		}
	}
}

// joinOwned connects namespaces with the networks that NCP made for something in
// them: those of TK clusters are on no annotation of the namespace.
func (j *joiner) joinOwned() {
	if j.o.nsx == nil {
		return
	}
	for _, s := range j.o.nsx.segments {
		if owner := j.o.nsx.owner(s.Tags); owner.Kind != ncp.OwnerNone {
			j.connect(EdgeAttaches, j.kube.namespace[owner.NamespaceUID], nsxID(s.Path))
		}
	}
	for _, t := range j.o.nsx.tier1s {
		if owner := j.o.nsx.owner(t.Tags); owner.Kind != ncp.OwnerNone {
			j.connect(EdgeRoutes, j.kube.namespace[owner.NamespaceUID], nsxID(t.Path))
		}
	}
}

// sameVCenter reports whether a namespace may be of this vCenter; a pool's name
// tells which vCenter NCP works for.
func (j *joiner) sameVCenter(ns supervisor.Namespace) bool {
	if ns.ClusterID == "" || j.o.vcenter == nil {
		return false
	}
	mine, theirs := j.o.vcenter.instance, ns.ExternalPool.VCenterUUID
	return mine == "" || theirs == "" || strings.EqualFold(mine, theirs)
}

func (j *joiner) joinNetworks(id string, ns supervisor.Namespace) {
	for _, network := range ns.Networks {
		if network.LogicalSwitchUUID == "" {
			continue
		}
		key := strings.ToLower(network.LogicalSwitchUUID)
		segment := j.nsx.segments[key]
		for _, pg := range j.vcenter.byLogicalSwitch[key] {
			j.connect(EdgeAttaches, id, pg)
			if segment == "" { // NSX may name the logical switch otherwise; the port group knows the path
				segment = j.nsx.segments[strings.ToLower(j.nodes[pg].Attributes["segment"])]
			}
		}
		j.connect(EdgeAttaches, id, segment)
		if segment == "" && j.o.readNSX(objectSegments) {
			worsen(j.nodes[id], StateDegraded, "NSX has no segment for its logical switch")
		}
	}
}

// joinServices connects Services with what NCP made for them, and both with
// pods.
func (j *joiner) joinServices() {
	for _, s := range j.kube.services {
		selected := j.selected(s)
		for _, pod := range selected {
			j.connect(EdgeSelects, s.node.ID, pod.id)
		}
		servers := j.nsx.byService[string(s.UID)]
		for _, v := range servers {
			j.connect(EdgePublishes, s.node.ID, v.id)
			j.joinMembers(s, v)
		}
		for _, pool := range j.nsx.poolsOf[string(s.UID)] {
			if !j.used[pool] {
				j.connect(EdgePublishes, s.node.ID, pool)
			}
		}
		if s.ours && s.mark.Role == bridge.RoleImport {
			continue
		}
		j.judge(s, selected, servers)
		if s.ours && s.mark.Role == bridge.RoleCompanion {
			j.joinCompanion(s)
		}
	}
}

// selected returns the pods that a Service's selector selects.
func (j *joiner) selected(s *serviceNode) []podNode {
	var candidates []podNode
	first := true
	for key, value := range s.Spec.Selector { // the rarest label leaves the least to look through
		pods := j.kube.pods[podLabel{s.seen.name, s.Namespace, key, value}]
		if first || len(pods) < len(candidates) {
			candidates, first = pods, false
		}
	}
	var all []podNode
	for _, pod := range candidates {
		if pod.has(s.Spec.Selector) {
			all = append(all, pod)
		}
	}
	return all
}

// joinMembers connects the pool of a virtual server with pods of the cluster
// that the virtual server's Service is in: addresses of pods repeat between
// clusters.
func (j *joiner) joinMembers(s *serviceNode, v *virtualServer) {
	status := j.nsx.members[v.PoolPath]
	for _, m := range j.nsx.pools[v.PoolPath].Members {
		address, err := netip.ParseAddr(m.IPAddress)
		if err != nil {
			continue
		}
		if pod, ok := j.kube.byAddress[[2]string{s.seen.name, address.String()}]; ok {
			j.connectIn(EdgeMember, nsxID(v.PoolPath), pod.id, stateOfLB(status[m.IPAddress].Status))
		}
	}
}

// judge says how a Service is doing, by its pods and its virtual servers.
func (j *joiner) judge(s *serviceNode, selected []podNode, servers []*virtualServer) {
	ready := 0
	for _, pod := range selected {
		if pod.ready {
			ready++
		}
	}
	switch {
	case len(s.Spec.Selector) == 0:
	case !s.seen.has(objectPods):
		worsen(s.node, StateUnknown, "its pods may not be read")
	case ready == 0:
		worsen(s.node, StateDown, "none of its pods is ready")
	case ready < len(selected):
		worsen(s.node, StateDegraded, "some of its pods are not ready")
	default:
		worsen(s.node, StateUp, "")
	}
	if s.Spec.Type == corev1.ServiceTypeLoadBalancer {
		j.judgeBalanced(s, servers)
	}
}

// judgeBalanced says how a load balancer is doing. Virtual servers for a TK
// cluster are another Service's, on the Supervisor, and have its address.
func (j *joiner) judgeBalanced(s *serviceNode, servers []*virtualServer) {
	if len(servers) == 0 && s.seen.system != SystemSupervisor {
		for _, vip := range s.view.VIPs {
			servers = append(servers, j.nsx.byAddress[vip.String()]...)
		}
	}
	for _, e := range s.view.Errors {
		worsen(s.node, StateDown, "NCP: "+e.Code)
	}
	if len(s.view.VIPs) == 0 && len(s.view.Hostnames) == 0 {
		worsen(s.node, StateDegraded, "it has no virtual address yet")
	}
	switch {
	case len(servers) > 0:
	case !j.o.readNSX(objectVirtualServers):
		worsen(s.node, StateUnknown, "NSX was not to be asked")
	case j.ofSupervisor(s.seen.name):
		worsen(s.node, StateDegraded, "NSX has no virtual server for it")
	default: // TKGI's NCP may have made it with the Manager API
		worsen(s.node, StateUnknown, "the Policy API has no virtual server for it")
	}
	for _, v := range servers {
		worsen(s.node, j.nodes[v.id].State, "its virtual server: "+j.nodes[v.id].Reason)
	}
}

func (j *joiner) joinCompanion(s *serviceNode) {
	source := j.kube.byUID[s.mark.Source.UID]
	switch {
	case source != nil:
		j.connect(EdgeExports, source.node.ID, s.node.ID)
	case s.seen.has(objectServices):
		worsen(s.node, StateDegraded, "the Service that it exports is gone")
	}
}

// joinImports connects imports with where they lead.
func (j *joiner) joinImports() {
	for _, s := range j.kube.services {
		if s.ours && s.mark.Role == bridge.RoleImport {
			if source := j.kube.byUID[s.mark.Source.UID]; source != nil {
				j.connect(EdgeSource, s.node.ID, source.node.ID)
			} else {
				j.judgeSource(s)
			}
			j.joinImport(s)
		}
	}
}

// judgeSource looks whether the Service that was exported is gone, where that
// can be known.
func (j *joiner) judgeSource(s *serviceNode) {
	if j.readServices(s.mark.Source.Cluster) {
		worsen(s.node, StateDegraded, "the Service that was exported is gone")
	}
}

// readServices reports whether all Services of a cluster were read.
func (j *joiner) readServices(cluster string) bool {
	for i := range j.o.clusters {
		if c := &j.o.clusters[i]; c.name == cluster {
			return !c.scoped && c.has(objectServices)
		}
	}
	return false
}

func (j *joiner) joinImport(s *serviceNode) {
	var addresses []string
	found, missing := 0, 0
	for _, b := range j.kube.backends[kubeID(s.seen.name, s.UID)] {
		for _, address := range b.addresses {
			if !slices.Contains(addresses, address) {
				addresses = append(addresses, address)
			}
			f, m := j.resolve(s, address, b.ports)
			found, missing = found+f, missing+m
		}
	}
	slices.Sort(addresses)
	s.node.Attributes["addresses"] = strings.Join(addresses, ", ")
	if len(addresses) > 0 {
		s.node.Detail = strings.Join(addresses, ", ")
	} else {
		delete(s.node.Attributes, "addresses")
	}
	switch {
	case !s.seen.has(objectBackends):
		worsen(s.node, StateUnknown, "its endpoints may not be read")
	case len(addresses) == 0:
		worsen(s.node, StateDown, "it has no endpoints")
	case !j.o.readNSX(objectVirtualServers):
		worsen(s.node, StateUnknown, "NSX was not to be asked")
	case found == 0 && j.ofSupervisor(s.mark.Source.Cluster):
		worsen(s.node, StateDown, "no virtual server has its address")
	case found == 0: // as in judgeBalanced
		worsen(s.node, StateUnknown, "the Policy API has no virtual server with its address")
	case missing > 0:
		worsen(s.node, StateDegraded, "some of its addresses have no virtual server")
	}
}

// resolve connects an import with the virtual servers at one of its addresses.
// It counts the ports that have one, and those that have none.
func (j *joiner) resolve(s *serviceNode, address string, ports []backendPort) (found, missing int) {
	parsed, err := netip.ParseAddr(address)
	if err != nil {
		return 0, len(ports)
	}
	for _, p := range ports {
		serving := false
		for _, v := range j.nsx.byAddress[parsed.String()] {
			if v.serves(p) {
				serving = true
				j.connect(EdgeResolves, s.node.ID, v.id)
				worsen(s.node, j.nodes[v.id].State, "its virtual server: "+j.nodes[v.id].Reason)
			}
		}
		if serving {
			found++
		} else {
			missing++
		}
	}
	return found, missing
}
