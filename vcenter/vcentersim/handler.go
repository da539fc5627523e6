// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcentersim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
)

// bodyLimit is more than any request that the simulator understands.
const bodyLimit = 16 << 20

// ServeHTTP serves SOAP and REST. It keeps the journal and applies the faults
// that were injected.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, bodyLimit))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	rec := &statusWriter{ResponseWriter: w}
	serve, route, known := s.dispatch(r, body)
	if !known {
		s.journal.addUnsimulated(r.Method + " " + r.URL.Path)
	}
	done := s.journal.begin(r, route)
	defer func() { done(rec.status) }()
	if f, hit := s.journal.fault(r.Method, route); hit && s.inject(rec, r, f, serve) {
		return
	}
	serve(rec, r)
}

// dispatch finds what answers the request, and the route that names it.
func (s *Server) dispatch(r *http.Request, body []byte) (serve http.HandlerFunc, route string, known bool) {
	if s.vim.serves(r.URL.Path) {
		call := parseSOAP(body)
		return func(w http.ResponseWriter, r *http.Request) { s.vim.serve(w, r, call) }, r.URL.Path + "#" + call.method, true
	}
	mux, ok := s.handler.(*http.ServeMux)
	if !ok {
		return s.handler.ServeHTTP, r.URL.Path, true
	}
	_, pattern := mux.Handler(r)
	if pattern == "" {
		return unsimulated, r.URL.Path, false
	}
	_, route, _ = strings.Cut(pattern, " ")
	return mux.ServeHTTP, route, true
}

// unsimulated answers for what the simulator lacks. A vCenter would never
// answer so.
func unsimulated(w http.ResponseWriter, r *http.Request) {
	writeError(w, r, &apiError{
		status: http.StatusNotImplemented, kind: "UNSUPPORTED",
		id: "viaduct.vcentersim.unsimulated", text: fmt.Sprintf("vcentersim does not simulate %s %s", r.Method, r.URL.Path),
	})
}

// endpoint answers one REST call. A nil value without an error is an empty
// answer.
type endpoint func(c *call) (any, error)

// call is one REST request with its user.
type call struct {
	*http.Request
	user  User
	token string
}

// decode reads the request's body, which a client may leave out.
func (c *call) decode(into any) error {
	body, err := io.ReadAll(c.Body)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return &apiError{
			status: http.StatusBadRequest, kind: "UNEXPECTED_INPUT",
			id: "vapi.bindings.typeconverter.fromvalue.error", text: "the request's body is not what the operation takes: " + err.Error(),
		}
	}
	return nil
}

// private serves an endpoint that takes a session.
func (s *Server) private(do endpoint) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token := r.Header.Get(sessionHeader)
		user, ok := s.sessions.use(token)
		if !ok {
			writeError(w, r, unauthenticated())
			return
		}
		s.answer(w, &call{Request: r, user: user, token: token}, do)
	}
}

func (s *Server) answer(w http.ResponseWriter, c *call, do endpoint) {
	value, err := do(c)
	if err != nil {
		writeError(w, c.Request, err)
		return
	}
	status := http.StatusOK
	if created, ok := value.(created); ok {
		status, value = http.StatusCreated, created.value
	}
	if value == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if isLegacy(c.Request) {
		value = map[string]any{"value": value}
		status = http.StatusOK
	}
	writeJSON(w, status, value)
}

// created is a value that is answered with 201.
type created struct{ value any }

// isLegacy tells the older REST endpoint, which wraps values, from the newer.
func isLegacy(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/rest/") }

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// inProcess carries requests into the handler without a connection.
type inProcess struct{ s *Server }

// RoundTrip implements [http.RoundTripper].
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, context.Cause(r.Context())
	}
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	in.RemoteAddr = "192.0.2.1:40000"
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	end := make(chan any, 1)
	go func() {
		defer func() { end <- recover() }()
		t.s.ServeHTTP(rec, in)
	}()
	select {
	case <-r.Context().Done():
		return nil, context.Cause(r.Context())
	case broken := <-end:
		if broken != nil {
			return nil, io.ErrUnexpectedEOF
		}
		res := rec.Result()
		res.Request = r
		return res, nil
	}
}

// discardLogger keeps the HTTP server's complaints about clients that hang up
// or distrust the certificate out of the program's output.
//
//nolint:forbidigo // net/http takes no other kind of logger; this one prints nothing
func discardLogger() *log.Logger { return log.New(io.Discard, "", 0) }
