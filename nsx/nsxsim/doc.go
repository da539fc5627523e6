// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package nsxsim is an NSX Manager that runs in a test: to NSX what vcsim is to
// vCenter. It speaks the Policy API of NSX-T 3.2 over HTTP, in process or on a
// TLS listener, and keeps its state in memory.
package nsxsim
