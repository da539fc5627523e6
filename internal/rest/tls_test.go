// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/rest"
)

func TestCertificateChecks(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	sum := sha256.Sum256(srv.Certificate().Raw)
	thumbprint := hex.EncodeToString(sum[:])
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})

	cases := map[string]struct {
		reason  string
		tls     rest.TLS
		trusted bool
	}{
		"nothing said":     {"the system does not know this authority", rest.TLS{}, false},
		"CA":               {"the authority is given", rest.TLS{CA: ca}, true},
		"thumbprint":       {"this certificate is pinned", rest.TLS{Thumbprint: thumbprint}, true},
		"colons":           {"as openssl prints it", rest.TLS{Thumbprint: colons(strings.ToUpper(thumbprint))}, true},
		"other thumbprint": {"another certificate is pinned", rest.TLS{Thumbprint: strings.Repeat("ab", 32)}, false},
		"CA and other pin": {"both must pass", rest.TLS{CA: ca, Thumbprint: strings.Repeat("ab", 32)}, false},
		"insecure":         {"the caller said so", rest.TLS{Insecure: true}, true},
		"its name":         {"it is in the certificate", rest.TLS{CA: ca, ServerName: "example.com"}, true},
		"another name":     {"it is not in the certificate", rest.TLS{CA: ca, ServerName: "nsx.test"}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			attempts := 0
			client, err := rest.New(rest.Config{
				Server: "test", Endpoints: []string{srv.URL}, TLS: tc.tls,
				DecodeError: func(f rest.Failure) error { attempts++; return &failed{f} },
			})
			if err != nil {
				t.Fatal(err)
			}
			err = client.Do(t.Context(), get())
			if (err == nil) != tc.trusted {
				t.Errorf("%s: got %v", tc.reason, err)
			}
			if err != nil && (!rest.IsCertificateError(err) || attempts != 1) {
				t.Errorf("got %v after %d attempts, want a certificate error after one", err, attempts)
			}
		})
	}
}

func colons(s string) string {
	var b bytes.Buffer
	for i := 0; i < len(s); i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(s[i : i+2])
	}
	return b.String()
}

func TestTLSSettingsAreChecked(t *testing.T) {
	t.Parallel()
	other := server(func(*http.Request) (*http.Response, error) { return answer(200, ""), nil })
	cases := map[string]struct {
		tls    rest.TLS
		client *http.Client
	}{
		"no PEM":            {tls: rest.TLS{CA: []byte("hello")}},
		"short thumbprint":  {tls: rest.TLS{Thumbprint: "abcd"}},
		"both":              {tls: rest.TLS{Insecure: true, Thumbprint: strings.Repeat("ab", 32)}},
		"foreign transport": {tls: rest.TLS{Insecure: true}, client: &http.Client{Transport: other}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := rest.New(rest.Config{
				Server: "test", Endpoints: []string{"a.test"}, TLS: tc.tls, HTTPClient: tc.client,
				DecodeError: func(f rest.Failure) error { return &failed{f} },
			})
			if !errors.Is(err, viaduct.ErrInvalid) {
				t.Errorf("got %v, want invalid", err)
			}
		})
	}
}

func TestCallersClientIsNotChanged(t *testing.T) {
	t.Parallel()
	transport := &http.Transport{}
	caller := &http.Client{Transport: transport}
	_, err := rest.New(rest.Config{
		Server: "test", Endpoints: []string{"a.test"}, TLS: rest.TLS{Insecure: true}, HTTPClient: caller,
		DecodeError: func(f rest.Failure) error { return &failed{f} },
	})
	insecure := transport.TLSClientConfig != nil && transport.TLSClientConfig.InsecureSkipVerify
	if err != nil || caller.Transport != http.RoundTripper(transport) || insecure {
		t.Errorf("got %v, insecure %t", err, insecure)
	}
}

func TestRoundTripperLendsTheChain(t *testing.T) {
	t.Parallel()
	d := &door{password: "good"}
	client := newClient(t, d.RoundTrip, func(c *rest.Config) { c.Auth = session("good") })
	lent := &http.Client{Transport: client.RoundTripper()}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://ignored.test/x?a=b", strings.NewReader("whole"))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("someone", "else")
	res, err := lent.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK || d.logins != 1 || len(d.bodies) != 1 || d.bodies[0] != "whole" {
		t.Errorf("got %d, %d logins, bodies %q", res.StatusCode, d.logins, d.bodies)
	}
	d.password = "changed"
	d.expire()
	res, err = lent.Get("https://ignored.test/y")
	if err == nil {
		_ = res.Body.Close()
		t.Errorf("got %d, want the login's error", res.StatusCode)
	}
}
