// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcentersim

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	sessionHeader = "vmware-api-session-id"
	sessionCookie = "vmware_soap_session"
)

// session is one login of the REST API.
type session struct {
	user          User
	created, used time.Time
}

// sessions are the logins that are alive. Those of SOAP live in govmomi's
// simulator; here is only when they were used last.
type sessions struct {
	users []User
	idle  time.Duration
	max   int

	mu     sync.Mutex
	rest   map[string]*session
	soap   map[string]time.Time
	logins int
}

func newSessions(o options) *sessions {
	return &sessions{
		users: o.users, idle: o.idle, max: o.maxSessions,
		rest: map[string]*session{}, soap: map[string]time.Time{},
	}
}

// user checks a name and a password.
func (s *sessions) user(name, password string) (User, error) {
	for _, u := range s.users {
		if !strings.EqualFold(u.Name, name) || u.Password != password {
			continue
		}
		if u.PasswordExpired {
			return User{}, &apiError{
				status: http.StatusUnauthorized, kind: "UNAUTHENTICATED",
				id: "com.vmware.identity.password.expired", text: "User password expired.",
			}
		}
		return u, nil
	}
	return User{}, unauthenticated()
}

func (s *sessions) login(u User) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	if s.max > 0 && len(s.rest) >= s.max {
		return "", &apiError{
			status: http.StatusServiceUnavailable, kind: "SERVICE_UNAVAILABLE",
			id: "com.vmware.vapi.endpoint.session.limit", text: "The maximum number of sessions is reached.",
		}
	}
	id := strings.ReplaceAll(uuid.NewString(), "-", "")
	now := time.Now()
	s.rest[id] = &session{user: u, created: now, used: now}
	s.logins++
	return id, nil
}

// use returns the user of a session that is alive, and keeps it alive.
func (s *sessions) use(id string) (User, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	live, ok := s.rest[id]
	if !ok {
		return User{}, false
	}
	live.used = time.Now()
	return live.user, true
}

// sweep ends the sessions that were idle for too long. The caller holds mu.
func (s *sessions) sweep() {
	now := time.Now()
	for id, live := range s.rest {
		if now.Sub(live.used) >= s.idle {
			delete(s.rest, id)
		}
	}
}

// touch keeps a SOAP session alive and reports whether it still was.
func (s *sessions) touch(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	used, ok := s.soap[key]
	if ok && now.Sub(used) >= s.idle {
		delete(s.soap, key)
		return false
	}
	s.soap[key] = now
	return true
}

// ExpireSessions ends every session, of REST and of SOAP, and the waits for
// updates that run in them, as a restart of vCenter's services does.
func (s *Server) ExpireSessions() {
	s.sessions.mu.Lock()
	clear(s.sessions.rest)
	clear(s.sessions.soap)
	s.sessions.mu.Unlock()
	s.vim.expireAll()
}

// Sessions returns how many sessions of the REST API and of SOAP are alive.
func (s *Server) Sessions() (rest, soap int) {
	s.sessions.mu.Lock()
	s.sessions.sweep()
	rest = len(s.sessions.rest)
	s.sessions.mu.Unlock()
	return rest, s.vim.sessionCount()
}

// Logins returns how many logins succeeded so far, at the REST API and at
// SOAP.
func (s *Server) Logins() (rest, soap int) {
	s.sessions.mu.Lock()
	rest = s.sessions.logins
	s.sessions.mu.Unlock()
	return rest, s.vim.loginCount()
}

func (s *Server) createSession(w http.ResponseWriter, r *http.Request) {
	name, password, _ := r.BasicAuth()
	user, err := s.sessions.user(name, password)
	if err != nil {
		writeError(w, r, err)
		return
	}
	id, err := s.sessions.login(user)
	if err != nil {
		writeError(w, r, err)
		return
	}
	s.answer(w, &call{Request: r}, func(*call) (any, error) { return created{id}, nil })
}

func (s *Server) getSession(c *call) (any, error) {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	live, ok := s.sessions.rest[c.token]
	if !ok {
		return nil, unauthenticated()
	}
	return map[string]any{
		"user":               live.user.Name,
		"created_time":       live.created.UTC(),
		"last_accessed_time": live.used.UTC(),
	}, nil
}

func (s *Server) deleteSession(c *call) (any, error) {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	delete(s.sessions.rest, c.token)
	if isLegacy(c.Request) {
		return map[string]any{}, nil
	}
	return nil, nil //nolint:nilnil // an empty answer is one
}

// legacySession serves the older endpoint, where ?~action=get reads.
func (s *Server) legacySession(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("~action") == "get" {
		s.private(s.getSession)(w, r)
		return
	}
	s.createSession(w, r)
}
