// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/viaduct-sdk/viaduct"
)

// Session authenticates with a session for each endpoint. It is made when the
// first request needs it, once for all requests that wait for it, and made
// again when the server says that it ended. Set the functions before first
// use.
type Session struct {
	// Login returns the request that makes a session at base, and a string
	// that changes when the credentials do.
	Login func(ctx context.Context, base *url.URL) (req *http.Request, secret string, err error)

	// Token returns the headers that later requests carry, taken from the
	// answer to a login that succeeded.
	Token func(res Response) (http.Header, error)

	// Logout returns the request that ends a session; nil when there is none.
	// The session's headers are set on it afterwards.
	Logout func(ctx context.Context, base *url.URL) (*http.Request, error)

	guard guard
	mu    sync.Mutex
	seats map[string]*seat
}

// seat holds the session of one endpoint. Whoever holds the lock, a channel so
// that waiting for it ends with the context, may read and change the token.
type seat struct {
	lock  chan struct{}
	token http.Header
}

// errLogin is a login that failed, and how.
type errLogin struct {
	class Class
	err   error
}

func (e *errLogin) Error() string { return e.err.Error() }
func (e *errLogin) Unwrap() error { return e.err }

// Authenticate sets the session's headers, after making the session if there
// is none.
func (s *Session) Authenticate(req *http.Request, to Target) error {
	seat, err := s.take(req.Context(), to)
	if err != nil {
		return err
	}
	defer seat.leave()
	if seat.token == nil {
		if seat.token, err = s.login(req.Context(), to); err != nil {
			return err
		}
	}
	maps.Copy(req.Header, seat.token)
	return nil
}

// Refused forgets the session that req carried, unless somebody renewed it
// already, and asks for a replay.
func (s *Session) Refused(req *http.Request, to Target, _ Class, _ error) bool {
	seat, err := s.take(req.Context(), to)
	if err != nil {
		return false
	}
	defer seat.leave()
	for name := range seat.token {
		if req.Header.Get(name) != seat.token.Get(name) {
			return true
		}
	}
	seat.token = nil
	return true
}

func (s *Session) login(ctx context.Context, to Target) (http.Header, error) {
	req, secret, err := s.Login(ctx, to.Base)
	if err != nil {
		return nil, fmt.Errorf("%w: no credentials: %w", viaduct.ErrUnauthenticated, err)
	}
	if err := s.guard.refusal(secret, time.Now()); err != nil {
		return nil, err
	}
	res, class, err := to.send("log in", req)
	if err != nil {
		if class == Rejected {
			s.guard.refuse(secret, err, time.Now())
		}
		return nil, &errLogin{class: class, err: err}
	}
	s.guard.accept()
	given, err := s.Token(res)
	if err != nil {
		return nil, fmt.Errorf("%w: login: %w", viaduct.ErrUnauthenticated, err)
	}
	token := make(http.Header, len(given))
	for name, values := range given {
		token[http.CanonicalHeaderKey(name)] = values
	}
	return token, nil
}

// end logs out of one endpoint. Without a session it does nothing.
func (s *Session) end(ctx context.Context, to Target) error {
	seat, err := s.take(ctx, to)
	if err != nil {
		return err
	}
	defer seat.leave()
	token := seat.token
	seat.token = nil
	if token == nil || s.Logout == nil {
		return nil
	}
	req, err := s.Logout(ctx, to.Base)
	if err != nil {
		return err
	}
	maps.Copy(req.Header, token)
	_, _, err = to.send("log out", req)
	return err
}

func (s *Session) take(ctx context.Context, to Target) (*seat, error) {
	s.mu.Lock()
	if s.seats == nil {
		s.seats = map[string]*seat{}
	}
	key := to.Base.String()
	found := s.seats[key]
	if found == nil {
		found = &seat{lock: make(chan struct{}, 1)}
		s.seats[key] = found
	}
	s.mu.Unlock()
	select {
	case found.lock <- struct{}{}:
		return found, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (s *seat) leave() { <-s.lock }
