// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

// infra is a collection at the top of the infra.
func infra[T Object](c *Client, noun, name string, types ...string) Collection[T] {
	return Collection[T]{client: c, noun: noun, route: "/infra/" + name, types: types}
}

// beneath is a collection beneath the object with this id.
func beneath[T, P Object](parent Collection[P], id, noun, name string, types ...string) Collection[T] {
	args := append(append(make([]string, 0, len(parent.args)+1), parent.args...), id)
	return Collection[T]{
		client: parent.client, noun: noun, route: parent.route + "/{id}/" + name, args: args, types: types,
	}
}
