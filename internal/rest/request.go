// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/viaduct-sdk/viaduct"
)

// Request is one request of a client's method, whatever number of attempts it
// takes.
type Request struct {
	// Op says what is done, for errors and calls: "apply segment". Object is
	// the name of the thing, which never becomes a metric's label.
	Op, Object string

	Method string

	// Route is the path's template, "/infra/segments/{id}", for observers.
	// Path is the escaped path; see [Expand].
	Route, Path string

	Query  url.Values
	Header http.Header

	// Body is sent as JSON; a [Raw] goes as it is.
	Body any

	// Into receives the JSON of a successful answer; nil ignores it. A
	// function of type func(Response) error gets the answer instead; it must
	// not keep the body.
	Into any

	// Idempotent says that sending the request twice does no more than
	// sending it once. GET, HEAD, OPTIONS, PUT and DELETE are so anyway, and
	// PATCH where [Config].PatchIsIdempotent.
	Idempotent bool

	// foreign marks a request whose failure is an answer like any other.
	foreign bool
}

// Raw is a body that is not JSON.
type Raw struct {
	ContentType string
	Bytes       []byte
}

// Expand puts the arguments, escaped, into the {placeholders} of a route, in
// order. An argument that is empty or consists of dots only would change the
// meaning of the path: the error matches [viaduct.ErrInvalid].
func Expand(route string, args ...string) (string, error) {
	var b strings.Builder
	rest := route
	for _, arg := range args {
		open := strings.IndexByte(rest, '{')
		end := strings.IndexByte(rest, '}')
		if open < 0 || end < open {
			return "", fmt.Errorf("rest: %w: route %s takes fewer arguments", viaduct.ErrInvalid, route)
		}
		if arg == "" || arg == "." || arg == ".." {
			return "", fmt.Errorf("%w: %q can't stand for %s in %s", viaduct.ErrInvalid, arg, rest[open:end+1], route)
		}
		b.WriteString(rest[:open])
		b.WriteString(url.PathEscape(arg))
		rest = rest[end+1:]
	}
	if strings.Contains(rest, "{") {
		return "", fmt.Errorf("rest: %w: route %s takes more arguments", viaduct.ErrInvalid, route)
	}
	b.WriteString(rest)
	return b.String(), nil
}

// Marshal encodes v as every request body is encoded.
func Marshal(v any) ([]byte, error) {
	return json.Marshal(v, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
}

// Unmarshal decodes the JSON of a server into v. Unknown members are ignored,
// and names and text that break a rule of JSON without harm are accepted.
func Unmarshal(data []byte, v any) error {
	return json.Unmarshal(data, v, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// body returns the encoded body and its content type; nil when there is none.
func (r *Request) body() ([]byte, string, error) {
	switch b := r.Body.(type) {
	case nil:
		return nil, "", nil
	case Raw:
		return b.Bytes, b.ContentType, nil
	default:
		data, err := Marshal(b)
		if err != nil {
			return nil, "", fmt.Errorf("%s %q: %w: encode the body: %w", r.Op, r.Object, viaduct.ErrInvalid, err)
		}
		return data, "application/json", nil
	}
}

// decode hands a successful answer to Into. broken reports that the body was
// cut short or garbled on its way, so that asking again may help.
func (r *Request) decode(res Response) (broken bool, err error) {
	switch into := r.Into.(type) {
	case nil:
		return false, nil
	case func(Response) error:
		err = into(res)
	default:
		err = Unmarshal(res.Body, into)
	}
	if err == nil {
		return false, nil
	}
	var syntax *jsontext.SyntacticError
	broken = errors.As(err, &syntax) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
	return broken, fmt.Errorf("decode the answer: %w", err)
}

// idempotent reports whether the request may be sent again although an earlier
// attempt may have taken effect.
func (r *Request) idempotent() bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	default:
		return r.Idempotent
	}
}

// newHTTPRequest builds the request for the path alone; the endpoint is chosen
// for each attempt.
func (c *Client) newHTTPRequest(r *Request, body []byte, contentType string) (*http.Request, error) {
	target := r.Path
	if len(r.Query) > 0 {
		target += "?" + r.Query.Encode()
	}
	u, err := url.Parse(target)
	if err != nil || !strings.HasPrefix(u.Path, "/") || u.Host != "" {
		return nil, fmt.Errorf("%s %q: %w: path %q", r.Op, r.Object, viaduct.ErrInvalid, r.Path)
	}
	req := &http.Request{Method: r.Method, URL: u, Header: r.Header.Clone()}
	if req.Header == nil {
		req.Header = http.Header{}
	}
	if body != nil {
		req.ContentLength = int64(len(body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		if contentType != "" {
			req.Header.Set("Content-Type", contentType)
		}
	}
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", "application/json")
	}
	if c.cfg.UserAgent != "" && req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", c.cfg.UserAgent)
	}
	return req, nil
}
