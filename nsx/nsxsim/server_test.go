// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// caller sends requests with Basic credentials and decodes the answers.
type caller struct {
	t      *testing.T
	client *http.Client
	base   string
	header http.Header
}

func newCaller(t *testing.T, srv *nsxsim.Server) *caller {
	t.Helper()
	t.Cleanup(srv.Close)
	request, err := http.NewRequest(http.MethodGet, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword)
	return &caller{t: t, client: srv.Client(), base: srv.URL(), header: request.Header}
}

// do sends a request and returns the status and the decoded body.
func (c *caller) do(method, path string, body any) (int, map[string]any) {
	c.t.Helper()
	status, _, data := c.raw(method, path, body)
	var decoded map[string]any
	if len(data) > 0 {
		if err := json.Unmarshal(data, &decoded); err != nil {
			c.t.Fatalf("%s %s: %v: %s", method, path, err, data)
		}
	}
	return status, decoded
}

// raw sends a request and returns the status, the header and the body.
func (c *caller) raw(method, path string, body any) (int, http.Header, []byte) {
	c.t.Helper()
	var reader io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		reader = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, reader)
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header = c.header.Clone()
	response, err := c.client.Do(request)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return response.StatusCode, response.Header, data
}

// must sends a request that has to succeed.
func (c *caller) must(method, path string, body any) map[string]any {
	c.t.Helper()
	status, decoded := c.do(method, path, body)
	if status >= 300 {
		c.t.Fatalf("%s %s: %d %v", method, path, status, decoded)
	}
	return decoded
}

const policy = "/policy/api/v1"

type object = map[string]any

func TestObjectLifecycle(t *testing.T) {
	t.Parallel()
	c := newCaller(t, nsxsim.NewServer())
	pool := policy + "/infra/lb-pools/db"

	status, got := c.do(http.MethodGet, pool, nil)
	if status != http.StatusNotFound || got["httpStatus"] != "NOT_FOUND" {
		t.Fatalf("absent: %d %v", status, got)
	}
	created := c.must(http.MethodPut, pool, object{"members": []any{object{"ip_address": "10.0.0.1", "port": "80"}}})
	want := object{"_revision": 0.0, "id": "db", "display_name": "db", "path": "/infra/lb-pools/db", "algorithm": "ROUND_ROBIN", "resource_type": "LBPool"}
	for name, value := range want {
		if diff := cmp.Diff(value, created[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	status, got = c.do(http.MethodPut, pool, object{"description": "no revision"})
	if status != http.StatusBadRequest || got["error_code"] != 500127.0 {
		t.Errorf("PUT without a revision: %d %v", status, got)
	}
	c.must(http.MethodPatch, pool, object{"description": "merged"})
	status, got = c.do(http.MethodPut, pool, object{"_revision": 0})
	if status != http.StatusPreconditionFailed {
		t.Errorf("PUT with a stale revision: %d %v", status, got)
	}
	got = c.must(http.MethodGet, pool, nil)
	if got["description"] != "merged" || got["_revision"] != 1.0 || got["members"] == nil {
		t.Errorf("after PATCH: %v", got)
	}
	c.must(http.MethodDelete, pool, nil)
	if status, _ := c.do(http.MethodDelete, pool, nil); status != http.StatusNotFound {
		t.Errorf("second DELETE: %d", status)
	}
}

func TestBackDoor(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	t.Cleanup(srv.Close)
	mustPut(t, srv, "/infra/tier-1s/t1", object{"display_name": "gateway"})
	mustPut(t, srv, "/infra/lb-services/lbs", object{"connectivity_path": "/infra/tier-1s/t1"})
	mustPut(t, srv, "/infra/lb-pools/p", object{"members": []any{object{"ip_address": "10.0.0.1", "port": "6379"}}})
	mustPut(t, srv, "/infra/lb-virtual-servers/vs", object{
		"ip_address": "192.168.30.66", "ports": []string{"6379"}, "pool_path": "/infra/lb-pools/p",
		"lb_service_path":          "/infra/lb-services/lbs",
		"application_profile_path": "/infra/lb-app-profiles/default-tcp-lb-app-profile",
	})
	want := []string{"/infra/lb-pools/p", "/infra/lb-services/lbs", "/infra/lb-virtual-servers/vs", "/infra/tier-1s/t1"}
	if diff := cmp.Diff(want, srv.Paths("")); diff != "" {
		t.Error(diff)
	}
	var pool struct {
		Protection string `json:"_protection"`
		User       string `json:"_create_user"`
	}
	if err := srv.Read("/infra/lb-pools/p", &pool); err != nil {
		t.Fatal(err)
	}
	if pool.Protection != "REQUIRE_OVERRIDE" || pool.User != nsxsim.WCPUser {
		t.Errorf("owner: %+v", pool)
	}
	if err := srv.Remove("/infra/lb-pools/p"); !errors.Is(err, viaduct.ErrInUse) {
		t.Errorf("removing what is referenced: %v", err)
	}
	for _, path := range []string{"/infra/lb-virtual-servers/vs", "/infra/lb-pools/p", "/infra/lb-services/lbs", "/infra/tier-1s/t1", "/infra/tier-1s/t1"} {
		if err := srv.Remove(path); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff([]string(nil), srv.Paths("")); diff != "" {
		t.Error(diff)
	}
	if err := srv.Read("/infra/lb-pools/p", &pool); !errors.Is(err, viaduct.ErrNotFound) {
		t.Errorf("reading what is gone: %v", err)
	}
	if err := srv.Put("/infra/lb-pools/p", object{"no_such_field": 1}); !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("an unknown field: %v", err)
	}
}

func mustPut(t *testing.T, srv *nsxsim.Server, path string, body any) {
	t.Helper()
	if err := srv.Put(path, body); err != nil {
		t.Fatalf("put %s: %v", path, err)
	}
}
