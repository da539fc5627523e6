// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// identity is who makes a request to an API server.
type identity struct {
	user   string
	groups []string
}

// gate stands before an API server and does the part of authentication that a
// Supervisor adds: whom it knows passes in his own name, by impersonation; who
// shows no credentials of ours passes as he comes, and the API server decides.
type gate struct {
	// authenticate returns who makes the request; nil when his credentials are
	// none of ours. It reports false when they are and are not good.
	authenticate func(*http.Request) (*identity, bool)

	target *url.URL
	admin  http.RoundTripper
	plain  http.RoundTripper
}

func newGate(config *rest.Config, authenticate func(*http.Request) (*identity, bool)) (*gate, error) {
	target, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("supervisorsim: %w", err)
	}
	admin, err := rest.TransportFor(config)
	if err != nil {
		return nil, fmt.Errorf("supervisorsim: %w", err)
	}
	plain, err := rest.TransportFor(rest.AnonymousClientConfig(config))
	if err != nil {
		return nil, fmt.Errorf("supervisorsim: %w", err)
	}
	return &gate{authenticate: authenticate, target: target, admin: admin, plain: plain}, nil
}

// ServeHTTP implements [http.Handler].
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	who, good := g.authenticate(r)
	if !good {
		status(w, http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "Unauthorized")
		return
	}
	proxy := httputil.ReverseProxy{
		Transport:     g.plain,
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(g.target)
			p.Out.Host = ""
			if who != nil {
				impersonate(p.Out.Header, who)
			}
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, _ error) {
			if r.Context().Err() == nil {
				status(w, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "the API server does not answer")
			}
		},
	}
	if who != nil {
		proxy.Transport = g.admin
	}
	proxy.ServeHTTP(w, r)
}

func impersonate(h http.Header, who *identity) {
	h.Del("Authorization")
	for name := range h {
		if strings.HasPrefix(name, "Impersonate-") {
			h.Del(name)
		}
	}
	h.Set("Impersonate-User", who.user)
	for _, group := range who.groups {
		h.Add("Impersonate-Group", group)
	}
}

// status answers as a Kubernetes API server does when it refuses.
func status(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) {
	answer(w, code, metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Reason: reason, Message: message, Code: int32(code), //nolint:gosec // an HTTP status
	})
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	// Whoever asked may be gone.
	_ = json.NewEncoder(w).Encode(body)
}

// bearer returns the token of a request, "" when it has none.
func bearer(r *http.Request) string {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return ""
	}
	return token
}
