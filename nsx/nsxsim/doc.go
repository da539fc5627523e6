// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package nsxsim is an NSX Manager that runs in a test: to NSX what vcsim is to
// vCenter. It answers the Policy API of NSX-T 3.2, and the part of the Manager
// API in which the NSX Container Plugin once wrote, from state that it keeps in
// memory.
//
//	srv := nsxsim.NewServer()
//	defer srv.Close()
//	client, err := nsx.NewClient(srv.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword),
//		nsx.WithHTTPClient(srv.Client()))
//
// [Server.Client] reaches the simulator in process, without a socket or a
// goroutine, so that tests may run under testing/synctest and wait for hours in
// no time. [Server.ListenTLS] opens a listener for curl, for VMware's SDKs and
// for other people's programs:
//
//	url, err := srv.ListenTLS("127.0.0.1:0")
//	curl --cacert ca.pem -u "$USER:$PASSWORD" $url/policy/api/v1/infra/segments
//
// Nothing happens in the background: what takes time on a real NSX Manager
// (realization, purges, the search index, sessions, rate limits) is computed
// from the clock when somebody looks.
//
// # Back door
//
// [Server.Put], [Server.Read], [Server.Remove] and [Server.Paths] are for other
// simulators and for tests. They follow NSX's rules and need no HTTP.
// [Server.SetRealization], [Server.SetMemberStatus], [Server.SetMonitorStatus]
// and [Server.SetVirtualMachine] stand for what the data plane reports.
// [Server.Changed] tells the data plane that there is something new.
//
// # When things go wrong
//
// [Server.Inject] arms faults: a status, a reset before or after the effect, a
// delay, a truncated or malformed body, for the n-th request of a method and
// route. [Manager.Stop] takes a node down, [Server.ExpireSessions] ends
// sessions. [Server.Requests] tells what arrived. A request for something that
// is not simulated is answered with 501, never with an empty success, and
// listed by [Server.Unsimulated].
//
// # Fidelity
//
// Simulated as public sources describe it:
//
//	objects      segments and their ports, tier-0 and tier-1 gateways with NAT rules, static routes,
//	             locale services and prefix lists; load balancer services, virtual servers, pools,
//	             application, monitor, persistence and SSL profiles; IP blocks, pools, subnets and
//	             allocations; domains, groups with every kind of expression, security policies and
//	             rules, services, the exclude list
//	requests     strict decoding by the published schema (unknown field, wrong type, wrong enum: 400
//	             with code 287), required fields and values (255), parents and references (500012)
//	revisions    PUT needs the current one (412; 500127 without), PATCH ignores it, the hierarchical
//	             API checks it on request
//	deletion     refused while referenced, naming the referrers (500030), or while a segment has VIFs
//	             (503040); ?force=true where the API has it; marked_for_delete until the purge, and
//	             500045 for the path until then
//	protection   objects of protected principals need X-Allow-Overwrite (400 with code 289)
//	lists        pages and three dialects of cursors: opaque and absent at the end (Policy API), an
//	             offset that equals result_count at the end (search), opaque with a prefix of zeros at
//	             the end (Manager API); result_count on the first page only
//	search       Lucene queries with fields, wildcards, escapes, groups, ranges, NOT and _exists_;
//	             tags.scope and tags.tag do not correlate; the index may lag
//	hierarchy    PATCH /infra with Child objects and ChildResourceReference, all or nothing
//	realization  status, entities, alarms; IP exhaustion shows as an alarm of the allocation
//	status       of pools and virtual servers, from that of their members, by the API's definitions
//	groups       effective addresses, segments, ports, virtual machines and interfaces
//	access       Basic, sessions with XSRF tokens per node, vIDM Remote, Bearer tokens with expiry,
//	             client certificates; lockout after wrong passwords
//	limits       requests per second and concurrent requests, per node and user; the 429 whose code is
//	             a JSON string
//	Manager API  logical switches, ports and routers, load balancer objects, firewall sections with
//	             rules in order, IP pools, blocks and subnets with allocation, NSGroups and IPSets;
//	             search; stale copies (412 with code 206)
//
// Simplified:
//
//	schema       that of VMware's public SDKs, which know fields of releases after 3.2 (Policy API), or
//	             none after 2.0 (Manager API)
//	statistics   all zero: no packet passes
//	realization  one entity for each object, all at once; nobody retries what failed until it is
//	             written again
//	addresses    the lowest free one is allocated, always
//	revise       sequence numbers move as little as they can; NSX may number anew
//	rules        without an id get a random one, without a sequence number one by their place
//	groups       AND binds more tightly than OR; conditions on members that are not simulated match
//	             nobody
//	Bearer       tokens are compared, their signatures are not verified
//	transactions never collide; the 409 of a real NSX Manager has to be injected
//	roles        everybody who is let in may do everything
//	Manager API  objects of the Policy API do not appear there, as they do on a real NSX Manager
//
// Absent, and answered with 501: federation, projects and VPCs, VPN, DHCP, DNS, BGP, interfaces,
// gateway firewall, intrusion detection, service entries as objects of their own, effective members
// of NSGroups, search by DSL, backup, upgrade, and all of fabric and transport nodes.
//
// Unknown of the real thing, where public sources are silent or disagree, and therefore [Switches]:
//
//	PatchReplaces              does PATCH of load balancer objects merge or replace?
//	MissingPathNotFound        404 or 400 for a missing parent or reference?
//	NotFoundCode               600, 500090 or 202 in a 404?
//	ProtectedStatus            400 or 403 for a protected object?
//	ExpiredSessionStatus       403 or 401 for an ended session?
//	ConcurrencyStatus          503 or 429 beyond the concurrency limit of a client?
//	RetryAfter                 is it ever sent?
//	AddressReleaseDelay        when can a released address be allocated again?
//	HideAllocatedIP            does GET tell the address that was chosen?
//	EmptyPoolStatus            what is the status of a pool without members?
//	SearchCursorEnds           does the last page of a search carry a cursor?
//	SearchPageLimit            when is a page of a search too large?
//	RepeatedScopeFindsNothing  can a search name tags.scope twice?
//	UnstableVirtualMachines    do unsorted pages of virtual machines overlap?
//
// Unknown and guessed, so that nothing should depend on it: the texts of most messages, the code of
// the 412 (604), of an object in use in the Manager API (226), of a query that can't be parsed (255)
// and of what can only be read (500012), and the names of realized entities. Public are, without
// their place, the codes
//
//	5109, 5137  pool and block exhausted: as alarms of the Policy API's allocation and subnet, and
//	            with status 409 where the Manager API is asked for an address or a subnet
//	8212        address that is not to be had: as an alarm of the allocation
//	500105      overlapping addresses, status 400: for ranges of one pool and of several, and for
//	            subnets of segments at the same gateway; NSX may let some of these pass, or find them
//	            at realization only
//
// and the default policy's connectivity_strategy, BLACKLIST here, which newer releases call
// connectivity_preference, DENYLIST.
package nsxsim
