// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// FaultKind is what goes wrong with a request.
type FaultKind string

// The kinds of faults.
const (
	// FaultStatus answers with Status, and Code in NSX's error envelope.
	FaultStatus FaultKind = "status"
	// FaultReset resets the connection before anything is answered.
	FaultReset FaultKind = "reset"
	// FaultDelay answers as usual, only later.
	FaultDelay FaultKind = "delay"
	// FaultTruncate ends the connection halfway through the answer's body.
	FaultTruncate FaultKind = "truncate"
	// FaultMalformed answers with a body that is not JSON.
	FaultMalformed FaultKind = "malformed"
)

// Fault is something to go wrong with the requests that match it. The first
// armed fault that matches a request is applied.
type Fault struct {
	// Method is an HTTP method; empty matches all.
	Method string
	// Route is the path of the URL, with or without /policy/api/v1, in which a
	// part in braces or * matches any one part and a last part ... matches all
	// that follow; empty matches all.
	Route string
	Kind  FaultKind
	// Delay is how long the request waits before anything else happens, with
	// every kind.
	Delay time.Duration
	// Status and Code are of FaultStatus; TextCode sends the code as a JSON
	// string. A zero Code sends no envelope.
	Status   int
	Code     int
	TextCode bool
	// Body is sent as it is, instead of NSX's envelope, by FaultStatus.
	Body string
	// Header is added to the answer of FaultStatus.
	Header http.Header
	// AfterEffect lets the request take effect before FaultStatus or
	// FaultReset hides the answer. The other kinds always do.
	AfterEffect bool
	// Skip lets the first matching requests pass, Times is how many are then
	// hit; zero means one, negative means all.
	Skip  int
	Times int
}

// armedFault is a fault that has hits left.
type armedFault struct {
	Fault
	skip, left int
}

// Inject arms a fault.
func (s *Server) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &armedFault{Fault: f, skip: f.Skip, left: orDefault(f.Times, 1)})
}

// ClearFaults disarms every fault.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// nextFault returns the fault for the request, nil when there is none.
func (s *Server) nextFault(c *call) *Fault {
	for _, f := range s.faults {
		if f.left == 0 || !f.matches(c.r.Method, c.url) {
			continue
		}
		if f.skip > 0 {
			f.skip--
			continue
		}
		if f.left > 0 {
			f.left--
		}
		c.seen.Fault = f.Kind
		return &f.Fault
	}
	return nil
}

func (f *Fault) matches(method, path string) bool {
	if f.Method != "" && f.Method != method {
		return false
	}
	return f.Route == "" || matchRoute(f.Route, path) || matchRoute(policyBase+f.Route, path)
}

func matchRoute(pattern, path string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "/..."); ok {
		parts := strings.Count(prefix, "/") + 1
		all := strings.Split(path, "/")
		if len(all) <= parts {
			return false
		}
		pattern, path = prefix, strings.Join(all[:parts], "/")
	}
	want, have := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(have) {
		return false
	}
	for i := range want {
		if want[i] != have[i] && want[i] != "*" && !strings.HasPrefix(want[i], "{") {
			return false
		}
	}
	return true
}

func (f *Fault) afterEffect() bool {
	return f.AfterEffect || f.Kind == FaultDelay || f.Kind == FaultTruncate || f.Kind == FaultMalformed
}

// reply returns the answer of a fault that hides the real one.
func (f *Fault) reply() *reply {
	r := &reply{status: f.Status, header: f.Header.Clone(), body: []byte(f.Body)}
	if f.Kind == FaultStatus && f.Code != 0 && f.Body == "" {
		r = encodeError(&apiError{
			status: f.Status, code: f.Code, module: moduleCommon, textCode: f.TextCode,
			message: "an injected fault", header: f.Header,
		})
	}
	return r
}

// notJSON is the answer of a proxy that has lost its server.
const notJSON = "<html><head><title>502 Bad Gateway</title></head>"

// sendBroken sends the reply as the fault demands, by taking over the
// connection, and reports whether it did.
func (f *Fault) sendBroken(w http.ResponseWriter, r *reply) bool {
	switch f.Kind {
	case FaultMalformed:
		r.malform()
		return false
	case FaultReset, FaultTruncate:
	default:
		return false
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		// HTTP/2 and recorders have no connection to break.
		w.WriteHeader(http.StatusBadGateway)
		return true
	}
	if f.Kind == FaultReset {
		_ = reset(conn) // it is gone either way
		return true
	}
	defer func() { _ = conn.Close() }() // it is gone either way
	var raw bytes.Buffer
	fmt.Fprintf(&raw, "HTTP/1.1 %d %s\r\n", r.status, http.StatusText(r.status))
	r.header.Set("Content-Length", strconv.Itoa(len(r.body)+1))
	_ = r.header.Write(&raw) // a buffer takes everything
	raw.WriteString("\r\n")
	raw.Write(r.body[:len(r.body)/2])
	_, _ = conn.Write(raw.Bytes()) // the client went away
	return true
}

func (r *reply) malform() {
	r.body = []byte(notJSON)
	r.header.Set("Content-Type", "text/html")
}
