// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"flag"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite testdata/routes.txt")

// claimed returns every operation that a server answers, sorted.
func claimed(s *Server) []string {
	var all []string
	for _, r := range s.routes {
		all = append(all, r.method+" "+r.text)
	}
	for _, k := range s.kinds {
		methods := []string{http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodDelete}
		switch {
		case k.readonly:
			methods = methods[:1]
		case k.single:
			methods = methods[:3]
		}
		for _, method := range methods {
			all = append(all, method+" "+policyBase+k.path)
		}
		if collection, id := splitPath(k.path); strings.HasPrefix(id, "{") {
			all = append(all, http.MethodGet+" "+policyBase+collection)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestRoutes keeps the list of what is simulated, which the tests with
// VMware's clients are held against.
func TestRoutes(t *testing.T) {
	t.Parallel()
	const file = "testdata/routes.txt"
	got := strings.Join(claimed(NewServer()), "\n") + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("run go test -update: %s", diff)
	}
}
