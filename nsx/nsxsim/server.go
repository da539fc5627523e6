// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/viaduct-sdk/viaduct/internal/authority"
)

// Server is a simulated NSX Manager cluster: one state behind one or more
// manager nodes. It is safe for concurrent use.
type Server struct {
	config
	schema *schema
	kinds  []*kind
	paths  *pathTree
	routes []route

	mu            sync.Mutex // guards all that follows
	managers      []*Manager
	intent        *store
	manager       *store                              // objects of the Manager API
	order         map[string][]string                 // paths of its ordered collections
	given         map[string]map[netip.Addr]bool      // addresses given out by its pools
	released      map[string]map[netip.Addr]time.Time // addresses of deleted allocations, and until when
	forced        map[string]realization
	memberStatus  map[memberKey]string
	monitorStatus map[monitorKey]string
	changed       chan struct{} // closed at the next change; nil when nobody waits
	lastRule      int64         // the rule_id given last
	machines      map[string]VirtualMachine
	accounts      map[string]*account
	faults        []*armedFault
	requests      []*Request
	unsimulated   map[string]bool
	authority     *authority.Authority
}

// NewServer returns a running simulator, reached in process through
// [Server.Client]; it opens no listener and starts no goroutine.
func NewServer(opts ...Option) *Server {
	c := defaults()
	for _, opt := range opts {
		opt(&c)
	}
	if !slices.ContainsFunc(c.principals, func(p Principal) bool { return p.Name == DefaultUser }) {
		c.principals = append(c.principals, Principal{Name: DefaultUser, Password: DefaultPassword})
	}
	s := &Server{
		config:        c,
		schema:        parseSchema(schemaText + managerSchemaText),
		kinds:         kinds(),
		intent:        newStore(),
		manager:       newStore(),
		order:         map[string][]string{},
		given:         map[string]map[netip.Addr]bool{},
		released:      map[string]map[netip.Addr]time.Time{},
		forced:        map[string]realization{},
		memberStatus:  map[memberKey]string{},
		monitorStatus: map[monitorKey]string{},
		lastRule:      1000,
		machines:      map[string]VirtualMachine{},
		accounts:      map[string]*account{},
		unsimulated:   map[string]bool{},
	}
	s.paths = newPathTree(s.kinds)
	s.routes = s.newRoutes()
	s.seed()
	for range c.managers {
		s.addManager()
	}
	return s
}

func (s *Server) now() time.Time { return s.clock() }

// newUUID returns a random UUID.
func (*Server) newUUID() string {
	var b [16]byte
	// crypto/rand never fails.
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// AddManager adds a manager node to the cluster.
func (s *Server) AddManager() *Manager {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addManager()
}

func (s *Server) addManager() *Manager {
	host := "nsx.sim"
	if n := len(s.managers); n > 0 {
		host = "nsx-" + strconv.Itoa(n+1) + ".sim"
	}
	m := &Manager{s: s, host: host, sessions: map[string]*session{}, meters: map[string]*meter{}}
	s.managers = append(s.managers, m)
	return m
}

// Managers returns the manager nodes, the first one first.
func (s *Server) Managers() []*Manager {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.managers)
}

// first returns the manager node that the methods of Server stand for.
func (s *Server) first() *Manager { return s.Managers()[0] }

// URL returns the URL of the first manager: https://nsx.sim in process, the
// listener's once there is one.
func (s *Server) URL() string { return s.first().URL() }

// Handler returns the first manager as an HTTP handler.
func (s *Server) Handler() http.Handler { return s.first() }

// ListenTLS makes the first manager listen on addr; see [Manager.ListenTLS].
func (s *Server) ListenTLS(addr string) (url string, err error) {
	return s.first().ListenTLS(addr)
}

// Client returns a client that reaches every manager of this server in
// process, without a network: whichever of their URLs it is given.
func (s *Server) Client() *http.Client {
	return &http.Client{Transport: &transport{s: s}}
}

// Close stops all listeners and waits until they are closed.
func (s *Server) Close() {
	for _, m := range s.Managers() {
		m.close()
	}
}
