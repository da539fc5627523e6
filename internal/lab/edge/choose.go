// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/viaduct-sdk/viaduct/nsx"
)

// choose returns the pool's members that take connections of the server, those
// that take only those of clients they know, and those that are alive and take
// none. It has monitors watch all that are not switched off.
func (b *builder) choose(s *server, pool nsx.Pool) (members, drained, off []member) {
	probes := b.probes(s, pool)
	var primaries, backups []member
	for _, status := range b.members[pool.Path] {
		m, ok := newMember(pool, status)
		if !ok || m.address.Is4() != s.vip.Is4() {
			continue
		}
		key := watched{pool: pool.Path, member: netip.AddrPortFrom(m.address, m.port)}
		dead := b.watch(s, key, status.Status, m, probes)
		switch {
		case dead:
		case status.Status == nsx.LBDisabled:
			off = append(off, m)
		case status.Status == nsx.LBGracefulDisabled:
			drained = append(drained, m)
		case !b.up(key, status.Status):
		case m.backup:
			backups = append(backups, m)
		default:
			primaries = append(primaries, m)
		}
	}
	if len(primaries) < int(max(pool.MinActiveMembers, 1)) && len(backups) > 0 {
		primaries, backups = backups, primaries
	}
	off = append(off, backups...) // alive, and not chosen
	return ordered(primaries), ordered(drained), ordered(off)
}

// up reports whether NSX takes a member for alive that no monitor finds dead. It
// is right when it takes it for dead, unless it has that from here.
func (b *builder) up(key watched, status nsx.LBStatus) bool {
	return status == nsx.LBUp || status == nsx.LBDown && b.told[key]
}

// newMember makes a member of what NSX says of it; false when it has no address.
func newMember(pool nsx.Pool, status nsx.MemberStatus) (member, bool) {
	address, err := netip.ParseAddr(status.IPAddress)
	if err != nil {
		return member{}, false
	}
	port, _ := strconv.ParseUint(status.Port, 10, 16) // NSX takes no ranges here
	listed := listed(pool, status)
	m := member{address: address, port: uint16(port), weight: 1}
	m.backup = listed.BackupMember != nil && *listed.BackupMember
	if pool.Algorithm == nsx.LBWeightedRoundRobin || pool.Algorithm == nsx.LBWeightedLeastConnection {
		m.weight = int(cmp.Or(listed.Weight, 1))
	}
	return m, true
}

func ordered(members []member) []member {
	slices.SortFunc(members, func(x, y member) int {
		return cmp.Or(x.address.Compare(y.address), cmp.Compare(x.port, y.port))
	})
	return slices.CompactFunc(members, func(x, y member) bool { return x.address == y.address && x.port == y.port })
}

// listed is what the pool itself says of the member; nothing when it comes from
// a group.
func listed(pool nsx.Pool, status nsx.MemberStatus) nsx.PoolMember {
	i := slices.IndexFunc(pool.Members, func(m nsx.PoolMember) bool {
		return m.IPAddress == status.IPAddress && m.Port == status.Port
	})
	if i < 0 {
		return nsx.PoolMember{}
	}
	return pool.Members[i]
}

// watch has the member watched, and reports whether it was found dead, also by
// what watches it for another server.
func (b *builder) watch(s *server, key watched, status nsx.LBStatus, m member, probes []probe) bool {
	if status == nsx.LBDisabled {
		return false
	}
	for _, p := range probes {
		port := cmp.Or(p.port, m.port, s.ports[0].target, s.ports[0].ports.first)
		p.place = place{protocol: p.protocol, at: netip.AddrPortFrom(m.address, port)}
		if !slices.Contains(b.watches[key], p) {
			b.watches[key] = append(b.watches[key], p)
		}
		if !slices.Contains(s.asked, p.place) {
			s.asked = append(s.asked, p.place)
		}
	}
	return b.down[key]
}

// probes are the pool's active monitors, without their places; the fallback
// when it has none.
func (b *builder) probes(s *server, pool nsx.Pool) []probe {
	var all []probe
	for _, path := range pool.ActiveMonitorPaths {
		p, ok := newProbe(b.monitors[path])
		if !ok {
			b.problem(pool.Path, "monitor %s is of a type that is not simulated", path)
			continue
		}
		all = append(all, p)
	}
	if len(pool.ActiveMonitorPaths) == 0 && s.protocol == "tcp" && b.fallback.Interval > 0 {
		all = append(all, probe{place: place{protocol: "tcp"}, monitor: b.fallback})
	}
	return all
}

// newProbe makes a probe of a monitor; false when its type is not simulated.
func newProbe(profile nsx.LBMonitorProfile) (probe, bool) {
	seconds := func(n, otherwise int64) time.Duration { return time.Duration(cmp.Or(n, otherwise)) * time.Second }
	p := probe{
		place: place{protocol: "tcp"},
		port:  uint16(profile.MonitorPort), //nolint:gosec // NSX takes ports only.
		monitor: Monitor{
			Interval: seconds(profile.Interval, 5), Timeout: seconds(profile.Timeout, 15),
			Fall: int(cmp.Or(profile.FallCount, 3)), Rise: int(cmp.Or(profile.RiseCount, 3)),
		},
		send: profile.Send, receive: profile.Receive,
	}
	switch profile.ResourceType {
	case nsx.LBTCPMonitor:
		return p, true
	case nsx.LBUDPMonitor:
		p.protocol = "udp"
		return p, true
	default:
		return probe{}, false
	}
}
