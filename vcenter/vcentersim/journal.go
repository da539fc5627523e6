// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcentersim

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"
)

// Request is one request that the simulator saw.
type Request struct {
	Method string
	// Path is the path without the query.
	Path string
	// Query is the raw query.
	Query string
	// Route is the path's template, such as
	// /api/vcenter/namespaces/instances/{namespace}, or for SOAP the path and
	// the operation: /sdk#RetrievePropertiesEx.
	Route string
	// Status is the answer's status, zero while there is no answer.
	Status int
}

// FaultKind is what a fault does.
type FaultKind string

// The kinds of fault.
const (
	// FaultError answers with Status and Code.
	FaultError FaultKind = ""
	// FaultExpire ends all sessions, then serves the request.
	FaultExpire FaultKind = "expire"
	// FaultDelay waits for Delay, then serves the request.
	FaultDelay FaultKind = "delay"
	// FaultDrop closes the connection without an answer.
	FaultDrop FaultKind = "drop"
	// FaultDropAfter serves the request, then closes the connection without
	// an answer.
	FaultDropAfter FaultKind = "drop-after"
)

// Fault is a misbehaviour of the server. Empty Method and Route match each
// request; Route is a [Request]'s.
type Fault struct {
	Method, Route string
	Kind          FaultKind
	// Status, Code (error_type) and Message are what FaultError answers with.
	// For SOAP, Code names the fault: NotAuthenticated and so on.
	Status        int
	Code, Message string
	// Header is added to what FaultError answers with.
	Header http.Header
	Delay  time.Duration
	// Skip lets so many matching requests pass first.
	Skip int
	// Times is how often the fault strikes; zero is once, negative is always.
	Times int
}

// Inject adds a fault. Of several that match, the first added strikes.
func (s *Server) Inject(f Fault) { s.journal.inject(f) }

// Requests returns what the simulator saw, in the order of arrival.
func (s *Server) Requests() []Request { return s.journal.all() }

// Unsimulated returns the requests that the simulator answered with 501, each
// once, in the order of arrival.
func (s *Server) Unsimulated() []string { return s.journal.missing() }

// journal keeps what was seen and what goes wrong next.
type journal struct {
	mu          sync.Mutex
	requests    []Request
	unsimulated []string
	faults      []*Fault
}

// begin records a request and returns what records its answer.
func (j *journal) begin(r *http.Request, route string) func(status int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	i := len(j.requests)
	j.requests = append(j.requests, Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Route: route})
	return func(status int) {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.requests[i].Status = status
	}
}

func (j *journal) all() []Request {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.requests)
}

func (j *journal) addUnsimulated(request string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !slices.Contains(j.unsimulated, request) {
		j.unsimulated = append(j.unsimulated, request)
	}
}

func (j *journal) missing() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.unsimulated)
}

func (j *journal) inject(f Fault) {
	if f.Times == 0 {
		f.Times = 1
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.faults = append(j.faults, &f)
}

// fault takes the fault that strikes the request, if one does.
func (j *journal) fault(method, route string) (Fault, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, f := range j.faults {
		if f.Method != "" && f.Method != method || f.Route != "" && f.Route != route {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Times > 0 {
			f.Times--
			if f.Times == 0 {
				j.faults = slices.Delete(j.faults, i, i+1)
			}
		}
		return *f, true
	}
	return Fault{}, false
}

// inject applies a fault and reports whether the request is done with.
func (s *Server) inject(w http.ResponseWriter, r *http.Request, f Fault, serve http.HandlerFunc) bool {
	switch f.Kind {
	case FaultExpire:
		s.ExpireSessions()
		return false
	case FaultDelay:
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		case <-s.ctx.Done():
		}
		return false
	case FaultDrop:
		panic(http.ErrAbortHandler) // how net/http is told to hang up
	case FaultDropAfter:
		serve(&statusWriter{ResponseWriter: httptest.NewRecorder()}, r)
		panic(http.ErrAbortHandler) // how net/http is told to hang up
	default:
		maps.Copy(w.Header(), f.Header)
		switch {
		case f.Code == "":
			w.WriteHeader(f.Status)
			return true
		case s.vim.serves(r.URL.Path):
			writeSOAPFault(w, f.Code, f.Message)
			return true
		}
		writeError(w, r, &apiError{status: f.Status, kind: f.Code, id: "viaduct.vcentersim.injected", text: f.Message})
		return true
	}
}
