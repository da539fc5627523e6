// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// maxBody is the most that is read of an answer.
const maxBody = 1 << 30

var (
	errTimeout  = errors.New("the attempt took too long")
	errTooLarge = errors.New("the answer is too large")
)

// choose picks the endpoint of the next attempt, and proves first that one
// which failed before has recovered.
func (c *Client) choose(ctx context.Context, tried map[*endpoint]bool) (*endpoint, error) {
	for range c.pool.all {
		ep, probe := c.pool.pick(tried, time.Now())
		if !probe {
			return ep, nil
		}
		err := c.probe(ctx, ep)
		if err == nil {
			c.pool.up(ep)
			return ep, nil
		}
		c.pool.release(ep)
		if ctx.Err() != nil {
			c.pool.unproved(ep)
			return nil, context.Cause(ctx)
		}
		c.pool.down(ep, time.Now())
	}
	// All failed their probes: let the request itself tell why.
	ep, probe := c.pool.pick(tried, time.Now())
	if probe {
		c.pool.unproved(ep)
	}
	return ep, nil
}

// probe asks the endpoint for its health, with credentials, since managers
// want them for this too.
func (c *Client) probe(ctx context.Context, ep *endpoint) error {
	if c.cfg.Health == "" {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.cfg.Health, http.NoBody)
	if err != nil {
		return err
	}
	probe := &call{client: c, req: &Request{
		Op: "check health", Object: ep.name(),
		Method: http.MethodGet, Route: c.cfg.Health, Path: c.cfg.Health,
	}}
	sent := probe.exchange(req, ep)
	if (probe.class == Expired || probe.class == Rejected) && sent != nil &&
		c.cfg.Auth.Refused(sent, c.target(ep), probe.class, probe.err) {
		probe.exchange(req, ep)
	}
	if probe.err != nil {
		return probe.err
	}
	if c.cfg.Healthy != nil && !c.cfg.Healthy(probe.res) {
		return c.cfg.DecodeError(probe.failure(probe.res, errors.New("the endpoint says that it is not healthy")))
	}
	return nil
}

// aim returns a copy of req for one endpoint, with a body of its own, so that
// nothing of an earlier attempt is left in it.
func (c *Client) aim(req *http.Request, ep *endpoint) (*http.Request, error) {
	attempt := req.Clone(req.Context())
	u := *ep.url
	u.Path += req.URL.Path
	u.RawPath = ep.url.EscapedPath() + req.URL.EscapedPath()
	u.RawQuery = req.URL.RawQuery
	attempt.URL, attempt.Host = &u, ""
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		attempt.Body = body
	}
	return attempt, nil
}

// target is ep as an authenticator sees it.
func (c *Client) target(ep *endpoint) Target {
	return Target{Base: ep.url, send: func(op string, req *http.Request) (Response, Class, error) {
		path := req.URL.Path
		login := &call{client: c, attempt: 1, login: true, req: &Request{
			Op: op, Object: ep.url.Host, Method: req.Method, Route: path, Path: path,
		}}
		if c.cfg.UserAgent != "" {
			req.Header.Set("User-Agent", c.cfg.UserAgent)
		}
		return c.send(req, ep, login)
	}}
}

// send does one exchange and says what it means. A session that could not be
// made, and an endpoint that failed, are marked so that others notice.
func (c *Client) send(req *http.Request, ep *endpoint, of *call) (Response, Class, error) {
	release, err := ep.limit.acquire(req.Context())
	if err != nil {
		return Response{}, Final, err
	}
	defer release()
	start := time.Now()
	res, cause := c.exchange(req)
	class, err := Final, error(nil)
	switch {
	case cause != nil:
		err = c.cfg.DecodeError(of.failure(res, cause))
	case res.Status < 200 || res.Status > 299:
		err = c.cfg.DecodeError(of.failure(res, nil))
	default:
		var broken bool
		if broken, cause = of.req.decode(res); cause != nil {
			err = c.cfg.DecodeError(of.failure(res, cause))
			if broken {
				class = Uncertain
			}
		}
	}
	if err != nil && class == Final && (cause == nil || res.Status == 0) {
		class = c.cfg.Classify(Outcome{Method: req.Method, Status: res.Status, Err: err, Cause: cause, Login: of.login})
	}
	c.learn(req.Context(), ep, class, err)
	c.report(req.Context(), Call{
		Server: c.cfg.Server, Endpoint: ep.name(), Op: of.req.Op, Method: req.Method, Route: of.req.Route,
		Status: res.Status, Attempt: of.attempt, Duration: time.Since(start), Err: err,
	}, req.Header, res.Header)
	if of.recycle && cap(res.Body) > 0 {
		c.buffers.Put(bytes.NewBuffer(res.Body[:0]))
		res.Body = nil
	}
	return res, class, err
}

// learn adapts the limiter and the endpoint's health to what came back. What
// the caller cancelled says nothing.
func (c *Client) learn(ctx context.Context, ep *endpoint, class Class, err error) {
	now := time.Now()
	switch {
	case ctx.Err() != nil:
	case class == Throttled:
		ep.limit.throttled(now)
	case class == Overloaded:
		ep.limit.throttled(now)
		c.pool.down(ep, now)
	case class == Uncertain || class == Unsent:
		c.pool.down(ep, now)
	default:
		c.pool.up(ep)
		if err == nil {
			ep.limit.served(now)
		}
	}
}

// exchange sends req and reads the whole answer, both within the time of one
// attempt.
func (c *Client) exchange(req *http.Request) (Response, error) {
	ctx, cancel := context.WithTimeoutCause(req.Context(), c.cfg.Retry.AttemptTimeout, errTimeout)
	defer cancel()
	res, err := c.base.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return Response{}, timedOut(ctx, err)
	}
	defer func() { _ = res.Body.Close() }() // it was read to its end or is lost
	buf, _ := c.buffers.Get().(*bytes.Buffer)
	if buf == nil {
		buf = &bytes.Buffer{}
	}
	if res.ContentLength > 0 && res.ContentLength < maxBody {
		buf.Grow(int(res.ContentLength) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(res.Body, maxBody))
	switch {
	case err != nil:
	case n == maxBody:
		err = errTooLarge
	case res.ContentLength > n && req.Method != http.MethodHead:
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return Response{}, timedOut(ctx, fmt.Errorf("read the answer: %w", err))
	}
	return Response{Status: res.StatusCode, Header: res.Header, Body: buf.Bytes()}, nil
}

// timedOut says so when the attempt's own time was up.
func timedOut(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errTimeout) {
		return cause
	}
	return err
}

func (c *call) failure(res Response, cause error) Failure {
	return Failure{
		Server: c.client.cfg.Server, Op: c.req.Op, Object: c.req.Object,
		Method: c.req.Method, Path: pathOnly(c.req.Path), Attempt: c.attempt, Login: c.login,
		Status: res.Status, Header: res.Header, Body: res.Body, Err: cause,
	}
}

func pathOnly(path string) string {
	if u, err := url.Parse(path); err == nil {
		return u.Path
	}
	return path
}
