// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"io"
	"net/http"

	"github.com/viaduct-sdk/viaduct/internal/rest"
)

// tokenTransport sets the token of a source on each request, and replays a
// request with a new token when the server refuses the first.
type tokenTransport struct {
	source *TokenSource
	base   http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (t *tokenTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	token, err := t.source.Token(req.Context())
	if err != nil {
		rest.CloseBody(req)
		return nil, err
	}
	resp, err := t.base.RoundTrip(withToken(req, token))
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	t.source.Invalidate(token.Value)
	replay, ok := rest.Rewind(req)
	if !ok {
		return resp, nil
	}
	if fresh, err := t.source.Token(req.Context()); err == nil && fresh.Value != token.Value {
		const most = 4 << 10
		_, _ = io.CopyN(io.Discard, resp.Body, most)
		_ = resp.Body.Close()
		return t.base.RoundTrip(withToken(replay, fresh))
	}
	// The refusal stands; whoever reads it learns more than from the login.
	rest.CloseBody(replay)
	return resp, nil
}

// WrappedRoundTripper returns the transport beneath, for client-go, which looks
// for TLS settings there.
func (t *tokenTransport) WrappedRoundTripper() http.RoundTripper { return t.base }

func withToken(req *http.Request, token Token) *http.Request {
	c := req.Clone(req.Context())
	c.Header.Set("Authorization", "Bearer "+token.Value)
	return c
}
