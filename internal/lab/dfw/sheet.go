// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package dfw

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

// verdict is what the firewall does with a flow, and the rule that says so.
type verdict struct {
	action firewall.Action
	rule   string // path; that of the policy, or nothing, when no rule says so
}

// kind is a kind of flows: those that the same properties tell apart.
type kind string

const (
	tcp   kind = "tcp"
	udp   kind = "udp"
	icmp  kind = "icmp"
	other kind = "other" // told apart by the protocol's number
)

func kinds() []kind { return []kind{tcp, udp, icmp, other} }

// sheet holds the verdicts on all flows of a kind between one address of an
// interface and everybody else, in one direction. Entries don't overlap; what
// none contains meets the fallback.
type sheet struct {
	own       netip.Addr
	direction firewall.Direction
	kind      kind

	entries  []entry
	fallback verdict
}

// entry is a box of flows with the same verdict. What a and b are depends on
// the kind: the ports of source and destination; type and code; nothing and the
// protocol.
type entry struct {
	remote span[netip.Addr]
	a, b   span[uint16]
	verdict
}

// ends are how far a and b reach.
func (k kind) ends() (a, b uint16) {
	switch k {
	case tcp, udp:
		return 65535, 65535
	case icmp:
		return 255, 255
	default:
		return 0, 255
	}
}

// axes are the intervals of a and b.
func (c cuts) axes(k kind) (a, b []span[uint16]) {
	lastA, lastB := k.ends()
	switch k {
	case tcp, udp:
		return numbers(c.sourcePorts, lastA), numbers(c.destinationPorts, lastB)
	case icmp:
		return numbers(c.types, lastA), numbers(c.codes, lastB)
	default:
		return []span[uint16]{{}}, numbers(c.protocols, lastB)
	}
}

// flow is the flow of a kind at the interface.
func (s sheet) flow(remote netip.Addr, a, b uint16) firewall.Flow {
	f := firewall.Flow{Source: s.own, Destination: remote}
	if s.direction == firewall.In {
		f.Source, f.Destination = remote, s.own
	}
	switch s.kind {
	case tcp, udp:
		f.Protocol, f.SourcePort, f.DestinationPort = firewall.TCP, a, b
		if s.kind == udp {
			f.Protocol = firewall.UDP
		}
	case icmp:
		f.Protocol, f.ICMPType, f.ICMPCode = firewall.ICMPv6, uint8(a), uint8(b) //nolint:gosec // Types and codes end at 255.
		if s.own.Is4() {
			f.Protocol = firewall.ICMP
		}
	default:
		f.Protocol = firewall.Protocol(b) //nolint:gosec // Protocols end at 255.
		if b == 0 {
			f.Protocol = unnamed // the evaluator knows no protocol 0, nor do entries
		}
	}
	return f
}

// unnamed is a protocol that stands for number 0: it is reserved, too.
const unnamed = 255

// fill returns the sheet with the rules' answers for every box between the cuts,
// joined where they are the same.
func (s sheet) fill(rules *firewall.Ruleset, at cuts, i firewall.Interface) (sheet, error) {
	remotes := at.destinations
	if s.direction == firewall.In {
		remotes = at.sources
	}
	axisA, axisB := at.axes(s.kind)
	var rows []row
	for _, remote := range hosts(remotes, s.own.Is4()) {
		r := row{remote: remote}
		for _, a := range axisA {
			for _, b := range axisB {
				f := s.flow(remote.first, a.first, b.last)
				f.Crosses = []firewall.Crossing{{Interface: i, Direction: s.direction}}
				v, err := rules.Evaluate(f)
				if err != nil {
					return sheet{}, fmt.Errorf("dfw: %w", err)
				}
				r.add(entry{a: a, b: b, verdict: newVerdict(v.Decisions[0])})
			}
		}
		r.joinFirst()
		if n := len(rows); n > 0 && slices.Equal(rows[n-1].boxes, r.boxes) {
			rows[n-1].remote.last = remote.last
			continue
		}
		rows = append(rows, r)
	}
	return s.collect(rows), nil
}

func newVerdict(d firewall.Decision) verdict {
	v := verdict{action: d.Action, rule: d.By.Rule}
	if v.rule == "" {
		v.rule = d.By.Policy
	}
	return v
}

// row is what holds for an interval of remote addresses. Its boxes have none.
type row struct {
	remote span[netip.Addr]
	boxes  []entry
}

// add adds the next box, joined with the one before where they meet.
func (r *row) add(e entry) {
	if n := len(r.boxes); n > 0 {
		if last := &r.boxes[n-1]; last.verdict == e.verdict && last.a == e.a && last.b.last+1 == e.b.first {
			last.b.last = e.b.last
			return
		}
	}
	r.boxes = append(r.boxes, e)
}

// joinFirst joins what differs in a alone.
func (r *row) joinFirst() {
	var joined []entry
	for _, e := range r.boxes {
		i := slices.IndexFunc(joined, func(o entry) bool {
			return o.verdict == e.verdict && o.b == e.b && o.a.last+1 == e.a.first
		})
		if i >= 0 {
			joined[i].a.last = e.a.last
		} else {
			joined = append(joined, e)
		}
	}
	r.boxes = joined
}

// collect returns the sheet with the rows' boxes. The verdict of most of them becomes the
// fallback.
func (s sheet) collect(rows []row) sheet {
	count := map[verdict]int{}
	for _, r := range rows {
		for _, e := range r.boxes {
			count[e.verdict]++
			if n := count[e.verdict]; n > count[s.fallback] || n == 1 && s.fallback == (verdict{}) {
				s.fallback = e.verdict
			}
		}
	}
	s.entries = nil
	for _, r := range rows {
		for _, e := range r.boxes {
			if e.verdict != s.fallback {
				e.remote = r.remote
				s.entries = append(s.entries, e)
			}
		}
	}
	return s
}

// lookup returns the verdict on a flow of the sheet, as the kernel finds it.
func (s sheet) lookup(remote netip.Addr, a, b uint16) verdict {
	for _, e := range s.entries {
		if !remote.Less(e.remote.first) && !e.remote.last.Less(remote) && contains(e.a, a) && contains(e.b, b) {
			return e.verdict
		}
	}
	return s.fallback
}

// sheets are all sheets of an interface.
func sheets(rules *firewall.Ruleset, at cuts, own []netip.Addr, i firewall.Interface) ([]sheet, error) {
	var all []sheet
	for _, direction := range []firewall.Direction{firewall.In, firewall.Out} {
		for _, address := range own {
			for _, k := range kinds() {
				s, err := sheet{own: address, direction: direction, kind: k}.fill(rules, at, i)
				if err != nil {
					return nil, err
				}
				all = append(all, s)
			}
		}
	}
	return all, nil
}
