// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/viaduct-sdk/viaduct/internal/rest"
)

// Option changes what [NewClient] returns.
type Option func(*options)

type options struct {
	httpClient *http.Client
	tls        rest.TLS
	retry      RetryPolicy
	limit      Limit
	keepAlive  time.Duration
	observer   func(context.Context, Call)
	logger     *slog.Logger
	userAgent  string
}

// WithHTTPClient builds on the transport and the timeout of client, which is
// not changed. Its cookie jar is not used. The timeout bounds one attempt.
func WithHTTPClient(client *http.Client) Option {
	return func(o *options) { o.httpClient = client }
}

// WithCACert trusts the authorities in the PEM data instead of the system's.
func WithCACert(pem []byte) Option {
	return func(o *options) { o.tls.CA = pem }
}

// WithThumbprint trusts the one certificate whose SHA-256 thumbprint this is,
// in hex with or without colons, whoever issued it and whatever name it bears.
// When the server shows another, the error names that one's thumbprint.
func WithThumbprint(sha256 string) Option {
	return func(o *options) { o.tls.Thumbprint = sha256 }
}

// WithInsecureSkipVerify trusts any certificate. Whoever is on the network
// between can read the credentials.
func WithInsecureSkipVerify() Option {
	return func(o *options) { o.tls.Insecure = true }
}

// WithRetry replaces the retry policy.
func WithRetry(policy RetryPolicy) Option {
	return func(o *options) { o.retry = policy }
}

// WithLimit limits what this client sends. Without it there is no limit.
func WithLimit(limit Limit) Option {
	return func(o *options) { o.limit = limit }
}

// WithKeepAlive uses the sessions at this interval, from the first request
// until Close, so that they do not end for idleness: by default vCenter ends
// them after 30 minutes. Without it, a session that ended is renewed when it is
// needed.
func WithKeepAlive(every time.Duration) Option {
	return func(o *options) { o.keepAlive = every }
}

// WithObserver calls observe after each attempt of each request, retries and
// logins included, on the goroutine that made the request.
func WithObserver(observe func(ctx context.Context, call Call)) Option {
	return func(o *options) { o.observer = observe }
}

// WithLogger logs each attempt at Debug level. Bodies and credentials are never
// logged.
func WithLogger(logger *slog.Logger) Option {
	return func(o *options) { o.logger = logger }
}

// WithUserAgent sets the User-Agent header.
func WithUserAgent(agent string) Option {
	return func(o *options) { o.userAgent = agent }
}

// RetryPolicy is how often and how patiently a request is tried. The zero value
// of each field stands for its default. What is retried at all is in the
// package comment.
type RetryPolicy struct {
	// Attempts is the most times that a request is sent, the first included:
	// 6 by default. 1 means never to retry.
	Attempts int

	// MinWait is the pause after the first failure, 200 ms by default. It
	// doubles up to MaxWait, 10 s by default; each pause is drawn at random
	// from its upper half.
	MinWait, MaxWait time.Duration

	// MaxRetryAfter is the longest Retry-After that is waited for, 60 s by
	// default. When the server asks for more, the request fails at once.
	MaxRetryAfter time.Duration

	// AttemptTimeout ends an attempt that takes longer, 60 s by default.
	AttemptTimeout time.Duration
}

// Limit is what this client allows itself, for REST and for SOAP each.
type Limit struct {
	// PerSecond is the most requests per second. It halves when the vCenter
	// answers 429 or 503, and recovers by a tenth each second without either.
	// Zero means no limit.
	PerSecond float64

	// InFlight is the most requests at the same time. Zero means no limit. A
	// watch is one all the time.
	InFlight int
}

// Call is one attempt of a request, as an observer sees it. Its strings come
// from small sets, fit for the labels of a metric.
type Call struct {
	Server   string // "vcenter"
	Endpoint string // the vCenter's URL
	Op       string // "create namespace"
	Method   string
	Route    string // the template, or for SOAP /sdk# and the operation
	Status   int    // 0: no answer
	Attempt  int    // 1: the first
	Duration time.Duration
	Err      error
}
