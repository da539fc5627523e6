// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"fmt"
	"strings"
)

// prerouting hands new connections to their servers. A TCP packet that is not
// the first of its connection belongs to one that is forgotten: it goes to
// input, which refuses it.
func (r renderer) prerouting(s state) {
	lines := []string{"type nat hook prerouting priority dstnat; policy accept;"}
	for _, family := range families() {
		for _, protocol := range []string{"tcp", "udp"} {
			var places []string
			for _, server := range s.servers {
				if server.family() != family || server.protocol != protocol || len(server.members)+len(server.drained) == 0 {
					continue
				}
				for _, l := range server.ports {
					places = append(places, fmt.Sprintf("%s . %s : goto %s", server.vip, l.ports, server.entry(l)))
				}
			}
			first := ""
			if protocol == "tcp" {
				first = "tcp flags & (fin|syn|rst|ack) == syn "
			}
			if len(places) > 0 {
				lines = append(lines, fmt.Sprintf("%s%s daddr . %s dport vmap { %s }", first, family, protocol, strings.Join(places, ", ")))
			}
		}
	}
	r.Chain("prerouting", lines...)
}

func families() []string { return []string{"ip", "ip6"} }

// output marks what monitors send, so that members see it come from where
// forwarded connections come from.
func (r renderer) output(s state) {
	lines := []string{"type filter hook output priority filter; policy accept;"}
	for _, family := range families() {
		seen := map[place]bool{}
		var marks []string
		for _, server := range s.servers {
			if server.family() != family || len(server.sources) == 0 {
				continue
			}
			for _, p := range server.asked {
				if !seen[p] {
					seen[p] = true
					marks = append(marks, fmt.Sprintf("%s . %s . %d : %#x", p.at.Addr(), p.protocol, p.at.Port(), server.mark))
				}
			}
		}
		if len(marks) > 0 {
			lines = append(lines, fmt.Sprintf("ct state new ct mark set %s daddr . meta l4proto . th dport map { %s }", family, strings.Join(marks, ", ")))
		}
	}
	r.Chain("output", lines...)
}

// input refuses what is for a server and was not forwarded.
func (r renderer) input(s state) {
	lines := []string{"type filter hook input priority filter; policy accept;"}
	for _, family := range families() {
		var vips []string
		for _, vip := range s.vips() {
			if vip.Is4() == (family == "ip") {
				vips = append(vips, vip.String())
			}
		}
		if len(vips) == 0 {
			continue
		}
		match := fmt.Sprintf("%s daddr { %s }", family, strings.Join(vips, ", "))
		if r.silent {
			lines = append(lines, match+" meta l4proto { tcp, udp } drop")
			continue
		}
		lines = append(lines, match+" meta l4proto tcp reject with tcp reset", match+" meta l4proto udp reject with icmpx port-unreachable")
	}
	r.Chain("input", lines...)
}

// forward counts what passes through. What belongs to no connection would pass
// without translation.
func (r renderer) forward(s state) {
	lines := []string{"type filter hook forward priority filter; policy accept;", "ct state invalid drop"}
	var counters []string
	for _, server := range s.servers {
		counters = append(counters, fmt.Sprintf("%#x : %q", server.mark, server.traffic()))
	}
	if len(counters) > 0 {
		lines = append(lines, fmt.Sprintf("counter name ct mark map { %s }", strings.Join(counters, ", ")))
	}
	r.Chain("forward", lines...)
}

// postrouting gives forwarded connections the source that members see.
func (r renderer) postrouting(s state) {
	lines := []string{"type nat hook postrouting priority srcnat; policy accept;"}
	for _, family := range families() {
		var single []string
		for _, server := range s.servers {
			if all := server.each(); server.family() == family && len(all) == 1 {
				single = append(single, fmt.Sprintf("%#x : %s", server.mark, all[0]))
			}
		}
		if len(single) > 0 {
			lines = append(lines, fmt.Sprintf("snat %s to ct mark map { %s }", family, strings.Join(single, ", ")))
		}
	}
	for _, server := range s.servers {
		all := server.each()
		if len(all) < 2 {
			continue
		}
		turns := make([]string, len(all))
		for i, a := range all {
			turns[i] = fmt.Sprintf("%d : %s", i, a)
		}
		lines = append(lines, fmt.Sprintf("ct mark %#x snat %s to numgen inc mod %d map { %s }",
			server.mark, server.family(), len(turns), strings.Join(turns, ", ")))
	}
	r.Chain("postrouting", lines...)
}
