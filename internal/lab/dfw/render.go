// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package dfw

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"

	"github.com/viaduct-sdk/viaduct/internal/lab/edge/netfilter"
	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

// The counters of an interface, besides those of the rules.
const (
	counterAllowed  = "allowed"
	counterDropped  = "dropped"
	counterRejected = "rejected"
	counterForeign  = "foreign"
)

// render returns the rules that enforce the sheets at a device. The same sheets
// render the same.
func render(table, device string, all []sheet, switches Switches) *netfilter.Table {
	r := renderer{Table: netfilter.NewTable(table), device: device, switches: switches, sheets: all, written: map[string]bool{}}
	for _, name := range []string{counterAllowed, counterDropped, counterRejected, counterForeign} {
		r.Keep("counter", name, "")
	}
	for _, s := range all {
		r.sheet(s)
	}
	for _, direction := range []firewall.Direction{firewall.In, firewall.Out} {
		for _, own := range r.owners(direction) {
			r.owner(prefix(direction), own, own)
		}
	}
	r.guard(firewall.In, "incoming", "type filter hook prerouting priority mangle; policy accept;")
	// After translation: what matters is what is on the wire.
	r.guard(firewall.Out, "outgoing", "type filter hook postrouting priority 150; policy accept;")
	r.rejecting()
	return r.Table
}

type renderer struct {
	*netfilter.Table
	device   string
	switches Switches
	sheets   []sheet
	written  map[string]bool // chains of verdicts
}

// prefix begins the names of the chains of a direction.
func prefix(d firewall.Direction) string { return strings.ToLower(string(d)) }

// plain is an address in what names may hold.
func plain(a netip.Addr) string { return strings.NewReplacer(".", "_", ":", "_").Replace(a.String()) }

func family(a netip.Addr) string {
	if a.Is4() {
		return "ip"
	}
	return "ip6"
}

// owners are the interface's addresses, in the order of the sheets.
func (r renderer) owners(d firewall.Direction) []netip.Addr {
	var all []netip.Addr
	for _, s := range r.sheets {
		if s.direction == d && !slices.Contains(all, s.own) {
			all = append(all, s.own)
		}
	}
	return all
}

func (s sheet) chain(prefix string) string {
	return fmt.Sprintf("%s_%s_%s", prefix, plain(s.own), s.kind)
}

// sheet writes the chain that looks a flow up.
func (r renderer) sheet(s sheet) {
	target := func(v verdict) string { return "goto " + r.verdict(v, s.direction == firewall.In) }
	r.Chain(s.chain(prefix(s.direction)), s.lookups(target)...)
}

// lookups are the rules that find a flow's verdict.
func (s sheet) lookups(target func(verdict) string) []string {
	last := target(s.fallback)
	if len(s.entries) == 0 {
		return []string{last}
	}
	keys := []string{family(s.own) + " " + map[firewall.Direction]string{firewall.In: "saddr", firewall.Out: "daddr"}[s.direction]}
	endA, _ := s.kind.ends()
	wideA := !slices.ContainsFunc(s.entries, func(e entry) bool { return e.a != span[uint16]{0, endA} })
	nameA, nameB := s.keys()
	if !wideA {
		keys = append(keys, nameA)
	}
	keys = append(keys, nameB)
	elements := make([]string, 0, len(s.entries))
	for _, e := range s.entries {
		values := []string{interval(e.remote)}
		if !wideA {
			values = append(values, interval(e.a))
		}
		values = append(values, interval(e.b))
		elements = append(elements, strings.Join(values, " . ")+" : "+target(e.verdict))
	}
	return []string{fmt.Sprintf("%s vmap { %s }", strings.Join(keys, " . "), strings.Join(elements, ", ")), last}
}

// keys are what a and b are in a packet.
func (s sheet) keys() (a, b string) {
	switch {
	case s.kind == tcp, s.kind == udp:
		return string(s.kind) + " sport", string(s.kind) + " dport"
	case s.kind == icmp && s.own.Is4():
		return "icmp type", "icmp code"
	case s.kind == icmp:
		return "icmpv6 type", "icmpv6 code"
	default:
		return "", "meta l4proto"
	}
}

func interval[T comparable](s span[T]) string {
	if s.first == s.last {
		return fmt.Sprint(s.first)
	}
	return fmt.Sprintf("%v-%v", s.first, s.last)
}

