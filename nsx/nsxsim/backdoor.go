// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/viaduct-sdk/viaduct"
)

// WCPUser is the principal in whose name [Server.Put] writes: the one that
// vCenter registers for Workload Management. Its objects are protected:
// others change them only with X-Allow-Overwrite.
const WCPUser = "wcp-cluster-user-domain-c8"

// door returns a transaction that nothing but NSX's own rules restrains.
func door() *txn {
	return &txn{who: Principal{Name: WCPUser, Protected: true}, trusted: true}
}

// Put creates or replaces the intent object at the policy path, in the name of
// [WCPUser]. The object is anything that encodes as the JSON that the Policy
// API takes there. Rules that bind every principal bind Put: fields, values,
// references and parents are checked.
//
// Errors match [viaduct.ErrInvalid] when NSX would refuse the object, and
// [viaduct.ErrConflict] when the last object at the path awaits its purge.
func (s *Server) Put(path string, object any) error {
	data, err := json.Marshal(object)
	if err != nil {
		return err
	}
	sent, err := decodeObject(data)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := door()
	return s.transact(t, func() error {
		return t.write(path, sent, replace)
	})
}

// Read decodes the intent object at the policy path into a pointer. The error
// matches [viaduct.ErrNotFound] when there is none.
func (s *Server) Read(path string, into any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.intent.objects[path]
	if o == nil {
		return s.notFound(path)
	}
	return json.Unmarshal(s.render(o), into)
}

// Remove deletes the intent object at the policy path. That there is none is no
// error. The error matches [viaduct.ErrInUse] when other objects refer to it.
func (s *Server) Remove(path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := door()
	err := s.transact(t, func() error { return t.remove(path) })
	if errors.Is(err, viaduct.ErrNotFound) {
		return nil
	}
	return err
}

// Paths returns the policy paths of the live intent objects that begin with
// prefix, sorted, without those that NSX owns itself.
func (s *Server) Paths(prefix string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var paths []string
	for path, o := range s.intent.objects {
		if strings.HasPrefix(path, prefix) && !o.systemOwned() {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}
