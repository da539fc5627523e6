// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/viaduct-sdk/viaduct"
)

// TLS is how the certificate of a server is checked: against the system's
// authorities, unless a field says otherwise.
type TLS struct {
	// CA is PEM certificates of the authorities to trust instead of the
	// system's.
	CA []byte

	// Thumbprint is the SHA-256 of the server's own certificate in hex, with
	// or without colons. It replaces the check of name and authority.
	Thumbprint string

	// Insecure checks nothing.
	Insecure bool

	// ServerName is the name to find in the certificate when it is not that of
	// the endpoint, such as behind NAT.
	ServerName string

	// Certificate is shown to the server.
	Certificate *tls.Certificate
}

func (t TLS) isZero() bool {
	return len(t.CA) == 0 && t.Thumbprint == "" && !t.Insecure && t.ServerName == "" && t.Certificate == nil
}

// Config returns the settings for other transports than this package's. An
// error matches [viaduct.ErrInvalid].
func (t TLS) Config() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if err := t.apply(cfg); err != nil {
		return nil, err
	}
	return cfg, nil
}

// transport returns the transport of client with the settings of t, or a new
// one when client brings none. What the caller holds is never changed.
func (t TLS) transport(client *http.Client) (http.RoundTripper, error) {
	var base *http.Transport
	switch given := callersTransport(client).(type) {
	case nil:
		base = newTransport()
	case *http.Transport:
		if t.isZero() {
			return given, nil
		}
		base = given.Clone()
	default:
		if t.isZero() {
			return given, nil
		}
		return nil, fmt.Errorf("%w: TLS settings can't be applied to a transport of type %T", viaduct.ErrInvalid, given)
	}
	if base.TLSClientConfig == nil {
		base.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if err := t.apply(base.TLSClientConfig); err != nil {
		return nil, err
	}
	return base, nil
}

func callersTransport(client *http.Client) http.RoundTripper {
	if client == nil {
		return nil
	}
	return client.Transport
}

// newTransport reads no environment: a proxy comes with the caller's client.
func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		DialContext:           dialer.DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   40,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

func (t TLS) apply(cfg *tls.Config) error {
	if t.Insecure && (len(t.CA) > 0 || t.Thumbprint != "") {
		return fmt.Errorf("%w: a certificate can't be both checked and not checked", viaduct.ErrInvalid)
	}
	if len(t.CA) > 0 {
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(t.CA) {
			return fmt.Errorf("%w: no PEM certificate among the authorities", viaduct.ErrInvalid)
		}
		cfg.RootCAs = roots
	}
	if t.Certificate != nil {
		cfg.Certificates = []tls.Certificate{*t.Certificate}
	}
	if t.ServerName != "" {
		cfg.ServerName = t.ServerName
	}
	cfg.InsecureSkipVerify = t.Insecure
	if t.Thumbprint == "" {
		return nil
	}
	want, err := hex.DecodeString(strings.ReplaceAll(t.Thumbprint, ":", ""))
	if err != nil || len(want) != sha256.Size {
		return fmt.Errorf("%w: a thumbprint is the SHA-256 of a certificate in hex", viaduct.ErrInvalid)
	}
	// The check below replaces the usual one; with authorities given too,
	// both must pass.
	cfg.InsecureSkipVerify = len(t.CA) == 0
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		leaf := state.PeerCertificates[0]
		got := sha256.Sum256(leaf.Raw)
		if subtle.ConstantTimeCompare(got[:], want) == 1 {
			return nil
		}
		return &tls.CertificateVerificationError{
			UnverifiedCertificates: state.PeerCertificates,
			Err:                    fmt.Errorf("the certificate's thumbprint is %s, not the pinned one", hex.EncodeToString(got[:])),
		}
	}
	return nil
}

// IsCertificateError reports whether err says that the server's certificate is
// not trusted.
func IsCertificateError(err error) bool {
	var verification *tls.CertificateVerificationError
	return errors.As(err, &verification)
}
