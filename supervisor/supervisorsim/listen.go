// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/viaduct-sdk/viaduct/internal/authority"
)

// listener serves a handler on TLS.
type listener struct {
	url    string
	server *http.Server
	done   sync.WaitGroup
}

// inProcessHost is the host in the URL of a server that has no listener.
const inProcessHost = "supervisor.sim"

// listen serves handler on addr with a certificate of ca, and asks clients for
// certificates of clients when that is not nil; they need not have one.
func listen(addr string, ca, clients *authority.Authority, handler http.Handler) (*listener, error) {
	l, err := net.Listen("tcp", addr) //nolint:noctx // listening takes no time that a context could cut short
	if err != nil {
		return nil, fmt.Errorf("supervisorsim: listen: %w", err)
	}
	tcp, _ := l.Addr().(*net.TCPAddr)
	cert, err := ca.Server(inProcessHost, tcp.IP.String())
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("supervisorsim: listen: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}
	if clients != nil {
		config.ClientAuth = tls.VerifyClientCertIfGiven
		config.ClientCAs = x509.NewCertPool()
		config.ClientCAs.AppendCertsFromPEM(clients.CertPEM())
	}
	s := &listener{
		url: "https://" + l.Addr().String(),
		server: &http.Server{
			Handler:           handler,
			TLSConfig:         config,
			ReadHeaderTimeout: 10 * time.Second,
			ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		},
	}
	s.done.Go(func() { _ = s.server.ServeTLS(l, "", "") }) // always an error: that it was closed
	return s, nil
}

// close ends all connections and waits until nothing listens any more.
func (l *listener) close() {
	_ = l.server.Close()
	l.done.Wait()
}
