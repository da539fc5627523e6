// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"

	"github.com/viaduct-sdk/viaduct"
)

// RoundTripper lends the chain to another client of the same server: the
// session, the choice of endpoint, limits and retries. Scheme and host of a
// request are replaced by those of the endpoint, its Authorization and Cookie
// headers by the chain's. An answer with an error status is returned as it
// came; only the absence of an answer is an error.
func (c *Client) RoundTripper() http.RoundTripper { return foreign{c} }

type foreign struct{ client *Client }

// RoundTrip sends req as http.RoundTripper describes.
func (f foreign) RoundTrip(req *http.Request) (*http.Response, error) {
	var body any
	if req.Body != nil && req.Body != http.NoBody {
		data, err := io.ReadAll(req.Body)
		_ = req.Body.Close()
		if err != nil {
			return nil, fmt.Errorf("%w: read the request's body: %w", viaduct.ErrInvalid, err)
		}
		body = Raw{ContentType: req.Header.Get("Content-Type"), Bytes: data}
	}
	header := req.Header.Clone()
	header.Del("Authorization")
	header.Del("Cookie")
	res, err := f.client.run(req.Context(), Request{
		Op: "call", Object: req.URL.Path, Method: req.Method,
		Route: "*", Path: req.URL.EscapedPath(), Query: req.URL.Query(),
		Header: header, Body: body, foreign: true,
	})
	if res.Status == 0 {
		if err == nil {
			err = fmt.Errorf("%s: %w", f.client.cfg.Server, viaduct.ErrUnavailable)
		}
		return nil, err
	}
	return &http.Response{
		Status:     fmt.Sprintf("%d %s", res.Status, http.StatusText(res.Status)),
		StatusCode: res.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: res.Header, Body: io.NopCloser(bytes.NewReader(res.Body)),
		ContentLength: int64(len(res.Body)), Request: req,
	}, nil
}
