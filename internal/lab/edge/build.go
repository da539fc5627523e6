// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/viaduct-sdk/viaduct/nsx"
)

// builder makes a state of what NSX says and what monitors found.
type builder struct {
	*view
	internal func(tier1 string, vip netip.Addr) netip.Addr
	fallback Monitor
	// down are the members that monitors find dead now; told those that NSX
	// was told are dead when it was asked, so that its word that they are is no
	// news.
	down, told map[watched]bool

	watches  map[watched][]probe
	problems []string
	pending  []string // servers that lack something which is to come
}

// errPending says that something is not known yet.
var errPending = errors.New("not known yet")

// watched names a member of a pool; its port is 0 when it has none.
type watched struct {
	pool   nsx.Path
	member netip.AddrPort
}

// build returns the state, and leaves what to watch and what can't be done in
// the builder.
func (b *builder) build() state {
	b.watches = map[watched][]probe{}
	sorted := slices.Clone(b.servers)
	slices.SortFunc(sorted, func(x, y nsx.VirtualServer) int {
		return cmp.Or(cmp.Compare(x.CreateTime, y.CreateTime), strings.Compare(x.Path.String(), y.Path.String()))
	})
	var s state
	for _, vs := range sorted {
		server, err := b.server(vs)
		if errors.Is(err, errPending) {
			b.pending = append(b.pending, vs.Path.String())
			continue
		}
		if err != nil {
			b.problem(vs.Path, "%v", err)
			continue
		}
		if server == nil {
			continue
		}
		if i := slices.IndexFunc(s.servers, server.conflicts); i >= 0 {
			b.problem(vs.Path, "%s is there already and listens at the same address and ports", s.servers[i].path)
			continue
		}
		s.servers = append(s.servers, *server)
	}
	slices.SortFunc(s.servers, func(x, y server) int { return strings.Compare(x.path, y.path) })
	number(s.servers)
	slices.Sort(b.problems)
	return s
}

func (b *builder) problem(path nsx.Path, format string, args ...any) {
	b.problems = append(b.problems, fmt.Sprintf("%s: ", path)+fmt.Sprintf(format, args...))
}

// number gives each server its mark, the same whatever the others are, unless
// two would have the same.
func number(servers []server) {
	taken := map[uint32]bool{0: true}
	for i := range servers {
		h := fnv.New32a()
		_, _ = h.Write([]byte(servers[i].path)) // never fails
		mark := h.Sum32()
		for taken[mark] {
			mark++
		}
		taken[mark] = true
		servers[i].mark = mark
	}
}

// server returns the virtual server; nil when it is switched off or not
// realized.
func (b *builder) server(vs nsx.VirtualServer) (*server, error) {
	service, ok := b.services[vs.LBServicePath]
	if !ok || !b.runs(vs) {
		return nil, nil //nolint:nilnil // Switched off is neither a server nor an error.
	}
	s := &server{path: vs.Path.String()}
	var err error
	if s.vip, err = netip.ParseAddr(vs.IPAddress); err != nil {
		return nil, err
	}
	if s.protocol, err = b.protocol(vs); err != nil {
		return nil, err
	}
	if s.ports, err = listeners(vs); err != nil {
		return nil, err
	}
	pool := b.pools[vs.PoolPath]
	s.hashed = pool.Algorithm == nsx.LBIPHash
	s.members, s.drained, s.off = b.choose(s, pool)
	if sorry, ok := b.pools[vs.SorryPoolPath]; ok {
		members, drained, off := b.choose(s, sorry)
		if len(s.members) == 0 {
			off = slices.Concat(off, s.drained, s.off)
			s.members, s.drained, s.off, pool = members, drained, off, sorry
		}
	}
	if s.sources, err = b.sources(pool, service, s.vip); err != nil {
		return nil, err
	}
	if profile, ok := b.persistence[vs.LBPersistenceProfilePath]; ok {
		b.persist(s, profile)
	}
	return s, nil
}

