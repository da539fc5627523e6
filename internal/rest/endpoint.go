// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/viaduct-sdk/viaduct"
)

// An endpoint that failed is left alone for firstRest, then twice as long after
// each further failure, up to maxRest.
const (
	firstRest = time.Second
	maxRest   = 30 * time.Second
)

// endpoint is one address of the server. The fields below limit belong to the
// pool's mutex.
type endpoint struct {
	url   *url.URL
	limit *limiter

	inFlight  int
	suspect   bool // failed and not proved healthy since
	probing   bool
	restUntil time.Time
	rest      time.Duration
}

func (e *endpoint) name() string { return e.url.String() }

// pool is the endpoints of one server and what is known of their health.
type pool struct {
	all []*endpoint
	mu  sync.Mutex
}

func newPool(addresses []string, limit Limit) (*pool, error) {
	if len(addresses) == 0 {
		return nil, fmt.Errorf("%w: no endpoint", viaduct.ErrInvalid)
	}
	p := &pool{}
	seen := map[string]bool{}
	for _, address := range addresses {
		u, err := parseEndpoint(address)
		if err != nil {
			return nil, err
		}
		if seen[u.String()] {
			continue
		}
		seen[u.String()] = true
		p.all = append(p.all, &endpoint{url: u, limit: newLimiter(limit)})
	}
	return p, nil
}

// parseEndpoint accepts "host", "host:port" and URLs. Credentials in it are
// refused without being repeated in the error.
func parseEndpoint(address string) (*url.URL, error) {
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: an endpoint is no URL", viaduct.ErrInvalid)
	case u.User != nil:
		return nil, fmt.Errorf("%w: endpoint %s holds credentials", viaduct.ErrInvalid, u.Host)
	case u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return nil, fmt.Errorf("%w: endpoint %q is no http or https URL", viaduct.ErrInvalid, address)
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%w: endpoint %q has a query or a fragment", viaduct.ErrInvalid, address)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = ""
	return u, nil
}

// pick returns the endpoint for the next attempt: the least busy of those that
// are healthy and that this request has not tried, the first on a tie so that
// a sequential caller stays on one session. Failing those it takes one that has
// rested, which must be probed first, then one that this request has tried, and
// in the end the one that rests the shortest. The caller must call release.
func (p *pool) pick(tried map[*endpoint]bool, now time.Time) (ep *endpoint, probe bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	best := 0
	for _, e := range p.all {
		rank := p.rank(e, tried[e], now)
		if ep == nil || rank > best || (rank == best && e.better(ep)) {
			ep, best = e, rank
		}
	}
	ep.inFlight++
	if ep.suspect && len(p.all) > 1 && !ep.probing && !now.Before(ep.restUntil) {
		ep.probing = true
		return ep, true
	}
	return ep, false
}

func (p *pool) rank(e *endpoint, tried bool, now time.Time) int {
	rested := !now.Before(e.restUntil) && !e.probing
	switch {
	case !e.suspect && !tried:
		return 4
	case e.suspect && rested && !tried:
		return 3
	case !e.suspect:
		return 2
	case rested:
		return 1
	default:
		return 0
	}
}

// better breaks the tie between endpoints of the same rank.
func (e *endpoint) better(than *endpoint) bool {
	if e.suspect && !e.restUntil.Equal(than.restUntil) {
		return e.restUntil.Before(than.restUntil)
	}
	return e.inFlight < than.inFlight
}

func (p *pool) release(e *endpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.inFlight--
}

func (p *pool) busy(e *endpoint) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return e.inFlight
}

// up records that the endpoint answered.
func (p *pool) up(e *endpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.suspect, e.probing, e.rest, e.restUntil = false, false, 0, time.Time{}
}

// down records that the endpoint failed.
func (p *pool) down(e *endpoint, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.rest = min(max(2*e.rest, firstRest), maxRest)
	e.suspect, e.probing, e.restUntil = true, false, now.Add(e.rest)
}

// unproved ends a probe that told nothing, because its context ended.
func (p *pool) unproved(e *endpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.probing = false
}

// spare reports whether a healthy endpoint is left that was not tried.
func (p *pool) spare(tried map[*endpoint]bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.all {
		if !e.suspect && !tried[e] {
			return true
		}
	}
	return false
}
