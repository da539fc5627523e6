// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package viaduct is the vocabulary that the packages of this module share:
// the errors that callers match. The work is done by the packages beneath it.
//
// # Start here
//
// Package [github.com/viaduct-sdk/viaduct/bridge] gives a Kubernetes service
// that runs in one cluster its native DNS name in another:
//
//	exported, err := bridge.Export(ctx, supervisor, types.NamespacedName{Namespace: "acme-data", Name: "order-postgres"})
//	imported, err := bridge.Import(ctx, tkCluster, exported)
//
// # One package for each server
//
//   - nsx talks to NSX Manager, by its Policy API; nsx/ncp finds the objects
//     that the NSX Container Plugin made.
//   - vcenter talks to vCenter: vSphere Namespaces, Supervisor state, port
//     groups that belong to NSX segments.
//   - supervisor and tkc talk to the Supervisor's API server: what runs there,
//     and the Tanzu Kubernetes clusters that it manages.
//   - bridge needs two servers at once.
//
// Each has a simulator beside it (nsx/nsxsim, vcenter/vcentersim,
// supervisor/supervisorsim) that keeps state as the real server does, so that
// programs built on Viaduct can be tested without hardware.
//
// # Errors
//
// Every error that a caller may want to act upon matches one of the sentinels
// of this package:
//
//	if errors.Is(err, viaduct.ErrNotFound) { … }
//
// An error of a server also has a type of its package, for [errors.As], that
// holds the status, the server's own code and message, and the request's id.
//
// # What Viaduct never does
//
// It has no globals, flags or environment variables, writes no log of its own
// accord, and starts no goroutine that outlives the call. It does not change or
// delete objects that it did not make. Credentials reach neither an error nor a
// log. TLS certificates are verified unless the caller says otherwise by name.
package viaduct
