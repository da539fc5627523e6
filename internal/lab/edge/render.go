// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"

	"github.com/viaduct-sdk/viaduct/internal/lab/edge/netfilter"
)

// table is the name of the nftables table that holds all that is ours.
const table = "viaduct_edge"

// render returns the rules for a state. The same state renders the same.
func render(s state, silent bool) *netfilter.Table {
	r := renderer{Table: netfilter.NewTable(table), silent: silent}
	for _, server := range s.servers {
		r.server(server)
	}
	r.prerouting(s)
	r.output(s)
	r.input(s)
	r.forward(s)
	r.postrouting(s)
	return r.Table
}

type renderer struct {
	*netfilter.Table
	silent bool
}

func (s server) name() string { return fmt.Sprintf("vs_%08x", s.mark) }

// traffic is the counter of what passes through.
func (s server) traffic() string { return s.name() + "_traffic" }

// entry is the chain of the connections that arrive at the listener.
func (s server) entry(l listener) string {
	if l.target == 0 {
		return s.name()
	}
	return fmt.Sprintf("%s_%d", s.name(), l.target)
}

// branch is the chain of the connections that go to a member.
func (s server) branch(to netip.AddrPort) string { return s.name() + "_to_" + plain(to) }

// clients is the set of the clients that a member knows.
func (s server) clients(to netip.AddrPort) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s.affinity)) // never fails
	return fmt.Sprintf("clients_%08x_%s", h.Sum32(), plain(to))
}

// plain is an address in what names may hold.
func plain(to netip.AddrPort) string {
	return strings.NewReplacer(".", "_", ":", "_", "[", "", "]", "").Replace(to.String())
}

// server writes the chains of one server: one for each target of its listeners,
// and one for each member.
func (r renderer) server(s server) {
	r.Comment(s.path)
	r.Keep("counter", s.name(), "")
	r.Keep("counter", s.traffic(), "")
	var written []string
	for _, l := range s.ports {
		if name := s.entry(l); !slices.Contains(written, name) && len(s.members)+len(s.drained) > 0 {
			written = append(written, name)
			r.Chain(name, s.choose(l)...)
		}
	}
	for _, to := range s.targets(slices.Concat(s.members, s.drained)) {
		r.Chain(s.branch(to), s.forward(to)...)
		if s.affinity != "" {
			typ := map[string]string{"ip": "ipv4_addr", "ip6": "ipv6_addr"}[s.family()]
			r.Keep("set", s.clients(to),
				fmt.Sprintf("type %s; size 65535; flags dynamic,timeout; timeout %ds;", typ, int(s.timeout.Seconds())))
		}
	}
}

// choose sends known clients to whom they know, and others to whose turn it is.
func (s server) choose(l listener) []string {
	lines := []string{fmt.Sprintf("counter name %q", s.name()), fmt.Sprintf("ct mark set %#x", s.mark)}
	if s.affinity != "" {
		for _, m := range slices.Concat(s.members, s.drained) {
			to := m.at(l)
			lines = append(lines, fmt.Sprintf("%s saddr @%s goto %s", s.family(), s.clients(to), s.branch(to)))
		}
	}
	if len(s.members) == 0 {
		return lines
	}
	var turns []string
	total := 0
	for _, m := range s.members {
		turn := fmt.Sprint(total)
		if m.weight > 1 {
			turn = fmt.Sprintf("%d-%d", total, total+m.weight-1)
		}
		turns = append(turns, fmt.Sprintf("%s : goto %s", turn, s.branch(m.at(l))))
		total += m.weight
	}
	how := "numgen inc"
	if s.hashed {
		how = "jhash " + s.family() + " saddr"
	}
	if len(turns) == 1 {
		return append(lines, "goto "+s.branch(s.members[0].at(l)))
	}
	return append(lines, fmt.Sprintf("%s mod %d vmap { %s }", how, total, strings.Join(turns, ", ")))
}

// forward translates the destination, and remembers the client.
func (s server) forward(to netip.AddrPort) []string {
	var lines []string
	if s.affinity != "" {
		lines = append(lines, fmt.Sprintf("update @%s { %s saddr }", s.clients(to), s.family()))
	}
	target := to.String()
	if to.Port() == 0 {
		target = to.Addr().String()
	}
	return append(lines, fmt.Sprintf("meta l4proto %s dnat %s to %s", s.protocol, s.family(), target))
}
