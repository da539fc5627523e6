// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubetypes "k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct/bridge"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
	"github.com/viaduct-sdk/viaduct/tkc"
	"github.com/viaduct-sdk/viaduct/vcenter"
)

// In a world of tests, everything that NCP, WCP and the bridge write is written
// by these functions. The ids are made so that names tell nothing.

const (
	vcenterUUID = "5a2f7f5e-6bd3-4bcd-8e0c-3d8d0f6b2c11"
	ncpCluster  = "domain-c8:" + vcenterUUID
	testNS      = "acme-data"
)

// uid returns a UUID made of what it is for.
func uid(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "/")))
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// marks are the labels and annotations by which bridge knows its objects.
func marks(role bridge.Role, source bridge.Source, o *metav1.ObjectMeta) {
	target := o.Namespace + "/" + o.Name
	sum := sha256.Sum256([]byte(strings.Join([]string{string(role), target, o.Name}, "\x00")))
	data, err := json.Marshal(source)
	if err != nil {
		panic(err) // four strings
	}
	o.Labels = map[string]string{
		"app.kubernetes.io/managed-by": "viaduct", "viaduct-sdk.github.io/role": string(role),
		"viaduct-sdk.github.io/id": strings.ToLower(base32.HexEncoding.EncodeToString(sum[:]))[:10],
	}
	o.Annotations = map[string]string{"viaduct-sdk.github.io/source": string(data)}
}

type world struct {
	observed
	next int // of addresses
}

func newWorld() *world {
	w := &world{observed: observed{
		vcenter: &vcenterSeen{instance: vcenterUUID},
		nsx: &nsxSeen{
			owner:  ncp.NewFinder(nil).Owner,
			status: map[nsx.Path]nsx.LBServiceStatus{},
		},
		clusters: []clusterSeen{{name: "supervisor"}},
		tkHoles:  &holes{system: SystemSupervisor, cluster: "supervisor"},
	}}
	w.vcenter.system, w.nsx.system = SystemVCenter, SystemNSX
	w.clusters[0].system, w.clusters[0].cluster = SystemSupervisor, "supervisor"
	return w
}

func (w *world) address(prefix string) string {
	w.next++
	return fmt.Sprintf("%s.%d.%d", prefix, w.next/250, 1+w.next%250)
}

func tagged(path string, name string, pairs ...string) nsx.Resource {
	tags := nsx.Tags{{Scope: "ncp/cluster", Tag: ncpCluster}}
	for i := 0; i < len(pairs); i += 2 {
		tags = append(tags, nsx.Tag{Scope: pairs[i], Tag: pairs[i+1]})
	}
	return nsx.Resource{
		ID: path[strings.LastIndex(path, "/")+1:], Path: nsx.Path(path), DisplayName: name, Tags: tags,
		UniqueID: uid("unique", path),
	}
}

