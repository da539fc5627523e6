// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/viaduct-sdk/viaduct/internal/rest"
)

// Option changes what [NewClient] returns.
type Option func(*options)

type options struct {
	endpoints  []string
	httpClient *http.Client
	tls        rest.TLS
	retry      RetryPolicy
	limit      Limit
	observer   func(context.Context, Call)
	logger     *slog.Logger
	userAgent  string
}

// WithEndpoints adds the other managers of the cluster. Requests go to the
// least busy of those that are healthy.
func WithEndpoints(endpoints ...string) Option {
	return func(o *options) { o.endpoints = append(o.endpoints, endpoints...) }
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

// WithLimit replaces [DefaultLimit].
func WithLimit(limit Limit) Option {
	return func(o *options) { o.limit = limit }
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

// Limit is what this client allows itself on each manager.
type Limit struct {
	// PerSecond is the most requests per second. It halves when the manager
	// answers 429 or 503, and recovers by a tenth each second without either.
	// Zero means no limit.
	PerSecond float64

	// InFlight is the most requests at the same time. Zero means no limit.
	InFlight int
}

// DefaultLimit returns the limits that an NSX Manager sets for each user unless
// its administrator changed them: 100 requests per second, 40 at a time.
func DefaultLimit() Limit { return Limit{PerSecond: 100, InFlight: 40} }

// Call is one attempt of a request, as an observer sees it. Its strings come
// from small sets, fit for the labels of a metric.
type Call struct {
	Server   string // "nsx"
	Endpoint string // the manager's URL
	Op       string // "apply segment"
	Method   string
	Route    string // the template: "/infra/segments/{id}"
	Status   int    // 0: no answer
	Attempt  int    // 1: the first
	Duration time.Duration
	Err      error
}

// WriteOption changes one write.
type WriteOption func(*write)

type write struct {
	overwrite bool
	force     bool
}

// WithAllowOverwrite lets this one write change an object that is protected for
// another principal, such as those of NCP. NSX logs it as such. Whoever owns
// the object may change it back, or be broken by the change.
func WithAllowOverwrite() WriteOption {
	return func(w *write) { w.overwrite = true }
}

// WithForce deletes a load balancer object even if others refer to it. Other
// calls ignore it.
func WithForce() WriteOption {
	return func(w *write) { w.force = true }
}

func writeOptions(opts []WriteOption) write {
	var w write
	for _, opt := range opts {
		opt(&w)
	}
	return w
}

func (w write) header() http.Header {
	if !w.overwrite {
		return nil
	}
	return http.Header{"X-Allow-Overwrite": {"true"}}
}

func (w write) query(q url.Values) url.Values {
	if !w.force {
		return q
	}
	forced := url.Values{"force": {"true"}}
	maps.Copy(forced, q)
	return forced
}
