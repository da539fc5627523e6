// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Manager is one node of the simulated cluster. All nodes serve the same
// state; sessions, rate limits and availability are each node's own.
type Manager struct {
	s        *Server
	host     string
	stopped  bool // guarded by s.mu, as is all that follows
	listener *listener
	sessions map[string]*session
	meters   map[string]*meter
	inFlight int
}

// URL returns the URL of this node: its name in process, or its listener's
// address once [Manager.ListenTLS] has opened one.
func (m *Manager) URL() string {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	if m.listener != nil {
		return "https://" + m.listener.addr
	}
	return "https://" + m.host
}

// Stop takes the node down: connections to it are refused, in process and on
// its listener, and its sessions are lost. Stopping a stopped node does
// nothing.
func (m *Manager) Stop() {
	m.s.mu.Lock()
	m.stopped = true
	clear(m.sessions)
	l := m.listener
	m.s.mu.Unlock()
	if l != nil {
		l.close()
	}
}

// Start brings a stopped node back under the same URL. Starting a running node
// does nothing. It returns an error when the listener's address is taken.
func (m *Manager) Start() error {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	if m.stopped && m.listener != nil {
		if err := m.listener.open(m); err != nil {
			return err
		}
	}
	m.stopped = false
	m.s.notify()
	return nil
}

// reply is one answer, complete before any of it is sent.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// encode turns what a handler returned into a reply.
func encode(value any, err error) *reply {
	if err != nil {
		return encodeError(err)
	}
	switch v := value.(type) {
	case *reply:
		return v
	case nil:
		return &reply{status: http.StatusOK}
	case json.RawMessage:
		return &reply{status: http.StatusOK, body: v}
	}
	body, err := json.Marshal(value)
	if err != nil {
		return encodeError(err)
	}
	return &reply{status: http.StatusOK, body: body}
}

func encodeError(err error) *reply {
	e, ok := errors.AsType[*apiError](err)
	if !ok {
		e = &apiError{status: http.StatusInternalServerError, code: 513, module: moduleCommon, message: err.Error()}
	}
	// A map of strings and numbers always encodes.
	body, _ := json.Marshal(e.body())
	return &reply{status: e.status, header: e.header.Clone(), body: body}
}

// answer handles one request: everything but reading and sending it. The
// fault, if any, tells how to send the reply.
func (m *Manager) answer(r *http.Request, body []byte) (*reply, *Fault) {
	c := newCall(m, r, body)
	fault, err := m.admit(c)
	defer m.release(c)
	var result *reply
	switch {
	case fault != nil && !fault.afterEffect():
		result, err = fault.reply(), nil
		wait(r.Context(), fault.Delay)
	case err != nil:
		result = encodeError(err)
	default:
		if fault != nil {
			wait(r.Context(), fault.Delay)
		}
		result = encode(m.s.handle(c))
		if fault != nil && fault.Kind == FaultStatus {
			result = fault.reply()
		}
	}
	m.finish(c, result)
	return result, fault
}

// admit records the request, finds the fault meant for it, and lets it in: by
// its credentials and within the limits.
func (m *Manager) admit(c *call) (*Fault, error) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	m.s.record(c)
	fault := m.s.nextFault(c)
	if err := m.authenticate(c); err != nil {
		return fault, err
	}
	c.seen.User = c.who.Name
	return fault, m.enter(c)
}

func (m *Manager) finish(c *call, result *reply) {
	if result.header == nil {
		result.header = http.Header{}
	}
	result.header.Set("X-Nsx-Requestid", m.s.newUUID())
	if len(result.body) > 0 && result.header.Get("Content-Type") == "" {
		result.header.Set("Content-Type", "application/json")
	}
	if seconds := m.s.switches.RetryAfter; seconds > 0 &&
		(result.status == http.StatusTooManyRequests || result.status == http.StatusServiceUnavailable) {
		result.header.Set("Retry-After", strconv.Itoa(seconds))
	}
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	c.seen.Status = result.status
}

// handle runs the request's handler under the server's one lock.
func (s *Server) handle(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.handler == nil {
		return nil, c.unsimulated()
	}
	s.purge(s.now())
	return c.handler(c)
}

// wait lets time pass, unless the request ends first.
func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// ServeHTTP answers one request, as the node that this is.
func (m *Manager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client went away
	}
	result, fault := m.answer(r, body)
	if fault != nil && fault.sendBroken(w, result) {
		return
	}
	maps.Copy(w.Header(), result.header)
	w.Header().Set("Content-Length", strconv.Itoa(len(result.body)))
	w.WriteHeader(result.status)
	_, _ = w.Write(result.body) // the client went away
}

// reset closes the connection without a farewell.
func reset(conn net.Conn) error {
	if wrapped, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = wrapped.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // then the close is an ordinary one
	}
	return conn.Close()
}
