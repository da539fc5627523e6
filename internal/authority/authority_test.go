// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package authority_test

import (
	"crypto/x509"
	"slices"
	"testing"

	"github.com/viaduct-sdk/viaduct/internal/authority"
)

func TestIssuedCertificatesVerify(t *testing.T) {
	t.Parallel()
	made, err := authority.New("test")
	if err != nil {
		t.Fatal(err)
	}
	keyPEM, err := made.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	read, err := authority.Parse(made.CertPEM(), keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(made.CertPEM())

	server, err := read.Server("nsx.sim", "192.0.2.7", "", "0.0.0.0")
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"nsx.sim", "192.0.2.7", "localhost", "127.0.0.1", "::1"} {
		if _, err := server.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if server.Leaf.Subject.CommonName != "nsx.sim" || server.Leaf.VerifyHostname("0.0.0.0") == nil {
		t.Errorf("got a certificate for %s, %v", server.Leaf.Subject, server.Leaf.IPAddresses)
	}

	client, err := read.Client("jane", "dev", "ops")
	if err != nil {
		t.Fatal(err)
	}
	usage := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if _, err := client.Leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: usage}); err != nil {
		t.Error(err)
	}
	if s := client.Leaf.Subject; s.CommonName != "jane" || !slices.Equal(s.Organization, []string{"dev", "ops"}) {
		t.Errorf("got %s, want jane of dev and ops", s)
	}
	if _, err := authority.Parse(made.CertPEM(), []byte("no key")); err == nil {
		t.Error("parsed an authority without a key")
	}
}
