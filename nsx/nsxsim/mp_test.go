// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// post creates an object of the Manager API and returns its id.
func (c *caller) post(collection string, body object) string {
	c.t.Helper()
	status, made := c.do(http.MethodPost, "/api/v1"+collection, body)
	if status != http.StatusCreated {
		c.t.Fatalf("POST %s: %d %v", collection, status, made)
	}
	id, _ := made["id"].(string)
	return id
}

func TestManagerObjects(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	c := newCaller(t, srv)
	profile := c.post("/loadbalancer/application-profiles", object{"resource_type": "LbFastTcpProfile"})
	c.post("/loadbalancer/persistence-profiles", object{"resource_type": "LbSourceIpPersistenceProfile"})
	c.post("/loadbalancer/rules", object{})
	pool := c.post("/loadbalancer/pools", object{"members": []any{object{"ip_address": "10.0.0.1", "port": "80"}}})
	server := c.post("/loadbalancer/virtual-servers", object{
		"application_profile_id": profile, "ip_address": "192.168.30.66", "ports": []string{"80"}, "pool_id": pool,
		"tags": []any{object{"scope": "ncp/cluster", "tag": "pks-1"}},
	})
	service := c.post("/loadbalancer/services", object{"virtual_server_ids": []string{server}})

	for _, collection := range []string{"application-profiles", "persistence-profiles", "rules"} {
		if got := c.ids("/api/v1/loadbalancer/" + collection); len(got) != 1 {
			t.Errorf("%s: %v", collection, got)
		}
	}
	base := "/api/v1/loadbalancer/services/" + service
	srv.SetMemberStatus("/loadbalancer/pools/"+pool, "10.0.0.1", "DOWN")
	for _, path := range []string{"/virtual-servers/" + server + "/status", "/pools/" + pool + "/status"} {
		if got := c.must(http.MethodGet, base+path, nil)["status"]; got != "DOWN" {
			t.Errorf("%s: %v", path, got)
		}
	}
	found := c.ids("/api/v1/search/query?query=" + queryEscape(`resource_type:LbVirtualServer AND tags.tag:pks\-1`))
	if diff := cmp.Diff([]string{server}, found); diff != "" {
		t.Error(diff)
	}
}

func TestManagerRefusals(t *testing.T) {
	t.Parallel()
	c := newCaller(t, nsxsim.NewServer())
	set := c.post("/ip-sets", object{})
	block := c.post("/pools/ip-blocks", object{"cidr": "10.0.0.0/28"})
	c.post("/pools/ip-subnets", object{"block_id": block, "size": 16})
	pool := c.post("/pools/ip-pools", object{})
	cases := map[string]struct {
		reason string
		method string
		path   string
		body   object
		status int
		code   float64
	}{
		"absent":            {"no such object", http.MethodGet, "/ip-sets/none", nil, 404, 202},
		"stale":             {"another revision", http.MethodPut, "/ip-sets/" + set, object{"_revision": 3}, 412, 206},
		"no revision":       {"it is missing", http.MethodPut, "/ip-sets/" + set, object{}, 412, 206},
		"unknown field":     {"no such property", http.MethodPost, "/ip-sets", object{"colour": "red"}, 400, 287},
		"which monitor":     {"the type is not told", http.MethodPost, "/loadbalancer/monitors", object{}, 400, 255},
		"required":          {"no transport zone", http.MethodPost, "/logical-switches", object{"admin_state": "UP"}, 400, 255},
		"reference":         {"no such switch", http.MethodPost, "/logical-ports", object{"logical_switch_id": "none", "admin_state": "UP"}, 404, 202},
		"in use":            {"a subnet is carved out", http.MethodDelete, "/pools/ip-blocks/" + block, nil, 400, 226},
		"block exhausted":   {"it has no more", http.MethodPost, "/pools/ip-subnets", object{"block_id": block, "size": 16}, 409, 5137},
		"pool exhausted":    {"it has no addresses", http.MethodPost, "/pools/ip-pools/" + pool + "?action=ALLOCATE", object{}, 409, 5109},
		"not of the pool":   {"it lies elsewhere", http.MethodPost, "/pools/ip-pools/" + pool + "?action=ALLOCATE", object{"allocation_id": "10.9.9.9"}, 400, 8212},
		"not allocated":     {"nobody has it", http.MethodPost, "/pools/ip-pools/" + pool + "?action=RELEASE", object{"allocation_id": "10.9.9.9"}, 400, 8212},
		"unknown action":    {"not simulated", http.MethodPost, "/pools/ip-pools/" + pool + "?action=PAINT", object{}, 501, 0},
		"overlapping":       {"the ranges overlap", http.MethodPost, "/pools/ip-pools", object{"subnets": []any{object{"allocation_ranges": []any{object{"start": "10.0.0.1", "end": "10.0.0.9"}, object{"start": "10.0.0.9", "end": "10.0.0.10"}}}}}, 400, 500105},
		"section of whom":   {"no such section", http.MethodPost, "/firewall/sections?operation=insert_after&id=none", object{"section_type": "LAYER3", "stateful": true}, 404, 202},
		"unknown operation": {"no such place", http.MethodPost, "/firewall/sections?operation=sideways", object{"section_type": "LAYER3", "stateful": true}, 400, 255},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var body any
			if test.body != nil {
				body = test.body
			}
			status, got := c.do(test.method, "/api/v1"+test.path, body)
			if status != test.status || got["error_code"] != test.code {
				t.Errorf("%d %v, want %d with code %v: %s", status, got, test.status, test.code, test.reason)
			}
		})
	}
}

// A refused change of a section changes neither the section nor its rules.
func TestManagerChangesAreAtomic(t *testing.T) {
	t.Parallel()
	c := newCaller(t, nsxsim.NewServer())
	good := object{"section_type": "LAYER3", "stateful": true, "rules": []any{object{"action": "ALLOW"}, object{"action": "DROP"}}}
	status, section := c.do(http.MethodPost, "/api/v1/firewall/sections?action=create_with_rules", good)
	if status != http.StatusCreated {
		t.Fatalf("%d %v", status, section)
	}
	url := "/api/v1/firewall/sections/" + section["id"].(string)
	before := c.must(http.MethodPost, url+"?action=list_with_rules", nil)
	bad := object{"section_type": "LAYER3", "stateful": true, "_revision": 0, "rules": []any{object{"action": "ALLOW"}, object{}}}
	for _, path := range []string{
		"/api/v1/firewall/sections?action=create_with_rules", url + "?action=update_with_rules",
		url + "?action=revise_with_rules&operation=insert_bottom",
	} {
		if status, body := c.do(http.MethodPost, path, bad); status != http.StatusBadRequest {
			t.Errorf("%s: %d %v", path, status, body)
		}
	}
	nowhere := "operation=insert_after&id=none"
	if status, _ := c.do(http.MethodPost, url+"?action=revise&"+nowhere, object{"section_type": "LAYER3", "stateful": false, "_revision": 0}); status != http.StatusNotFound {
		t.Errorf("revise after none: %d", status)
	}
	if status, _ := c.do(http.MethodPost, url+"/rules?"+nowhere, object{"action": "ALLOW"}); status != http.StatusNotFound {
		t.Errorf("a rule after none: %d", status)
	}
	if diff := cmp.Diff(before, c.must(http.MethodPost, url+"?action=list_with_rules", nil)); diff != "" {
		t.Error(diff)
	}
	if got := c.ids("/api/v1/firewall/sections"); len(got) != 1 {
		t.Errorf("sections: %v", got)
	}
}
