// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
)

// Judge is pure: facts in, hops out.

const (
	whyNoNSX   = "NSX was not given (TraceNSX)"
	whyManaged = "the load balancers of this cluster are objects of the Manager API, which is not asked for this"
	whyNoVS    = "no virtual server leads here"
	waitForNSX = "wait, and see the alarms of NSX if that does not help"
)

// serves reports whether the virtual server listens on the address and port.
func (s tracedServer) serves(address netip.Addr, port Port) bool {
	return serves(ncp.VirtualServer{IP: s.ip, Ports: s.ports, Protocol: s.protocol}, address, port)
}

// judgeNSX returns the hops from the virtual server to the members.
func (p pathFacts) judgeNSX() []Hop {
	names := []HopName{HopVirtualServer, HopLoadBalancer, HopTier1, HopPool, HopMembers}
	n := p.nsx
	each := func(judge func(HopName) Hop) []Hop {
		hops := make([]Hop, len(names))
		for i, name := range names {
			hops[i] = judge(name)
		}
		return hops
	}
	switch {
	case len(p.vips()) == 0:
		return each(func(name HopName) Hop { return skipped(name, "there is no virtual address to look for") })
	case !n.given:
		return each(func(name HopName) Hop { return unknown(name, whyNoNSX) })
	case n.err != nil:
		return each(func(name HopName) Hop { return unknown(name, fmt.Sprintf("NSX could not be asked: %v", n.err)) })
	}
	servers, missing := n.serving(p.vips(), p.vipPorts())
	hops := []Hop{p.judgeServers(servers, missing)}
	if len(servers) == 0 {
		for _, name := range names[1:] {
			hops = append(hops, skipped(name, whyNoVS))
		}
		return hops
	}
	for i, judge := range []func(tracedServer) Hop{n.judgeBalancer, n.judgeGateway, p.judgePool, p.judgeMembers} {
		var found []Hop
		for _, s := range servers {
			found = append(found, judge(s))
		}
		hops = append(hops, joinHops(names[i+1], found))
	}
	return hops
}

func (p pathFacts) judgeServers(servers []tracedServer, missing []string) Hop {
	var hops []Hop
	if len(missing) > 0 {
		var others []string
		for _, s := range p.nsx.servers {
			others = append(others, fmt.Sprintf("NSX has %s on %s:%s/%s", s.path, s.ip, strings.Join(s.ports, ","), s.protocol))
		}
		hops = append(hops, broken(HopVirtualServer, "NSX has no virtual server on "+strings.Join(missing, ", "),
			"see whether NCP runs and what its log says of the Service; it makes a missing virtual server anew", others...))
	}
	for _, s := range servers {
		hops = append(hops, p.judgeServer(s))
	}
	return joinHops(HopVirtualServer, hops)
}

func (p pathFacts) judgeServer(s tracedServer) Hop {
	what := "virtual server " + s.path
	uid := ""
	if p.exporting.vipService.live != nil {
		uid = string(p.exporting.vipService.UID)
	}
	if p.nsx.owned != nil && !p.nsx.owned[s.path] && s.service != uid {
		return broken(HopVirtualServer,
			fmt.Sprintf("%s on %s is not the exported Service's; it was made for the Service with UID %s", what, s.ip, cmp.Or(s.service, "(none)")),
			"export again, and import the document")
	}
	if h := judgeRealization(HopVirtualServer, what, s.realization); h != nil {
		return *h
	}
	switch {
	case !s.enabled || s.status == string(nsx.LBDisabled):
		return broken(HopVirtualServer, what+" is disabled", "enable it in NSX")
	case s.balancer == "":
		return broken(HopVirtualServer, what+" is attached to no load balancer",
			"see what NCP's log says of the Service; load balancers of a gateway may be full")
	default:
		return okay(HopVirtualServer, fmt.Sprintf("%s on %s:%s/%s is realized", what, s.ip, strings.Join(s.ports, ","), s.protocol))
	}
}

// judgeRealization returns the hop of an object that is not realized; nil when
// it is.
func judgeRealization(name HopName, what string, r realization) *Hop {
	var h Hop
	switch {
	case r.err != nil:
		h = unknown(name, fmt.Sprintf("whether %s is realized could not be read: %v", what, r.err))
	case r.state == string(nsx.Realized):
		return nil
	case r.state == string(nsx.Failed):
		h = broken(name, fmt.Sprintf("NSX could not realize %s: %s", what, cmp.Or(r.message, "it gives no reason")), "mend what NSX complains of")
	case r.state == "" || r.state == "UNKNOWN" || r.state == "UNINITIALIZED":
		h = unknown(name, fmt.Sprintf("NSX does not know whether %s is realized", what))
	default:
		h = broken(name, fmt.Sprintf("%s is %s", what, strings.TrimSpace(r.state+" "+r.message)), waitForNSX)
	}
	return &h
}

