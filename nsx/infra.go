// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

// infra is a collection at the top of the infra.
func infra[T Object](c *Client, noun, name string, types ...string) Collection[T] {
	return Collection[T]{client: c, noun: noun, route: "/infra/" + name, types: types}
}
