// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	nsxt "github.com/vmware/go-vmware-nsxt"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
)

// basePath is what go-vmware-nsxt calls the manager. The client's chain puts the
// endpoint that it chose in the host's place.
const basePath = "https://nsx/api/v1"

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// transport carries one call of go-vmware-nsxt, which neither gives a context to
// its requests nor tells more of a failure than a text.
type transport struct {
	ctx  context.Context
	next http.RoundTripper
	err  error // what came of the call
}

// RoundTrip sends req within the call's context. It notes a failure, and gives
// go-vmware-nsxt an answer that it neither retries nor prints.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.next.RoundTrip(req.WithContext(t.ctx))
	switch {
	case err != nil:
		t.err = err
		return failed(req), nil //nolint:nilerr // ask returns it
	case res.StatusCode < 300:
		return res, nil
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close() // it was read to its end
	if err != nil {
		body = nil // the status says enough
	}
	t.err = decodeError(req, res, body)
	return failed(req), nil
}

func failed(req *http.Request) *http.Response {
	return &http.Response{
		Status: "502 Bad Gateway", StatusCode: http.StatusBadGateway, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: http.NoBody, Request: req,
	}
}

// decodeError makes the error that package nsx makes of an answer.
func decodeError(req *http.Request, res *http.Response, body []byte) error {
	var envelope struct {
		Code    any    `json:"error_code"`
		Module  string `json:"module_name"`
		Message string `json:"error_message"`
		Details string `json:"details"`
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	e := &nsx.Error{
		Op: "read", Object: strings.TrimPrefix(req.URL.Path, "/api/v1/"), Method: req.Method, Path: req.URL.Path,
		Status: res.StatusCode, RequestID: res.Header.Get("X-Nsx-Requestid"),
	}
	if decoder.Decode(&envelope) != nil {
		return e
	}
	e.Module, e.Message, e.Details = envelope.Module, envelope.Message, envelope.Details
	if code, err := strconv.ParseInt(fmt.Sprint(envelope.Code), 10, 64); err == nil { // a number, or one in a string
		e.Code = code
	}
	return e
}

// ask makes one call of go-vmware-nsxt and returns its result, or the error that
// the chain returned. Each call has an API client of its own, which is how it
// gets its context.
func ask[T any](ctx context.Context, chain http.RoundTripper, call func(ctx context.Context, api *nsxt.APIClient) (T, *http.Response, error)) (T, error) {
	var zero T
	t := &transport{ctx: ctx, next: chain}
	api, err := nsxt.NewAPIClient(&nsxt.Configuration{
		BasePath:        basePath,
		UserAgent:       "viaduct",
		SkipSessionAuth: true,
		HTTPClient:      &http.Client{Transport: t, CheckRedirect: noRedirect},
	})
	if err != nil {
		return zero, fmt.Errorf("manager: %w: %w", viaduct.ErrInvalid, err)
	}
	result, _, err := call(ctx, api) //nolint:bodyclose // go-vmware-nsxt closes it
	switch {
	case t.err != nil:
		return zero, t.err
	case err != nil:
		return zero, fmt.Errorf("read the answer: %w: %w", viaduct.ErrUnavailable, err)
	}
	return result, nil
}

// list collects the elements of all pages that fetch returns, which keep has
// chosen.
func list[T any](ctx context.Context, sortBy string, fetch func(ctx context.Context, options map[string]any) (chunk[T], error), keep func(T) bool) ([]T, error) {
	var kept []T
	seen := map[string]bool{}
	options := map[string]any{"pageSize": int64(1000)}
	if sortBy != "" {
		options["sortBy"] = sortBy
	}
	for {
		page, err := fetch(ctx, options)
		if err != nil {
			return nil, err
		}
		for _, item := range page.items {
			if keep(item) {
				kept = append(kept, item)
			}
		}
		// The cursor of the Manager API's last page starts with 0000.
		if page.cursor == "" || strings.HasPrefix(page.cursor, "0000") || len(page.items) == 0 || seen[page.cursor] {
			return kept, nil
		}
		seen[page.cursor] = true
		options["cursor"] = page.cursor
	}
}

// chunk is one page.
type chunk[T any] struct {
	items  []T
	cursor string
}
