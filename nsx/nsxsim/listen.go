// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"time"
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
	certificate, err := ca.issue(m.host, addr)
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
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.certificate.Raw})
}

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// ca returns the server's authority and makes it the first time.
func (s *Server) ca() (*authority, error) {
	if s.authority != nil {
		return s.authority, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificateTemplate("nsxsim authority")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil, err
	}
	s.authority = &authority{certificate: certificate, key: key}
	return s.authority, nil
}

// issue returns a server certificate for the host, for this machine and for
// the host part of addr.
func (a *authority) issue(host, addr string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := certificateTemplate(host)
	template.DNSNames = []string{host, "localhost"}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	name, _, err := net.SplitHostPort(addr)
	if err != nil {
		return tls.Certificate{}, err
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = append(template.IPAddresses, ip)
	} else if name != "" {
		template.DNSNames = append(template.DNSNames, name)
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{raw, a.certificate.Raw}, PrivateKey: key}, nil
}

func certificateTemplate(name string) *x509.Certificate {
	now := time.Now()
	// Serial numbers need to differ, no more.
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		serial = big.NewInt(now.UnixNano())
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(1, 0, 0),
	}
}
