// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

func TestEveryKindOfAuthentication(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer(
		nsxsim.WithPrincipal(nsxsim.Principal{Name: "user@corp", Password: "vidm", Remote: true}),
		nsxsim.WithPrincipal(nsxsim.Principal{Name: "svc", Token: "a.jwt.token"}),
	)
	token := func(context.Context) (string, error) { return "a.jwt.token", nil }
	wrong := func(context.Context) (string, error) { return "another", nil }
	broken := func(context.Context) (string, error) { return "", errors.New("the token service is down") }
	cases := map[string]struct {
		auth nsx.Auth
		user string // "": refused
	}{
		"session":        {auth(), nsxsim.DefaultUser},
		"session, wrong": {nsx.SessionAuth(nsxsim.DefaultUser, "wrong"), ""},
		"basic":          {nsx.BasicAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword), nsxsim.DefaultUser},
		"basic, wrong":   {nsx.BasicAuth(nsxsim.DefaultUser, "wrong"), ""},
		"remote":         {nsx.RemoteAuth("user@corp", "vidm"), "user@corp"},
		"remote, local":  {nsx.RemoteAuth("nobody@corp", "vidm"), ""},
		"bearer":         {nsx.BearerAuth(token), "svc"},
		"bearer, wrong":  {nsx.BearerAuth(wrong), ""},
		"bearer, broken": {nsx.BearerAuth(broken), ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := nsx.NewClient(srv.URL(), tc.auth, nsx.WithHTTPClient(srv.Client()))
			must(t, err)
			pool := pool(strings.ReplaceAll(name, " ", "-"))
			err = c.Pools().Apply(t.Context(), pool)
			if tc.user == "" {
				if !errors.Is(err, viaduct.ErrUnauthenticated) {
					t.Errorf("got %v, want unauthenticated", err)
				}
				return
			}
			must(t, err)
			made, err := c.Pools().Get(t.Context(), pool.ID)
			must(t, err)
			if made.CreateUser != tc.user {
				t.Errorf("made by %q, want %q", made.CreateUser, tc.user)
			}
		})
	}
}

func TestClientCertificate(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "principal"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	leaf, err := x509.ParseCertificate(der)
	must(t, err)
	srv := nsxsim.NewServer(nsxsim.WithPrincipal(nsxsim.Principal{Name: "principal", Certificate: leaf}))
	t.Cleanup(srv.Close)
	address, err := srv.ListenTLS("127.0.0.1:0")
	must(t, err)
	c, err := nsx.NewClient(address,
		nsx.CertificateAuth(tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}), nsx.WithCACert(srv.CACertPEM()))
	must(t, err)
	must(t, c.Pools().Apply(t.Context(), pool("p")))
	made, err := c.Pools().Get(t.Context(), "p")
	must(t, err)
	if made.CreateUser != "principal" {
		t.Errorf("made by %q", made.CreateUser)
	}
}

func TestWrongPasswordDoesNotLockTheAccount(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]nsx.Auth{
		"session": nsx.SessionAuth(nsxsim.DefaultUser, "wrong"),
		"basic":   nsx.BasicAuth(nsxsim.DefaultUser, "wrong"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := nsxsim.NewServer(nsxsim.WithLockout(3), nsxsim.WithManagers(3))
				var others []string
				for _, m := range srv.Managers()[1:] {
					others = append(others, m.URL())
				}
				c, err := nsx.NewClient(srv.URL(), wrong, nsx.WithHTTPClient(srv.Client()), nsx.WithEndpoints(others...))
				must(t, err)
				var wg sync.WaitGroup
				for range 50 {
					wg.Go(func() {
						if _, err := c.Pools().Get(t.Context(), "p"); !errors.Is(err, viaduct.ErrUnauthenticated) {
							t.Errorf("got %v, want unauthenticated", err)
						}
					})
					if name == "basic" {
						synctest.Wait() // requests that are under way together can't know
					}
				}
				wg.Wait()
				if _, err := connect(t, srv).Pools().Get(t.Context(), "p"); !errors.Is(err, viaduct.ErrNotFound) {
					t.Errorf("the account is locked: %v", err)
				}
			})
		})
	}
}

func TestSessionsPerManager(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := nsxsim.NewServer(nsxsim.WithManagers(2), nsxsim.WithSessionTimeout(time.Hour))
		c := connect(t, srv, nsx.WithEndpoints(srv.Managers()[1].URL()))
		hurry(t, c, 100)
		if n := logins(srv); n != 2 {
			t.Errorf("100 concurrent requests made %d sessions on two managers, want 2", n)
		}
		time.Sleep(2 * time.Hour)
		hurry(t, c, 100)
		if n := logins(srv); n != 4 {
			t.Errorf("after they expired there were %d logins, want 4", n)
		}
		must(t, c.Close(t.Context()))
		hurry(t, c, 1)
		if n := logins(srv); n != 5 {
			t.Errorf("after closing there were %d logins, want 5", n)
		}
	})
}

func logins(srv *nsxsim.Server) int {
	n := 0
	for _, r := range srv.Requests() {
		if r.Path == "/api/session/create" {
			n++
		}
	}
	return n
}

