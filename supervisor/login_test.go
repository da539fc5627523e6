// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisor_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/supervisor"
	"github.com/viaduct-sdk/viaduct/supervisor/supervisorsim"
)

func newWCP(t *testing.T, cfg supervisorsim.WCPConfig) *supervisorsim.WCP {
	t.Helper()
	w, err := supervisorsim.NewWCP(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func admin() supervisor.Auth {
	return supervisor.PasswordAuth(supervisorsim.DefaultUser, supervisorsim.DefaultPassword)
}

// newLogin logs in to a simulator in process.
func newLogin(t *testing.T, w *supervisorsim.WCP, auth supervisor.Auth, opts ...supervisor.Option) *supervisor.Login {
	t.Helper()
	opts = append(opts, supervisor.WithHTTPClient(w.Client()), supervisor.WithAPIServer(w.URL()))
	l, err := supervisor.NewLogin(w.URL(), auth, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// logins counts the requests to /wcp/login.
func logins(w *supervisorsim.WCP) int {
	n := 0
	for _, r := range w.Requests() {
		if r.Path == "/wcp/login" {
			n++
		}
	}
	return n
}

func guests() []supervisorsim.GuestEndpoint {
	return []supervisorsim.GuestEndpoint{
		{Namespace: "acme-app", Name: "acme-fitness", Server: "192.168.30.70", CA: []byte("PEM of acme-fitness")},
		{Namespace: "acme-app", Name: "twin", Server: "192.168.30.71:8443", CA: []byte("PEM")},
		{Namespace: "acme-data", Name: "twin", Server: "192.168.30.72", CA: []byte("PEM")},
		{Namespace: "secret", Name: "hidden", Server: "192.168.30.73", CA: []byte("PEM")},
	}
}

func TestIsSupervisor(t *testing.T) {
	t.Parallel()
	sim := newWCP(t, supervisorsim.WCPConfig{Banner: "Authorized use only"})
	ok, err := supervisor.IsSupervisor(t.Context(), sim.URL(), supervisor.WithHTTPClient(sim.Client()))
	if err != nil || !ok {
		t.Errorf("a Supervisor: %v, %v", ok, err)
	}
	banner, err := newLogin(t, sim, admin()).Banner(t.Context())
	if err != nil || banner != "Authorized use only" {
		t.Errorf("banner %q, %v", banner, err)
	}
	sim.Inject(supervisorsim.Fault{Path: "/wcp/loginbanner", Status: http.StatusNotFound})
	ok, err = supervisor.IsSupervisor(t.Context(), sim.URL(), supervisor.WithHTTPClient(sim.Client()))
	if err != nil || ok {
		t.Errorf("some other server: %v, %v", ok, err)
	}
	if _, err := newLogin(t, sim, admin()).Banner(t.Context()); !errors.Is(err, viaduct.ErrUnsupported) {
		t.Errorf("banner of some other server: %v", err)
	}
	if _, err := supervisor.IsSupervisor(t.Context(), "https://127.0.0.1:1"); err == nil {
		t.Error("nothing listens there, and no error says so")
	}
}

func TestWorkloads(t *testing.T) {
	t.Parallel()
	sim := newWCP(t, supervisorsim.WCPConfig{
		Namespaces: func() []string { return []string{"acme-data", "acme-app", "secret"} },
		Users: []supervisorsim.User{{
			Name: "dev@vsphere.local", Password: "pw",
			Namespaces: map[string]supervisorsim.Role{"acme-app": supervisorsim.RoleEdit, "acme-data": supervisorsim.RoleView},
		}},
	})
	got, err := newLogin(t, sim, supervisor.PasswordAuth("dev@vsphere.local", "pw")).Workloads(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []supervisor.Workload{
		{Namespace: "acme-app", Server: "supervisor.sim", Port: 443, DNSNames: []string{}},
		{Namespace: "acme-data", Server: "supervisor.sim", Port: 443, DNSNames: []string{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("workloads (-want +got):\n%s", diff)
	}
	if got := got[0].APIServer(); got != "https://supervisor.sim:443" {
		t.Errorf("API server %s", got)
	}
	if got := (supervisor.Workload{Server: "fd00::1"}).APIServer(); got != "https://[fd00::1]:6443" {
		t.Errorf("API server without port %s", got)
	}
}

func TestWrongPasswordIsSentOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := newWCP(t, supervisorsim.WCPConfig{Lockout: 3})
		const wrong = "a wrong one"
		l := newLogin(t, sim, supervisor.PasswordAuth(supervisorsim.DefaultUser, wrong))
		for range 5 {
			_, err := l.TokenSource().Token(t.Context())
			if !errors.Is(err, viaduct.ErrUnauthenticated) {
				t.Fatalf("got %v, want that the password is refused", err)
			}
			if errors.Is(err, viaduct.ErrUnavailable) {
				t.Errorf("%v says that trying again helps", err)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), wrong) {
				t.Errorf("the password is in the error: %v", err)
			}
		}
		if n := logins(sim); n != 1 {
			t.Errorf("the password was sent %d times", n)
		}
		// The right password of the same user still works: nothing is locked.
		if _, err := newLogin(t, sim, admin()).TokenSource().Token(t.Context()); err != nil {
			t.Errorf("the account is locked: %v", err)
		}
	})
}

func TestGuest(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason          string
		namespace, name string
		refuse          bool
		server          string
		err             error
	}{
		"Known":              {"an address alone means port 6443", "acme-app", "acme-fitness", false, "https://192.168.30.70:6443", nil},
		"WithPort":           {"a port is kept", "acme-app", "twin", false, "https://192.168.30.71:8443", nil},
		"WithoutNamespace":   {"one cluster has the name", "", "acme-fitness", false, "https://192.168.30.70:6443", nil},
		"Unknown":            {"the server says 200 and no address", "acme-app", "nobody", false, "", viaduct.ErrNotFound},
		"Ambiguous":          {"two have the name, and the server says nothing", "", "twin", false, "", viaduct.ErrNotFound},
		"AmbiguousRefused":   {"two have the name, and the server says so", "", "twin", true, "", viaduct.ErrInvalid},
		"NoName":             {"nothing is asked", "acme-app", "", false, "", viaduct.ErrInvalid},
		"InOtherNamespace":   {"the namespace counts", "acme-data", "acme-fitness", false, "", viaduct.ErrNotFound},
		"NotOfThisUser":      {"what others have is not there", "secret", "hidden", false, "", viaduct.ErrNotFound},
		"HiddenWithoutSpace": {"what others have is not there, whatever is left out", "", "hidden", false, "", viaduct.ErrNotFound},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := newWCP(t, supervisorsim.WCPConfig{
				Guests: guests, AmbiguousGuestRefused: tc.refuse, KubeConfigField: true,
				Users: []supervisorsim.User{{
					Name: supervisorsim.DefaultUser, Password: supervisorsim.DefaultPassword,
					Namespaces: map[string]supervisorsim.Role{"acme-app": supervisorsim.RoleEdit, "acme-data": supervisorsim.RoleEdit},
				}},
			})
			g, err := newLogin(t, sim, admin()).Guest(t.Context(), tc.namespace, tc.name)
			if !errors.Is(err, tc.err) || (tc.err == nil) != (err == nil) {
				t.Fatalf("%s: got %v, want %v", tc.reason, err, tc.err)
			}
			if tc.err != nil {
				return
			}
			if g.Server != tc.server {
				t.Errorf("%s: server %s, want %s", tc.reason, g.Server, tc.server)
			}
			if _, err := g.TokenSource().Token(t.Context()); err != nil || logins(sim) != 1 {
				t.Errorf("the token of the login must be used: %v after %d logins", err, logins(sim))
			}
		})
	}
}

func TestNewLoginRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason, endpoint string
		auth             supervisor.Auth
		opts             []supervisor.Option
		err              error
	}{
		"NoAuth":         {"nobody logs in", "sv", supervisor.Auth{}, nil, viaduct.ErrInvalid},
		"EmptyPassword":  {"no password", "sv", supervisor.PasswordAuth("u", ""), nil, viaduct.ErrInvalid},
		"NoEndpoint":     {"no address", "", admin(), nil, viaduct.ErrInvalid},
		"EmptyCA":        {"the Supervisor is being configured", "sv", admin(), []supervisor.Option{supervisor.WithCACert([]byte(" \n"))}, viaduct.ErrUnavailable},
		"GarbageCA":      {"no certificate", "sv", admin(), []supervisor.Option{supervisor.WithCACert([]byte("garbage"))}, viaduct.ErrInvalid},
		"Thumbprint":     {"no SHA-256", "sv", admin(), []supervisor.Option{supervisor.WithThumbprint("aa:bb")}, viaduct.ErrInvalid},
		"Contradiction":  {"checked and not checked", "sv", admin(), []supervisor.Option{supervisor.WithThumbprint(strings.Repeat("ab", 32)), supervisor.WithInsecureSkipVerify()}, viaduct.ErrInvalid},
		"PlainAPIServer": {"plain http", "sv", admin(), []supervisor.Option{supervisor.WithAPIServer("http://sv:6443")}, viaduct.ErrInvalid},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := supervisor.NewLogin(tc.endpoint, tc.auth, tc.opts...); !errors.Is(err, tc.err) {
				t.Errorf("%s: got %v, want %v", tc.reason, err, tc.err)
			}
		})
	}
}

