// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package firewall_test

import (
	"fmt"
	"net/netip"

	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

func ExampleRuleset_Evaluate() {
	rules, err := firewall.Compile(firewall.Snapshot{
		Groups: []firewall.Group{
			{Path: "/infra/domains/default/groups/web", Addresses: []firewall.Range{{From: netip.MustParseAddr("10.244.0.18"), To: netip.MustParseAddr("10.244.0.30")}}},
			{Path: "/infra/domains/default/groups/acme-data", Members: []string{"/infra/segments/acme-data"}},
		},
		Policies: []firewall.Policy{{
			Path: "/infra/domains/default/security-policies/acme-data", Category: firewall.Application,
			Scope: []string{"/infra/domains/default/groups/acme-data"},
			Rules: []firewall.Rule{
				{Path: "allow-web", Sequence: 10, Action: firewall.Allow, Direction: firewall.In, Sources: []string{"/infra/domains/default/groups/web"}, Entries: []firewall.Entry{firewall.TCPEntry(firewall.Port(5432))}},
				{Path: "isolate", Sequence: 20, Action: firewall.Drop, Direction: firewall.In},
			},
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, port := range []uint16{5432, 6379} {
		verdict, err := rules.Evaluate(firewall.Flow{
			Source: netip.MustParseAddr("10.244.0.18"), Destination: netip.MustParseAddr("10.244.0.35"),
			Protocol: firewall.TCP, DestinationPort: port,
			Crosses: []firewall.Crossing{{Interface: firewall.Interface{Within: []string{"/infra/segments/acme-data"}}, Direction: firewall.In}},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		d := verdict.Decisive()
		fmt.Println(port, d.Action, "by", d.By.Rule)
		for passed := range d.Passed() {
			fmt.Println("  passed", passed.Ref.Rule+":", passed.Reason)
		}
	}
	// Output:
	// 5432 ALLOW by allow-web
	// 6379 DROP by isolate
	//   passed allow-web: other service
}

func ExampleParseRange() {
	r, err := firewall.ParseRange("192.168.30.64/27")
	fmt.Println(r, err)
	_, err = firewall.ParseRange("192.168.30.64/33")
	fmt.Println(err)
	// Output:
	// 192.168.30.64-192.168.30.95 <nil>
	// firewall: address prefix "192.168.30.64/33": invalid
}
