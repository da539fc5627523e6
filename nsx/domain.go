// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

// DefaultDomain is the domain that everything is in on a Local Manager.
const DefaultDomain = "default"

// Domain is the groups and firewall policies of one domain.
type Domain struct {
	client *Client
	id     string
}

// Domain returns the domain with this id, usually [DefaultDomain].
func (c *Client) Domain(id string) Domain { return Domain{client: c, id: id} }

func ofDomain[T Object](d Domain, noun, name string, types ...string) Collection[T] {
	return Collection[T]{
		client: d.client, noun: noun, route: "/infra/domains/{domain}/" + name, args: []string{d.id}, types: types,
	}
}
