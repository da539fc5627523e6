// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcentersim

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// The states of namespaces and clusters.
const (
	stateConfiguring = "CONFIGURING"
	stateRunning     = "RUNNING"
	stateRemoving    = "REMOVING"
	stateError       = "ERROR"
)

// world is everything behind the REST API.
type world struct {
	s *Server

	mu         sync.Mutex // guards the fields below
	controller NamespaceController
	namespaces map[string]*namespace
	clusters   map[string]*cluster
}

func newWorld(s *Server) *world {
	w := &world{s: s, controller: s.opts.controller, namespaces: map[string]*namespace{}, clusters: map[string]*cluster{}}
	w.clusters[SupervisorCluster] = referenceCluster(s)
	return w
}

// SetNamespaceController connects what happens on the Supervisor, for
// controllers that are made after the server. Namespaces that exist are not
// told.
func (s *Server) SetNamespaceController(ctl NamespaceController) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	s.world.controller = ctl
}

// atLeast reports whether the server's version is so high.
func (s *Server) atLeast(major int) bool {
	first, _, _ := strings.Cut(s.opts.version, ".")
	have, err := strconv.Atoi(first)
	return err == nil && have >= major
}

// routes is the REST API.
func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /rest/com/vmware/cis/session", s.legacySession)
	mux.HandleFunc("DELETE /rest/com/vmware/cis/session", s.private(s.deleteSession))
	if s.opts.legacyOnly {
		mux.HandleFunc("/api/session", func(w http.ResponseWriter, r *http.Request) {
			writeError(w, r, operationNotFound(r))
		})
	} else {
		mux.HandleFunc("POST /api/session", s.createSession)
		mux.HandleFunc("GET /api/session", s.private(s.getSession))
		mux.HandleFunc("DELETE /api/session", s.private(s.deleteSession))
	}
	for _, table := range []map[string]endpoint{s.namespaceRoutes(), s.accessRoutes(), s.clusterRoutes()} {
		for pattern, do := range table {
			mux.HandleFunc(pattern, s.private(do))
		}
	}
	return mux
}

func operationNotFound(r *http.Request) error {
	return &apiError{
		status: http.StatusNotFound, kind: "OPERATION_NOT_FOUND",
		id: "vapi.rest.route.notfound", text: "There is no operation " + r.Method + " " + r.URL.Path + ".",
	}
}

// may checks a privilege.
func (c *call) may(privilege string) error {
	switch {
	case c.user.Role == RoleAdministrator:
		return nil
	case c.user.Role == RoleReadOnly && privilege == privilegeRead:
		return nil
	default:
		return forbidden(privilege)
	}
}

const (
	privilegeRead      = "System.Read"
	privilegeConfigure = "Namespaces.Configure"
	privilegeManage    = "Namespaces.Manage"
)
