// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limit is what a server allows one user of one endpoint. The zero value limits
// nothing.
type Limit struct {
	// PerSecond is the rate to start with and never to exceed. It halves when
	// the server throttles, whatever else happened meanwhile, but once per
	// second; each second without throttling gives a tenth of PerSecond back.
	PerSecond float64

	// InFlight is the most requests under way at the same time.
	InFlight int
}

// period is how long a change of the rate is given to show its effect. Servers
// count by the second.
const period = time.Second

// limiter is the adaptive limiter of one endpoint.
type limiter struct {
	limit Limit
	slots chan struct{} // nil: any number
	rate  *rate.Limiter // nil: any rate

	// turn is held by the one who waits for the rate. The others wait for the
	// turn and not for times of their own, which a change of the rate would
	// not reach any more.
	turn chan struct{}

	mu      sync.Mutex
	changed time.Time
	slowed  bool // by the last change
}

func newLimiter(limit Limit) *limiter {
	l := &limiter{limit: limit, turn: make(chan struct{}, 1)}
	if limit.InFlight > 0 {
		l.slots = make(chan struct{}, limit.InFlight)
	}
	if limit.PerSecond > 0 {
		l.rate = rate.NewLimiter(rate.Limit(limit.PerSecond), max(1, int(limit.PerSecond/10)))
	}
	return l
}

// acquire waits for a slot and for the rate. The caller must call the function
// that it returns when the request is over.
func (l *limiter) acquire(ctx context.Context) (release func(), err error) {
	release = func() {}
	if l.slots != nil {
		select {
		case l.slots <- struct{}{}:
			release = func() { <-l.slots }
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if err := l.wait(ctx); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// wait waits for the rate.
func (l *limiter) wait(ctx context.Context) error {
	if l.rate == nil {
		return nil
	}
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	reserved := l.rate.Reserve()
	delay := reserved.Delay()
	if delay == 0 {
		return nil
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		reserved.Cancel()
		return context.Cause(ctx)
	}
}

// throttled halves the rate, down to one request per second.
func (l *limiter) throttled(now time.Time) {
	if l.rate == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// Requests that were under way together are refused together.
	if now.Sub(l.changed) < period && l.slowed {
		return
	}
	l.slowed = true
	l.changed = now
	l.rate.SetLimitAt(now, max(1, l.rate.Limit()/2))
}

// served lets the rate recover.
func (l *limiter) served(now time.Time) {
	if l.rate == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	full := rate.Limit(l.limit.PerSecond)
	if l.rate.Limit() >= full || now.Sub(l.changed) < period {
		return
	}
	l.changed, l.slowed = now, false
	l.rate.SetLimitAt(now, min(full, l.rate.Limit()+full/10))
}
