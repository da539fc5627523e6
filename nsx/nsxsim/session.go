// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	sessionCookie  = "JSESSIONID"
	sessionCreate  = "/api/session/create"
	sessionDestroy = "/api/session/destroy"
)

// session is a login at one manager.
type session struct {
	who  Principal
	xsrf string
	used time.Time
}

func sessionRoutes() []route {
	return []route{
		newRoute(http.MethodPost, sessionCreate, createSession),
		newRoute(http.MethodPost, sessionDestroy, destroySession),
		newRoute(http.MethodGet, sessionDestroy, destroySession),
	}
}

// createSession logs in with a form, or with the credentials of the
// Authorization header.
func createSession(c *call) (any, error) {
	who, err := c.credentials()
	if err != nil {
		return nil, err
	}
	id := strings.ToUpper(strings.ReplaceAll(c.s.newUUID(), "-", ""))
	opened := &session{who: who, xsrf: c.s.newUUID(), used: c.s.now()}
	c.m.sessions[id] = opened
	cookie := http.Cookie{Name: sessionCookie, Value: id, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	c.seen.User = who.Name
	return &reply{status: http.StatusOK, header: http.Header{
		"Set-Cookie":   {cookie.String()},
		"X-Xsrf-Token": {opened.xsrf},
	}}, nil
}

func (c *call) credentials() (Principal, error) {
	if header := c.r.Header.Get("Authorization"); header != "" {
		return c.s.authorize(header)
	}
	form, err := url.ParseQuery(string(c.sent))
	if err != nil || !form.Has("j_username") {
		return Principal{}, badCredentials()
	}
	return c.s.logIn(form.Get("j_username"), form.Get("j_password"), false)
}

func destroySession(c *call) (any, error) {
	if cookie, err := c.r.Cookie(sessionCookie); err == nil {
		delete(c.m.sessions, cookie.Value)
	}
	return nil, nil //nolint:nilnil // an empty body
}

// resume returns whose session it is. A session ends when it is idle for too
// long; the manager then forgets it.
func (m *Manager) resume(id, xsrf string) (Principal, error) {
	open := m.sessions[id]
	now := m.s.now()
	switch {
	case open == nil:
		return Principal{}, m.s.expired()
	case now.Sub(open.used) >= m.s.sessionTimeout:
		delete(m.sessions, id)
		return Principal{}, m.s.expired()
	case open.xsrf != xsrf:
		return Principal{}, m.s.expired()
	}
	open.used = now
	return open.who, nil
}

// ExpireSessions ends every session of every manager, as a restart of the API
// service does.
func (s *Server) ExpireSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.managers {
		clear(m.sessions)
	}
}
