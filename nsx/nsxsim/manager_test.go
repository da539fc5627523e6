// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// logIn opens a session and makes the caller use it.
func (c *caller) logIn() {
	c.t.Helper()
	form := url.Values{"j_username": {nsxsim.DefaultUser}, "j_password": {nsxsim.DefaultPassword}}
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.base+"/api/session/create", strings.NewReader(form.Encode()))
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := c.client.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK || len(response.Cookies()) != 1 {
		c.t.Fatalf("log in: %s, %d cookies", response.Status, len(response.Cookies()))
	}
	cookie := response.Cookies()[0]
	c.header = http.Header{"Cookie": {cookie.Name + "=" + cookie.Value}, "X-Xsrf-Token": {response.Header.Get("X-XSRF-TOKEN")}}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := nsxsim.NewServer(nsxsim.WithManagers(2), nsxsim.WithSessionTimeout(time.Minute))
		c := newCaller(t, srv)
		c.logIn()
		c.must(http.MethodGet, policy+"/infra/lb-pools", nil)

		other := *c
		other.base = srv.Managers()[1].URL()
		if status, body := other.do(http.MethodGet, policy+"/infra/lb-pools", nil); status != http.StatusForbidden || body["error_code"] != 98.0 {
			t.Errorf("another manager: %d %v", status, body)
		}
		forged := *c
		forged.header = c.header.Clone()
		forged.header.Set("X-Xsrf-Token", "guess")
		if status, body := forged.do(http.MethodGet, policy+"/infra/lb-pools", nil); status != http.StatusForbidden || body["error_code"] != 98.0 {
			t.Errorf("a wrong XSRF token: %d %v", status, body)
		}
		time.Sleep(59 * time.Second)
		c.must(http.MethodGet, policy+"/infra/lb-pools", nil)
		time.Sleep(time.Minute)
		if status, body := c.do(http.MethodGet, policy+"/infra/lb-pools", nil); status != http.StatusForbidden || body["error_code"] != 98.0 {
			t.Errorf("an idle session: %d %v", status, body)
		}
		c.logIn()
		c.must(http.MethodPost, "/api/session/destroy", nil)
		if status, _ := c.do(http.MethodGet, policy+"/infra/lb-pools", nil); status != http.StatusForbidden {
			t.Errorf("a destroyed session: %d", status)
		}
	})
}

func TestListenTLS(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	base, err := srv.ListenTLS("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := newCaller(t, srv)
	c.client = tlsClient(t, srv)
	if diff := cmp.Diff(base, srv.URL()); diff != "" {
		t.Error(diff)
	}
	version := c.must(http.MethodGet, "/api/v1/node/version", nil)
	if version["product_version"] == nil {
		t.Errorf("version: %v", version)
	}
	c.logIn()
	c.must(http.MethodGet, policy+"/infra/lb-services", nil)
}

// tlsClient trusts the server's authority and nobody else.
func tlsClient(t *testing.T, srv *nsxsim.Server) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(srv.CACertPEM()) {
		t.Fatal("no CA certificate")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestUnsimulated(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	c := newCaller(t, srv)
	for range 2 {
		if status, body := c.do(http.MethodGet, policy+"/infra/no-such-thing", nil); status != http.StatusNotImplemented {
			t.Errorf("%d %v", status, body)
		}
	}
	if diff := cmp.Diff([]string{"GET " + policy + "/infra/no-such-thing"}, srv.Unsimulated()); diff != "" {
		t.Error(diff)
	}
}
