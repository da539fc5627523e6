// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/viaduct-sdk/viaduct"
)

// Config describes one logical server, which may answer on several endpoints,
// and what is peculiar to it. Only Server, Endpoints and DecodeError are
// required.
type Config struct {
	// Server names the server in logs and calls: "nsx", "vcenter".
	Server string

	// Endpoints are base URLs that serve the same state. A bare host means
	// https.
	Endpoints []string

	// HTTPClient is the client to build on. It is copied and never changed.
	HTTPClient *http.Client

	// TLS is how the server's certificate is checked.
	TLS TLS

	// Auth sets the credentials on each request; nil sends none.
	Auth Authenticator

	// DecodeError turns a failure into the typed error of the server's
	// package. It must not return nil.
	DecodeError func(Failure) error

	// Classify decides what a failure means; nil is [Classify].
	Classify func(Outcome) Class

	// PatchIsIdempotent says that a PATCH of this server tells what an object is
	// to be, not how to change it, so that sending it twice does no harm.
	PatchIsIdempotent bool

	// Retry is how often and how patiently to try again.
	Retry Retry

	// Limit is the server's rate limit for one user of one endpoint.
	Limit Limit

	// Health is the path of the server's health check, "" when it has none,
	// and Healthy judges its answer; nil accepts any 200.
	Health  string
	Healthy func(Response) bool

	// Observer, when not nil, is told of every attempt.
	Observer func(context.Context, Call)

	// Logger gets every attempt at Debug level; nil discards them.
	Logger *slog.Logger

	// UserAgent is sent with every request.
	UserAgent string

	// RequestIDHeader is the response header that holds the server's id of
	// the request, for logs.
	RequestIDHeader string
}

// Client sends requests to one server. It is immutable and safe for concurrent
// use.
type Client struct {
	cfg  Config
	pool *pool
	base http.RoundTripper
	log  *slog.Logger

	// buffers keeps the memory of answers that were decoded.
	buffers *sync.Pool
}

// Response is an answer with its whole body.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// New returns a client for the server that cfg describes. It does no I/O. An
// error matches [viaduct.ErrInvalid].
func New(cfg Config) (*Client, error) {
	if cfg.Server == "" || cfg.DecodeError == nil {
		return nil, fmt.Errorf("rest: %w: a server needs a name and an error decoder", viaduct.ErrInvalid)
	}
	if cfg.Classify == nil {
		cfg.Classify = Classify
	}
	if cfg.Auth == nil {
		cfg.Auth = noAuth{}
	}
	if cfg.HTTPClient != nil && cfg.Retry.AttemptTimeout == 0 {
		cfg.Retry.AttemptTimeout = cfg.HTTPClient.Timeout
	}
	retry, err := cfg.Retry.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Server, err)
	}
	cfg.Retry = retry
	if owner, ok := cfg.Auth.(certificateHolder); ok {
		cfg.TLS.Certificate = owner.clientCertificate()
	}
	base, err := cfg.TLS.transport(cfg.HTTPClient)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Server, err)
	}
	pool, err := newPool(cfg.Endpoints, cfg.Limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Server, err)
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Client{cfg: cfg, pool: pool, base: base, log: log, buffers: &sync.Pool{}}, nil
}

// Do sends a request, decodes the answer into req.Into, and retries, renews
// the session and changes the endpoint as the package comment says. The error
// is the one that DecodeError made of the last attempt; when ctx ended, it
// wraps the cause too.
func (c *Client) Do(ctx context.Context, req Request) error {
	_, err := c.run(ctx, req)
	return err
}

// Close ends the sessions that the authenticator holds, where it knows how.
// The client stays usable: the next request makes a new session.
func (c *Client) Close(ctx context.Context) error {
	closer, ok := c.cfg.Auth.(sessionEnder)
	if !ok {
		return nil
	}
	var first error
	for _, ep := range c.pool.all {
		if err := closer.end(ctx, c.target(ep)); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// EndpointHealth is what a health check of one endpoint found.
type EndpointHealth struct {
	Endpoint string
	Err      error // nil: healthy
	InFlight int
}

// CheckHealth asks every endpoint, one after the other, whether it is healthy,
// and lets later requests avoid those that are not.
func (c *Client) CheckHealth(ctx context.Context) []EndpointHealth {
	found := make([]EndpointHealth, 0, len(c.pool.all))
	for _, ep := range c.pool.all {
		err := c.probe(ctx, ep)
		if err == nil {
			c.pool.up(ep)
		} else if ctx.Err() == nil {
			c.pool.down(ep, time.Now())
		}
		found = append(found, EndpointHealth{Endpoint: ep.name(), Err: err, InFlight: c.pool.busy(ep)})
	}
	return found
}

// Endpoints returns the base URLs in the order of the configuration.
func (c *Client) Endpoints() []string {
	names := make([]string, len(c.pool.all))
	for i, ep := range c.pool.all {
		names[i] = ep.name()
	}
	return names
}