// namespace makes a vSphere Namespace with its network.
func (w *world) namespace(name string) {
	id := uid("namespace", name)
	project := []string{"ncp/project", name, "ncp/project_uid", id}
	segment := "/infra/segments/vnet_" + uid("segment", name)
	router := "t1_" + id + "_rtr"
	w.nsx.tier1s = append(w.nsx.tier1s, nsx.Tier1{Resource: tagged("/infra/tier-1s/"+router, router, project...)})
	w.nsx.segments = append(w.nsx.segments, nsx.Segment{
		Resource: tagged(segment, "vnet-"+name+"-0", project...), ConnectivityPath: nsx.Path("/infra/tier-1s/" + router),
		Subnets: []nsx.SegmentSubnet{{Network: "10.244.0.16/28"}},
	})
	lb := "/infra/lb-services/" + uid("lb", name)
	w.nsx.loadBalancers = append(w.nsx.loadBalancers, nsx.LBService{
		Resource: tagged(lb, "lbs-"+name, project...), ConnectivityPath: nsx.Path("/infra/tier-1s/" + router), Size: nsx.LBServiceSmall,
	})
	w.nsx.status[nsx.Path(lb)] = nsx.LBServiceStatus{Status: nsx.LBUp}
	group := "/infra/domains/default/groups/" + uid("group", name)
	w.nsx.groups = append(w.nsx.groups, nsx.Group{
		Resource: tagged(group, "namespace-"+name, project...), Expression: []nsx.Expression{{Paths: []nsx.Path{nsx.Path(segment)}}},
	})
	policy := "/infra/domains/default/security-policies/" + uid("policy", name)
	w.nsx.policies = append(w.nsx.policies, nsx.SecurityPolicy{
		Resource: tagged(policy, "baseline-"+name, project...), Category: "Application", Scope: []nsx.Path{nsx.Path(group)},
	})
	for _, action := range []nsx.RuleAction{nsx.RuleAllow, nsx.RuleDrop} {
		r := nsx.Rule{Resource: tagged(policy+"/rules/"+string(action), string(action)), Action: action}
		r.ParentPath = nsx.Path(policy)
		w.nsx.rules = append(w.nsx.rules, r)
	}
	logical := uid("unique", segment)
	w.vcenter.namespaces = append(w.vcenter.namespaces, vcenter.NamespaceSummary{Name: name, Cluster: "domain-c8", Status: vcenter.ConfigStatusRunning})
	w.vcenter.portGroups = append(w.vcenter.portGroups, vcenter.SegmentPortGroup{
		Ref:  types.ManagedObjectReference{Type: "DistributedVirtualPortgroup", Value: "dvportgroup-" + strconv.Itoa(20+len(w.vcenter.portGroups))},
		Name: "vnet-" + name + "-0", LogicalSwitch: strings.ToUpper(logical), Segment: segment, SwitchName: "DVS0",
	})
	w.clusters[0].namespaces = append(w.clusters[0].namespaces, corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: name, UID: kubetypes.UID(id), Labels: map[string]string{"vSphereClusterID": "domain-c8"},
		Annotations: map[string]string{
			"ls_id-0": logical, "ncp/subnet-0": "10.244.0.16/28", "ncp/router_id": router, "ncp/snat_ip": "192.168.30.98",
			"ncp/extpoolid": ncpCluster + "-ippool-192-168-30-97-192-168-30-126",
		},
	}})
}

// service makes a Service on the Supervisor with its pods, and exports it:
// as it is when it is a load balancer, with a companion otherwise.
func (w *world) service(ns, name string, port int32, kind corev1.ServiceType, pods int) *bridge.Exported {
	c := &w.clusters[0]
	selector := map[string]string{"app": name}
	s := corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, UID: kubetypes.UID(uid("service", ns, name))},
		Spec: corev1.ServiceSpec{
			Type: kind, Selector: selector, Ports: []corev1.ServicePort{{Name: "data", Port: port}}, ClusterIP: w.address("10.96"),
		},
	}
	var members []nsx.PoolMember
	for i := range pods {
		pod := corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: ns, Name: name + "-" + strconv.Itoa(i), UID: kubetypes.UID(uid("pod", ns, name, strconv.Itoa(i))), Labels: selector,
			},
			Status: corev1.PodStatus{
				PodIP: w.address("10.244"), Phase: corev1.PodRunning,
				Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
			},
		}
		members = append(members, nsx.PoolMember{IPAddress: pod.Status.PodIP, Port: strconv.Itoa(int(port))})
		c.pods = append(c.pods, pod)
	}
	source := bridge.Source{Cluster: c.name, Namespace: ns, Name: name, UID: s.UID}
	exported := &bridge.Exported{Source: source, Ports: []bridge.Port{{Name: "data", Protocol: corev1.ProtocolTCP, Port: port}}}
	if kind != corev1.ServiceTypeLoadBalancer {
		c.services = append(c.services, s)
		s.Name, s.UID = name+"-viaduct", kubetypes.UID(uid("service", ns, name, "viaduct"))
		s.Spec.Type = corev1.ServiceTypeLoadBalancer
		marks(bridge.RoleCompanion, source, &s.ObjectMeta)
	}
	vip := w.publish(ns, &s, port, members)
	s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: vip}}
	c.services = append(c.services, s)
	exported.VIPService = bridge.VIPService{Name: vip, UID: s.UID} // the name serves importOf
	return exported
}

