// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/viaduct-sdk/viaduct"
)

// trust is how the Supervisor's certificate is checked.
type trust struct {
	ca         []byte
	hasCA      bool
	thumbprint string
	serverName string
	insecure   bool
}

func (t trust) isZero() bool {
	return !t.hasCA && t.thumbprint == "" && t.serverName == "" && !t.insecure
}

// transport returns the transport of client with these settings, or a new one
// when client brings none. What the caller holds is never changed.
func (t trust) transport(client *http.Client) (http.RoundTripper, error) {
	var base *http.Transport
	var given http.RoundTripper
	if client != nil {
		given = client.Transport
	}
	switch g := given.(type) {
	case nil:
		base = newTransport()
	case *http.Transport:
		base = g.Clone()
	default:
		if t.isZero() {
			return given, nil
		}
		return nil, fmt.Errorf("supervisor: %w: TLS settings can't be applied to a transport of type %T", viaduct.ErrInvalid, given)
	}
	if base.TLSClientConfig == nil {
		base.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return base, t.apply(base.TLSClientConfig)
}

// newTransport reads no environment: a proxy comes with the caller's client.
func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		DialContext:         dialer.DialContext,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 25,
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second,
	}
}

func (t trust) apply(cfg *tls.Config) error {
	if err := t.validate(); err != nil {
		return err
	}
	if t.serverName != "" {
		cfg.ServerName = t.serverName
	}
	if t.hasCA {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(t.ca) {
			return fmt.Errorf("supervisor: %w: no PEM certificate among the authorities", viaduct.ErrInvalid)
		}
	}
	cfg.InsecureSkipVerify = t.insecure
	if t.thumbprint == "" {
		return nil
	}
	want, err := parseThumbprint(t.thumbprint)
	if err != nil {
		return err
	}
	// The check below replaces the usual one; with authorities given too, both
	// must pass.
	cfg.InsecureSkipVerify = !t.hasCA
	cfg.VerifyConnection = func(state tls.ConnectionState) error { return checkThumbprint(state, want) }
	return nil
}

func (t trust) validate() error {
	switch {
	case t.insecure && (t.hasCA || t.thumbprint != ""):
		return fmt.Errorf("supervisor: %w: a certificate can't be both checked and not checked", viaduct.ErrInvalid)
	case t.hasCA && len(strings.TrimSpace(string(t.ca))) == 0:
		return fmt.Errorf("supervisor: %w: there is no certificate to trust; a Supervisor has none until it is configured", viaduct.ErrUnavailable)
	default:
		return nil
	}
}

func parseThumbprint(text string) ([]byte, error) {
	sum, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	if err != nil || len(sum) != sha256.Size {
		return nil, fmt.Errorf("supervisor: %w: a thumbprint is the SHA-256 of a certificate in hex", viaduct.ErrInvalid)
	}
	return sum, nil
}

func checkThumbprint(state tls.ConnectionState, want []byte) error {
	got := sha256.Sum256(state.PeerCertificates[0].Raw)
	if subtle.ConstantTimeCompare(got[:], want) == 1 {
		return nil
	}
	return &tls.CertificateVerificationError{
		UnverifiedCertificates: state.PeerCertificates,
		Err:                    fmt.Errorf("the certificate's thumbprint is %s, not the pinned one", hex.EncodeToString(got[:])),
	}
}
