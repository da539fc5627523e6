// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"

	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// auth is the credentials that every simulator knows.
func auth() nsx.Auth { return nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword) }

// start returns a simulator and a client of it.
func start(t *testing.T, opts ...nsxsim.Option) (*nsxsim.Server, *nsx.Client) {
	t.Helper()
	srv := nsxsim.NewServer(opts...)
	t.Cleanup(srv.Close)
	return srv, connect(t, srv)
}

// connect returns a client of srv.
func connect(t *testing.T, srv *nsxsim.Server, opts ...nsx.Option) *nsx.Client {
	t.Helper()
	c, err := nsx.NewClient(srv.URL(), auth(), append([]nsx.Option{nsx.WithHTTPClient(srv.Client())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// must fails the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// certificateError is what net/http returns for a certificate that is not
// trusted.
func certificateError() error {
	return &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}
}
