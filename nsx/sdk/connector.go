// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package sdk

import (
	"context"
	"net/http"

	"github.com/vmware/vsphere-automation-sdk-go/runtime/protocol/client"

	"github.com/viaduct-sdk/viaduct/nsx"
)

// address is what the connector calls the manager. The client's chain puts the
// endpoint that it chose in its place.
const address = "https://nsx"

// Option changes what [NewConnector] returns.
type Option func(*bound)

// WithAllowOverwrite lets all writes through this connector change objects that
// are protected for another principal, such as those of NCP. NSX logs it as
// such. Make a connector of its own for the calls that need it.
func WithAllowOverwrite() Option {
	return func(b *bound) { b.overwrite = true }
}

// NewConnector returns a connector for generated clients whose requests go
// through c and end with ctx. It does no I/O.
func NewConnector(ctx context.Context, c *nsx.Client, opts ...Option) client.Connector {
	b := &bound{ctx: ctx, next: c.RoundTripper()}
	for _, opt := range opts {
		opt(b)
	}
	return client.NewConnector(address,
		client.UsingRest(nil),
		client.WithHttpClient(&http.Client{Transport: b, CheckRedirect: noRedirect}),
	)
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
