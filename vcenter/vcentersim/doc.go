// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package vcentersim is a vCenter Server in process: govmomi's simulator, with
// the sessions and the APIs of vSphere Namespaces and Supervisors that it lacks,
// and with NSX's port groups coming and going.
//
//	srv, err := vcentersim.NewServer()
//	if err != nil {
//		return err
//	}
//	defer srv.Close()
//	auth := vcenter.PasswordAuth(srv.Username(), srv.Password())
//	client, err := vcenter.NewClient(srv.URL(), auth, vcenter.WithHTTPClient(srv.Client()))
//
// Without a listener, Client goes straight into the handler, so that tests may
// run in testing/synctest. With [Server.ListenTLS], govc, curl and others work
// against [Server.URL] with the authority of [Server.CACertPEM].
//
// There is one datacenter DC0 with the cluster domain-c8, which is a Supervisor
// on NSX, the cluster domain-c9, which could become one, and the distributed
// switches DVS0 and DVS1. Two servers share nothing.
//
// # Fidelity
//
// Simulated:
//
//	/api/session, /rest/com/vmware/cis/session   logins, idle timeout, a limit of sessions, expiry
//	namespaces/instances                         list, get, create, set, update, delete; the states CONFIGURING,
//	                                             RUNNING, REMOVING, ERROR with a NamespaceController; messages
//	namespaces/instances/{ns}/access             get, grant, change, revoke
//	namespaces-user/namespaces                   by the access list
//	namespaces/instances/v2                      from version 8.0
//	namespace-management/clusters                list, get, enable on NSX, disable
//	namespace-management/software                list, get, upgrade, available versions
//	namespace-management/…-compatibility         clusters, switches, edge clusters; tier-0 gateways, capability
//	namespace-management/supervisors             summaries, summary, topology, from version 8.0
//	errors                                       error_type, messages and status of either endpoint
//	/sdk                                         govmomi's simulator; reads need a session, as on a vCenter
//	port groups of NSX                           several of one segment, equal names, opaque networks
//	waiting for updates                          each change once, 100 objects at a time
//
// Simplified:
//
//	privileges        three roles; not by object
//	access by group   listed, but namespaces-user goes by users only
//	statistics        constants
//	storage policies  two, looked up by name and id at /pbm
//	texts and ids     of messages: made up, of the documented form
//	events            none for the port groups of NSX
//
// Absent, answered with 501 and listed by Unsimulated: every other path. Of
// workload management: vSphere networking, registries, VM classes as objects,
// support bundles, password rotation, enabling on zones.
//
// Not known of a vCenter, and what is assumed here:
//
//	a storage policy that does not exist    INVALID_ARGUMENT
//	a cluster without workload management   get: NOT_FOUND; create a namespace: INVALID_ARGUMENT
//	an expired password                     401 UNAUTHENTICATED; the SOAP fault PasswordExpired
//	how a wait ends with its session        a switch: WithWaitEnd
//	pages of the property collector         a switch: WithResultLimit
//	when /api/session is missing            404; a switch: WithLegacySessionOnly
//	too many sessions                       503 SERVICE_UNAVAILABLE; a switch: WithMaxSessions
//	deleting a namespace in state ERROR     as in any other state
package vcentersim
