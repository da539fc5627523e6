// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package dfw

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

// The property test: random rules over a small world, so that addresses and
// ports meet often. What the sheets say of a flow must be what the evaluator
// says, by the same rule, and no two entries may hold the same flow: the kernel
// would refuse them.
const (
	randomWorlds = 1200
	flowsEach    = 60
	shards       = 4
)

func TestSheetsAgreeWithEvaluator(t *testing.T) {
	t.Parallel()
	for shard := range uint64(shards) {
		t.Run(fmt.Sprint(shard), func(t *testing.T) {
			t.Parallel()
			seen := map[firewall.Action]int{}
			kinds := map[kind]int{}
			for i := range uint64(randomWorlds / shards) {
				w := world{rand.New(rand.NewPCG(shard, i))}
				agreeOnce(t, w, seen, kinds)
				if t.Failed() {
					t.Fatalf("seed %d, %d", shard, i)
				}
			}
			for _, action := range []firewall.Action{firewall.Allow, firewall.Drop, firewall.Reject} {
				if seen[action] == 0 {
					t.Errorf("no flow met %s: the worlds are too small", action)
				}
			}
			for _, k := range []kind{tcp, udp, icmp, other} {
				if kinds[k] == 0 {
					t.Errorf("no flow was of kind %s", k)
				}
			}
		})
	}
}

func agreeOnce(t *testing.T, w world, seen map[firewall.Action]int, kinds map[kind]int) {
	t.Helper()
	s := w.snapshot()
	rules, err := firewall.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	i := firewall.Interface{ID: w.port(), Within: []string{w.segment()}}
	own := []netip.Addr{w.addr(true), w.addr(false)}
	all, err := sheets(rules, cut(s), own, i)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		disjoint(t, s)
	}
	for range flowsEach {
		s := all[w.IntN(len(all))]
		remote, a, b := w.remote(s.own.Is4()), w.value(s.kind), w.value(s.kind)
		if s.kind == other {
			a, b = 0, []uint16{2, 2, 3, 47, 132, 254}[w.IntN(6)]
		}
		f := s.flow(remote, a, b)
		f.Crosses = []firewall.Crossing{{Interface: i, Direction: s.direction}}
		want, err := rules.Evaluate(f)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.lookup(remote, a, b); got != newVerdict(want.Decisions[0]) {
			text, _ := json.MarshalIndent(w, "", " ")
			t.Errorf("%s %s %s: %s, %d, %d: sheet says %+v, evaluator %+v\n%s",
				s.own, s.direction, s.kind, remote, a, b, got, want.Decisions[0], text)
		}
		seen[want.Action]++
		kinds[s.kind]++
	}
}

// disjoint fails when two entries hold the same flow, or one is empty.
func disjoint(t *testing.T, s sheet) {
	t.Helper()
	overlap := func(x, y span[uint16]) bool { return x.first <= y.last && y.first <= x.last }
	for i, e := range s.entries {
		if e.remote.last.Less(e.remote.first) || e.a.last < e.a.first || e.b.last < e.b.first {
			t.Errorf("an entry is empty: %+v", e)
		}
		for _, o := range s.entries[:i] {
			if !e.remote.last.Less(o.remote.first) && !o.remote.last.Less(e.remote.first) && overlap(e.a, o.a) && overlap(e.b, o.b) {
				t.Errorf("entries overlap: %+v and %+v", e, o)
			}
		}
	}
}

// world makes random values of a small universe: 12 addresses of either family
// and the ends of all, 8 ports and the ends of all.
type world struct{ *rand.Rand }

func (w world) one(in int) bool { return w.IntN(in) == 0 }

func pick[T any](w world, from ...T) T { return from[w.IntN(len(from))] }

func (w world) addr(four bool) netip.Addr {
	if four {
		return netip.AddrFrom4([4]byte{10, 0, 0, byte(w.IntN(12))})
	}
	return netip.AddrFrom16([16]byte{0: 0xfd, 15: byte(w.IntN(12))})
}

func (w world) remote(four bool) netip.Addr {
	if !w.one(4) {
		return w.addr(four)
	}
	if four {
		return pick(w, netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("255.255.255.255"), netip.MustParseAddr("10.0.0.255"))
	}
	return pick(w, netip.IPv6Unspecified(), lastAddress(false), netip.MustParseAddr("fd00::ff"))
}

func (w world) value(k kind) uint16 {
	end, _ := k.ends()
	if w.one(5) {
		return end
	}
	return uint16(w.IntN(9))
}

func (w world) addressRange() firewall.Range {
	four := !w.one(3)
	if w.one(12) {
		return firewall.Range{From: w.addr(four), To: lastAddress(four)}
	}
	a, b := w.addr(four), w.addr(four)
	if b.Less(a) {
		a, b = b, a
	}
	return firewall.Range{From: a, To: b}
}

func (w world) port() string {
	return fmt.Sprintf("/infra/segments/s%d/ports/p%d", w.IntN(2), w.IntN(2))
}
func (w world) segment() string { return fmt.Sprintf("/infra/segments/s%d", w.IntN(2)) }
func (w world) group() string   { return fmt.Sprintf("/infra/domains/default/groups/g%d", w.IntN(4)) }
func (w world) service() string { return fmt.Sprintf("/infra/services/s%d", w.IntN(4)) }

