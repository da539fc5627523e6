// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/viaduct-sdk/viaduct"
)

// Target is the endpoint that an authenticator works for.
type Target struct {
	// Base is the endpoint's URL, the key under which to keep a session.
	Base *url.URL

	// send does one request of the authenticator's own: no credentials, no
	// retries, the same limits, observer and log.
	send func(op string, req *http.Request) (Response, Class, error)
}

// Authenticator sets credentials on requests. Implementations are safe for
// concurrent use. [Header], [Certificate] and [Session] are what servers need.
type Authenticator interface {
	// Authenticate sets the credentials on one attempt, and makes a session
	// first if it must.
	Authenticate(req *http.Request, to Target) error

	// Refused is told that the server did not accept the credentials that
	// Authenticate set on req, and reports whether others may be had, so that
	// the request is worth a replay.
	Refused(req *http.Request, to Target, class Class, err error) (replay bool)
}

type certificateHolder interface{ clientCertificate() *tls.Certificate }

type sessionEnder interface {
	end(ctx context.Context, to Target) error
}

type noAuth struct{}

func (noAuth) Authenticate(*http.Request, Target) error         { return nil }
func (noAuth) Refused(*http.Request, Target, Class, error) bool { return false }

// Certificate authenticates with a TLS client certificate and sends nothing
// else.
type Certificate struct {
	noAuth
	Certificate tls.Certificate
}

func (c *Certificate) clientCertificate() *tls.Certificate { return &c.Certificate }

// Header authenticates with one header whose value a function supplies:
// a constant, or a token that is renewed elsewhere.
type Header struct {
	Name  string
	Value func(ctx context.Context) (string, error)

	// Renewable says that Value may return something else after a refusal.
	Renewable bool

	guard guard
}

// Authenticate sets the header. While the server's last refusal is fresh and
// the value is the same, it returns that refusal instead.
func (h *Header) Authenticate(req *http.Request, _ Target) error {
	value, err := h.Value(req.Context())
	if err != nil {
		return fmt.Errorf("%w: no credentials: %w", viaduct.ErrUnauthenticated, err)
	}
	if err := h.guard.refusal(value, time.Now()); err != nil {
		return err
	}
	req.Header.Set(h.Name, value)
	return nil
}

// Refused remembers the refusal, and asks for a replay if the value changed.
func (h *Header) Refused(req *http.Request, _ Target, _ Class, err error) bool {
	sent := req.Header.Get(h.Name)
	if h.Renewable {
		if fresh, ferr := h.Value(req.Context()); ferr == nil && fresh != sent {
			return true
		}
	}
	h.guard.refuse(sent, err, time.Now())
	return false
}

// Credentials that the server refused are not sent again for firstPenalty, and
// after each further refusal twice as long, up to maxPenalty: servers lock
// accounts.
const (
	firstPenalty = 2 * time.Minute
	maxPenalty   = 30 * time.Minute
)

// guard remembers the refusal of one set of credentials.
type guard struct {
	mu      sync.Mutex
	secret  string
	err     error
	until   time.Time
	penalty time.Duration
}

// refusal returns the server's refusal while it is fresh.
func (g *guard) refusal(secret string, now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil || g.secret != secret || !now.Before(g.until) {
		return nil
	}
	return &remembered{err: g.err}
}

func (g *guard) refuse(secret string, err error, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.secret != secret {
		g.penalty = 0
	}
	g.penalty = min(max(2*g.penalty, firstPenalty), maxPenalty)
	g.secret, g.err, g.until = secret, err, now.Add(g.penalty)
}

func (g *guard) accept() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.secret, g.err, g.penalty = "", nil, 0
}

// remembered is an earlier refusal, returned without asking the server again.
type remembered struct{ err error }

func (r *remembered) Error() string {
	return "not sent, the server refused these credentials: " + r.err.Error()
}

func (r *remembered) Unwrap() error { return r.err }

func (*remembered) Is(target error) bool { return target == viaduct.ErrUnauthenticated }
