// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package sdktest

import (
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// used holds the operations that the tests of this package went through.
var used sync.Map

// unreachable are the operations for which VMware's clients have no call. Tests
// of nsxsim itself use them.
var unreachable = map[string]string{
	"GET /api/session/destroy":                                               "the clients do not log out",
	"POST /api/session/destroy":                                              "the clients do not log out",
	"GET /api/v1/licenses/licensed-features":                                 "newer than the client",
	"GET /api/v1/loadbalancer/application-profiles":                          "the client has no list of them",
	"GET /api/v1/loadbalancer/persistence-profiles":                          "the client has no list of them",
	"GET /api/v1/loadbalancer/rules":                                         "the client has no list of them",
	"GET /api/v1/loadbalancer/services/{id}/pools/{member}/status":           "newer than the client",
	"GET /api/v1/loadbalancer/services/{id}/virtual-servers/{member}/status": "newer than the client",
	"GET /api/v1/node/version":                                               "newer than the client",
	"GET /api/v1/reverse-proxy/node/health":                                  "not in the client",
	"GET /api/v1/search/query":                                               "newer than the client",
	"GET /policy/api/v1/infra/tier-0s/{tier-0}/nat/{nat}":                    "the client lists them only",
	"GET /policy/api/v1/infra/tier-1s/{tier-1}/nat/{nat}":                    "the client lists them only",
}

// newServer returns a simulator of which the operations used are noted.
func newServer(t *testing.T) *nsxsim.Server {
	t.Helper()
	srv := nsxsim.NewServer()
	t.Cleanup(func() {
		srv.Close()
		for _, request := range srv.Requests() {
			if request.Status < 300 {
				used.Store(request.Method+" "+request.Route, true)
			}
		}
	})
	return srv
}

// TestMain silences the SDKs, which log every request, and afterwards holds
// what was used against what nsxsim claims.
func TestMain(m *testing.M) {
	log.SetOutput(io.Discard)
	code := m.Run()
	if code == 0 && flag.Lookup("test.run").Value.String() == "" {
		code = unused()
	}
	os.Exit(code)
}

func unused() int {
	claimed, err := os.ReadFile("../testdata/routes.txt")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := 0
	for operation := range strings.Lines(string(claimed)) {
		operation = strings.TrimSpace(operation)
		_, seen := used.Load(operation)
		if _, known := unreachable[operation]; seen == known {
			fmt.Fprintf(os.Stderr, "%s: used %t, listed as unreachable %t\n", operation, seen, known)
			code = 1
		}
	}
	return code
}