func (w world) ports() []firewall.PortRange {
	var all []firewall.PortRange
	for range w.IntN(3) {
		first := uint16(w.IntN(8))
		all = append(all, firewall.PortRange{First: first, Last: pick(w, first, first+2, 65535)})
	}
	return all
}

func (w world) number(n int) *int {
	if w.one(2) {
		return nil
	}
	return new(pick(w, w.IntN(n), 255))
}

// entry returns an entry that nests none of the first n services or later.
func (w world) entry(n int) firewall.Entry {
	switch w.IntN(7) {
	case 0:
		return firewall.Entry{
			Kind: firewall.ICMPEntry, ICMPProtocol: pick(w, "ICMPv4", "ICMPv6"), ICMPType: w.number(8), ICMPCode: w.number(3),
		}
	case 1:
		return firewall.Entry{Kind: firewall.IPProtocolEntry, Number: new(pick(w, 1, 2, 6, 7, 17, 47, 58, 132))}
	case 2:
		return firewall.Entry{Kind: pick(w, firewall.IGMPEntry, firewall.EtherTypeEntry)}
	case 3:
		return firewall.Entry{Kind: firewall.ALGEntry, ALG: pick(w, "FTP", "TFTP"), DestinationPorts: w.ports()}
	case 4:
		if n > 0 {
			return firewall.Entry{Kind: firewall.NestedServiceEntry, Nested: fmt.Sprintf("/infra/services/s%d", w.IntN(n))}
		}
	}
	return firewall.Entry{
		Kind: firewall.L4PortSetEntry, L4Protocol: pick(w, "TCP", "UDP"), SourcePorts: w.ports(), DestinationPorts: w.ports(),
	}
}

func (w world) addresses() []string {
	var refs []string
	for range w.IntN(4) {
		refs = append(refs, pick(w, w.addressRange().String(), netip.PrefixFrom(w.addr(true), 28+w.IntN(5)).String(), w.group()))
	}
	if len(refs) == 0 && w.one(2) {
		return []string{"ANY"}
	}
	return refs
}

func (w world) scope() []string {
	return pick(w, nil, []string{"ANY"}, []string{w.group()}, []string{w.segment()}, []string{w.port()})
}

func (w world) rule(path string, category firewall.Category) firewall.Rule {
	actions := []firewall.Action{firewall.Allow, firewall.Drop, firewall.Reject}
	if category == firewall.Environment {
		actions = append(actions, firewall.JumpToApplication)
	}
	r := firewall.Rule{
		Path: path, Sequence: w.IntN(4), Action: pick(w, actions...), Disabled: w.one(8),
		Direction: pick(w, "", firewall.InOut, firewall.In, firewall.Out),
		IPVersion: pick(w, "", firewall.IPv4IPv6, firewall.IPv4, firewall.IPv6),
		Sources:   w.addresses(), SourcesExcluded: w.one(5),
		Destinations: w.addresses(), DestinationsExcluded: w.one(5),
		Scope: w.scope(),
	}
	if w.one(3) {
		r.Services = []string{w.service(), w.service()}
	}
	if w.one(3) {
		r.Entries = []firewall.Entry{w.entry(4), w.entry(4)}
	}
	if w.one(10) {
		r.Conditions = []string{"/infra/context-profiles/tls"}
	}
	return r
}

func (w world) snapshot() firewall.Snapshot {
	s := firewall.Snapshot{Default: pick(w, "", firewall.Allow, firewall.Drop, firewall.Reject)}
	for i := range 4 {
		g := firewall.Group{Path: fmt.Sprintf("/infra/domains/default/groups/g%d", i)}
		for range w.IntN(4) {
			g.Addresses = append(g.Addresses, w.addressRange())
		}
		for range w.IntN(3) {
			g.Members = append(g.Members, pick(w, w.segment(), w.port()))
		}
		service := firewall.Service{Path: fmt.Sprintf("/infra/services/s%d", i)}
		for range w.IntN(3) {
			service.Entries = append(service.Entries, w.entry(i))
		}
		s.Groups, s.Services = append(s.Groups, g), append(s.Services, service)
	}
	for i := range w.IntN(5) {
		p := firewall.Policy{
			Path: fmt.Sprintf("/p%d", i), Sequence: w.IntN(3),
			Category: pick(w, firewall.Emergency, firewall.Environment, firewall.Application, firewall.Ethernet, ""),
			Scope:    pick(w, nil, nil, w.scope()), Fallback: pick(w, "", "", "", firewall.Drop),
		}
		for j := range w.IntN(5) {
			p.Rules = append(p.Rules, w.rule(fmt.Sprintf("/p%d/r%d", i, j), p.Category))
		}
		s.Policies = append(s.Policies, p)
	}
	if w.one(8) {
		s.Excluded = []string{pick(w, w.group(), w.port())}
	}
	return s
}
