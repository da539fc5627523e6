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
	// the server throttles, whatever else happened meanwhile, and recovers by
	// a tenth of PerSecond for each second without throttling.
	PerSecond float64

	// InFlight is the most requests under way at the same time.
	InFlight int
}

// recovery is how long after the last change the rate may grow again.
const recovery = time.Second

// limiter is the adaptive limiter of one endpoint.
type limiter struct {
	limit Limit
	slots chan struct{} // nil: any number
	rate  *rate.Limiter // nil: any rate

	mu      sync.Mutex
	changed time.Time
}

func newLimiter(limit Limit) *limiter {
	l := &limiter{limit: limit}
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
	if l.rate == nil {
		return release, nil
	}
	turn := l.rate.Reserve()
	delay := turn.Delay()
	if delay == 0 {
		return release, nil
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return release, nil
	case <-ctx.Done():
		turn.Cancel()
		release()
		return nil, context.Cause(ctx)
	}
}

// throttled halves the rate, down to one request per second.
func (l *limiter) throttled(now time.Time) {
	if l.rate == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// Requests that were under way together are refused together: they count
	// as one refusal.
	if now.Sub(l.changed) < recovery/10 {
		return
	}
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
	if l.rate.Limit() >= full || now.Sub(l.changed) < recovery {
		return
	}
	l.changed = now
	l.rate.SetLimitAt(now, min(full, l.rate.Limit()+full/10))
}
