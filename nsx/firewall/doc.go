// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package firewall answers whether the distributed firewall of NSX-T would let
// a connection pass, by which rule, and past which rules on the way. It is
// pure: values in, a verdict out, and no server asked.
//
//	rules, err := firewall.Compile(snapshot)
//	verdict, err := rules.Evaluate(firewall.Flow{
//		Source:          netip.MustParseAddr("10.244.0.18"),
//		Destination:     netip.MustParseAddr("192.168.30.67"),
//		Protocol:        firewall.TCP,
//		DestinationPort: 5432,
//		Crosses: []firewall.Crossing{
//			{Interface: firewall.Interface{ID: podPort}, Direction: firewall.Out},
//		},
//	})
//
// A [Snapshot] is written by hand, decoded from NSX's own JSON (the types bear
// its field names), or read from a manager with [Load].
//
// # What decides
//
// The firewall stands at each interface, not between two of them. A flow
// between two virtual machines crosses two: out of the source's interface and
// in at the destination's. It passes when every crossing allows it.
//
// At a crossing the first rule that matches decides. The order is by category
// (Emergency, Infrastructure, Environment, Application, none), within a
// category by the policy's sequence number, within a policy by the rule's. NSX
// says that the order of equal numbers is not determined; here the path breaks
// the tie. The default policy comes last of all. Policies of the category
// Ethernet work on layer 2 and are left out.
//
// A rule matches when all of these hold:
//
//   - it is not disabled;
//   - it applies to the interface: the policy's scope decides when it names
//     groups, else the rule's, and a scope that is empty or ANY holds every
//     interface;
//   - its direction, seen from the interface, and its IP version are the flow's;
//   - its source and destination contain the flow's addresses: the addresses of
//     the groups, plain addresses, ranges and prefixes, or everything when
//     empty or ANY; negated when the rule says so;
//   - one of its services or service entries is the flow's. ANY beside service
//     entries means the entries, which is how nsx-operator writes its rules.
//
// JUMP_TO_APPLICATION skips what is left of the category Environment.
//
// # What public sources leave open
//
// Where they are silent or disagree, this is what is done here. Rules that
// depend on one of these are better written so that they don't.
//
//   - The rule of a policy's connectivity_preference (ALLOWLIST: drop, DENYLIST:
//     allow) comes after the policy's own rules, before those of the next
//     policy, and applies to what the policy's scope holds. When it is among the
//     rules already, as default_rule_id says, its sequence number decides. A
//     loaded snapshot in which it is not lists a gap. connectivity_strategy, the
//     field's older name, counts where the newer one is missing.
//   - A source or destination that is ANY or empty and negated matches nothing:
//     nothing lies outside everything.
//   - A scope of ANY, of the policy or the rule, is one that is empty: the
//     policy's leaves the choice to the rule, and the rule's holds every
//     interface. Beside others in a scope, ANY adds nothing; beside other sources,
//     destinations or services it is an error.
//   - ANY as the only service beside service entries means the entries.
//   - Of policies, and of rules of one policy, with equal sequence numbers, the
//     one with the smaller path comes first, byte by byte.
//   - A group that a rule names and nobody knows is an error, and no empty group.
//
// # What it can't know
//
// Verdicts are about the first packet of a connection: a stateful rule lets the
// answers through. A rule with a layer-7 profile or a schedule is passed and
// named in [Decision.Conditional], because addresses and ports alone don't tell
// whether it matches. Addresses are compared after the network's translations
// and balancing as the caller gives them: a connection to a virtual server is
// one flow to the virtual address and another from the load balancer to the
// member. What a loaded snapshot could not express is listed in
// [Snapshot.Gaps].
//
// # Concurrency
//
// A [Ruleset] does not change once compiled and keeps no reference to the
// snapshot; any number of goroutines may evaluate flows with it.
package firewall
