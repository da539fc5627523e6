// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package firewall_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

// The property test: random rule sets over a small world, so that addresses,
// ports, groups and interfaces meet often, each asked about random flows. The
// compiled rule set and the reference must agree on the action, the rule, the
// rules on condition, and on every rule passed with its reason.
const (
	randomRulesets = 100_000
	flowsEach      = 2
	shards         = 8
)

func TestEvaluateAgreesWithReference(t *testing.T) {
	t.Parallel()
	for shard := range shards {
		t.Run(fmt.Sprintf("shard %d", shard), func(t *testing.T) {
			t.Parallel()
			seen := map[firewall.Reason]int{}
			actions := map[firewall.Action]int{}
			for i := range randomRulesets / shards {
				w := world{rand.New(rand.NewPCG(uint64(shard), uint64(i)))}
				compareOnce(t, w.snapshot(), w, seen, actions)
				if t.Failed() {
					t.Fatalf("seed %d, %d", shard, i)
				}
			}
			reasons := []firewall.Reason{
				firewall.Disabled, firewall.NotApplied, firewall.OtherDirection, firewall.OtherIPVersion,
				firewall.OtherSource, firewall.OtherDestination, firewall.OtherService, firewall.Conditioned,
				firewall.Jumped, firewall.Skipped,
			}
			for _, reason := range reasons {
				if seen[reason] == 0 {
					t.Errorf("no rule was ever passed because of %q: the worlds are too small", reason)
				}
			}
			for _, action := range []firewall.Action{firewall.Allow, firewall.Drop, firewall.Reject} {
				if actions[action] == 0 {
					t.Errorf("no flow ever met %s: the worlds are too small", action)
				}
			}
		})
	}
	t.Logf("%d rule sets, %d flows", randomRulesets, randomRulesets*flowsEach)
}

func compareOnce(t *testing.T, s firewall.Snapshot, w world, seen map[firewall.Reason]int, actions map[firewall.Action]int) {
	t.Helper()
	rules, err := firewall.Compile(s)
	if err != nil {
		t.Fatalf("Compile: %v", err)
	}
	for range flowsEach {
		f := w.flow()
		got, err := rules.Evaluate(f)
		if err != nil {
			t.Fatalf("Evaluate: %v", err)
		}
		wantAction := firewall.Allow
		for i, crossing := range f.Crosses {
			want := reference(s, f, crossing)
			if wantAction == firewall.Allow {
				wantAction = want.Action
			}
			if diff := cmp.Diff(want, plain(got.Decisions[i])); diff != "" {
				text, _ := json.MarshalIndent(s, "", " ")
				t.Errorf("crossing %d of flow %+v (-reference +got):\n%s\n%s", i, f, diff, text)
			}
			for _, p := range want.Passed {
				seen[p.Reason]++
			}
		}
		actions[wantAction]++
		if got.Action != wantAction {
			t.Errorf("flow %+v: action %s, want %s", f, got.Action, wantAction)
		}
	}
}

// plain returns a decision in the reference's terms.
func plain(d firewall.Decision) refDecision {
	p := refDecision{Action: d.Action, Rule: d.By.Rule, Excluded: d.Excluded}
	for _, ref := range d.Conditional {
		p.Conditional = append(p.Conditional, ref.Rule)
	}
	for passed := range d.Passed() {
		p.Passed = append(p.Passed, refPassed{Rule: passed.Ref.Rule, Reason: passed.Reason})
	}
	return p
}

// world makes random values of a small universe: 16 addresses of either family,
// 8 ports, 5 groups, 5 services, 4 interfaces on 2 segments.
type world struct{ *rand.Rand }

func (w world) one(in int) bool { return w.IntN(in) == 0 }

func (w world) addr(four bool) netip.Addr {
	if four {
		return netip.AddrFrom4([4]byte{10, 0, 0, byte(w.IntN(16))})
	}
	return netip.AddrFrom16([16]byte{0: 0xfd, 15: byte(w.IntN(16))})
}

func (w world) addrRange() firewall.Range {
	four := !w.one(3)
	a, b := w.addr(four), w.addr(four)
	if b.Less(a) {
		a, b = b, a
	}
	return firewall.Range{From: a, To: b}
}

func (w world) interfaceID() string {
	return fmt.Sprintf("/infra/segments/s%d/ports/p%d", w.IntN(2), w.IntN(2))
}
func (w world) segment() string { return fmt.Sprintf("/infra/segments/s%d", w.IntN(2)) }
func (w world) group() string   { return fmt.Sprintf("/infra/domains/default/groups/g%d", w.IntN(5)) }
func (w world) service() string { return fmt.Sprintf("/infra/services/s%d", w.IntN(5)) }

func (w world) ports() []firewall.PortRange {
	var ports []firewall.PortRange
	for range w.IntN(3) {
		first := uint16(w.IntN(8))
		ports = append(ports, firewall.PortRange{First: first, Last: first + uint16(w.IntN(3))})
	}
	return ports
}

func (w world) number(n int) *int {
	if w.one(2) {
		return nil
	}
	return new(w.IntN(n))
}

