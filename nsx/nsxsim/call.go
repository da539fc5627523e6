// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"net/http"
	"net/url"
	"strings"
)

// policyBase is where the Policy API lies, managerBase where the Manager API
// does.
const (
	policyBase  = "/policy/api/v1"
	managerBase = "/api/v1"
)

// handler answers a call. What it returns is encoded as JSON; nil is an empty
// body.
type handler func(*call) (any, error)

// call is one request on its way through a manager.
type call struct {
	s       *Server
	m       *Manager
	r       *http.Request
	url     string // the path of the URL
	query   url.Values
	sent    []byte // the request's body
	who     Principal
	entered bool // counts against the concurrency limits
	route   string
	vars    map[string]string
	path    string // the policy path, for intent objects
	handler handler
	undo    []func() // what a failed change of Manager API objects has to take back
	seen    *Request
}

func newCall(m *Manager, r *http.Request, body []byte) *call {
	c := &call{s: m.s, m: m, r: r, url: strings.TrimSuffix(r.URL.Path, "/"), query: r.URL.Query(), sent: body}
	m.s.resolve(c)
	return c
}

// object decodes the request's body.
func (c *call) object() (map[string]any, error) { return decodeObject(c.sent) }

func (c *call) flag(name string) bool { return c.query.Get(name) == "true" }

// unsimulated notes that the request asks for what this simulator lacks.
func (c *call) unsimulated() error {
	c.s.unsimulated[c.r.Method+" "+c.url] = true
	return unsimulated(c.r.Method, c.url)
}

// txn returns a transaction in the caller's name.
func (c *call) txn() *txn {
	return &txn{
		who:       c.who,
		overwrite: strings.EqualFold(c.r.Header.Get("X-Allow-Overwrite"), "true"),
		force:     c.flag("force"),
	}
}

// route is one operation that is not a plain read or write of an intent
// object.
type route struct {
	method  string
	parts   []string // of the path; {names} match any one part
	text    string
	handler handler
}

func newRoute(method, path string, h handler) route {
	return route{method: method, parts: strings.Split(path, "/"), text: path, handler: h}
}

// match returns the variables of the path, or false.
func (r route) match(method string, parts []string) (map[string]string, bool) {
	if r.method != method || len(r.parts) != len(parts) {
		return nil, false
	}
	vars := map[string]string{}
	for i, want := range r.parts {
		switch name, ok := strings.CutPrefix(want, "{"); {
		case ok && parts[i] != "":
			vars[strings.TrimSuffix(name, "}")] = parts[i]
		case want != parts[i]:
			return nil, false
		}
	}
	return vars, true
}

// newRoutes returns the operations of both APIs beyond intent objects.
func (s *Server) newRoutes() []route {
	var all []route
	all = append(all, sessionRoutes()...)
	all = append(all, nodeRoutes()...)
	all = append(all, loadBalancerRoutes()...)
	all = append(all, realizationRoutes()...)
	all = append(all, searchRoutes()...)
	all = append(all, networkRoutes()...)
	all = append(all, hierarchyRoutes()...)
	all = append(all, firewallRoutes()...)
	all = append(all, inventoryRoutes()...)
	all = append(all, expressionRoutes()...)
	all = append(all, mpRoutes()...)
	return all
}

// resolve finds what the request asks for. The handler stays nil for what is
// not simulated.
func (s *Server) resolve(c *call) {
	parts := strings.Split(c.url, "/")
	for _, r := range s.routes {
		if vars, ok := r.match(c.r.Method, parts); ok {
			c.route, c.vars, c.handler = r.text, vars, r.handler
			return
		}
	}
	policyPath, ok := strings.CutPrefix(c.url, policyBase)
	if !ok || c.query.Has("action") {
		return
	}
	c.path = policyPath
	if k := s.paths.find(policyPath); k != nil {
		c.route, c.handler = policyBase+k.path, objectHandler(c.r.Method)
	} else if k := s.paths.collection(policyPath); k != nil && c.r.Method == http.MethodGet {
		collection, _ := splitPath(k.path)
		c.route, c.handler = policyBase+collection, listIntent
	}
}
