// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcentersim

import (
	"maps"
	"slices"
	"strings"
)

// access is one entry of a namespace's access list.
type access struct {
	SubjectType string `json:"subject_type"`
	Subject     string `json:"subject"`
	Domain      string `json:"domain"`
	Role        string `json:"role"`
}

func (s *Server) accessRoutes() map[string]endpoint {
	const one = "/api/vcenter/namespaces/instances/{namespace}/access/{domain}/{subject}"
	return map[string]endpoint{
		"GET " + one:    s.getAccess,
		"POST " + one:   s.createAccess,
		"PUT " + one:    s.setAccess,
		"DELETE " + one: s.deleteAccess,
	}
}

// find returns where the subject's entry is, and below zero when there is
// none. Domain and subject come from the path, the type from the query.
func (ns *namespace) find(c *call) int {
	kind := c.URL.Query().Get("type")
	return slices.IndexFunc(ns.AccessList, func(a access) bool {
		return strings.EqualFold(a.Domain, c.PathValue("domain")) && strings.EqualFold(a.Subject, c.PathValue("subject")) &&
			(kind == "" || a.SubjectType == kind)
	})
}

func (s *Server) getAccess(c *call) (any, error) {
	if err := c.may(privilegeRead); err != nil {
		return nil, err
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	ns, err := s.world.namespace(c.PathValue("namespace"))
	if err != nil {
		return nil, err
	}
	i := ns.find(c)
	if i < 0 {
		return nil, notFound("access", c.PathValue("subject")+"@"+c.PathValue("domain"))
	}
	return map[string]any{"role": ns.AccessList[i].Role}, nil
}

func (s *Server) createAccess(c *call) (any, error) {
	return nil, s.changeAccess(c, func(ns *namespace, i int, role string) error {
		if i >= 0 {
			return exists("access", c.PathValue("subject")+"@"+c.PathValue("domain"))
		}
		ns.AccessList = append(ns.AccessList, access{
			SubjectType: c.URL.Query().Get("type"), Subject: c.PathValue("subject"), Domain: c.PathValue("domain"), Role: role,
		})
		return nil
	})
}

func (s *Server) setAccess(c *call) (any, error) {
	return nil, s.changeAccess(c, func(ns *namespace, i int, role string) error {
		if i < 0 {
			return notFound("access", c.PathValue("subject")+"@"+c.PathValue("domain"))
		}
		ns.AccessList[i].Role = role
		return nil
	})
}

func (s *Server) changeAccess(c *call, change func(ns *namespace, i int, role string) error) error {
	if err := c.may(privilegeConfigure); err != nil {
		return err
	}
	var spec struct {
		Role string `json:"role"`
	}
	if err := c.decode(&spec); err != nil {
		return err
	}
	switch c.URL.Query().Get("type") {
	case "USER", "GROUP":
	default:
		return invalid("access.type", "The subject's type must be USER or GROUP, not %q.", c.URL.Query().Get("type"))
	}
	switch spec.Role {
	case "OWNER", "EDIT", "VIEW":
	default:
		return invalid("access.role", "The role must be OWNER, EDIT or VIEW, not %q.", spec.Role)
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	ns, err := s.world.namespace(c.PathValue("namespace"))
	if err != nil {
		return err
	}
	return change(ns, ns.find(c), spec.Role)
}

func (s *Server) deleteAccess(c *call) (any, error) {
	if err := c.may(privilegeConfigure); err != nil {
		return nil, err
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	ns, err := s.world.namespace(c.PathValue("namespace"))
	if err != nil {
		return nil, err
	}
	i := ns.find(c)
	if i < 0 {
		return nil, notFound("access", c.PathValue("subject")+"@"+c.PathValue("domain"))
	}
	ns.AccessList = slices.Delete(ns.AccessList, i, i+1)
	return nil, nil //nolint:nilnil // an empty answer is one
}

// listUserNamespaces lists the namespaces that the caller may use, for which
// no privilege is needed.
func (s *Server) listUserNamespaces(c *call) (any, error) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	name, domain, _ := strings.Cut(c.user.Name, "@")
	list := []map[string]any{}
	for _, id := range slices.Sorted(maps.Keys(s.world.namespaces)) {
		ns := s.world.namespaces[id]
		mine := slices.ContainsFunc(ns.AccessList, func(a access) bool {
			return a.SubjectType == "USER" && strings.EqualFold(a.Subject, name) && strings.EqualFold(a.Domain, domain)
		})
		cl, ok := s.world.clusters[ns.Cluster]
		if ok && (mine || c.user.Role == RoleAdministrator) {
			list = append(list, map[string]any{"namespace": id, "master_host": cl.Endpoint})
		}
	}
	return list, nil
}