// entry returns an entry that nests none of the first n services or later.
func (w world) entry(n int) firewall.Entry {
	switch w.IntN(8) {
	case 0:
		return firewall.Entry{
			Kind: firewall.ICMPEntry, ICMPProtocol: []string{"ICMPv4", "ICMPv6"}[w.IntN(2)],
			ICMPType: w.number(3), ICMPCode: w.number(2),
		}
	case 1:
		return firewall.Entry{Kind: firewall.IPProtocolEntry, Number: new([]int{1, 2, 6, 17, 58}[w.IntN(5)])}
	case 2:
		return firewall.Entry{Kind: []firewall.EntryKind{firewall.IGMPEntry, firewall.EtherTypeEntry}[w.IntN(2)]}
	case 3:
		return firewall.Entry{Kind: firewall.ALGEntry, ALG: []string{"FTP", "TFTP"}[w.IntN(2)], DestinationPorts: w.ports()}
	case 4:
		if n > 0 {
			return firewall.Entry{Kind: firewall.NestedServiceEntry, Nested: fmt.Sprintf("/infra/services/s%d", w.IntN(n))}
		}
	}
	return firewall.Entry{
		Kind: firewall.L4PortSetEntry, L4Protocol: []string{"TCP", "UDP"}[w.IntN(2)],
		SourcePorts: w.ports(), DestinationPorts: w.ports(),
	}
}

func (w world) addresses() []string {
	switch w.IntN(5) {
	case 0:
		return nil
	case 1:
		return []string{[]string{"ANY", "any"}[w.IntN(2)]}
	}
	var refs []string
	for range 1 + w.IntN(3) {
		switch w.IntN(5) {
		case 0:
			refs = append(refs, w.addrRange().String())
		case 1:
			refs = append(refs, netip.PrefixFrom(w.addr(true), 28+w.IntN(5)).String())
		default:
			refs = append(refs, w.group())
		}
	}
	return refs
}

func (w world) scope() []string {
	switch w.IntN(4) {
	case 0:
		return []string{"ANY"}
	case 1:
		return []string{w.group(), w.group()}
	case 2:
		return []string{[]string{w.segment(), w.interfaceID()}[w.IntN(2)]}
	default:
		return nil
	}
}

func pick[T any](w world, from ...T) T { return from[w.IntN(len(from))] }

func (w world) rule(path string, category firewall.Category) firewall.Rule {
	actions := []firewall.Action{firewall.Allow, firewall.Drop, firewall.Reject}
	if category == firewall.Environment {
		actions = append(actions, firewall.JumpToApplication, firewall.JumpToApplication)
	}
	r := firewall.Rule{
		Path: path, Sequence: w.IntN(4), Action: pick(w, actions...), Disabled: w.one(8),
		Direction: pick(w, "", firewall.InOut, firewall.In, firewall.Out),
		IPVersion: pick(w, "", firewall.IPv4IPv6, firewall.IPv4, firewall.IPv6),
		Sources:   w.addresses(), SourcesExcluded: w.one(5),
		Destinations: w.addresses(), DestinationsExcluded: w.one(5),
		Scope: w.scope(),
	}
	switch w.IntN(5) {
	case 0:
		r.Services = []string{"ANY"}
	case 1:
		r.Services = []string{w.service(), w.service()}
	}
	if w.one(3) {
		r.Entries = append(r.Entries, w.entry(5), w.entry(5))
	}
	if w.one(10) {
		r.Conditions = []string{"/infra/context-profiles/tls"}
	}
	return r
}

func (w world) snapshot() firewall.Snapshot {
	s := firewall.Snapshot{Default: pick(w, "", firewall.Allow, firewall.Drop, firewall.Reject)}
	for i := range 5 {
		g := firewall.Group{Path: fmt.Sprintf("/infra/domains/default/groups/g%d", i)}
		for range w.IntN(4) {
			g.Addresses = append(g.Addresses, w.addrRange())
		}
		for range w.IntN(3) {
			g.Members = append(g.Members, pick(w, w.segment(), w.interfaceID()))
		}
		s.Groups = append(s.Groups, g)
		service := firewall.Service{Path: fmt.Sprintf("/infra/services/s%d", i)}
		for range w.IntN(4) {
			service.Entries = append(service.Entries, w.entry(i))
		}
		s.Services = append(s.Services, service)
	}
	for i := range w.IntN(6) {
		p := firewall.Policy{
			Path: fmt.Sprintf("/p%d", i), Sequence: w.IntN(3), IsDefault: w.one(8),
			Category: pick(w, "", firewall.Ethernet, firewall.Emergency, firewall.Infrastructure,
				firewall.Environment, firewall.Environment, firewall.Application),
		}
		if w.one(3) {
			p.Scope = w.scope()
		}
		if w.one(6) {
			p.Fallback = pick(w, firewall.Allow, firewall.Drop)
		}
		category := p.Category
		if p.IsDefault {
			category = firewall.Application
		}
		for j := range w.IntN(6) {
			p.Rules = append(p.Rules, w.rule(fmt.Sprintf("/p%d/r%d", i, j), category))
		}
		s.Policies = append(s.Policies, p)
	}
	if w.one(6) {
		s.Excluded = []string{pick(w, w.group(), w.interfaceID())}
	}
	return s
}

func (w world) flow() firewall.Flow {
	four := !w.one(3)
	f := firewall.Flow{
		Source: w.addr(four), Destination: w.addr(four),
		Protocol:   pick(w, firewall.TCP, firewall.TCP, firewall.UDP, firewall.ICMP, firewall.ICMPv6, firewall.IGMP),
		SourcePort: uint16(w.IntN(9)), DestinationPort: uint16(w.IntN(9)),
		ICMPType: uint8(w.IntN(3)), ICMPCode: uint8(w.IntN(2)),
	}
	for _, direction := range []firewall.Direction{firewall.Out, firewall.In}[:1+w.IntN(2)] {
		i := firewall.Interface{}
		if !w.one(5) {
			i = firewall.Interface{ID: w.interfaceID(), Within: []string{w.segment()}}
		}
		f.Crosses = append(f.Crosses, firewall.Crossing{Interface: i, Direction: direction})
	}
	return f
}
