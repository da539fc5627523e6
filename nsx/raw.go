// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/rest"
)

// Raw reaches the parts of the Policy API for which this package has no types,
// with the same sessions, limits, retries and errors.
type Raw struct{ client *Client }

// Raw returns the untyped Policy API. Its paths leave out /policy/api/v1, have
// ids as they are, unescaped, and may end in a query, which is escaped:
// "/infra/sites?page_size=1".
func (c *Client) Raw() Raw { return Raw{client: c} }

// Do sends body as JSON, unless it is nil, and decodes the answer into into,
// unless it is nil. A POST is sent again only when NSX certainly has not
// executed it.
func (r Raw) Do(ctx context.Context, method, path string, body, into any, opts ...WriteOption) error {
	req, err := rawRequest(method, path)
	if err != nil {
		return err
	}
	w := writeOptions(opts)
	req.Body, req.Into, req.Header, req.Query = body, into, w.header(), w.query(req.Query)
	return r.client.rest.Do(ctx, req)
}

// Get decodes what is at the path.
func (r Raw) Get(ctx context.Context, path string, into any) error {
	return r.Do(ctx, http.MethodGet, path, nil, into)
}

// List iterates over the results of all pages of the list at the path.
func (r Raw) List(ctx context.Context, path string) iter.Seq2[json.RawMessage, error] {
	return rawMessages(eachPage("", func(cursor string, body *pageBody[jsontext.Value]) error {
		req, err := rawRequest(http.MethodGet, path)
		if err != nil {
			return err
		}
		for name, values := range (ListOptions{}).query(cursor) {
			if !req.Query.Has(name) || name == "cursor" {
				req.Query[name] = values
			}
		}
		req.Into = body.decode
		return r.client.rest.Do(ctx, req)
	}))
}

// Search iterates over what NSX finds for a query in its own syntax. Nothing is
// filtered; see [Query] for why that matters.
func (r Raw) Search(ctx context.Context, query string) iter.Seq2[json.RawMessage, error] {
	return rawMessages(searchPages[jsontext.Value](ctx, r.client, query))
}

func rawMessages(values iter.Seq2[jsontext.Value, error]) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		for value, err := range values {
			if !yield(json.RawMessage(value), err) {
				return
			}
		}
	}
}

func rawRequest(method, path string) (rest.Request, error) {
	path, query, _ := strings.Cut(path, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return rest.Request{}, fmt.Errorf("nsx: %w: query %q: %w", viaduct.ErrInvalid, query, err)
	}
	parsed, err := ParsePath(path)
	if err != nil {
		return rest.Request{}, err
	}
	return rest.Request{
		Op: "call", Object: path, Method: method, Route: "*",
		Path: policyBase + parsed.escaped(), Query: values,
	}, nil
}
