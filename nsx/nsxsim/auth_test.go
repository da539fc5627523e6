// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

func header(authorization string) http.Header {
	return http.Header{"Authorization": {authorization}}
}

func pair(scheme, user, password string) string {
	return scheme + " " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func jwt(expires time.Time) string {
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	return encode(`{"alg":"RS256"}`) + "." + encode(fmt.Sprintf(`{"exp":%d}`, expires.Unix())) + ".c2lnbmVk"
}

func TestSchemes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		token := jwt(time.Now().Add(time.Hour))
		srv := nsxsim.NewServer(
			nsxsim.WithPrincipal(nsxsim.Principal{Name: "ann@example.com", Password: "p", Remote: true}),
			nsxsim.WithPrincipal(nsxsim.Principal{Name: "robot", Token: token}),
		)
		c := newCaller(t, srv)
		cases := map[string]struct {
			reason string
			header http.Header
			status int
		}{
			"basic":              {"the default user", header(pair("Basic", nsxsim.DefaultUser, nsxsim.DefaultPassword)), 200},
			"wrong password":     {"refused", header(pair("Basic", nsxsim.DefaultUser, "guess")), 403},
			"remote":             {"a user of vIDM", header(pair("Remote", "ann@example.com", "p")), 200},
			"remote as basic":    {"vIDM users are not local", header(pair("Basic", "ann@example.com", "p")), 403},
			"bearer":             {"a token", header("Bearer " + token), 200},
			"unknown token":      {"refused", header("Bearer x.y.z"), 403},
			"nobody":             {"refused", http.Header{}, 403},
			"unknown scheme":     {"refused", header("Digest abc"), 403},
			"damaged":            {"not base64", header("Basic ***"), 403},
			"unknown user":       {"refused", header(pair("Basic", "eve", "")), 403},
			"no password at all": {"a principal without a password has none", header(pair("Basic", "robot", "")), 403},
		}
		for name, test := range cases {
			c.header = test.header
			if status, body := c.do(http.MethodGet, policy+"/infra/segments", nil); status != test.status {
				t.Errorf("%s: %d %v, want %d: %s", name, status, body, test.status, test.reason)
			}
		}
		time.Sleep(time.Hour)
		c.header = header("Bearer " + token)
		if status, _ := c.do(http.MethodGet, policy+"/infra/segments", nil); status != http.StatusForbidden {
			t.Errorf("an expired token: %d", status)
		}
		c.header = header(pair("Remote", "ann@example.com", "p"))
		if status, headers, _ := c.raw(http.MethodPost, "/api/session/create", nil); status != http.StatusOK || headers.Get("X-Xsrf-Token") == "" {
			t.Errorf("a session from Remote: %d", status)
		}
		for _, request := range srv.Requests() {
			if text := fmt.Sprint(request); strings.Contains(text, token) || strings.Contains(text, nsxsim.DefaultPassword) {
				t.Errorf("the record of %s %s holds a credential", request.Method, request.Path)
			}
		}
	})
}

func TestLockout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCaller(t, nsxsim.NewServer(nsxsim.WithLockout(3)))
		right := c.header
		for range 3 {
			c.header = header(pair("Basic", nsxsim.DefaultUser, "guess"))
			c.do(http.MethodGet, policy+"/infra/segments", nil)
		}
		c.header = right
		if status, _ := c.do(http.MethodGet, policy+"/infra/segments", nil); status != http.StatusForbidden {
			t.Errorf("a locked account: %d", status)
		}
		time.Sleep(15 * time.Minute)
		c.must(http.MethodGet, policy+"/infra/segments", nil)
	})
}

func TestClientCertificate(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ncp"}, NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	srv := nsxsim.NewServer(nsxsim.WithPrincipal(nsxsim.Principal{Name: "ncp", Certificate: certificate, Protected: true}))
	if _, err := srv.ListenTLS("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	c := newCaller(t, srv)
	c.client, c.header = tlsClient(t, srv), http.Header{}
	if status, _ := c.do(http.MethodGet, policy+"/infra/segments", nil); status != http.StatusForbidden {
		t.Errorf("without a certificate: %d", status)
	}
	c.client = tlsClient(t, srv)
	transport, _ := c.client.Transport.(*http.Transport)
	transport.TLSClientConfig.Certificates = []tls.Certificate{{Certificate: [][]byte{raw}, PrivateKey: key}}
	got := c.must(http.MethodPut, policy+"/infra/segments/x", object{})
	if got["_create_user"] != "ncp" || got["_protection"] != "REQUIRE_OVERRIDE" {
		t.Errorf("made by the certificate's principal: %v", got)
	}
}