// runs reports whether NSX has the server running: enabled, realized and
// attached. What NSX does not know of its pool is no obstacle.
func (b *builder) runs(vs nsx.VirtualServer) bool {
	if b.health[vs.LBServicePath] != nsx.LBUp {
		return false
	}
	switch b.health[vs.Path] {
	case nsx.LBDisabled, nsx.LBDetached, "":
		return false
	case nsx.LBUnknown:
		return !slices.ContainsFunc(b.members[vs.PoolPath], func(m nsx.MemberStatus) bool { return m.Status == nsx.LBUp })
	default:
		return true
	}
}

func (b *builder) protocol(vs nsx.VirtualServer) (string, error) {
	switch kind := b.profiles[vs.ApplicationProfilePath].ResourceType; {
	case len(vs.Rules) > 0 || kind == nsx.LBHTTPProfile:
		return "", fmt.Errorf("layer 7 is not simulated")
	case vs.AccessListControl != nil:
		return "", fmt.Errorf("access lists are not simulated")
	case kind == nsx.LBFastTCPProfile:
		return "tcp", nil
	case kind == nsx.LBFastUDPProfile:
		return "udp", nil
	default:
		return "", fmt.Errorf("application profile of the type %q", kind)
	}
}

// listeners are the server's ports with those of the members, which go by
// their place in the list, or are one for all.
func listeners(vs nsx.VirtualServer) ([]listener, error) {
	all := make([]listener, len(vs.Ports))
	for i, text := range vs.Ports {
		var err error
		if all[i].ports, err = parsePorts(text); err != nil {
			return nil, err
		}
		if len(vs.DefaultPoolMemberPorts) == 0 {
			continue
		}
		if n := len(vs.DefaultPoolMemberPorts); n != 1 && n != len(vs.Ports) {
			return nil, fmt.Errorf("%d ports, but %d default ports of members", len(vs.Ports), n)
		}
		target, err := parsePorts(vs.DefaultPoolMemberPorts[i%len(vs.DefaultPoolMemberPorts)])
		switch {
		case err != nil:
			return nil, err
		case target == all[i].ports:
		case target.first != target.last:
			return nil, fmt.Errorf("ports %s translated to %s are not simulated", all[i].ports, target)
		default:
			all[i].target = target.first
		}
	}
	return all, nil
}

// sources are the addresses that the pool's members see.
func (b *builder) sources(pool nsx.Pool, service nsx.LBService, vip netip.Addr) ([]addresses, error) {
	if pool.SNAT == nil {
		return nil, nil
	}
	switch pool.SNAT.Type {
	case "LBSnatAutoMap":
		a := b.internal(service.ConnectivityPath.String(), vip)
		if !a.IsValid() || a.Is4() != vip.Is4() {
			return nil, fmt.Errorf("the internal address of the load balancer on %s: %w", service.ConnectivityPath, errPending)
		}
		return []addresses{{a, a}}, nil
	case "LBSnatIpPool":
		var all []addresses
		for _, text := range pool.SNAT.IPAddresses {
			a, err := sourceRange(text)
			if err != nil {
				return nil, err
			}
			all = append(all, a)
		}
		return all, nil
	default:
		return nil, nil
	}
}

// sourceRange reads an address, two joined by a hyphen, or an address with the
// length of its prefix.
func sourceRange(text nsx.SNATAddress) (addresses, error) {
	first, last, ranged := strings.Cut(text.IPAddress, "-")
	from, err := netip.ParseAddr(first)
	if err != nil {
		return addresses{}, err
	}
	to := from
	if ranged {
		if to, err = netip.ParseAddr(last); err != nil {
			return addresses{}, err
		}
	} else if bits := int(text.PrefixLength); bits > 0 && bits < from.BitLen() {
		prefix := netip.PrefixFrom(from, bits).Masked()
		from, to = prefix.Addr(), prefix.Addr()
		for next := to.Next(); prefix.Contains(next); next = next.Next() {
			to = next
		}
	}
	return addresses{from, to}, nil
}

func (b *builder) persist(s *server, profile nsx.LBPersistenceProfile) {
	if profile.ResourceType != nsx.LBSourceIPPersistence {
		b.problem(nsx.Path(s.path), "persistence of the type %s is not simulated", profile.ResourceType)
		return
	}
	s.affinity = s.path
	if profile.PersistenceShared != nil && *profile.PersistenceShared {
		s.affinity = profile.Path.String()
	}
	s.timeout = time.Duration(cmp.Or(profile.Timeout, 300)) * time.Second
}
