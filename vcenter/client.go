// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/rest"
)

// lentTimeout is how long one request of a lent client may take: waits for
// updates have no end of their own.
const lentTimeout = 24 * time.Hour

// Client talks to one vCenter. It is immutable and safe for concurrent use;
// make one for each vCenter and user and share it, because it holds the
// sessions, which a vCenter has only so many of. Close it.
type Client struct {
	rest *rest.Client // the REST API
	soap *rest.Client // SOAP, for this package
	lent *rest.Client // SOAP with the same session, for govmomi

	dialect *dialect
	keeper  keeper

	content chan struct{} // held by whoever reads or sets known
	known   *types.ServiceContent
}

// NewClient returns a client for the vCenter at endpoint, a host name or an
// https URL. It does no I/O: the sessions are made when the first request
// needs them.
//
// An error matches [viaduct.ErrInvalid].
func NewClient(endpoint string, auth Auth, opts ...Option) (*Client, error) {
	o := options{userAgent: "viaduct"}
	for _, opt := range opts {
		opt(&o)
	}
	if err := auth.check(); err != nil {
		return nil, fmt.Errorf("vcenter: %w", err)
	}
	c := &Client{dialect: &dialect{}, content: make(chan struct{}, 1)}
	c.keeper.every, c.keeper.ping = o.keepAlive, c.ping
	cfg := rest.Config{
		Server:      "vcenter",
		Endpoints:   []string{endpoint},
		HTTPClient:  o.httpClient,
		TLS:         o.tls,
		DecodeError: decodeError,
		Classify:    c.classify,
		Retry:       rest.Retry(o.retry),
		Limit:       rest.Limit(o.limit),
		Logger:      o.logger,
		UserAgent:   o.userAgent,
	}
	if o.observer != nil {
		cfg.Observer = func(ctx context.Context, call rest.Call) { o.observer(ctx, Call(call)) }
	}
	cfg.Auth = auth.restSession(c.dialect)
	var err error
	if c.rest, err = rest.New(cfg); err != nil {
		return nil, err
	}
	cfg.Auth = auth.soapSession()
	if c.soap, err = rest.New(cfg); err != nil {
		return nil, err
	}
	cfg.Retry.AttemptTimeout = lentTimeout
	if c.lent, err = rest.New(cfg); err != nil {
		return nil, err
	}
	return c, nil
}

// Close ends the sessions that the client holds and what keeps them alive.
// The client stays usable: the next request makes new sessions.
func (c *Client) Close(ctx context.Context) error {
	c.keeper.stop()
	return errors.Join(ended(c.rest.Close(ctx)), ended(c.soap.Close(ctx)))
}

// ended forgives a session for having ended before it was ended.
func ended(err error) error {
	if errors.Is(err, viaduct.ErrUnauthenticated) {
		return nil
	}
	return err
}

// About is what a vCenter says of itself.
type About struct {
	Name       string // "VMware vCenter Server 7.0.3 build-..."
	Version    Version
	Build      string
	APIVersion string

	// InstanceUUID tells this vCenter from others. After a colon it is the
	// second half of the cluster id that NCP tags its objects in NSX with.
	InstanceUUID string
}

// About returns what the vCenter says of itself. It is read once for each
// client.
func (c *Client) About(ctx context.Context) (About, error) {
	content, err := c.serviceContent(ctx)
	if err != nil {
		return About{}, err
	}
	about := content.About
	version, err := ParseVersion(about.Version)
	if err != nil {
		return About{}, err
	}
	return About{
		Name: about.FullName, Version: version, Build: about.Build,
		APIVersion: about.ApiVersion, InstanceUUID: about.InstanceUuid,
	}, nil
}

// call is one request of the REST API.
type call struct {
	op, object string
	method     string
	route      string
	args       []string // for the placeholders of route
	query      url.Values
	body       any
	into       any
	idempotent bool
}

func (c *Client) do(ctx context.Context, r call) error {
	path, err := rest.Expand(r.route, r.args...)
	if err != nil {
		return fmt.Errorf("vcenter: %s %q: %w", r.op, r.object, err)
	}
	err = c.rest.Do(ctx, rest.Request{
		Op: r.op, Object: r.object, Method: r.method,
		Route: r.route, Path: path, Query: r.query,
		Body: r.body, Into: r.into, Idempotent: r.idempotent,
	})
	if err == nil {
		c.keeper.use(ctx, &c.keeper.rest)
	}
	return err
}

func (c *Client) get(ctx context.Context, op, object, route string, into any, args ...string) error {
	return c.do(ctx, call{op: op, object: object, method: http.MethodGet, route: route, args: args, into: into})
}