// publish makes what NCP makes for a port of a LoadBalancer Service.
func (w *world) publish(ns string, s *corev1.Service, port int32, members []nsx.PoolMember) string {
	vip := w.address("192.168")
	pairs := []string{"ncp/project", ns, "ncp/project_uid", uid("namespace", ns), "ncp/service_uid", string(s.UID)}
	lb := nsx.Path("/infra/lb-services/" + uid("lb", ns))
	pool := "/infra/lb-pools/" + uid("pool", string(s.UID))
	server := "/infra/lb-virtual-servers/" + uid("vs", string(s.UID))
	w.nsx.pools = append(w.nsx.pools, nsx.Pool{Resource: tagged(pool, "pool-"+s.Name, pairs...), Members: members})
	w.nsx.virtualServers = append(w.nsx.virtualServers, nsx.VirtualServer{
		Resource: tagged(server, "vs-"+s.Name, pairs...), IPAddress: vip, Ports: []string{strconv.Itoa(int(port))},
		PoolPath: nsx.Path(pool), LBServicePath: lb, ApplicationProfilePath: nsx.DefaultTCPProfilePath,
	})
	status := w.nsx.status[lb]
	status.VirtualServers = append(status.VirtualServers, nsx.VirtualServerStatus{VirtualServerPath: nsx.Path(server), Status: nsx.LBUp})
	p := nsx.PoolStatus{PoolPath: nsx.Path(pool), Status: nsx.LBUp}
	for _, m := range members {
		p.Members = append(p.Members, nsx.MemberStatus{IPAddress: m.IPAddress, Port: m.Port, Status: nsx.LBUp})
	}
	status.Pools = append(status.Pools, p)
	w.nsx.status[lb] = status
	return vip
}

// cluster adds a TK cluster, with its object on the Supervisor.
func (w *world) cluster(name, namespace string) *clusterSeen {
	endpoint := tkc.Endpoint{Host: fmt.Sprintf("192.168.40.%d", len(w.clusters)), Port: 6443}
	w.clusters = append(w.clusters, clusterSeen{name: name, endpoint: endpoint.String()})
	w.tkClusters = append(w.tkClusters, tkc.Cluster{
		Namespace: namespace, Name: name, UID: kubetypes.UID(uid("tkc", name)), Phase: tkc.PhaseRunning, Endpoint: endpoint,
	})
	c := &w.clusters[len(w.clusters)-1]
	c.system, c.cluster = SystemTKCluster, name
	return c
}

// importInto imports a service into a cluster.
func (w *world) importInto(c *clusterSeen, e *bridge.Exported) {
	ns := e.Source.Namespace
	id := kubetypes.UID(uid("ns", c.name, ns))
	if !contains(c.namespaces, ns) {
		c.namespaces = append(c.namespaces, corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns, UID: id}})
	}
	s := corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: e.Source.Name, UID: kubetypes.UID(uid("import", c.name, ns, e.Source.Name))},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIP: w.address("10.98"), Ports: []corev1.ServicePort{{Name: "data", Port: e.Ports[0].Port}}},
	}
	marks(bridge.RoleImport, e.Source, &s.ObjectMeta)
	c.services = append(c.services, s)
	c.backends = append(c.backends, backend{
		service: s.UID, addresses: []string{e.VIPService.Name},
		ports: []backendPort{{corev1.ProtocolTCP, e.Ports[0].Port}},
	})
}

func contains(all []corev1.Namespace, name string) bool {
	for _, ns := range all {
		if ns.Name == name {
			return true
		}
	}
	return false
}

// shop is the ACME Fitness shop: five services on the Supervisor, imported in a
// TK cluster.
func shop() *world {
	w := newWorld()
	w.namespace(testNS)
	w.namespace("acme-app")
	c := w.cluster("acme-fitness", "acme-app")
	for _, s := range []struct {
		name string
		port int32
		kind corev1.ServiceType
	}{
		{"cart-redis", 6379, corev1.ServiceTypeClusterIP},
		{"catalog-mongo", 27017, corev1.ServiceTypeClusterIP},
		{"order-postgres", 5432, corev1.ServiceTypeLoadBalancer},
		{"users-mongo", 27017, corev1.ServiceTypeClusterIP},
		{"users-redis", 6379, corev1.ServiceTypeClusterIP},
	} {
		w.importInto(c, w.service(testNS, s.name, s.port, s.kind, 1))
	}
	return w
}

// crowd is a shop of many services in many namespaces, imported everywhere.
func crowd(namespaces, services, pods, clusters int) *world {
	w := newWorld()
	var exported []*bridge.Exported
	for n := range namespaces {
		ns := fmt.Sprintf("team-%02d", n)
		w.namespace(ns)
		for i := range services {
			exported = append(exported, w.service(ns, fmt.Sprintf("svc-%02d-%03d", n, i), 8080, corev1.ServiceTypeClusterIP, pods))
		}
	}
	for i := range clusters {
		c := w.cluster(fmt.Sprintf("tk-%02d", i), "team-00")
		for _, e := range exported {
			w.importInto(c, e)
		}
	}
	return w
}
