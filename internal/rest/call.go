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
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// Failure is an attempt that failed, for DecodeError to make an error of.
type Failure struct {
	Server, Op, Object string
	Method, Path       string
	Attempt            int

	// Login says that the attempt was to make a session.
	Login bool

	// Status, Header and Body are the server's answer; Status is 0 when there
	// was none. Body must not be kept.
	Status int
	Header http.Header
	Body   []byte

	// Err is why there was no answer, or none that could be read.
	Err error
}

// call is one request under way: the transport, the retry policy and the
// backoff of its own retryablehttp client.
type call struct {
	client  *Client
	req     *Request
	tried   map[*endpoint]bool
	attempt int
	renewed bool
	login   bool
	recycle bool // nobody looks at the body after it was decoded

	// The last attempt.
	class Class
	err   error
	res   Response
	wait  time.Duration
	asked bool // wait was asked for by the server
}

// run sends req until it succeeds or must not be sent again.
func (c *Client) run(ctx context.Context, req Request) (Response, error) {
	body, contentType, err := req.body()
	if err != nil {
		return Response{}, err
	}
	httpReq, err := c.newHTTPRequest(&req, body, contentType)
	if err != nil {
		return Response{}, err
	}
	current := &call{client: c, req: &req, tried: map[*endpoint]bool{}, recycle: !req.foreign}
	var rawBody any
	if body != nil {
		rawBody = body
	}
	retryable := &retryablehttp.Request{Request: httpReq.WithContext(ctx)}
	if err := retryable.SetBody(rawBody); err != nil {
		return Response{}, err
	}
	core := &retryablehttp.Client{
		HTTPClient: &http.Client{
			Transport:     current,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		RetryMax:     c.cfg.Retry.Attempts - 1,
		CheckRetry:   current.again,
		Backoff:      current.backoff,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	res, err := core.Do(retryable)
	if res != nil {
		_ = res.Body.Close() // in memory
	}
	return current.result(ctx, err)
}

// result is the outcome of the last attempt, and the cause of the context's end
// where that is what ended the request.
func (c *call) result(ctx context.Context, err error) (Response, error) {
	unanswered := c.mayRepeat() || c.res.Status == 0 && (err != nil || c.err != nil)
	if ctx.Err() != nil && unanswered {
		name := fmt.Sprintf("%s: %s %q", c.client.cfg.Server, c.req.Op, c.req.Object)
		cause := context.Cause(ctx)
		if c.err == nil || errors.Is(c.err, cause) {
			return Response{}, fmt.Errorf("%s: %w", name, cause)
		}
		return Response{}, fmt.Errorf("%s: %w after attempt %d: %w", name, cause, c.attempt, c.err)
	}
	if c.err != nil {
		return c.res, c.err
	}
	return c.res, err
}

// RoundTrip does one attempt on the endpoint that suits best, with a second one
// when the session turned out to have ended.
func (c *call) RoundTrip(req *http.Request) (*http.Response, error) {
	c.attempt++
	c.class, c.err, c.res, c.wait, c.asked = Final, nil, Response{}, 0, false
	ep, err := c.client.choose(req.Context(), c.tried)
	if err != nil {
		c.err = err
		return nil, err
	}
	defer c.client.pool.release(ep)
	c.tried[ep] = true
	sent := c.exchange(req, ep)
	if (c.class == Expired || c.class == Rejected) && sent != nil {
		replay := c.client.cfg.Auth.Refused(sent, c.client.target(ep), c.class, c.err)
		if replay && !c.renewed {
			c.renewed = true
			c.exchange(req, ep)
		}
	}
	if c.err != nil && c.res.Status == 0 {
		return nil, c.err
	}
	return &http.Response{
		StatusCode: c.res.Status, Header: c.res.Header,
		Body: io.NopCloser(bytes.NewReader(nil)), Request: req,
	}, nil
}

// exchange authenticates and sends req to ep, and records what came of it. It
// returns the request as it was sent, nil when it was not.
func (c *call) exchange(req *http.Request, ep *endpoint) *http.Request {
	attempt, err := c.client.aim(req, ep)
	if err != nil {
		c.fail(Final, err)
		return nil
	}
	if err := c.client.cfg.Auth.Authenticate(attempt, c.client.target(ep)); err != nil {
		var login *errLogin
		if !errors.As(err, &login) {
			c.fail(Final, fmt.Errorf("%s: %s %q: %w", c.client.cfg.Server, c.req.Op, c.req.Object, err))
			return nil
		}
		// A request that waits for a session has not been sent.
		class := login.class
		if class == Uncertain || class == Overloaded {
			class = Unsent
		}
		c.fail(class, login.err)
		return nil
	}
	c.res, c.class, c.err = c.client.send(attempt, ep, c)
	return attempt
}

func (c *call) fail(class Class, err error) {
	c.res, c.class, c.err = Response{}, class, err
}

// again is the retry policy. The error that it returns is always nil: the
// caller gets the typed error of the last attempt.
func (c *call) again(ctx context.Context, _ *http.Response, _ error) (bool, error) {
	return c.err != nil && ctx.Err() == nil && c.mayRepeat() && c.mayWait(), nil
}

// mayRepeat reports whether sending the request again can't do harm.
func (c *call) mayRepeat() bool {
	switch c.class {
	case Unsent, Busy, Throttled:
		return true
	case Uncertain, Overloaded:
		return c.req.idempotent() || c.client.cfg.PatchIsIdempotent && c.req.Method == http.MethodPatch
	default:
		return false
	}
}

// mayWait notes the pause that the server asked for, and reports whether it is
// bearable.
func (c *call) mayWait() bool {
	c.wait, c.asked = retryAfter(c.res.Header, time.Now())
	return c.wait <= c.client.cfg.Retry.MaxRetryAfter
}

// backoff is the pause before the next attempt: what the server asked for,
// nothing when another healthy endpoint stands ready, or the policy's.
func (c *call) backoff(_, _ time.Duration, attempt int, _ *http.Response) time.Duration {
	if c.asked {
		return c.wait
	}
	if c.class != Throttled && c.class != Busy && c.client.pool.spare(c.tried) {
		return 0
	}
	return c.client.cfg.Retry.pause(attempt)
}
