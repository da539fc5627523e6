// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/rest"
)

// The prefixes of the two APIs that an NSX Manager serves.
const (
	policyBase  = "/policy/api/v1"
	managerBase = "/api/v1"
)

// Client talks to one NSX Manager cluster. It is immutable and safe for
// concurrent use; make one for each cluster and user and share it, because it
// holds the sessions and the knowledge of the server's limits.
type Client struct {
	rest    *rest.Client
	version *versionCache
}

// NewClient returns a client for the NSX Manager at endpoint, a host name or an
// https URL; [WithEndpoints] adds the other managers of its cluster. It does no
// I/O: the session is made when the first request needs it.
//
// An error matches [viaduct.ErrInvalid].
func NewClient(endpoint string, auth Auth, opts ...Option) (*Client, error) {
	o := options{endpoints: []string{endpoint}, limit: DefaultLimit(), userAgent: "viaduct"}
	for _, opt := range opts {
		opt(&o)
	}
	scheme, err := auth.authenticator()
	if err != nil {
		return nil, fmt.Errorf("nsx: %w", err)
	}
	cfg := rest.Config{
		Server:      "nsx",
		Endpoints:   o.endpoints,
		HTTPClient:  o.httpClient,
		TLS:         o.tls,
		Auth:        scheme,
		DecodeError: decodeError,
		Classify:    classify,
		Retry:       rest.Retry(o.retry),
		// So it is in the Policy API; the Manager API hardly has any.
		PatchIsIdempotent: true,
		Limit:             rest.Limit(o.limit),
		Health:            managerBase + "/reverse-proxy/node/health",
		Healthy:           healthy,
		Logger:            o.logger,
		UserAgent:         o.userAgent,
		RequestIDHeader:   requestIDHeader,
	}
	if o.observer != nil {
		cfg.Observer = func(ctx context.Context, call rest.Call) { o.observer(ctx, Call(call)) }
	}
	client, err := rest.New(cfg)
	if err != nil {
		return nil, err
	}
	return &Client{rest: client, version: newVersionCache()}, nil
}

// Close ends the sessions that the client holds on its managers. The client
// stays usable: the next request makes a new session.
func (c *Client) Close(ctx context.Context) error { return c.rest.Close(ctx) }

// RoundTripper lends this client's session, choice of manager, limits and
// retries to another program's http.Client. Scheme and host of its requests are
// replaced by those of a manager, its credentials by this client's.
func (c *Client) RoundTripper() http.RoundTripper { return c.rest.RoundTripper() }

// ManagerHealth is the health of one manager of the cluster.
type ManagerHealth struct {
	Endpoint string
	Err      error // why it is not healthy; nil when it is
	InFlight int   // requests of this client under way there
}

// CheckHealth asks each manager of the cluster, one after the other, whether it
// is healthy. Later requests avoid those that are not.
func (c *Client) CheckHealth(ctx context.Context) []ManagerHealth {
	found := c.rest.CheckHealth(ctx)
	health := make([]ManagerHealth, len(found))
	for i, h := range found {
		health[i] = ManagerHealth(h)
	}
	return health
}

// healthy judges the answer of a health check.
func healthy(res rest.Response) bool {
	var body struct {
		Healthy bool `json:"healthy"`
	}
	return rest.Unmarshal(res.Body, &body) == nil && body.Healthy
}

// call is one request of the Policy API.
type call struct {
	op, object string
	method     string
	route      string   // without the API's prefix
	args       []string // for the placeholders of route
	query      url.Values
	body       any
	into       any
	opts       []WriteOption

	// idempotent says so of a POST.
	idempotent bool
}

// do sends the request to the Policy API.
func (c *Client) do(ctx context.Context, r call) error {
	return c.send(ctx, policyBase, r)
}

func (c *Client) send(ctx context.Context, base string, r call) error {
	path, err := rest.Expand(base+r.route, r.args...)
	if err == nil && slices.ContainsFunc(r.args, func(id string) bool { return strings.Contains(id, "/") }) {
		err = fmt.Errorf("%w: an id has no slash", viaduct.ErrInvalid)
	}
	if err != nil {
		return fmt.Errorf("nsx: %s %q: %w", r.op, r.object, err)
	}
	w := writeOptions(r.opts)
	return c.rest.Do(ctx, rest.Request{
		Op: r.op, Object: r.object, Method: r.method,
		Route: r.route, Path: path, Query: w.query(r.query), Header: w.header(),
		Body: r.body, Into: r.into,
		Idempotent: r.idempotent,
	})
}
