// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package firewall_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

// estate is a large installation: 500 policies of 20 rules each over 2,000
// groups of 10 ranges, of which every tenth holds the whole network, and 300
// services. No rule matches the flow of the benchmark before the last one.
func estate() (firewall.Snapshot, firewall.Flow) {
	r := rand.New(rand.NewPCG(1, 2))
	var s firewall.Snapshot
	for i := range 2000 {
		g := firewall.Group{Path: fmt.Sprintf("%sg%d", groups, i), Members: []string{fmt.Sprintf("/infra/segments/s%d", i%200)}}
		for range 10 {
			a := netip.AddrFrom4([4]byte{10, byte(r.IntN(64)), byte(r.IntN(256)), byte(r.IntN(200))})
			b := netip.AddrFrom4([4]byte{10, a.As4()[1], a.As4()[2], a.As4()[3] + byte(r.IntN(50))})
			g.Addresses = append(g.Addresses, firewall.Range{From: a, To: b})
		}
		if i%10 == 0 {
			g.Addresses = append(g.Addresses, ranges("10.0.0.0/8")...)
		}
		s.Groups = append(s.Groups, g)
	}
	for i := range 300 {
		first := uint16(1000 + 10*i)
		s.Services = append(s.Services, firewall.Service{
			Path:    fmt.Sprintf("/infra/services/s%d", i),
			Entries: []firewall.Entry{firewall.TCPEntry(firewall.PortRange{First: first, Last: first + 20}), firewall.UDPEntry(firewall.Port(first))},
		})
	}
	for i := range 500 {
		p := firewall.Policy{Path: fmt.Sprintf("/p%d", i), Category: firewall.Application, Sequence: i}
		for j := range 20 {
			p.Rules = append(p.Rules, firewall.Rule{
				Path: fmt.Sprintf("/p%d/r%d", i, j), Sequence: j, Action: firewall.Drop,
				Sources: []string{s.Groups[r.IntN(2000)].Path, s.Groups[r.IntN(2000)].Path}, SourcesExcluded: r.IntN(10) == 0,
				Destinations: []string{s.Groups[r.IntN(2000)].Path}, Services: []string{fmt.Sprintf("/infra/services/s%d", r.IntN(300))},
			})
		}
		s.Policies = append(s.Policies, p)
	}
	last := &s.Policies[499].Rules[19]
	last.Sources, last.Destinations, last.Services, last.SourcesExcluded = nil, nil, nil, false
	return s, firewall.Flow{
		Source: netip.MustParseAddr("10.7.7.7"), Destination: netip.MustParseAddr("10.8.8.8"),
		Protocol: firewall.TCP, DestinationPort: 5,
		Crosses: []firewall.Crossing{{Interface: firewall.Interface{ID: "/infra/segments/s1/ports/p", Within: []string{"/infra/segments/s1"}}, Direction: firewall.In}},
	}
}

func BenchmarkEvaluate10000Rules(b *testing.B) {
	snapshot, flow := estate()
	rules, err := firewall.Compile(snapshot)
	if err != nil {
		b.Fatal(err)
	}
	check := func(v firewall.Verdict, err error) firewall.Verdict {
		if err != nil || v.Decisive().By.Rule != "/p499/r19" {
			b.Fatalf("decided by %q, %v; want the last rule", v.Decisive().By.Rule, err)
		}
		return v
	}
	b.Run("verdict", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			check(rules.Evaluate(flow))
		}
	})
	b.Run("verdict and passed rules", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			for range check(rules.Evaluate(flow)).Decisive().Passed() {
				n++
			}
			if n != 9999 {
				b.Fatalf("passed %d rules, want 9999", n)
			}
		}
	})
}

func BenchmarkCompile10000Rules(b *testing.B) {
	snapshot, _ := estate()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := firewall.Compile(snapshot); err != nil {
			b.Fatal(err)
		}
	}
}
