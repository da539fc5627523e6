// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
)

// transport reaches the managers in process. The handler runs on the
// goroutine of the caller.
type transport struct{ s *Server }

// RoundTrip answers the request as the manager that its URL names would.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		defer r.Body.Close()
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	if err := r.Context().Err(); err != nil {
		return nil, context.Cause(r.Context())
	}
	m, err := t.s.dial(r.URL.Host)
	if err != nil {
		return nil, err
	}
	result, fault := m.answer(r, body)
	if r.Context().Err() != nil {
		return nil, r.Context().Err()
	}
	return respond(r, result, fault)
}

// dial returns the manager with the host name or listener's address.
func (s *Server) dial(host string) (*Manager, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.managers {
		if host != m.host && (m.listener == nil || host != m.listener.addr) {
			continue
		}
		if m.stopped {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		}
		return m, nil
	}
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
}

func respond(r *http.Request, result *reply, fault *Fault) (*http.Response, error) {
	body := io.Reader(nil)
	if fault != nil {
		switch fault.Kind {
		case FaultReset:
			return nil, &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
		case FaultTruncate:
			half := bytes.NewReader(result.body[:len(result.body)/2])
			body = io.MultiReader(half, brokenReader{})
		case FaultMalformed:
			result.malform()
		default:
		}
	}
	if body == nil {
		body = bytes.NewReader(result.body)
	}
	result.header.Set("Content-Length", strconv.Itoa(len(result.body)))
	return &http.Response{
		Status:     strconv.Itoa(result.status) + " " + http.StatusText(result.status),
		StatusCode: result.status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        result.header,
		Body:          io.NopCloser(body),
		ContentLength: int64(len(result.body)),
		Request:       r,
	}, nil
}

// brokenReader is where a truncated body ends.
type brokenReader struct{}

// Read returns [io.ErrUnexpectedEOF].
func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
