// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// build writes the Service's objects, and removes those of ports that it has no
// more.
func (b *balancer) build(svc *corev1.Service, net *network, vip netip.Addr) error {
	tags := []tag{
		{tagProject, svc.Namespace},
		{tagProjectUID, net.project},
		{tagServiceUID, string(svc.UID)},
	}
	err := b.m.ensure(allocationPath(b.pool, "vip", string(svc.UID)), ipAllocation{
		intent:  b.m.describe("IpAddressAllocation", svc.Namespace+"-"+svc.Name, tags...),
		Address: vip.String(),
	})
	if err != nil {
		return err
	}
	lbs := lbServicePath(net)
	err = b.m.ensure(lbs, lbService{
		intent:           b.m.describe("LBService", "lbs-"+net.name(), net.tags()...),
		ConnectivityPath: net.routerPath(),
		Size:             "SMALL",
		Enabled:          true,
	})
	if err != nil {
		return err
	}
	b.use(lbs, svc.UID)
	wanted := map[string]bool{}
	for _, port := range svc.Spec.Ports {
		if !balances(port) {
			continue
		}
		vs, pool, err := b.buildPort(svc, port, vip, lbs, tags)
		if err != nil {
			return fmt.Errorf("port %d/%s: %w", port.Port, port.Protocol, err)
		}
		wanted[vs], wanted[pool] = true, true
	}
	return b.removeExcept(svc.UID, wanted)
}

// balances reports whether NSX can balance the port's protocol.
func balances(port corev1.ServicePort) bool {
	p := protocolOf(port.Protocol)
	return p == corev1.ProtocolTCP || p == corev1.ProtocolUDP
}

func lbServicePath(net *network) string {
	return lbServicesPath + identify("lb-service", net.uid)
}

// buildPort writes the pool and the virtual server of one port.
func (b *balancer) buildPort(svc *corev1.Service, port corev1.ServicePort, vip netip.Addr, lbs string, tags []tag) (vs, pool string, err error) {
	protocol := string(protocolOf(port.Protocol))
	number := strconv.Itoa(int(port.Port))
	name := strings.Join([]string{svc.Namespace, svc.Name, strings.ToLower(protocol), number}, "-")
	pool = poolsPath + identify("pool", string(svc.UID), protocol, number)
	vs = virtualServersPath + identify("virtual-server", string(svc.UID), protocol, number)
	members := b.view.members(svc, port)
	if b.cfg.Switches.RemoveNotReady {
		members = slices.DeleteFunc(members, func(m member) bool { return !m.ready })
	}
	b.note(svc.UID, pool)
	err = b.m.ensure(pool, lbPool{
		intent:    b.m.describe("LBPool", name, tags...),
		Algorithm: "ROUND_ROBIN",
		Members:   poolMembers(members),
		SNAT:      &typed{"LBSnatAutoMap"},
	})
	if err != nil {
		return "", "", err
	}
	b.report(pool, members)
	b.note(svc.UID, vs)
	return vs, pool, b.m.ensure(vs, lbVirtualServer{
		intent: b.m.describe("LBVirtualServer", name,
			append(slices.Clone(tags), tag{tagVSType, "L4"}, tag{tagPoolID, b.pool})...),
		Enabled:         true,
		Address:         vip.String(),
		Ports:           []string{number},
		PoolPath:        pool,
		LBServicePath:   lbs,
		ApplicationPath: applicationProfile(port.Protocol),
		PersistencePath: persistenceProfile(svc),
	})
}

func poolMembers(members []member) []lbPoolMember {
	all := make([]lbPoolMember, 0, len(members))
	for _, m := range members {
		all = append(all, lbPoolMember{DisplayName: m.name, Address: m.address, Port: m.port, AdminState: "ENABLED"})
	}
	return all
}

func applicationProfile(p corev1.Protocol) string {
	return "/infra/lb-app-profiles/default-" + cmp.Or(strings.ToLower(string(p)), "tcp") + "-lb-app-profile"
}

func persistenceProfile(svc *corev1.Service) string {
	if svc.Spec.SessionAffinity != corev1.ServiceAffinityClientIP {
		return ""
	}
	return "/infra/lb-persistence-profiles/default-source-ip-lb-persistence-profile"
}

// report tells NSX which members answer. It says so only when that changed, so
// that a test may set another status.
func (b *balancer) report(pool string, members []member) {
	before := b.down[pool]
	now := map[string]bool{}
	for _, m := range members {
		now[m.address] = !m.ready
		if was, seen := before[m.address]; seen && was == !m.ready {
			continue
		}
		status := "UP"
		if !m.ready {
			status = "DOWN"
		}
		b.m.nsx.SetMemberStatus(pool, m.address, status)
	}
	b.down[pool] = now
}

// removeExcept removes the Service's objects that are not wanted, virtual
// servers before the pools that they refer to.
func (b *balancer) removeExcept(uid types.UID, wanted map[string]bool) error {
	stale := slices.Sorted(maps.Keys(b.objects[uid]))
	slices.Reverse(stale)
	for _, path := range stale {
		if wanted[path] {
			continue
		}
		if err := b.m.nsx.Remove(path); err != nil {
			return fmt.Errorf("remove %s: %w", path, err)
		}
		delete(b.objects[uid], path)
		delete(b.down, path)
	}
	if len(b.objects[uid]) == 0 {
		delete(b.objects, uid)
	}
	return nil
}
