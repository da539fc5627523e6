// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// lockoutPeriod is how long an account stays locked.
const lockoutPeriod = 15 * time.Minute

// account counts the wrong passwords of one user.
type account struct {
	failures int
	locked   time.Time // until then
}

func badCredentials() *apiError {
	return &apiError{
		status: http.StatusForbidden, code: codeUnauthorized, module: moduleCommon,
		message: "The credentials were incorrect or the account specified has been locked.",
	}
}

// authenticate sets who calls, or returns why nobody may.
func (m *Manager) authenticate(c *call) error {
	if c.route == sessionCreate {
		return nil // its handler looks at the credentials
	}
	who, err := m.identify(c)
	if err != nil {
		return err
	}
	c.who = who
	return nil
}

func (m *Manager) identify(c *call) (Principal, error) {
	if header := c.r.Header.Get("Authorization"); header != "" {
		return m.s.authorize(header)
	}
	if cookie, err := c.r.Cookie(sessionCookie); err == nil {
		return m.resume(cookie.Value, c.r.Header.Get("X-Xsrf-Token"))
	}
	if c.r.TLS != nil && len(c.r.TLS.PeerCertificates) > 0 {
		for _, p := range m.s.principals {
			if p.Certificate != nil && p.Certificate.Equal(c.r.TLS.PeerCertificates[0]) {
				return p, nil
			}
		}
	}
	return Principal{}, badCredentials()
}

// authorize reads an Authorization header: Basic, Remote or Bearer.
func (s *Server) authorize(header string) (Principal, error) {
	scheme, value, _ := strings.Cut(header, " ")
	if strings.EqualFold(scheme, "Bearer") {
		return s.bearer(value)
	}
	remote := strings.EqualFold(scheme, "Remote")
	if !remote && !strings.EqualFold(scheme, "Basic") {
		return Principal{}, badCredentials()
	}
	pair, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return Principal{}, badCredentials()
	}
	name, password, _ := strings.Cut(string(pair), ":")
	return s.logIn(name, password, remote)
}

// logIn checks a password and counts the wrong ones.
func (s *Server) logIn(name, password string, remote bool) (Principal, error) {
	a := s.accounts[name]
	if a == nil {
		a = &account{}
		s.accounts[name] = a
	}
	if s.now().Before(a.locked) {
		return Principal{}, badCredentials()
	}
	for _, p := range s.principals {
		if p.Name == name && p.Password != "" && p.Password == password && p.Remote == remote {
			a.failures = 0
			return p, nil
		}
	}
	a.failures++
	if s.lockout > 0 && a.failures >= s.lockout {
		a.failures, a.locked = 0, s.now().Add(lockoutPeriod)
	}
	return Principal{}, badCredentials()
}

func (s *Server) bearer(token string) (Principal, error) {
	for _, p := range s.principals {
		if p.Token == "" || p.Token != token {
			continue
		}
		if exp, ok := expiry(token); ok && !s.now().Before(exp) {
			return Principal{}, s.expired()
		}
		return p, nil
	}
	return Principal{}, badCredentials()
}

// expiry returns the exp claim of a JWT.
func expiry(token string) (time.Time, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}, false
	}
	var claims struct {
		Expires float64 `json:"exp"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil || claims.Expires == 0 {
		return time.Time{}, false
	}
	return time.Unix(int64(claims.Expires), 0), true
}

func (s *Server) expired() *apiError {
	return &apiError{
		status: orDefault(s.switches.ExpiredSessionStatus, http.StatusForbidden), code: codeXSRF, module: moduleCommon,
		message: "The session or its XSRF token is missing, wrong or has expired.",
	}
}
