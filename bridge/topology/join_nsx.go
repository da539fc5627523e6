// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
)

// nsxIndex finds nodes of NSX.
type nsxIndex struct {
	uuid *regexp.Regexp

	// segments by the ids that vCenter and NCP know them by.
	segments map[string]string
	// byService are virtual servers by the UID of their Service, byAddress by
	// address.
	byService, byAddress map[string][]*virtualServer
	pools                map[nsx.Path]nsx.Pool
	poolsOf              map[string][]string // by the UID of their Service
	// members are the statuses of a pool's members by address.
	members map[nsx.Path]map[string]nsx.MemberStatus
	// rules are those of a policy.
	rules map[nsx.Path][]nsx.Rule
}

type virtualServer struct {
	nsx.VirtualServer
	id string
}

func nsxID(path nsx.Path) string { return "nsx:" + path.String() }

func (j *joiner) addNSX() {
	j.nsx.segments, j.nsx.pools, j.nsx.poolsOf = map[string]string{}, map[nsx.Path]nsx.Pool{}, map[string][]string{}
	j.nsx.byService, j.nsx.byAddress = map[string][]*virtualServer{}, map[string][]*virtualServer{}
	j.nsx.members, j.nsx.rules = map[nsx.Path]map[string]nsx.MemberStatus{}, map[nsx.Path][]nsx.Rule{}
	if j.o.nsx == nil {
		return
	}
	servers, pools := j.indexStatus()
	for _, t := range j.o.nsx.tier1s {
		n := j.addNSXNode(KindTier1, t.Resource, "", nil)
		if ns := j.o.nsx.owner(t.Tags).Namespace; ns != "" { // its own name is a UUID
			n.Label = "of " + ns
		}
	}
	for _, s := range j.o.nsx.segments {
		j.addSegment(s)
	}
	for _, lb := range j.o.nsx.loadBalancers {
		n := j.addNSXNode(KindLoadBalancer, lb.Resource, lb.ConnectivityPath, map[string]string{"size": string(lb.Size)})
		status := j.o.nsx.status[lb.Path]
		n.Detail = strings.ToLower(string(lb.Size))
		worsen(n, stateOfLB(status.Status), cmp.Or(status.ErrorMessage, statusText(status.Status)))
	}
	for _, v := range j.o.nsx.virtualServers {
		j.addVirtualServer(v, servers[v.Path])
	}
	for _, p := range j.o.nsx.pools {
		j.addPool(p, pools[p.Path])
	}
	for _, v := range j.o.nsx.virtualServers {
		j.connect(EdgeForwards, nsxID(v.Path), nsxID(v.PoolPath))
		j.used[nsxID(v.PoolPath)] = true
		if pool := j.nodes[nsxID(v.PoolPath)]; pool != nil && v.LBServicePath != "" && j.nodes[nsxID(v.LBServicePath)] != nil {
			pool.Parent = nsxID(v.LBServicePath)
		}
	}
	for _, r := range j.o.nsx.rules {
		policy := cmp.Or(r.ParentPath, r.Path.Parent())
		j.nsx.rules[policy] = append(j.nsx.rules[policy], r)
	}
	for _, p := range j.o.nsx.policies {
		j.addPolicy(p)
	}
}

// addNSXNode adds an object below the one at path parent, if that is there.
func (j *joiner) addNSXNode(kind Kind, r nsx.Resource, parent nsx.Path, attributes map[string]string) *Node {
	n := Node{
		ID: nsxID(r.Path), Kind: kind, System: SystemNSX,
		Label:      cmp.Or(j.shorten(r.DisplayName), r.ID),
		Attributes: map[string]string{attrName: r.DisplayName, "path": r.Path.String()},
	}
	if j.nodes[nsxID(parent)] != nil {
		n.Parent = nsxID(parent)
	}
	owner := j.o.nsx.owner(r.Tags)
	if owner.Kind != ncp.OwnerNone {
		n.Attributes[attrCluster] = owner.Cluster
	}
	maps.Copy(n.Attributes, attributes)
	return j.add(n)
}

func (j *joiner) addSegment(s nsx.Segment) {
	var subnets []string
	for _, subnet := range s.Subnets {
		subnets = append(subnets, cmp.Or(subnet.Network, subnet.GatewayAddress))
	}
	n := j.addNSXNode(KindSegment, s.Resource, s.ConnectivityPath, map[string]string{"subnets": strings.Join(subnets, ", ")})
	n.Detail = strings.Join(subnets, ", ")
	for _, id := range []string{s.UniqueID, s.RealizationID, s.LogicalSwitchID, s.Path.String()} {
		if id != "" {
			j.nsx.segments[strings.ToLower(id)] = n.ID
		}
	}
}

