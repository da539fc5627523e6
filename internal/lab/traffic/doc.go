// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package traffic proves by traffic that an import works: a client in a pod of a
// TK cluster looks a name up in a real CoreDNS, connects to the cluster IP, which
// a real kube-proxy translates, and reads from a real PostgreSQL in a vSphere
// Pod; and it stops working, for the stated reason, when a link is cut.
//
// It is a test and nothing else, because it needs root and Linux: run it by
// make e2e-traffic. The page docs/traffic.md says what it builds.
package traffic
