// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

import (
	"context"
	"net/http"
)

// Gateway is what belongs to one tier-0 or tier-1 gateway.
type Gateway struct {
	client *Client
	noun   string
	route  string // "/infra/tier-1s/{id}"
	id     string
}

// GatewayState is how far NSX got with configuring the transport nodes for a
// gateway.
type GatewayState struct {
	Tier0 ConfigurationState `json:"tier0_state"` // of a tier-0 gateway
	Tier1 ConfigurationState `json:"tier1_state"` // of a tier-1 gateway
}

// State returns how far the transport nodes are configured for the gateway.
//
// Errors match [viaduct.ErrNotFound] when there is no such gateway.
func (g Gateway) State(ctx context.Context) (GatewayState, error) {
	var state GatewayState
	err := g.client.do(ctx, call{
		op: "get " + g.noun + " state", object: g.id, method: http.MethodGet,
		route: g.route + "/state", args: []string{g.id}, into: &state,
	})
	return state, err
}

// Path returns the gateway's own path.
func (g Gateway) Path() Path { return fill(g.route, g.id) }

// ofGateway is a collection beneath the gateway.
func ofGateway[T Object](g Gateway, noun, name string, types ...string) Collection[T] {
	return Collection[T]{
		client: g.client, noun: noun, route: g.route + "/" + name, args: []string{g.id}, types: types,
	}
}
