// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package edge is the NSX edge of the lab: it forwards what arrives at virtual
// servers to the members of their pools. The kernel of a host does that, told by
// nftables; no packet passes through a process, and the host goes on when this
// one, or NSX Manager, is gone.
//
//	e, err := edge.New(edge.Config{NSX: srv, Host: host, Internal: internal})
//	go e.Run(ctx)
//	err = e.Sync(ctx) // the host is as NSX says
//
// Each time that something changes in NSX, an [Edge] reads all load balancers
// and replaces the rules, all or nothing. Counters and what is known of clients
// survive that. Open connections have their member in the kernel's connection
// tracking and are not affected by new rules.
//
// # Fidelity
//
// Simulated:
//
//   - virtual servers of layer 4, TCP and UDP, with lists and ranges of ports;
//     enabled or not, realized or not, attached or not, as NSX's own status says
//   - pools with members and groups; round robin, weighted round robin, and by
//     the client's address; backup members, min_active_members, sorry pools
//   - members that are switched off: DISABLED ones get no new connections, and
//     their clients others; GRACEFUL_DISABLED ones go on with the clients they
//     know; open connections of both stay (API reference, PoolMemberAdminStateType)
//   - source translation: none, to the load balancer's internal address, or to
//     addresses of a list
//   - persistence by the client's address, of one virtual server or shared
//   - TCP and UDP monitors with interval, timeout, fall and rise counts, port,
//     and what they send and expect. Their packets come from where forwarded
//     ones do
//
// Simplified:
//
//   - least connections are round robin
//   - a member is up until a monitor has found it dead
//   - a client's entry of persistence lives from its last new connection, not
//     from the end of its last one
//   - a monitor asks at the first port when there are many and none is its own
//   - of two virtual servers at one address and port the older one is forwarded
//
// Absent, and logged when NSX has it: layer 7, access lists, translation of a
// range of ports to another, persistence by cookies, monitors by HTTP, HTTPS and
// ICMP. Absent without notice: passive monitors, limits of connections and rates.
//
// Not known of the real thing, and therefore [Switches]:
//
//   - what becomes of open connections to a member that is found dead or taken
//     out of its pool, and of those of a virtual server that is removed. Here
//     they are forgotten, and the client's next packet is answered by a reset;
//     a client that only listens is not told: [Switches].KeepConnections
//   - how a connection ends for which there is no member: here it is refused:
//     [Switches].Silent
//
// Nor is it known whether NCP gives its pools a monitor. Here it gives none, and
// [Config].Monitor watches such pools, or nobody does.
package edge