func TestTrust(t *testing.T) {
	t.Parallel()
	sim := newWCP(t, supervisorsim.WCPConfig{})
	url, err := sim.ListenTLS("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	thumbprint := thumbprintOf(t, url)
	wrong := strings.Repeat("ab", sha256.Size)
	other := newWCP(t, supervisorsim.WCPConfig{}).CACertPEM()
	cases := map[string]struct {
		reason  string
		opts    []supervisor.Option
		trusted bool
	}{
		"System":          {"the system knows no such authority", nil, false},
		"CA":              {"the authority that signed", []supervisor.Option{supervisor.WithCACert(sim.CACertPEM())}, true},
		"OtherCA":         {"an authority that did not", []supervisor.Option{supervisor.WithCACert(other)}, false},
		"Thumbprint":      {"the pinned certificate", []supervisor.Option{supervisor.WithThumbprint(thumbprint)}, true},
		"Colons":          {"in the form that browsers show", []supervisor.Option{supervisor.WithThumbprint(colons(thumbprint))}, true},
		"WrongThumbprint": {"another certificate", []supervisor.Option{supervisor.WithThumbprint(wrong)}, false},
		"Both":            {"both must hold", []supervisor.Option{supervisor.WithCACert(sim.CACertPEM()), supervisor.WithThumbprint(wrong)}, false},
		"ServerName":      {"the certificate's other name", []supervisor.Option{supervisor.WithCACert(sim.CACertPEM()), supervisor.WithServerName("supervisor.sim")}, true},
		"WrongServerName": {"a name that the certificate lacks", []supervisor.Option{supervisor.WithCACert(sim.CACertPEM()), supervisor.WithServerName("elsewhere.example.com")}, false},
		"Insecure":        {"nothing is checked", []supervisor.Option{supervisor.WithInsecureSkipVerify()}, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := supervisor.NewLogin(url, admin(), tc.opts...)
			if err != nil {
				t.Fatal(err)
			}
			_, err = l.TokenSource().Token(t.Context())
			if tc.trusted != (err == nil) {
				t.Errorf("%s: %v", tc.reason, err)
			}
			if !tc.trusted && errors.Is(err, viaduct.ErrUnavailable) {
				t.Errorf("%s: %v must not say that trying later helps", tc.reason, err)
			}
		})
	}
}

func thumbprintOf(t *testing.T, url string) string {
	t.Helper()
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	leaf := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
	sum := sha256.Sum256(leaf.Raw)
	return hex.EncodeToString(sum[:])
}

func colons(thumbprint string) string {
	var parts []string
	for i := 0; i < len(thumbprint); i += 2 {
		parts = append(parts, strings.ToUpper(thumbprint[i:i+2]))
	}
	return strings.Join(parts, ":")
}

// TestSecretsStaySecret prints and logs everything that holds a secret.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	sim := newWCP(t, supervisorsim.WCPConfig{})
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	l := newLogin(t, sim, admin(), supervisor.WithLogger(logger))
	token, err := l.TokenSource().Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	auth := admin()
	logger.InfoContext(context.Background(), "all", "auth", auth, "token", token)
	text := log.String() + fmt.Sprintf("%v %+v %#v %v %+v %#v", auth, auth, auth, token, token, token)
	for what, secret := range map[string]string{"password": supervisorsim.DefaultPassword, "token": token.Value} {
		if strings.Contains(text, secret) {
			t.Errorf("the %s is printed", what)
		}
	}
	if block, _ := pem.Decode(sim.CACertPEM()); block == nil {
		t.Error("the simulator's authority is no PEM")
	}
}