func (j *joiner) addVirtualServer(v nsx.VirtualServer, status nsx.LBStatus) {
	protocol := protocolOf(v)
	owner := j.o.nsx.owner(v.Tags)
	n := j.addNSXNode(KindVirtualServer, v.Resource, v.LBServicePath, map[string]string{
		"address": v.IPAddress, "ports": strings.Join(v.Ports, ","), "protocol": protocol,
		"status": string(status), "service-uid": owner.ServiceUID,
	})
	n.Label = v.IPAddress + ":" + strings.Join(v.Ports, ",")
	if strings.Contains(v.IPAddress, ":") {
		n.Label = "[" + v.IPAddress + "]:" + strings.Join(v.Ports, ",")
	}
	n.Detail = strings.Trim(protocol+" · "+statusText(status), " ·")
	worsen(n, stateOfLB(status), statusText(status))
	one := &virtualServer{v, n.ID}
	if owner.ServiceUID != "" {
		j.nsx.byService[owner.ServiceUID] = append(j.nsx.byService[owner.ServiceUID], one)
	}
	if address, err := netip.ParseAddr(v.IPAddress); err == nil {
		j.nsx.byAddress[address.String()] = append(j.nsx.byAddress[address.String()], one)
	}
}

// protocolOf tells it from the default application profiles; others may be
// anything.
func protocolOf(v nsx.VirtualServer) string {
	switch v.ApplicationProfilePath {
	case nsx.DefaultTCPProfilePath, nsx.DefaultHTTPProfilePath:
		return "TCP"
	case nsx.DefaultUDPProfilePath:
		return "UDP"
	default:
		return ""
	}
}

// serves reports whether the virtual server listens on the port.
func (v *virtualServer) serves(p backendPort) bool {
	if protocol := protocolOf(v.VirtualServer); protocol != "" && protocol != string(p.protocol) {
		return false
	}
	return slices.ContainsFunc(v.Ports, func(text string) bool {
		first, last, isRange := strings.Cut(text, "-")
		low, err := strconv.Atoi(first)
		high, err2 := strconv.Atoi(last)
		if !isRange {
			return err == nil && low == int(p.number)
		}
		return err == nil && err2 == nil && low <= int(p.number) && int(p.number) <= high
	})
}

func (j *joiner) addPool(p nsx.Pool, status nsx.PoolStatus) {
	n := j.addNSXNode(KindPool, p.Resource, "", map[string]string{
		"members": strconv.Itoa(len(p.Members)), "status": string(status.Status),
		"service-uid": j.o.nsx.owner(p.Tags).ServiceUID,
	})
	j.nsx.pools[p.Path] = p
	if uid := n.Attributes["service-uid"]; uid != "" {
		j.nsx.poolsOf[uid] = append(j.nsx.poolsOf[uid], n.ID)
	}
	up := 0
	byAddress := map[string]nsx.MemberStatus{}
	for _, m := range status.Members {
		byAddress[m.IPAddress] = m
		if m.Status == nsx.LBUp {
			up++
		}
	}
	j.nsx.members[p.Path] = byAddress
	members := plural(len(p.Members), "member")
	n.Label, n.Detail = members, "status not known"
	if status.Status != "" {
		n.Label, n.Detail = fmt.Sprintf("%d of %s up", up, members), statusText(status.Status)
		if port := portOf(p); port != "" && status.Status == nsx.LBUp {
			n.Detail = "port " + port
		}
	}
	worsen(n, stateOfLB(status.Status), statusText(status.Status))
	if len(p.Members) == 0 && p.MemberGroup == nil {
		n.Label, n.Detail = "no members", ""
		worsen(n, StateDown, "it has no members")
	}
}

// portOf returns the port of a pool's members, if they all have the same.
func portOf(p nsx.Pool) string {
	port := ""
	for _, m := range p.Members {
		if port != "" && m.Port != port {
			return ""
		}
		port = m.Port
	}
	return port
}

func (j *joiner) addPolicy(p nsx.SecurityPolicy) {
	rules := map[nsx.RuleAction]int{}
	for _, r := range j.nsx.rules[p.Path] {
		rules[r.Action]++
	}
	var text []string
	for action, n := range rules {
		text = append(text, fmt.Sprintf("%d %s", n, strings.ToLower(string(action))))
	}
	slices.Sort(text)
	n := j.addNSXNode(KindFirewallPolicy, p.Resource, "", map[string]string{"category": string(p.Category), "rules": strings.Join(text, ", ")})
	n.Detail = cmp.Or(strings.Join(text, ", "), string(p.Category))
	if key, ours := importOf(p.Tags); ours {
		n.Label = key[2]
		n.Attributes[attrImport] = strings.Join(key[:], "/")
	}
}

// indexStatus returns how virtual servers and pools are doing, by path.
func (j *joiner) indexStatus() (map[nsx.Path]nsx.LBStatus, map[nsx.Path]nsx.PoolStatus) {
	servers, pools := map[nsx.Path]nsx.LBStatus{}, map[nsx.Path]nsx.PoolStatus{}
	for _, status := range j.o.nsx.status {
		for _, v := range status.VirtualServers {
			servers[v.VirtualServerPath] = v.Status
		}
		for _, p := range status.Pools {
			pools[p.PoolPath] = p
		}
	}
	return servers, pools
}

func stateOfLB(s nsx.LBStatus) State {
	switch s {
	case nsx.LBUp:
		return StateUp
	case nsx.LBPartiallyUp, nsx.LBPrimaryDown, nsx.LBDisabled, nsx.LBGracefulDisabled:
		return StateDegraded
	case nsx.LBDown, nsx.LBDetached:
		return StateDown
	default:
		return StateUnknown
	}
}

// statusText is NSX's status in a form to be read: "partially up".
func statusText(s nsx.LBStatus) string {
	if s == "" {
		return "status not known"
	}
	return strings.ToLower(strings.ReplaceAll(string(s), "_", " "))
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
