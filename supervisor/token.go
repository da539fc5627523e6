// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Token is a bearer token of a Kubernetes API. It prints and logs without its
// value.
type Token struct {
	Value string
	// Expires is when the server will refuse it, by this machine's clock.
	Expires time.Time
}

// String returns when the token expires, and not the token.
func (t Token) String() string {
	return "supervisor.Token(expires " + t.Expires.UTC().Format(time.RFC3339) + ")"
}

// GoString returns what String returns.
func (t Token) GoString() string { return t.String() }

// LogValue returns what String returns.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// How long a token is taken to live that does not say, and how long a failure
// to renew one that is still good keeps it from being tried again.
const (
	unknownLifetime = 10 * time.Minute
	renewPause      = 10 * time.Second
)

// parseToken reads the expiry of a JWT that was issued now. It does not verify
// the token: that is for the server to do. The lifetime counts from now, so that
// clocks that disagree do no harm.
func parseToken(value string, now time.Time) (Token, time.Duration) {
	var claims struct {
		Expires float64 `json:"exp"`
		Issued  float64 `json:"iat"`
	}
	lifetime := unknownLifetime
	if parts := strings.Split(value, "."); len(parts) == 3 {
		payload, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err == nil && json.Unmarshal(payload, &claims) == nil && claims.Expires > 0 {
			issued := claims.Issued
			if issued <= 0 || issued >= claims.Expires {
				issued = float64(now.UnixNano()) / float64(time.Second)
			}
			lifetime = max(0, time.Duration((claims.Expires-issued)*float64(time.Second)))
		}
	}
	return Token{Value: value, Expires: now.Add(lifetime)}, lifetime
}

// TokenSource hands out a token and renews it while it is still good. It is
// safe for concurrent use; all who need a new token at the same time share one
// login.
type TokenSource struct {
	login func(context.Context) (string, error)

	mu      sync.Mutex
	token   Token
	renewAt time.Time
	flight  *flight
}

// flight is a login under way. It ends when nobody waits for it any more.
type flight struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiting int
	token   Token
	err     error
}

func newTokenSource(login func(context.Context) (string, error)) *TokenSource {
	return &TokenSource{login: login}
}

// Token returns a token that is good for a while. It logs in when there is none,
// or when a tenth of the token's life, a minute at least, is all that is left of
// it; should that fail, it returns the old token while that is good.
//
// Errors match [viaduct.ErrUnauthenticated] when the password is refused, and
// [viaduct.ErrUnavailable] when the Supervisor can't be reached.
func (s *TokenSource) Token(ctx context.Context) (Token, error) {
	f, token := s.join(ctx)
	if f == nil {
		return token, nil
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		s.leave(f)
		return Token{}, context.Cause(ctx)
	}
	if f.err == nil {
		return f.token, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token.Value != "" && time.Now().Before(s.token.Expires) {
		return s.token, nil
	}
	return Token{}, f.err
}

// Invalidate forgets the token with this value, because the server refused it.
// A newer one is kept.
func (s *TokenSource) Invalidate(value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token.Value == value {
		s.token, s.renewAt = Token{}, time.Time{}
	}
}

// join returns the token when it need not be renewed, or else the login to wait
// for, which it starts if there is none.
func (s *TokenSource) join(ctx context.Context) (*flight, Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); s.token.Value != "" && now.Before(s.renewAt) && now.Before(s.token.Expires) {
		return nil, s.token
	}
	if s.flight == nil {
		// Others may wait for the login after this caller has left.
		shared, cancel := context.WithCancel(context.WithoutCancel(ctx))
		s.flight = &flight{done: make(chan struct{}), cancel: cancel}
		go s.fly(shared, s.flight)
	}
	s.flight.waiting++
	return s.flight, Token{}
}

func (s *TokenSource) leave(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.waiting--
	if f.waiting == 0 {
		f.cancel()
		if s.flight == f {
			s.flight = nil
		}
	}
}

func (s *TokenSource) fly(ctx context.Context, f *flight) {
	defer f.cancel()
	value, err := s.login(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(f.done)
	switch {
	case err == nil:
		f.token = s.keep(value, time.Now())
	case ctx.Err() == nil:
		s.renewAt = time.Now().Add(renewPause)
	}
	f.err = err
	if s.flight == f {
		s.flight = nil
	}
}

// keep makes value the token to hand out.
func (s *TokenSource) keep(value string, now time.Time) Token {
	token, lifetime := parseToken(value, now)
	s.token = token
	s.renewAt = now.Add(lifetime - min(max(lifetime/10, time.Minute), lifetime/2))
	return token
}
