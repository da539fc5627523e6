// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/vcenter"
	"github.com/viaduct-sdk/viaduct/vcenter/vcentersim"
)

// thumbprint returns the SHA-256 of the certificate that the listener shows.
func thumbprint(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	var sum string
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		got := sha256.Sum256(s.PeerCertificates[0].Raw)
		sum = hex.EncodeToString(got[:])
		return nil
	}}}
	conn, err := dialer.DialContext(t.Context(), "tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	return sum
}

func TestTrust(t *testing.T) {
	t.Parallel()
	srv := start(t, vcentersim.WithListener("127.0.0.1:0"))
	right := thumbprint(t, srv.URL())
	wrong := strings.Repeat("ab", sha256.Size)
	other := start(t)
	for name, tc := range map[string]struct {
		opt  vcenter.Option
		text string // of the error, empty for success
	}{
		"authority":        {vcenter.WithCACert(srv.CACertPEM()), ""},
		"thumbprint":       {vcenter.WithThumbprint(right), ""},
		"insecure":         {vcenter.WithInsecureSkipVerify(), ""},
		"wrong thumbprint": {vcenter.WithThumbprint(wrong), right},
		"other authority":  {vcenter.WithCACert(other.CACertPEM()), "unknown authority"},
		"system":           {vcenter.WithUserAgent("test"), "unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			c, err := vcenter.NewClient(srv.URL(), vcenter.PasswordAuth(srv.Username(), srv.Password()), tc.opt)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close(ctx) }()
			for api, call := range map[string]func() error{
				"REST": func() error { _, err := c.Namespaces().List(ctx); return err },
				"SOAP": func() error { _, err := c.About(ctx); return err },
			} {
				switch err := call(); {
				case tc.text == "" && err != nil:
					t.Errorf("%s: %v", api, err)
				case tc.text != "" && (err == nil || !strings.Contains(err.Error(), tc.text)):
					t.Errorf("%s: got %v, want an error with %q", api, err, tc.text)
				}
			}
		})
	}
}

func TestNewClientBadInput(t *testing.T) {
	t.Parallel()
	auth := vcenter.PasswordAuth("u", "p")
	block, _ := pem.Decode(start(t).CACertPEM())
	for name, make := range map[string]func() (*vcenter.Client, error){
		"no endpoint":     func() (*vcenter.Client, error) { return vcenter.NewClient("", auth) },
		"not http":        func() (*vcenter.Client, error) { return vcenter.NewClient("ftp://vc", auth) },
		"password in URL": func() (*vcenter.Client, error) { return vcenter.NewClient("https://u:p@vc", auth) },
		"no user":         func() (*vcenter.Client, error) { return vcenter.NewClient("vc", vcenter.PasswordAuth("", "p")) },
		"no password":     func() (*vcenter.Client, error) { return vcenter.NewClient("vc", vcenter.PasswordAuth("u", "")) },
		"SHA-1":           func() (*vcenter.Client, error) { return vcenter.NewClient("vc", auth, vcenter.WithThumbprint("ab:cd")) },
		"no PEM":          func() (*vcenter.Client, error) { return vcenter.NewClient("vc", auth, vcenter.WithCACert(block.Bytes)) },
		"checked and not": func() (*vcenter.Client, error) {
			return vcenter.NewClient("vc", auth, vcenter.WithInsecureSkipVerify(), vcenter.WithCACert(start(t).CACertPEM()))
		},
		"negative retries": func() (*vcenter.Client, error) {
			return vcenter.NewClient("vc", auth, vcenter.WithRetry(vcenter.RetryPolicy{Attempts: -1}))
		},
	} {
		if c, err := make(); c != nil || !errors.Is(err, viaduct.ErrInvalid) {
			t.Errorf("%s: got %v, %v", name, c, err)
		}
	}
}

func TestUnreachableHost(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close() // nobody listens there now
	c, err := vcenter.NewClient(address, vcenter.PasswordAuth("u", "p"), vcenter.WithRetry(vcenter.RetryPolicy{Attempts: 2, MinWait: time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	for api, call := range map[string]func() error{
		"REST": func() error { _, err := c.Namespaces().List(deadline(t)); return err },
		"SOAP": func() error { _, err := c.About(deadline(t)); return err },
	} {
		if err := call(); !errors.Is(err, viaduct.ErrUnavailable) || !strings.Contains(err.Error(), address) {
			t.Errorf("%s: got %v", api, err)
		}
	}
}
