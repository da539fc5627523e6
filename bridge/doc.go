// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package bridge gives a Kubernetes service that runs in one cluster its native
// DNS name in another.
//
//	supervisor, err := bridge.NewCluster("supervisor", supervisorConfig, bridge.WithNSX(ncp.NewFinder(nsxClient)))
//	tkCluster, err := bridge.NewCluster("acme-fitness", tkConfig)
//
//	exported, err := bridge.Export(ctx, supervisor, types.NamespacedName{Namespace: "acme-data", Name: "order-postgres"})
//	imported, err := bridge.Import(ctx, tkCluster, exported)
//
// From then on order-postgres.acme-data.svc.cluster.local answers in the TK
// cluster. [Unimport] and [Unexport] take everything back.
//
// # How it works
//
// [Export] sees to it that the Service has a virtual address: a Service of type
// LoadBalancer has one, others get a companion. It waits until NSX serves the
// address, and returns [Exported], a small JSON document. [Import] needs nothing
// but that document: it writes a Service without a selector and an EndpointSlice
// that holds the address. Names, cluster IPs and forwarding are the importing
// cluster's own DNS and kube-proxy. Nothing of Viaduct runs in the data path, and
// nothing is installed in either cluster.
//
// # What it writes, and what it leaves alone
//
// Each verb observes, plans and applies. [PlanExport] and [PlanImport], or the
// option [WithDryRun], stop after the plan. Writes are server-side applies with
// the field manager "viaduct", bound to what was observed: an object that
// changed in between, or appeared, is left as it is and planned anew.
//
// What Viaduct made carries the labels app.kubernetes.io/managed-by,
// viaduct-sdk.github.io/role and viaduct-sdk.github.io/id and the annotation
// viaduct-sdk.github.io/source. The id binds the marks to the object's own name,
// so that a copy of them makes no other object Viaduct's. What does not carry
// them is never changed and never deleted; a name that is taken by such an
// object is refused with [viaduct.ErrNotOwned].
//
// # Firewalls
//
// Where the distributed firewall isolates namespaces, the way is closed twice: at
// the node that a connection leaves and at the pod where it arrives.
// [WithNetworkPolicy] opens the exporting side by a NetworkPolicy for the exported
// pods and ports, and closes nothing that was open. [WithFirewall] opens the
// importing side by a security policy in NSX, from the segments of
// [WithDistributedFirewall] to the virtual addresses; what the firewall does is
// evaluated before anything is written, and stands in the result
// ([Imported].Firewall). Both go with what they were made for.
//
// # Many, and later
//
// [Apply] carries out a [Spec] for many services and clusters at once, and
// [ImportAll] imports many documents with a few lists. [Trace] follows an
// imported service hop by hop and names the first broken one. [Audit] finds what
// is Viaduct's and needed by nobody any more. [Health] reads from NSX alone how an
// exported service is doing, also while the exporting API server is away: that
// never withdraws an import.
//
// # Errors and retries
//
// All verbs are idempotent and can be cut off anywhere: call again, and they
// carry on. A conflict is planned anew five times; other errors are returned,
// and [Retryable] tells which of them are worth another call later. Errors are
// [*Error], with the Service and the cluster, and [*ApplyError], with the steps
// done and pending; they match the sentinels of package viaduct.
//
// # Permissions
//
// docs/rbac has a manifest for each use, each verb of it proved necessary.
//
// Export gets, creates, patches and deletes Services of one namespace, and Apply
// lists them for a selector. Import gets, creates, patches and deletes Services,
// and lists, creates, patches and deletes EndpointSlices, or Endpoints where there
// are no slices; listing Services saves ImportAll and Apply requests. [WithAdopt]
// gets and deletes Endpoints, [WithCreateNamespace] gets, creates and patches
// namespaces. [WithNetworkPolicy] lists, creates, patches and deletes
// NetworkPolicies, and lists pods; where it may, any Unexport looks for the
// policy. The guard lists ServiceCIDRs, Nodes and Services of all namespaces;
// without that, [Imported].Unguarded says what is not known. Getting namespaces is
// used for clearer errors where it is allowed. A server without server-side apply
// takes update in the place of patch.
//
// Trace gets Services and Endpoints, gets and lists EndpointSlices, and lists pods
// in the exporting namespace; Audit lists Services, EndpointSlices and namespaces,
// and its Apply deletes Services and EndpointSlices. Of NSX, [WithNSX], [Health]
// and Trace read virtual servers, pools, their status, IP pools and gateways, and
// Trace and WithNetworkPolicy the firewall. [WithFirewall] reads it and writes
// groups and security policies.
//
// # Versions
//
// Kubernetes 1.16 and later. Endpoints are written in the newest API that the
// importing cluster serves, and in that one only: EndpointSlices of
// discovery.k8s.io/v1 (since 1.21) or v1beta1 (since 1.17), Endpoints before.
// Servers without server-side apply are written by create, and update with the
// resource version.
package bridge
