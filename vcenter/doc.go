// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package vcenter talks to a vCenter Server 7.0 or later: to its REST API about
// vSphere Namespaces and Supervisors, and to its SOAP API about the port groups
// that belong to segments of NSX. It knows nothing of Kubernetes and nothing of
// NSX but their names.
//
//	auth := vcenter.PasswordAuth("viaduct@vsphere.local", password)
//	client, err := vcenter.NewClient("vc.example.com", auth, vcenter.WithCACert(pem))
//	if err != nil {
//		return err
//	}
//	defer client.Close(ctx)
//	err = client.Namespaces().Create(ctx, vcenter.NamespaceSpec{Name: "acme-data", Cluster: "domain-c8"})
//	if err != nil && !errors.Is(err, viaduct.ErrExists) {
//		return err
//	}
//	ns, err := client.Namespaces().Wait(ctx, "acme-data", vcenter.WaitOptions[vcenter.Namespace]{})
//
// # What is where
//
//   - [Namespaces], and [NamespacesV2] since vSphere 8.0: the vSphere
//     Namespaces, their limits, storage, VM classes and access lists
//   - [SupervisorClusters]: the clusters with workload management, the address
//     of their Kubernetes API and the certificates to trust there
//   - [Supervisors], since vSphere 8.0; [SoftwareClusters]; [Compatibility]
//   - [SegmentPortGroups]: which port groups belong to which segment, and a
//     watch of them
//   - [Client.VIM]: govmomi's client for everything else of SOAP
//
// # Sessions
//
// vCenter has a session for REST and another for SOAP. Each is made when the
// first request needs it, once for all callers who wait for it, and made again,
// once, when the server says that it ended; the request is then replayed.
// [WithKeepAlive] keeps both from ending. [Client.Close] ends both: a vCenter
// has only so many. Where /api/session does not exist, the session is made at
// the older endpoint.
//
// Credentials that the server refused are not sent again for 2 minutes, then 4,
// and so on up to 30, since vCenter locks accounts.
//
// # Errors
//
// What the server refused is an [*Error] with vCenter's own type and messages;
// it matches the sentinels of package viaduct, as its comment lists. What can't
// succeed is refused before anything is sent, with an error that matches
// [viaduct.ErrInvalid]. What this version of vCenter lacks is an
// [*UnsupportedError]. A wait that fails is a [*StateError].
//
// # Retries
//
// A request is tried up to 6 times, with pauses of 200 ms to 10 s, or what
// Retry-After asks for up to a minute:
//
//   - what was turned away with 429, or never reached the server: any request;
//   - what may have been executed (502, 503, 504, a lost connection): reads,
//     deletes and updates only, and never the creation of anything;
//   - anything else: not at all.
//
// Changes to this policy are not breaking changes.
//
// # Concurrency
//
// A [Client] and its handles are immutable and safe for concurrent use.
//
// # Versions
//
// Tested against vcentersim, which follows the documentation of 7.0U3 and 8.0;
// not tested against a real vCenter.
//
//	vSphere 7.0 to 7.0U1   documented; sessions at the older endpoint
//	vSphere 7.0U2, 7.0U3   documented
//	vSphere 8.0            documented; NamespacesV2 and Supervisors
package vcenter
