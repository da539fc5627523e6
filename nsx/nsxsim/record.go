// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
)

// maxRequests is how many requests a server remembers: the last ones.
const maxRequests = 10_000

// Request is a request that a server saw. It holds no credentials.
type Request struct {
	Manager string // the host name of the node, in process
	Method  string
	Path    string
	Query   url.Values
	// Route is the path with {names} in place of ids; empty for what is not
	// simulated.
	Route  string
	User   string // empty when nobody was recognized
	Header http.Header
	Body   []byte
	Status int       // 0 while the request is being answered
	Fault  FaultKind // the injected fault that hit it, if any
}

// Requests returns the requests that the server saw, oldest first: the last
// ten thousand.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.requests[max(0, len(s.requests)-maxRequests):]
	requests := make([]Request, len(last))
	for i, r := range last {
		requests[i] = *r
	}
	return requests
}

// ClearRequests forgets the requests seen so far.
func (s *Server) ClearRequests() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

// Unsimulated returns the requests that were answered with 501 because this
// simulator lacks the operation: method and path, sorted, each once.
func (s *Server) Unsimulated() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.unsimulated))
}

func (s *Server) record(c *call) {
	header := c.r.Header.Clone()
	for _, secret := range []string{"Authorization", "Cookie", "X-Xsrf-Token"} {
		if header.Get(secret) != "" {
			header.Set(secret, "[redacted]")
		}
	}
	c.seen = &Request{
		Manager: c.m.host, Method: c.r.Method, Path: c.url, Query: c.query, Route: c.route, Header: header,
	}
	if c.route != sessionCreate {
		c.seen.Body = c.sent
	}
	if len(s.requests) >= 2*maxRequests {
		s.requests = slices.Clone(s.requests[maxRequests:])
	}
	s.requests = append(s.requests, c.seen)
}
