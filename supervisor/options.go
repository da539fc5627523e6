// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/viaduct-sdk/viaduct/internal/rest"
)

// Option changes what [NewLogin] and [IsSupervisor] do.
type Option func(*options)

type options struct {
	httpClient *http.Client
	trust      trust
	apiServer  string
	observer   func(context.Context, Call)
	logger     *slog.Logger
	userAgent  string
}

// WithHTTPClient builds on the transport of client, which is not changed; options
// that say what to trust replace all of its TLS settings. Its timeout is not
// used: it would end watches.
func WithHTTPClient(client *http.Client) Option {
	return func(o *options) { o.httpClient = client }
}

// WithCACert trusts the certificates in the PEM data instead of the system's
// authorities: an authority, or the chain that vCenter has of the Supervisor. A
// Supervisor that is still being configured has none: [NewLogin] answers empty
// data with an error that matches [viaduct.ErrUnavailable].
func WithCACert(pem []byte) Option {
	return func(o *options) { o.trust.CA, o.trust.hasCA = pem, true }
}

// WithThumbprint trusts the one certificate whose SHA-256 thumbprint this is,
// in hex with or without colons, whoever issued it and whatever name it bears.
func WithThumbprint(sha256 string) Option {
	return func(o *options) { o.trust.Thumbprint = sha256 }
}

// WithServerName verifies the certificate for name instead of the name or
// address that is dialled, which may be another one in front of a NAT.
func WithServerName(name string) Option {
	return func(o *options) { o.trust.ServerName = name }
}

// WithInsecureSkipVerify trusts any certificate. Whoever is on the network
// between can read the password.
func WithInsecureSkipVerify() Option {
	return func(o *options) { o.trust.Insecure = true }
}

// WithAPIServer names the URL of the Supervisor's Kubernetes API. Otherwise it
// is port 6443 of the host that the login is at.
func WithAPIServer(url string) Option {
	return func(o *options) { o.apiServer = url }
}

// WithObserver calls observe after each attempt of each request to /wcp/*.
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

// Call is one attempt of a request, as an observer sees it. Its strings come
// from small sets, fit for the labels of a metric.
type Call struct {
	Server   string // "supervisor"
	Endpoint string
	Op       string // "log in"
	Method   string
	Route    string
	Status   int // 0: no answer
	Attempt  int // 1: the first
	Duration time.Duration
	Err      error
}

// wcp returns the chain that requests to /wcp/* go through.
func (o options) wcp(endpoint string, auth rest.Authenticator) (*rest.Client, error) {
	transport, err := o.trust.transport(o.httpClient)
	if err != nil {
		return nil, err
	}
	cfg := rest.Config{
		Server:      "supervisor",
		Endpoints:   []string{endpoint},
		HTTPClient:  &http.Client{Transport: transport},
		Auth:        auth,
		DecodeError: decodeError,
		Retry:       rest.Retry{Attempts: 3, AttemptTimeout: 30 * time.Second},
		Logger:      o.logger,
		UserAgent:   o.userAgent,
	}
	if o.observer != nil {
		cfg.Observer = func(ctx context.Context, call rest.Call) { o.observer(ctx, Call(call)) }
	}
	return rest.New(cfg)
}
