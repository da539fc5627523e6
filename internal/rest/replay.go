// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package rest

import "net/http"

// Rewind returns the request with its body from the beginning, and false when
// the body can be read only once. It serves round trippers that send a request
// again with other credentials.
func Rewind(req *http.Request) (*http.Request, bool) {
	if req.Body == nil || req.Body == http.NoBody {
		return req, true
	}
	if req.GetBody == nil {
		return nil, false
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, false
	}
	c := req.Clone(req.Context())
	c.Body = body
	return c, true
}

// CloseBody closes the body of a request that is not sent, as a round tripper
// must.
func CloseBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}
