// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc_test

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
)

// guest is the API server of a TK cluster, or what of it matters here: it knows
// tokens, and which of them are good.
type guest struct {
	server *httptest.Server
	ready  atomic.Bool
	hold   chan struct{} // a request to /hold ends when it is closed
	held   chan struct{} // and says here that it has begun

	mu   sync.Mutex
	good map[string]bool
	used map[string]int // requests that were answered
	bad  int            // requests that were refused
}

func newGuest(t testing.TB) *guest {
	t.Helper()
	g := exampleServer()
	t.Cleanup(g.server.Close)
	return g
}

// exampleServer is a guest that the caller closes.
func exampleServer() *guest {
	g := &guest{good: map[string]bool{"first": true}, used: map[string]int{}, hold: make(chan struct{}), held: make(chan struct{}, 100)}
	g.ready.Store(true)
	g.server = httptest.NewUnstartedServer(g)
	g.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	g.server.EnableHTTP2 = true
	g.server.StartTLS()
	return g
}

func (g *guest) url() string { return g.server.URL }

func (g *guest) authority() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.server.Certificate().Raw})
}

// kubeconfig is one with this token.
func (g *guest) kubeconfig(token string) []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: u, user: {token: %q}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
`, g.url(), base64.StdEncoding.EncodeToString(g.authority()), token)
}

func (g *guest) set(token string, good bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.good[token] = good
}

func (g *guest) count(token string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.used[token]
}

func (g *guest) refused() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.bad
}

func (g *guest) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := r.Header.Get("Authorization")
	if len(token) > len("Bearer ") {
		token = token[len("Bearer "):]
	}
	g.mu.Lock()
	good := g.good[token]
	if good {
		g.used[token]++
	} else {
		g.bad++
	}
	g.mu.Unlock()
	if !good {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.URL.Path == "/readyz" && !g.ready.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if r.URL.Path == "/hold" {
		g.held <- struct{}{}
		select {
		case <-g.hold:
		case <-r.Context().Done():
		}
	}
	// The body comes back, so that a replay can be told from a first attempt.
	_, _ = io.Copy(w, r.Body)
}
