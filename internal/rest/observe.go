// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// Call is one attempt of a request, as an observer sees it. Its strings come
// from small sets, fit for the labels of a metric.
type Call struct {
	Server   string // "nsx"
	Endpoint string // the endpoint's URL
	Op       string // "apply segment"
	Method   string
	Route    string // the template: "/infra/segments/{id}"
	Status   int    // 0: no answer
	Attempt  int    // 1: the first
	Duration time.Duration
	Err      error
}

// report tells the observer and the log of one attempt.
func (c *Client) report(ctx context.Context, call Call, sent, got http.Header) {
	if c.cfg.Observer != nil {
		c.cfg.Observer(ctx, call)
	}
	if !c.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{
		slog.String("server", call.Server),
		slog.String("endpoint", call.Endpoint),
		slog.String("op", call.Op),
		slog.String("method", call.Method),
		slog.String("route", call.Route),
		slog.Int("status", call.Status),
		slog.Int("attempt", call.Attempt),
		slog.Duration("duration", call.Duration),
		slog.Any("sent", headers(sent)),
		slog.Any("received", headers(got)),
	}
	if id := got.Get(c.cfg.RequestIDHeader); id != "" {
		attrs = append(attrs, slog.String("request_id", id))
	}
	if call.Err != nil {
		attrs = append(attrs, slog.String("error", call.Err.Error()))
	}
	c.log.LogAttrs(ctx, slog.LevelDebug, "http attempt", attrs...)
}

// headers is a header that logs without its secrets.
type headers http.Header

// LogValue shows the headers that are known to be harmless and the names only
// of all others.
func (h headers) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, len(h))
	for name, values := range h {
		value := "[redacted]"
		if harmless(name) {
			value = strings.Join(values, ", ")
		}
		attrs = append(attrs, slog.String(name, value))
	}
	return slog.GroupValue(attrs...)
}

func harmless(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Accept", "Content-Type", "Content-Length", "User-Agent", "Date", "Retry-After", "Server",
		"X-Allow-Overwrite", "X-Nsx-Requestid", "X-Request-Id":
		return true
	default:
		return false
	}
}