func (n nsxFacts) judgeBalancer(s tracedServer) Hop {
	b, looked := n.balancers[s.balancer]
	what := "load balancer " + s.balancer
	switch {
	case !n.detailed:
		return unknown(HopLoadBalancer, n.lacking)
	case !looked:
		return skipped(HopLoadBalancer, "the virtual server is attached to none")
	case b.absent:
		return broken(HopLoadBalancer, what+" does not exist any more", "see NCP's log: it makes load balancers anew when a Service needs them")
	case b.err != nil:
		return unknown(HopLoadBalancer, fmt.Sprintf("%s could not be read: %v", what, b.err))
	case !b.enabled || b.status == string(nsx.LBDisabled):
		return broken(HopLoadBalancer, what+" is disabled", "enable it in NSX")
	}
	if h := judgeRealization(HopLoadBalancer, what, b.realization); h != nil {
		return *h
	}
	switch b.status {
	case "UP", "NO_STANDBY", "DEGRADED":
		return okay(HopLoadBalancer, what+" is "+b.status)
	case "", string(nsx.LBUnknown):
		why := what + " has no status yet"
		if b.statusErr != nil {
			why = fmt.Sprintf("the status of %s could not be read: %v", what, b.statusErr)
		}
		return unknown(HopLoadBalancer, why)
	case string(nsx.LBDetached):
		return broken(HopLoadBalancer, what+" is attached to no gateway", "see what NCP's log says of it")
	default:
		return broken(HopLoadBalancer, strings.TrimSpace(fmt.Sprintf("%s is %s %s", what, b.status, b.message)),
			"look at the edge nodes that it runs on")
	}
}

func (n nsxFacts) judgeGateway(s tracedServer) Hop {
	b, looked := n.balancers[s.balancer]
	g, hasGateway := n.gateways[b.gateway]
	what := "tier-1 gateway " + b.gateway
	switch {
	case !n.detailed:
		return unknown(HopTier1, n.lacking)
	case b.err != nil && !b.absent:
		return unknown(HopTier1, "which gateway the load balancer is attached to could not be read")
	case !looked || b.absent:
		return skipped(HopTier1, "there is no load balancer")
	case b.distributed && b.gateway == "":
		return okay(HopTier1, "a distributed load balancer needs none")
	case !hasGateway:
		return broken(HopTier1, "load balancer "+s.balancer+" is attached to no gateway", "see what NCP's log says of it")
	case g.absent:
		return broken(HopTier1, what+" does not exist any more", "see whether the vSphere Namespace is all right in vCenter; NCP makes its gateway")
	case g.err != nil:
		return unknown(HopTier1, fmt.Sprintf("%s could not be read: %v", what, g.err))
	}
	if h := judgeRealization(HopTier1, what, g.realization); h != nil {
		return *h
	}
	if !slices.Contains(g.advertises, "TIER1_LB_VIP") {
		return broken(HopTier1, what+" does not announce virtual addresses to the tier-0 gateway, so that nobody finds the way to them",
			"add TIER1_LB_VIP to its route advertisement")
	}
	return okay(HopTier1, what+" is realized and announces virtual addresses")
}

func (p pathFacts) judgePool(s tracedServer) Hop {
	pool, looked := p.nsx.pools[s.pool]
	what := "pool " + s.pool
	switch {
	case s.pool == "" || !looked:
		return broken(HopPool, "virtual server "+s.path+" has no pool", "see NCP's log: it makes pools anew when their Service changes")
	case pool.absent:
		return broken(HopPool, what+" does not exist any more", "see NCP's log: it makes pools anew when their Service changes")
	case pool.err != nil:
		return unknown(HopPool, fmt.Sprintf("%s could not be read: %v", what, pool.err))
	}
	if h := judgeRealization(HopPool, what, pool.realization); h != nil {
		return *h
	}
	if len(pool.members) == 0 {
		cause, remedy := p.whyNoMembers()
		return broken(HopPool, what+" has no members"+cause, remedy)
	}
	if len(pool.members) == 1 {
		return okay(HopPool, what+" has one member")
	}
	return okay(HopPool, fmt.Sprintf("%s has %d members", what, len(pool.members)))
}

func (p pathFacts) judgeMembers(s tracedServer) Hop {
	pool := p.nsx.pools[s.pool]
	var up, down, undecided []string
	for _, m := range pool.members {
		text := strings.TrimSpace(fmt.Sprintf("%s:%s %s %s", m.IPAddress, m.Port, cmp.Or(string(m.Status), "UNKNOWN"), m.FailureCause))
		switch m.Status {
		case nsx.LBUp:
			up = append(up, text)
		case nsx.LBUnknown, nsx.LBUnused, "":
			undecided = append(undecided, text)
		default:
			down = append(down, text+p.whyDown(m.IPAddress))
		}
	}
	evidence := slices.Concat(up, undecided, down)
	switch {
	case pool.absent || pool.err != nil || len(pool.members) == 0:
		return skipped(HopMembers, "there are no members")
	case len(up) > 0:
		return okay(HopMembers, evidence...)
	case pool.membersErr != nil:
		return unknown(HopMembers, fmt.Sprintf("the status of pool %s could not be read: %v", s.pool, pool.membersErr))
	case len(undecided) > 0:
		return unknown(HopMembers, append(evidence, "NSX does not say of any member that it is up")...)
	default:
		return broken(HopMembers, "no member of pool "+s.pool+" is up: "+strings.Join(down, ", "),
			"see whether the pods listen on that port and are ready")
	}
}
