// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/viaduct-sdk/viaduct/internal/authority"
)

// listener serves one manager over TLS.
type listener struct {
	addr   string
	config *tls.Config
	server *http.Server
	done   chan struct{} // closed when the server has stopped
}

// ListenTLS makes the manager listen on addr ("127.0.0.1:0" picks a free
// port), with a certificate of the server's own authority; see
// [Server.CACertPEM]. Clients may present certificates. It returns the URL,
// which [Manager.URL] returns from then on. Calling it again on a listening
// manager returns the same URL.
func (m *Manager) ListenTLS(addr string) (url string, err error) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	if m.listener != nil {
		return "https://" + m.listener.addr, nil
	}
	ca, err := m.s.ca()
	if err != nil {
		return "", err
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	certificate, err := ca.Server(m.host, host)
	if err != nil {
		return "", err
	}
	l := &listener{addr: addr, config: &tls.Config{
		Certificates: []tls.Certificate{certificate},
		ClientAuth:   tls.RequestClientCert,
		MinVersion:   tls.VersionTLS12,
	}}
	if err := l.open(m); err != nil {
		return "", err
	}
	m.listener = l
	return "https://" + l.addr, nil
}

// open begins to serve on the listener's address.
func (l *listener) open(m *Manager) error {
	socket, err := net.Listen("tcp", l.addr) //nolint:noctx // listening takes no time that a context could cut short
	if err != nil {
		return err
	}
	l.addr = socket.Addr().String()
	l.done = make(chan struct{})
	l.server = &http.Server{
		Handler:           m,
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		// No HTTP/2: faults break connections, which HTTP/2 requests share.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	server, done := l.server, l.done
	go func() {
		defer close(done)
		// Serve returns when the listener is closed.
		_ = server.Serve(tls.NewListener(socket, l.config))
	}()
	return nil
}

func (l *listener) close() {
	_ = l.server.Close() // nothing is left to do about it
	<-l.done
}

func (m *Manager) close() {
	m.s.mu.Lock()
	l := m.listener
	m.s.mu.Unlock()
	if l != nil {
		l.close()
	}
}

// CACertPEM returns the certificate of the authority that signs the
// certificates of this server's listeners.
func (s *Server) CACertPEM() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	ca, err := s.ca()
	if err != nil {
		return nil // only when the system has no randomness
	}
	return ca.CertPEM()
}

// ca returns the server's authority and makes it the first time.
func (s *Server) ca() (*authority.Authority, error) {
	if s.authority != nil {
		return s.authority, nil
	}
	var err error
	s.authority, err = authority.New("nsxsim authority")
	return s.authority, err
}
