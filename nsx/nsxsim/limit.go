// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"fmt"
	"net/http"
	"time"
)

// meter measures one user's requests at one manager.
type meter struct {
	tokens   float64
	updated  time.Time
	inFlight int
}

// enter counts the request against the limits of the user and the manager.
func (m *Manager) enter(c *call) error {
	limits := m.s.limits
	user := c.who.Name
	if user == "" {
		user = c.r.RemoteAddr
	}
	use := m.meters[user]
	if use == nil {
		use = &meter{tokens: float64(limits.RequestsPerSecond), updated: m.s.now()}
		m.meters[user] = use
	}
	if limits.RequestsPerSecond > 0 && !use.take(m.s.now(), float64(limits.RequestsPerSecond)) {
		return &apiError{
			status: http.StatusTooManyRequests, code: codeRate, module: moduleCommon, textCode: true,
			message: fmt.Sprintf("Client '%s' exceeded request rate of %d per second", user, limits.RequestsPerSecond),
		}
	}
	if limits.Concurrent > 0 && m.inFlight >= limits.Concurrent {
		return overloaded(http.StatusServiceUnavailable, "The server exceeded request concurrency of %d", limits.Concurrent)
	}
	if limits.ConcurrentPerUser > 0 && use.inFlight >= limits.ConcurrentPerUser {
		return overloaded(orDefault(m.s.switches.ConcurrencyStatus, http.StatusServiceUnavailable),
			"Client '"+user+"' exceeded request concurrency of %d", limits.ConcurrentPerUser)
	}
	m.inFlight++
	use.inFlight++
	c.entered = true
	return nil
}

// release ends what enter began.
func (m *Manager) release(c *call) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	if !c.entered {
		return
	}
	user := c.who.Name
	if user == "" {
		user = c.r.RemoteAddr
	}
	m.inFlight--
	m.meters[user].inFlight--
}

func overloaded(status int, format string, limit int) *apiError {
	return &apiError{
		status: status, code: codeRate, module: moduleCommon, textCode: true,
		message: fmt.Sprintf(format, limit),
	}
}

// take spends one token of a bucket that holds a second's worth of them.
func (u *meter) take(now time.Time, perSecond float64) bool {
	u.tokens = min(perSecond, u.tokens+perSecond*now.Sub(u.updated).Seconds())
	u.updated = now
	if u.tokens < 1 {
		return false
	}
	u.tokens--
	return true
}
