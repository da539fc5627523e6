// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/viaduct-sdk/viaduct"
)

// Retry is how often and how patiently a request is tried. The zero value of
// each field stands for its default.
type Retry struct {
	// Attempts is the most times that a request is sent, the first included;
	// 6 by default. 1 means never to retry.
	Attempts int

	// MinWait is the pause after the first failure, 200 ms by default. It
	// doubles with each further one, up to MaxWait, 10 s by default. The
	// actual pause is drawn from the upper half of that, so that callers that
	// failed together don't return together.
	MinWait, MaxWait time.Duration

	// MaxRetryAfter is the longest Retry-After that is waited for, 60 s by
	// default. When the server asks for more, the request fails at once.
	MaxRetryAfter time.Duration

	// AttemptTimeout ends an attempt that takes longer, 60 s by default, so
	// that a server that hangs counts as a server that fails.
	AttemptTimeout time.Duration
}

func (r Retry) withDefaults() (Retry, error) {
	if r.Attempts < 0 || r.MinWait < 0 || r.MaxWait < 0 || r.MaxRetryAfter < 0 || r.AttemptTimeout < 0 {
		return r, fmt.Errorf("%w: negative number in the retry policy", viaduct.ErrInvalid)
	}
	if r.Attempts == 0 {
		r.Attempts = 6
	}
	if r.MinWait == 0 {
		r.MinWait = 200 * time.Millisecond
	}
	if r.MaxWait == 0 {
		r.MaxWait = 10 * time.Second
	}
	r.MaxWait = max(r.MaxWait, r.MinWait)
	if r.MaxRetryAfter == 0 {
		r.MaxRetryAfter = time.Minute
	}
	if r.AttemptTimeout == 0 {
		r.AttemptTimeout = time.Minute
	}
	return r, nil
}

// pause returns how long to wait after the nth failure, n counting from 0.
func (r Retry) pause(n int) time.Duration {
	d := r.MinWait
	for range n {
		if d >= r.MaxWait/2 {
			d = r.MaxWait
			break
		}
		d *= 2
	}
	//nolint:gosec // spreading retries needs no secret randomness
	return d/2 + time.Duration(rand.Int64N(int64(d/2)+1))
}

// Class is what a failure means for what to do next.
type Class int

// The classes of failures, from the most final to the least.
const (
	// Final: the answer stands.
	Final Class = iota
	// Rejected: the server does not accept the credentials. Nothing more is
	// sent with them for a while.
	Rejected
	// Expired: the session ended. It is renewed, and the request is replayed
	// once.
	Expired
	// Uncertain: the request may have taken effect. It is sent again if it is
	// idempotent, preferably to another endpoint.
	Uncertain
	// Overloaded: as Uncertain, and the server has too much to do, so that
	// the rate is lowered.
	Overloaded
	// Unsent: the request did not reach the server or was turned away before
	// any effect. It is sent again, preferably to another endpoint.
	Unsent
	// Busy: turned away before any effect because of something that passes,
	// such as another transaction. It is sent again as it is, after a pause.
	Busy
	// Throttled: turned away by a limit. It is sent again, later and slower.
	Throttled
)

// Outcome is one failed attempt.
type Outcome struct {
	Method string
	Status int   // 0: there was no answer, or it was garbled
	Err    error // what DecodeError made of it
	Cause  error // of the transport, when there was no answer
	Login  bool  // the attempt was to make a session
}

// Classify is the classification that most servers share; a server's own falls
// back to it. 429 is Throttled, 503 Overloaded; 502 and 504 are Uncertain; 401 is Expired,
// or Rejected when it answers a login, as does 403; a connection that could
// not be made is Unsent, a certificate that is not trusted is Final, and any
// other failure of the transport is Uncertain. Everything else is Final.
func Classify(o Outcome) Class {
	switch o.Status {
	case 0:
		return classifyTransport(o.Cause)
	case http.StatusTooManyRequests:
		return Throttled
	case http.StatusServiceUnavailable:
		return Overloaded
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return Uncertain
	case http.StatusUnauthorized:
		if o.Login {
			return Rejected
		}
		return Expired
	case http.StatusForbidden:
		if o.Login {
			return Rejected
		}
		return Final
	default:
		return Final
	}
}

func classifyTransport(err error) Class {
	if err == nil || IsCertificateError(err) {
		return Final
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return Unsent
	}
	return Uncertain
}

// retryAfter reads the Retry-After header, in seconds or as a date.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	value := h.Get("Retry-After")
	if value == "" {
		return 0, false
	}
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil {
		if seconds < 0 {
			return 0, false
		}
		return time.Duration(seconds) * time.Second, true
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return max(0, date.Sub(now)), true
}

// Sentinel returns the error of package viaduct that an HTTP status means on
// most servers, nil when it means none. Status 0, no answer, is
// [viaduct.ErrUnavailable].
func Sentinel(status int) error {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusMethodNotAllowed:
		return viaduct.ErrInvalid
	case http.StatusUnauthorized:
		return viaduct.ErrUnauthenticated
	case http.StatusForbidden:
		return viaduct.ErrForbidden
	case http.StatusNotFound, http.StatusGone:
		return viaduct.ErrNotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return viaduct.ErrConflict
	case http.StatusTooManyRequests:
		return viaduct.ErrRateLimited
	case http.StatusNotImplemented:
		return viaduct.ErrUnsupported
	default:
		if status == 0 || status >= 500 {
			return viaduct.ErrUnavailable
		}
		return nil
	}
}
