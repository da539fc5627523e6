// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// state is all that the rules depend on.
type state struct {
	servers []server // by path
}

// server is a virtual server that is switched on.
type server struct {
	path     string
	mark     uint32 // of its connections; unique in a state
	vip      netip.Addr
	protocol string // tcp or udp
	ports    []listener
	hashed   bool // the client's address chooses the member

	// members take new connections; drained ones those of clients that are
	// known to them already; those that are off keep the connections they have.
	members, drained, off []member
	// asked is where monitors ask for members, dead ones too.
	asked []place
	// sources are the first and the last of the addresses that members see;
	// none when they see the client's.
	sources []addresses

	// affinity names who shares what is known of clients; empty when nothing is.
	affinity string
	timeout  time.Duration
}

// member is one that a server forwards to.
type member struct {
	address netip.Addr
	port    uint16 // 0: the listener's
	weight  int
	backup  bool
}

// listener is a range of ports of a server, and where it leads.
type listener struct {
	ports  ports
	target uint16 // for members without a port; 0: the same as it came
}

// place is where something listens.
type place struct {
	protocol string
	at       netip.AddrPort
}

type ports struct{ first, last uint16 }

func (p ports) String() string {
	if p.first == p.last {
		return strconv.Itoa(int(p.first))
	}
	return fmt.Sprintf("%d-%d", p.first, p.last)
}

func (p ports) overlaps(q ports) bool { return p.first <= q.last && q.first <= p.last }

// parsePorts reads "80" or "8000-8010".
func parsePorts(text string) (ports, error) {
	first, last, ranged := strings.Cut(text, "-")
	low, err := strconv.ParseUint(first, 10, 16)
	if err != nil {
		return ports{}, err
	}
	high := low
	if ranged {
		if high, err = strconv.ParseUint(last, 10, 16); err != nil {
			return ports{}, err
		}
	}
	return ports{uint16(low), uint16(high)}, nil
}

type addresses struct{ first, last netip.Addr }

// at is where the member is reached that got a connection at the listener.
func (m member) at(l listener) netip.AddrPort {
	return netip.AddrPortFrom(m.address, cmp.Or(m.port, l.target))
}

// family is how nft calls the server's IP version.
func (s server) family() string {
	if s.vip.Is4() {
		return "ip"
	}
	return "ip6"
}

// conflicts reports whether two servers listen at the same place.
func (s server) conflicts(o server) bool {
	return s.vip == o.vip && s.protocol == o.protocol && slices.ContainsFunc(s.ports, func(a listener) bool {
		return slices.ContainsFunc(o.ports, func(b listener) bool { return a.ports.overlaps(b.ports) })
	})
}

// vips are the servers' addresses, and sources those that members see; each
// once, sorted.
func (s state) vips() []netip.Addr {
	var all []netip.Addr
	for _, server := range s.servers {
		all = append(all, server.vip)
	}
	return unique(all)
}

func (s state) sources() []netip.Addr {
	var all []netip.Addr
	for _, server := range s.servers {
		all = append(all, server.each()...)
	}
	return unique(all)
}

// each are the addresses that the server's members see.
func (s server) each() []netip.Addr {
	var all []netip.Addr
	for _, r := range s.sources {
		for a := r.first; a.IsValid() && !r.last.Less(a); a = a.Next() {
			all = append(all, a)
		}
	}
	return all
}

func unique(all []netip.Addr) []netip.Addr {
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// targets are where the server reaches the members, each once, in the order of
// the members.
func (s server) targets(members []member) []netip.AddrPort {
	var all []netip.AddrPort
	for _, m := range members {
		for _, l := range s.ports {
			if t := m.at(l); !slices.Contains(all, t) {
				all = append(all, t)
			}
		}
	}
	return all
}
