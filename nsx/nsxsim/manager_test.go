// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
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

func TestHandlerAndClock(t *testing.T) {
	t.Parallel()
	now := time.Date(2021, 5, 1, 0, 0, 0, 0, time.UTC)
	srv := nsxsim.NewServer(nsxsim.WithClock(func() time.Time { return now }))
	t.Cleanup(srv.Close)
	mustPut(t, srv, "/infra/segments/s", object{})
	request := httptest.NewRequest(http.MethodGet, policy+"/infra/segments/s", nil)
	request.SetBasicAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword)
	answer := httptest.NewRecorder()
	srv.Handler().ServeHTTP(answer, request)
	var segment struct {
		Created int64 `json:"_create_time"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &segment); err != nil || segment.Created != now.UnixMilli() {
		t.Errorf("%+v %v", segment, err)
	}
	srv.Inject(nsxsim.Fault{Kind: nsxsim.FaultReset})
	answer = httptest.NewRecorder()
	srv.Handler().ServeHTTP(answer, request)
	if answer.Code != http.StatusBadGateway {
		t.Errorf("a reset where there is no connection: %d", answer.Code)
	}
}

func TestBadPages(t *testing.T) {
	t.Parallel()
	c := newCaller(t, nsxsim.NewServer())
	for _, path := range []string{
		policy + "/infra/segments?cursor=nonsense", policy + "/infra/segments?page_size=1001", policy + "/infra/segments?page_size=many",
		policy + "/search/query?query=a&cursor=nonsense", "/api/v1/ip-sets?cursor=0000", "/api/v1/ip-sets?cursor=0036x",
	} {
		if status, body := c.do(http.MethodGet, path, nil); status != http.StatusBadRequest {
			t.Errorf("%s: %d %v", path, status, body)
		}
	}
	if page := c.must(http.MethodGet, policy+"/infra/domains?page_size=0", nil); len(results(page)) > 0 || page["result_count"] != 1.0 {
		t.Errorf("a page of nothing: %v", page)
	}
	for _, path := range []string{"/infra/segments/none/ports", "/infra/realized-state/status?intent_path=/infra/segments/none"} {
		if status, _ := c.do(http.MethodGet, policy+path, nil); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
	c.must(http.MethodPut, policy+"/infra/tier-1s/t", object{})
	if got := c.must(http.MethodGet, policy+"/infra/tier-1s/t/nat/USER", nil); got["resource_type"] != "PolicyNat" {
		t.Errorf("a section of NAT rules: %v", got)
	}
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