func TestFailoverMovesToAHealthyManager(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := nsxsim.NewServer(nsxsim.WithManagers(2))
		first, second := srv.Managers()[0], srv.Managers()[1]
		c := connect(t, srv, nsx.WithEndpoints(second.URL()))
		must(t, c.Pools().Apply(t.Context(), pool("p")))
		first.Stop()
		began := time.Now()
		must(t, c.Pools().Apply(t.Context(), pool("p")))
		if took := time.Since(began); took != 0 {
			t.Errorf("failing over took %v", took)
		}
		health := c.CheckHealth(t.Context())
		if !errors.Is(health[0].Err, viaduct.ErrUnavailable) || health[1].Err != nil {
			t.Errorf("got health %+v", health)
		}
		must(t, first.Start())
		second.Stop()
		time.Sleep(time.Minute)
		must(t, c.Pools().Apply(t.Context(), pool("p")))
	})
}

func TestAuthIsChecked(t *testing.T) {
	t.Parallel()
	cases := map[string]nsx.Auth{
		"zero":             {},
		"no user":          nsx.SessionAuth("", "x"),
		"no password":      nsx.BasicAuth("x", ""),
		"no token":         nsx.BearerAuth(nil),
		"no remote secret": nsx.RemoteAuth("x", ""),
	}
	for name, a := range cases {
		if _, err := nsx.NewClient("nsx.test", a); !errors.Is(err, viaduct.ErrInvalid) {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
	}
	if _, err := nsx.NewClient("https://admin:secret@nsx.test", auth()); !errors.Is(err, viaduct.ErrInvalid) || strings.Contains(err.Error(), "secret") {
		t.Errorf("credentials in the endpoint: got %v", err)
	}
}

// TestNothingSecretIsTold runs a client into all kinds of trouble and looks for
// its secrets in every log record, error and formatted value.
func TestNothingSecretIsTold(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t-pa55w0rd"
	token := func(context.Context) (string, error) { return secret, nil }
	auths := map[string]nsx.Auth{
		"session": nsx.SessionAuth("jane", secret), "basic": nsx.BasicAuth("jane", secret),
		"remote": nsx.RemoteAuth("jane", secret), "bearer": nsx.BearerAuth(token),
	}
	for name, a := range auths {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var told bytes.Buffer
				srv := nsxsim.NewServer(nsxsim.WithPrincipal(nsxsim.Principal{
					Name: "jane", Password: secret, Remote: name == "remote", Token: secret,
				}))
				var cookies []string
				wire := srv.Client()
				wire.Transport = spy{wire.Transport, &cookies}
				c, err := nsx.NewClient(srv.URL(), a, nsx.WithHTTPClient(wire),
					nsx.WithLogger(slog.New(slog.NewJSONHandler(&told, &slog.HandlerOptions{Level: slog.LevelDebug - 10}))),
					nsx.WithObserver(func(_ context.Context, call nsx.Call) { fmt.Fprintf(&told, "%+v %v\n", call, call.Err) }))
				must(t, err)
				fmt.Fprintf(&told, "%v %+v %#v %s\n", a, a, a, a)
				slog.New(slog.NewTextHandler(&told, nil)).Info("auth", "auth", a)
				must(t, c.Pools().Apply(t.Context(), pool("p")))
				for _, f := range faults() {
					f.Times = 1
					srv.Inject(f)
					_, err := c.Pools().Get(t.Context(), "p")
					fmt.Fprintf(&told, "%v %+v\n", err, err)
					slog.New(slog.NewTextHandler(&told, nil)).Info("error", "err", err)
					srv.ClearFaults()
					time.Sleep(time.Hour)
				}
				if told.Len() < 10_000 {
					t.Fatalf("only %d bytes were told: the test looks at nothing", told.Len())
				}
				secrets := append(cookies, secret,
					base64.StdEncoding.EncodeToString([]byte("jane:"+secret)))
				for _, s := range secrets {
					if strings.Contains(told.String(), s) {
						t.Errorf("%q was told", s)
					}
				}
				if name == "session" && len(cookies) == 0 {
					t.Error("the spy saw no session")
				}
			})
		})
	}
}

// spy notes the session secrets that pass.
type spy struct {
	http.RoundTripper
	seen *[]string
}

func (s spy) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := s.RoundTripper.RoundTrip(r)
	if err == nil {
		for _, cookie := range res.Cookies() {
			if cookie.Value != "" {
				*s.seen = append(*s.seen, cookie.Value)
			}
		}
		if xsrf := res.Header.Get("X-Xsrf-Token"); xsrf != "" {
			*s.seen = append(*s.seen, xsrf)
		}
	}
	return res, err
}

func TestObserverSeesRouteTemplates(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	routes := map[string]int{}
	c := connect(t, srv, nsx.WithObserver(func(_ context.Context, call nsx.Call) { routes[call.Method+" "+call.Route]++ }))
	ctx := t.Context()
	for _, id := range []string{"a", "b"} {
		must(t, c.Pools().Apply(ctx, pool(id)))
	}
	_, _ = c.Tier1("gw").NATRules(nsx.NATUser).Get(ctx, "r")
	_, _ = c.Domain("default").SecurityPolicies().Rules("p").Get(ctx, "r")
	want := map[string]int{
		"POST /api/session/create":                                      1,
		"PATCH /infra/lb-pools/{id}":                                    2,
		"GET /infra/tier-1s/{id}/nat/{section}/nat-rules/{id}":          1,
		"GET /infra/domains/{domain}/security-policies/{id}/rules/{id}": 1,
	}
	if diff := cmp.Diff(want, routes); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
