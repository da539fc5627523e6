// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package manager finds the objects that the NSX Container Plugin made through
// the older Manager API, as it did for Tanzu Kubernetes Grid Integrated Edition
// (TKGI) before the Policy API:
//
//	finder := manager.NewFinder(client)
//	servers, err := finder.VirtualServers(ctx, string(service.UID))
//
// The results are those of package ncp where both APIs have the same thing; what
// is a policy path there is a path of the Manager API here, without /api/v1.
//
// # How it asks
//
// The calls and models are those of github.com/vmware/go-vmware-nsxt, whose
// requests go through the client's chain: session, choice of manager, limits,
// retries, context. That package's own session, retries and sleeps are not used;
// its requests, which have no context, get the caller's, and its errors, which
// are text, are replaced by those of package nsx.
//
// The Manager API has no search by tag that go-vmware-nsxt knows, so that each
// method lists all objects of the kind, a thousand at a time, and picks those
// with the tags.
//
// # Versions
//
// NSX 3.2 deprecated the Manager API. NSX 9.0 removed its load balancer: there
// VirtualServers and Pools return an error that matches
// [viaduct.ErrUnsupported] before anything is asked.
//
// The package reads and never writes. A [Finder] is immutable and safe for
// concurrent use.
package manager
