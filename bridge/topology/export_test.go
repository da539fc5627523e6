// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

// Crowd returns a function that joins what servers with so many services said,
// for benchmarks that also draw.
func Crowd(namespaces, services, pods, clusters int) func() *Graph {
	w := crowd(namespaces, services, pods, clusters)
	return func() *Graph { return join(w.observed) }
}
