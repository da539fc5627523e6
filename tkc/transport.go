// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"

	"github.com/viaduct-sdk/viaduct/internal/rest"
)

// swapping is an [Access] as a transport.
type swapping Access

// RoundTrip implements [http.RoundTripper].
func (s *swapping) RoundTrip(req *http.Request) (*http.Response, error) {
	a := (*Access)(s)
	used := a.credentials()
	resp, err := used.send(req)
	if !insufficient(resp, err) || req.Context().Err() != nil {
		return resp, err
	}
	replay, ok := rest.Rewind(req)
	if !ok {
		return resp, err
	}
	fresh := a.others(req.Context(), used)
	if fresh == used {
		rest.CloseBody(replay)
		return resp, err // the answer says more than what the Secret does not
	}
	if err == nil {
		const most = 4 << 10
		_, _ = io.CopyN(io.Discard, resp.Body, most)
		_ = resp.Body.Close()
	}
	return fresh.send(replay)
}

// others returns newer credentials than used, or used when there are none.
func (a *Access) others(ctx context.Context, used *credentials) *credentials {
	fresh := a.credentials() // another request may have had them fetched
	for fresh == used {
		joined, err := a.refresh(ctx)
		fresh = a.credentials()
		if err != nil || !joined {
			break
		}
		// That look may have begun before the refusal, and so may say too little.
	}
	return fresh
}

// send sends the request with these credentials to the server that goes with
// them, which need not be the one that the request was made for.
func (c *credentials) send(req *http.Request) (*http.Response, error) {
	out := req.Clone(req.Context())
	out.URL.Scheme, out.URL.Host = c.server.Scheme, c.server.Host
	out.Host = ""
	return c.transport.RoundTrip(out)
}

// insufficient reports whether new credentials may help, and the request surely
// did nothing: it was refused, or never got to the server.
func insufficient(resp *http.Response, err error) bool {
	if err == nil {
		return resp.StatusCode == http.StatusUnauthorized
	}
	var dial *net.OpError
	var alert tls.AlertError
	return isCertificateError(err) || errors.As(err, &alert) ||
		(errors.As(err, &dial) && dial.Op == "dial")
}

// CloseIdleConnections closes those of the credentials that are in use.
func (s *swapping) CloseIdleConnections() {
	(&http.Client{Transport: (*Access)(s).credentials().transport}).CloseIdleConnections()
}