// verdict writes the chain that counts and carries out a verdict, unless it is
// there, and returns its name. What leaves can't be refused where it is looked
// at; it was before, and what is left is dropped.
func (r renderer) verdict(v verdict, refuse bool) string {
	action, counter, lines := "accept", counterAllowed, []string{"accept"}
	switch {
	case v.action == firewall.Reject && refuse:
		action, counter = "reject", counterRejected
		lines = []string{"meta l4proto tcp reject with tcp reset", "reject with icmpx admin-prohibited"}
	case v.action == firewall.Reject:
		action, counter, lines = "drop", counterRejected, []string{"drop"}
	case v.action == firewall.Drop:
		action, counter, lines = "drop", counterDropped, []string{"drop"}
	}
	rule := ruleCounter(v.rule)
	name := rule + "_" + action
	if !r.written[name] {
		r.written[name] = true
		r.Keep("counter", rule, "")
		r.Comment(cmp.Or(v.rule, "no rule"))
		count := []string{fmt.Sprintf("counter name %q", rule), fmt.Sprintf("counter name %q", counter)}
		r.Chain(name, append(count, lines...)...)
	}
	return name
}

// ruleCounter is the name of the counter of a rule.
func ruleCounter(path string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(path)) // never fails
	return fmt.Sprintf("rule_%016x", h.Sum64())
}

// owner writes the chain of one of the interface's addresses, with the sheets of
// another one of them.
func (r renderer) owner(prefix string, own, like netip.Addr) {
	r.Chain(prefix+"_"+plain(own), r.byKind(prefix, like)...)
}

func (r renderer) byKind(prefix string, own netip.Addr) []string {
	name := func(k kind) string { return sheet{own: own, kind: k}.chain(prefix) }
	protocol := "icmp"
	if own.Is6() {
		protocol = "ipv6-icmp"
	}
	return []string{
		fmt.Sprintf("meta l4proto vmap { tcp : goto %s, udp : goto %s, %s : goto %s }", name(tcp), name(udp), protocol, name(icmp)),
		"goto " + name(other),
	}
}

// guard writes the chain that every packet through the device meets.
func (r renderer) guard(d firewall.Direction, name, hook string) {
	side, own := "iifname", "daddr"
	if d == firewall.Out {
		side, own = "oifname", "saddr"
	}
	lines := append([]string{hook}, r.passing(side)...)
	lines = append(lines, r.dispatch(prefix(d), own, r.owners(d))...)
	r.Chain(name, append(lines, fmt.Sprintf("counter name %q drop", counterForeign))...)
}

// passing lets through what the firewall does not look at.
func (r renderer) passing(side string) []string {
	open := "ct state established,related accept"
	if r.switches.Revalidate {
		open = "ct state established,related ct direction reply accept"
	}
	return []string{
		fmt.Sprintf("%s != %q accept", side, r.device),
		open,
		"icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, " +
			"mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } accept",
	}
}

// dispatch goes to the chains of the interface's addresses.
func (renderer) dispatch(prefix, side string, owners []netip.Addr) []string {
	var lines []string
	for _, f := range []string{"ip", "ip6"} {
		var elements []string
		for _, own := range owners {
			if family(own) == f {
				elements = append(elements, fmt.Sprintf("%s : goto %s_%s", own, prefix, plain(own)))
			}
		}
		if len(elements) > 0 {
			lines = append(lines, fmt.Sprintf("%s %s vmap { %s }", f, side, strings.Join(elements, ", ")))
		}
	}
	return lines
}

// rejecting writes the chains that refuse what leaves, for which it is too late
// where the rest is decided. Packets may have an address yet that is translated
// to the interface's; they are taken for its first one's.
func (r renderer) rejecting() {
	refuses := func(v verdict) bool { return v.action == firewall.Reject }
	var needed bool
	for _, s := range r.sheets {
		needed = needed || s.direction == firewall.Out &&
			(refuses(s.fallback) || slices.ContainsFunc(s.entries, func(e entry) bool { return refuses(e.verdict) }))
	}
	if !needed {
		return
	}
	const prefix = "refuse"
	for _, s := range r.sheets {
		if s.direction == firewall.Out {
			r.Chain(s.chain(prefix), s.lookups(func(v verdict) string {
				if refuses(v) {
					return "goto " + r.verdict(v, true)
				}
				return "accept"
			})...)
		}
	}
	owners := r.owners(firewall.Out)
	for _, own := range owners {
		r.owner(prefix, own, own)
	}
	lines := append(r.passing("oifname"), r.dispatch(prefix, "saddr", owners)...)
	for _, four := range []bool{true, false} {
		if i := slices.IndexFunc(owners, func(a netip.Addr) bool { return a.Is4() == four }); i >= 0 {
			nfproto := map[bool]string{true: "ipv4", false: "ipv6"}[four]
			lines = append(lines, fmt.Sprintf("meta nfproto %s goto %s_%s", nfproto, prefix, plain(owners[i])))
		}
	}
	r.Chain("refuse_own", append([]string{"type filter hook output priority filter; policy accept;"}, lines...)...)
	r.Chain("refuse_forwarded", append([]string{"type filter hook forward priority filter; policy accept;"}, lines...)...)
}
