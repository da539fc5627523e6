// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package dfw is the distributed firewall of the lab: at the interfaces of pods
// and nodes it lets through what the rules in NSX allow, and nothing else. The
// kernel of each host does that, told by nftables; the rules stay when this
// process, or NSX Manager, is gone.
//
//	f, err := dfw.New(dfw.Config{NSX: srv})
//	f.Attach(dfw.Interface{Name: "web", Host: host, Device: "eth0", Addresses: addresses})
//	go f.Run(ctx)
//	err = f.Sync(ctx) // all interfaces are as NSX says
//
// What is decided comes from package nsx/firewall and nowhere else. The ends of
// the ranges of addresses, ports and ICMP types that rules name cut all flows
// into boxes that no rule can tell apart inside; the evaluator is asked about
// one flow of each, and the answers become nftables maps of intervals. So the
// kernel agrees with the evaluator on every flow, and with what rules it follows
// from.
//
// # Fidelity
//
// Simulated: the rules, as nsx/firewall knows them; connections that were let
// through go on, both ways, and what they cause passes with them; drop and
// reject; a counter for each rule; an interface sees its packets as they are on
// the wire, those of a node after it has put its own address in place of a
// pod's.
//
// Simplified: a packet from or to an address that is not the interface's is
// dropped, as by NSX's SpoofGuard. ARP, neighbour and multicast listener
// discovery pass. A rule that is applied to a group of plain addresses holds at
// the interfaces with these addresses. What a host forwards and a rule refuses on
// its way out is judged before the host translates it, as if it were from the
// interface's first address.
//
// Absent: layer 7, schedules and everything else that package nsx/firewall lists
// as a gap, which is logged.
//
// Not known of the real thing: whether open connections stay when a new rule
// would not let them begin. Here they do, unless [Switches].Revalidate is set.
package dfw
