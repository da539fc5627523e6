// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcentersim

import (
	"net"

	"github.com/viaduct-sdk/viaduct/internal/authority"
)

// endpointPEM makes the certificate chain of a Supervisor's endpoint, leaf
// first, for clusters that no real API server stands behind.
func endpointPEM(ca *authority.Authority, ip net.IP) (string, error) {
	issued, err := ca.Server(ip.String())
	if err != nil {
		return "", err
	}
	leaf, _, err := authority.PEM(issued)
	return string(leaf) + string(ca.CertPEM()), err
}

// hostOf returns the host part of a listener's address.
func hostOf(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		return tcp.IP.String()
	}
	return ""
}
