// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcentersim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/viaduct-sdk/viaduct/internal/authority"
)

// The administrator that every simulator has.
const (
	DefaultUser     = "administrator@vsphere.local"
	DefaultPassword = "VMware1!"
)

// The inventory that every simulator starts with.
const (
	// SupervisorCluster is the cluster with workload management enabled.
	SupervisorCluster = "domain-c8"
	// SpareCluster is a compatible cluster without workload management.
	SpareCluster = "domain-c9"
	// StoragePolicy and WorkloadStoragePolicy are the storage policies there
	// are.
	StoragePolicy         = "aa6d5a82-1c88-45da-85d3-3d74b91a5bad"
	WorkloadStoragePolicy = "5f4a1d2e-7c7f-4a53-9b0e-0d8c3c6a2b11"
)

// hostInProcess is the name under which Client reaches the simulator.
const hostInProcess = "vcenter.sim"

// Server is a vCenter in process. It is safe for concurrent use. Two servers
// share nothing.
type Server struct {
	opts     options
	instance string // vCenter's instance UUID
	ca       *authority.Authority

	handler http.Handler // REST
	vim     *vim         // SOAP

	sessions *sessions
	journal  *journal
	world    *world

	// ctx ends with Close; work counts what must end before Close returns.
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu       sync.Mutex // guards the fields below
	url      string
	listener net.Listener
	http     *http.Server
	closed   bool
}

// NewServer starts a vCenter that is reached in process through Client, and
// on a TLS listener when WithListener or ListenTLS asks for one. The caller
// closes it.
func NewServer(opts ...Option) (*Server, error) {
	o := defaults()
	for _, opt := range opts {
		opt(&o)
	}
	ca, err := authority.New("CA, DC=vsphere, DC=local")
	if err != nil {
		return nil, fmt.Errorf("vcentersim: make certificates: %w", err)
	}
	//nolint:forbidigo // the server's own lifetime starts here and ends with Close
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{
		opts:     o,
		instance: uuid.NewString(),
		ca:       ca,
		sessions: newSessions(o),
		journal:  &journal{},
		ctx:      ctx,
		cancel:   cancel,
		url:      "https://" + hostInProcess,
	}
	s.world = newWorld(s)
	if s.vim, err = newVIM(s); err != nil {
		cancel()
		return nil, fmt.Errorf("vcentersim: build the inventory: %w", err)
	}
	s.handler = s.routes()
	if o.listen != "" {
		if _, err := s.ListenTLS(o.listen); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// ListenTLS serves on addr ("127.0.0.1:0" takes a free port) with a
// certificate that CACertPEM's authority signed, and returns the URL.
func (s *Server) ListenTLS(addr string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return "", errors.New("vcentersim: listen: closed")
	}
	if s.listener != nil {
		return "", fmt.Errorf("vcentersim: listen on %s: listening on %s already", addr, s.listener.Addr())
	}
	var lc net.ListenConfig
	l, err := lc.Listen(s.ctx, "tcp", addr)
	if err != nil {
		return "", fmt.Errorf("vcentersim: %w", err)
	}
	cert, err := s.ca.Server(hostInProcess, hostOf(l.Addr()))
	if err != nil {
		_ = l.Close()
		return "", fmt.Errorf("vcentersim: make certificate: %w", err)
	}
	s.listener = l
	s.url = "https://" + l.Addr().String()
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          discardLogger(),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
	}
	s.work.Go(func() {
		_ = s.http.ServeTLS(l, "", "") // ends with Close
	})
	return s.url, nil
}

// URL returns the address of the listener, or without one the address that
// Client understands.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.url
}

// Username and Password are those of the administrator.
func (s *Server) Username() string { return s.opts.users[0].Name }

// Password returns the administrator's password.
func (s *Server) Password() string { return s.opts.users[0].Password }

// InstanceUUID returns the vCenter's instance UUID, the second half of the
// cluster id that NCP tags its objects with.
func (s *Server) InstanceUUID() string { return s.instance }

// CACertPEM returns the certificate of the authority that signed the
// listener's certificate.
func (s *Server) CACertPEM() []byte { return s.ca.CertPEM() }

// Client returns an HTTP client whose requests go straight into the handler
// when there is no listener, and that trusts CACertPEM when there is one. The
// client has no cookie jar.
func (s *Server) Client() *http.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return &http.Client{Transport: inProcess{s}}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.ca.CertPEM())
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
	}}
}

// Handler returns the handler that serves everything.
func (s *Server) Handler() http.Handler { return s }

// Close ends the listener, every session, every wait and every operation that
// runs, and returns when all of them ended.
func (s *Server) Close() {
	s.mu.Lock()
	closed, srv := s.closed, s.http
	s.closed = true
	s.mu.Unlock()
	if closed {
		return
	}
	s.cancel()
	s.ExpireSessions()
	if srv != nil {
		_ = srv.Close()
	}
	s.work.Wait()
}
