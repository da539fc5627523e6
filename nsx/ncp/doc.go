// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package ncp finds the NSX objects that the NSX Container Plugin made for a
// Kubernetes cluster: the virtual servers of a Service, the segments of a
// namespace, what belongs to nobody any more.
//
//	finder := ncp.NewFinder(client)
//	servers, err := finder.VirtualServers(ctx, string(service.UID))
//	segments, err := finder.Segments(ctx, ncp.Selector{Cluster: id, Namespace: "acme-data"})
//	orphans, err := finder.Orphans(ctx, id, readLiveUIDs)
//
// NCP marks what it makes with tags and is free in how it names it, so that
// nothing here goes by names. A search of NSX matches the scope and the value of
// a tag independently and from an index that is behind; what it finds is read
// again and checked, except by [Finder.Objects]. [Scopes] is the table of tag scopes; callers may extend it.
//
// The package reads and never writes. A [Finder] is immutable and safe for
// concurrent use. Errors are those of package nsx.
package ncp
