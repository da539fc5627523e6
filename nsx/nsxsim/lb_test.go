// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim_test

import (
	"net/http"
	"testing"

	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// loadBalancer makes a service with one virtual server and one pool, each
// named x.
func loadBalancer(t *testing.T, srv *nsxsim.Server, pool object) {
	t.Helper()
	mustPut(t, srv, "/infra/tier-1s/x", object{})
	mustPut(t, srv, "/infra/lb-services/x", object{"connectivity_path": "/infra/tier-1s/x"})
	mustPut(t, srv, "/infra/lb-pools/x", pool)
	mustPut(t, srv, "/infra/lb-virtual-servers/x", object{
		"ip_address": "192.168.30.66", "ports": []string{"6379"}, "pool_path": "/infra/lb-pools/x",
		"lb_service_path":          "/infra/lb-services/x",
		"application_profile_path": "/infra/lb-app-profiles/default-tcp-lb-app-profile",
	})
}

func TestStatusFollowsMembers(t *testing.T) {
	t.Parallel()
	member := func(ip string) object { return object{"ip_address": ip, "port": "6379"} }
	backup := func(ip string) object {
		return object{"ip_address": ip, "port": "6379", "backup_member": true}
	}
	disabled := func(ip string) object {
		return object{"ip_address": ip, "port": "6379", "admin_state": "DISABLED"}
	}
	cases := map[string]struct {
		reason  string
		members []any
		down    []string
		minimum int
		want    string
	}{
		"all up":           {"every primary is up", []any{member("10.0.0.1"), member("10.0.0.2")}, nil, 1, "UP"},
		"one down":         {"some primaries are up", []any{member("10.0.0.1"), member("10.0.0.2")}, []string{"10.0.0.1"}, 1, "PARTIALLY_UP"},
		"all down":         {"nobody is up", []any{member("10.0.0.1")}, []string{"10.0.0.1"}, 1, "DOWN"},
		"backup takes":     {"too few primaries are up and a backup is", []any{member("10.0.0.1"), member("10.0.0.2"), backup("10.0.0.3")}, []string{"10.0.0.1"}, 2, "PRIMARY_DOWN"},
		"enough primaries": {"min_active_members are up", []any{member("10.0.0.1"), member("10.0.0.2"), backup("10.0.0.3")}, []string{"10.0.0.1"}, 1, "PARTIALLY_UP"},
		"disabled":         {"a disabled member does not count", []any{member("10.0.0.1"), disabled("10.0.0.2")}, nil, 1, "UP"},
		"empty":            {"nobody reports", []any{}, nil, 1, "UNKNOWN"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := nsxsim.NewServer()
			c := newCaller(t, srv)
			loadBalancer(t, srv, object{"members": test.members, "min_active_members": test.minimum})
			for _, ip := range test.down {
				srv.SetMemberStatus("/infra/lb-pools/x", ip, "DOWN")
			}
			base := policy + "/infra/lb-services/x"
			for _, path := range []string{"/lb-pools/x/detailed-status", "/lb-virtual-servers/x/detailed-status"} {
				if got := firstResult(c.must(http.MethodGet, base+path, nil))["status"]; got != test.want {
					t.Errorf("%s: %v, want %s, for %s", path, got, test.want, test.reason)
				}
			}
			if got := firstResult(c.must(http.MethodGet, base+"/detailed-status", nil))["service_status"]; got != "UP" {
				t.Errorf("service: %v", got)
			}
		})
	}
}

func TestStatusOfService(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason string
		body   object
		want   string
	}{
		"connected":   {"it has a gateway", object{"connectivity_path": "/infra/tier-1s/t"}, "UP"},
		"unconnected": {"it has none", object{}, "DETACHED"},
		"distributed": {"it needs none", object{"size": "DLB"}, "UP"},
		"disabled":    {"it is switched off", object{"enabled": false, "connectivity_path": "/infra/tier-1s/t"}, "DISABLED"},
	}
	for name, test := range cases {
		srv := nsxsim.NewServer()
		c := newCaller(t, srv)
		mustPut(t, srv, "/infra/tier-1s/t", object{})
		mustPut(t, srv, "/infra/lb-services/s", test.body)
		base := policy + "/infra/lb-services/s"
		if got := firstResult(c.must(http.MethodGet, base+"/detailed-status", nil))["service_status"]; got != test.want {
			t.Errorf("%s: %v, want %s: %s", name, got, test.want, test.reason)
		}
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for size, want := range map[string]float64{"SMALL": 20, "MEDIUM": 100, "LARGE": 1000, "XLARGE": 1000} {
		srv := nsxsim.NewServer()
		c := newCaller(t, srv)
		mustPut(t, srv, "/infra/lb-services/s", object{"size": size})
		usage := firstResult(c.must(http.MethodGet, policy+"/infra/lb-services/s/service-usage", nil))
		if usage["virtual_server_capacity"] != want || usage["severity"] != "GREEN" {
			t.Errorf("%s: %v", size, usage)
		}
	}
}

// Members of a group become members of the pool.
func TestMemberGroup(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	c := newCaller(t, srv)
	mustPut(t, srv, groups+"g", object{"expression": []any{object{"resource_type": "IPAddressExpression", "ip_addresses": []string{"10.0.0.7"}}}})
	loadBalancer(t, srv, object{"member_group": object{"group_path": groups + "g", "port": 80}})
	status := firstResult(c.must(http.MethodGet, policy+"/infra/lb-services/x/lb-pools/x/detailed-status", nil))
	member := status["members"].([]any)[0].(object)
	if member["ip_address"] != "10.0.0.7" || member["port"] != "80" || status["status"] != "UP" {
		t.Errorf("%v", status)
	}
}

func firstResult(page object) object {
	results, _ := page["results"].([]any)
	if len(results) == 0 {
		return nil
	}
	first, _ := results[0].(object)
	return first
}

func TestStatusOfVirtualServer(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason string
		patch  object
		want   string
	}{
		"disabled": {"it is switched off", object{"enabled": false}, "DISABLED"},
		"no pool":  {"nothing reports on a layer-4 server without a pool", object{"pool_path": nil}, "UNKNOWN"},
		"layer 7": {
			"a layer-7 server without a pool is up",
			object{"pool_path": nil, "application_profile_path": "/infra/lb-app-profiles/default-http-lb-app-profile"},
			"UP",
		},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := nsxsim.NewServer()
			c := newCaller(t, srv)
			c.header.Set("X-Allow-Overwrite", "true")
			loadBalancer(t, srv, object{})
			c.must(http.MethodPatch, policy+"/infra/lb-virtual-servers/x", test.patch)
			got := firstResult(c.must(http.MethodGet, policy+"/infra/lb-services/x/lb-virtual-servers/x/detailed-status", nil))
			if got["status"] != test.want {
				t.Errorf("%v, want %s: %s", got["status"], test.want, test.reason)
			}
		})
	}
}
