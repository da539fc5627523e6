// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

func TestSeed(t *testing.T) {
	t.Parallel()
	c := newCaller(t, nsxsim.NewServer())
	for _, path := range []string{
		"/infra", "/infra/domains/default", "/infra/services/SSH",
		"/infra/lb-app-profiles/default-tcp-lb-app-profile", "/infra/lb-app-profiles/default-udp-lb-app-profile",
		"/infra/lb-app-profiles/default-http-lb-app-profile", "/infra/lb-monitor-profiles/default-tcp-lb-monitor",
		"/infra/lb-monitor-profiles/default-passive-lb-monitor",
		"/infra/lb-persistence-profiles/default-source-ip-lb-persistence-profile",
		"/infra/domains/default/security-policies/default-layer3-section/rules/default-layer3-rule",
		"/infra/settings/firewall/security/exclude-list",
	} {
		got := c.must(http.MethodGet, policy+path, nil)
		if got["path"] != path || got["_system_owned"] != true {
			t.Errorf("%s: %v", path, got)
		}
	}
}

func TestStrictDecoding(t *testing.T) {
	t.Parallel()
	server := func(change object) object {
		valid := object{
			"ip_address": "10.0.0.1", "ports": []string{"80"},
			"application_profile_path": "/infra/lb-app-profiles/default-tcp-lb-app-profile",
		}
		maps.Copy(valid, change)
		return valid
	}
	cases := map[string]struct {
		reason string
		path   string
		body   object
		code   int
	}{
		"unknown field":        {"no such property", "/infra/segments/x", object{"scope": "a"}, 287},
		"unknown nested field": {"no such property of a tag", "/infra/segments/x", object{"tags": []any{object{"key": "a"}}}, 287},
		"wrong type":           {"a string is wanted", "/infra/segments/x", object{"display_name": 7}, 287},
		"not a list":           {"a list is wanted", "/infra/segments/x", object{"tags": object{}}, 287},
		"enum":                 {"no such value", "/infra/segments/x", object{"admin_state": "SIDEWAYS"}, 287},
		"fraction":             {"an integer is wanted", "/infra/lb-pools/x", object{"min_active_members": 1.5}, 287},
		"union":                {"no such translation", "/infra/lb-pools/x", object{"snat_translation": object{"type": "LBSnatMagic"}}, 287},
		"other type":           {"the path is of pools", "/infra/lb-pools/x", object{"resource_type": "Segment"}, 255},
		"other id":             {"the path has the id", "/infra/lb-pools/x", object{"id": "y"}, 255},
		"polymorphic":          {"the type is not told", "/infra/lb-app-profiles/x", object{}, 255},
		"required":             {"cidr is missing", "/infra/ip-blocks/x", object{}, 255},
		"address":              {"not an address", "/infra/lb-virtual-servers/x", server(object{"ip_address": "db.example.com"}), 255},
		"port":                 {"not a port", "/infra/lb-virtual-servers/x", server(object{"ports": []string{"0"}}), 255},
		"port range":           {"it goes backwards", "/infra/lb-virtual-servers/x", server(object{"ports": []string{"90-80"}}), 255},
		"reference":            {"no such pool", "/infra/lb-virtual-servers/x", server(object{"pool_path": "/infra/lb-pools/none"}), 500012},
		"parent":               {"no such segment", "/infra/segments/none/ports/x", object{}, 500012},
		"category":             {"no such category", "/infra/domains/default/security-policies/x", object{"category": "Lunch"}, 255},
		"even expressions":     {"a conjunction is missing", "/infra/domains/default/groups/x", object{"expression": []any{object{"resource_type": "IPAddressExpression", "ip_addresses": []string{"10.0.0.1"}}, object{"resource_type": "IPAddressExpression"}}}, 255},
		"group address":        {"not an address", "/infra/domains/default/groups/x", object{"expression": []any{object{"resource_type": "IPAddressExpression", "ip_addresses": []string{"web"}}}}, 255},
		"NAT":                  {"SNAT translates to something", "/infra/tier-1s/t/nat/USER/nat-rules/x", object{"action": "SNAT"}, 255},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := nsxsim.NewServer()
			c := newCaller(t, srv)
			mustPut(t, srv, "/infra/tier-1s/t", object{})
			for _, method := range []string{http.MethodPut, http.MethodPatch} {
				status, body := c.do(method, policy+test.path, test.body)
				if status != http.StatusBadRequest || body["error_code"] != float64(test.code) {
					t.Errorf("%s: %d %v, want code %d: %s", method, status, body, test.code, test.reason)
				}
			}
			if diff := cmp.Diff([]string{"/infra/tier-1s/t"}, srv.Paths("")); diff != "" {
				t.Errorf("a refused write left something behind: %s", diff)
			}
		})
	}
}

func TestReadOnlyFieldsRoundTrip(t *testing.T) {
	t.Parallel()
	c := newCaller(t, nsxsim.NewServer())
	for path, body := range map[string]object{
		"/infra/segments/x":                          {"tags": []any{object{"scope": "a", "tag": "b"}}},
		"/infra/tier-1s/x":                           {},
		"/infra/lb-pools/x":                          {"members": []any{object{"ip_address": "10.0.0.1", "port": "80"}}},
		"/infra/ip-pools/x":                          {},
		"/infra/domains/default/security-policies/x": {"rules": []any{object{"id": "r", "action": "DROP"}}},
	} {
		read := c.must(http.MethodPut, policy+path, body)
		again := c.must(http.MethodPut, policy+path, read)
		for _, name := range []string{"_revision", "_last_modified_time", "rules"} {
			delete(read, name)
			delete(again, name)
		}
		if diff := cmp.Diff(read, again); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
}

func TestRefusalToDelete(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	c := newCaller(t, srv)
	c.header.Set("X-Allow-Overwrite", "true")
	loadBalancer(t, srv, object{})
	mustPut(t, srv, "/infra/segments/s", object{})
	mustPut(t, srv, "/infra/segments/s/ports/p", object{})
	mustPut(t, srv, "/infra/segments/used", object{})
	mustPut(t, srv, "/infra/segments/used/ports/p", object{"attachment": object{"id": "vif"}})
	cases := map[string]struct {
		reason   string
		path     string
		code     float64
		referrer string
	}{
		"pool":     {"a virtual server uses it", "/infra/lb-pools/x", 500030, "path=[/infra/lb-virtual-servers/x]"},
		"service":  {"a virtual server is on it", "/infra/lb-services/x", 500030, "path=[/infra/lb-virtual-servers/x]"},
		"gateway":  {"a service is connected to it", "/infra/tier-1s/x", 500030, "path=[/infra/lb-services/x]"},
		"profile":  {"the system owns it", "/infra/lb-app-profiles/default-tcp-lb-app-profile", 500012, ""},
		"children": {"it has a port", "/infra/segments/s", 500030, "path=[/infra/segments/s/ports/p]"},
		"attached": {"something is attached", "/infra/segments/used", 503040, "1 VMs or VIFs"},
		"settings": {"there is exactly one", "/infra/settings/firewall/security/exclude-list", 500012, ""},
		"sections": {"NSX made it", "/infra/tier-1s/x/nat/USER", 500012, ""},
	}
	for name, test := range cases {
		status, body := c.do(http.MethodDelete, policy+test.path, nil)
		message, _ := body["error_message"].(string)
		if status != http.StatusBadRequest || body["error_code"] != test.code || !strings.Contains(message, test.referrer) {
			t.Errorf("%s: %d %v: %s", name, status, body, test.reason)
		}
	}
	c.must(http.MethodDelete, policy+"/infra/lb-pools/x?force=true", nil)
}

func TestProtection(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	c := newCaller(t, srv)
	mustPut(t, srv, "/infra/segments/wcp", object{})
	for method, body := range map[string]any{http.MethodPatch: object{"description": "mine"}, http.MethodDelete: nil} {
		status, got := c.do(method, policy+"/infra/segments/wcp", body)
		if status != http.StatusBadRequest || got["error_code"] != 289.0 {
			t.Errorf("%s: %d %v", method, status, got)
		}
	}
	c.header.Set("X-Allow-Overwrite", "true")
	c.must(http.MethodPatch, policy+"/infra/segments/wcp", object{"description": "mine"})
	got := c.must(http.MethodGet, policy+"/infra/segments/wcp", nil)
	if got["_create_user"] != nsxsim.WCPUser || got["_last_modified_user"] != nsxsim.DefaultUser || got["_protection"] != "REQUIRE_OVERRIDE" {
		t.Errorf("%v", got)
	}
}

func TestPurge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCaller(t, nsxsim.NewServer(nsxsim.WithPurgeDelay(5*time.Minute)))
		segment := policy + "/infra/segments/x"
		c.must(http.MethodPatch, segment, object{})
		c.must(http.MethodDelete, segment, nil)
		if status, _ := c.do(http.MethodGet, segment, nil); status != http.StatusNotFound {
			t.Errorf("GET of a deleted object: %d", status)
		}
		status, body := c.do(http.MethodPatch, segment, object{})
		if status != http.StatusBadRequest || body["error_code"] != 500045.0 {
			t.Errorf("the same path before the purge: %d %v", status, body)
		}
		if got := c.ids(policy + "/infra/segments"); len(got) != 0 {
			t.Errorf("listed: %v", got)
		}
		if got := c.ids(policy + "/infra/segments?include_mark_for_delete_objects=true"); len(got) != 1 {
			t.Errorf("listed with those marked: %v", got)
		}
		search := policy + "/search/query?query="
		if got := c.ids(search + "resource_type:Segment"); len(got) != 1 {
			t.Errorf("searched: %v", got)
		}
		if got := c.ids(search + "resource_type:Segment%20AND%20marked_for_delete:false"); len(got) != 0 {
			t.Errorf("searched without those marked: %v", got)
		}
		time.Sleep(5 * time.Minute)
		if got := c.ids(search + "resource_type:Segment"); len(got) != 0 {
			t.Errorf("searched after the purge: %v", got)
		}
		c.must(http.MethodPatch, segment, object{})
	})
}

// ids lists the ids of one page.
func (c *caller) ids(path string) []string {
	c.t.Helper()
	ids := []string{}
	for _, result := range results(c.must(http.MethodGet, path, nil)) {
		id, _ := result["id"].(string)
		ids = append(ids, id)
	}
	return ids
}

// queryEscape makes text a value of a query string.
func queryEscape(text string) string { return url.QueryEscape(text) }

func results(page object) []object {
	var all []object
	list, _ := page["results"].([]any)
	for _, one := range list {
		result, _ := one.(object)
		all = append(all, result)
	}
	return all
}

func TestCursorDialects(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	c := newCaller(t, srv)
	var want []string
	for i := range 7 { // ids go up, names go down
		id := fmt.Sprintf("s%d", i)
		want = append(want, id)
		mustPut(t, srv, "/infra/segments/"+id, object{"display_name": fmt.Sprintf("name %d", 9-i)})
		c.must(http.MethodPost, "/api/v1/ip-sets", object{"display_name": id})
	}
	reversed := slices.Clone(want)
	slices.Reverse(reversed)
	cases := map[string]struct {
		reason string
		path   string
		last   string // the cursor of the last page
		want   []string
	}{
		"policy":     {"absent at the end", policy + "/infra/segments?", "", want},
		"by name":    {"sorted otherwise", policy + "/infra/segments?sort_by=display_name&", "", reversed},
		"descending": {"sorted downwards", policy + "/infra/segments?sort_by=id&sort_ascending=false&", "", reversed},
		"search":     {"the count at the end", policy + "/search/query?query=resource_type:Segment&", "7", want},
		"manager":    {"zeros at the end", "/api/v1/ip-sets?", "0000", nil},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			cursor, pages := "", 0
			for {
				page := c.must(http.MethodGet, test.path+"page_size=3&cursor="+cursor, nil)
				if (cursor == "") != (page["result_count"] == 7.0) {
					t.Errorf("page %d: result_count %v belongs on the first page alone", pages, page["result_count"])
				}
				for _, result := range results(page) {
					got = append(got, fmt.Sprint(result["id"]))
				}
				pages++
				cursor, _ = page["cursor"].(string)
				if len(got) >= 7 || pages > 5 {
					break
				}
			}
			if cursor != test.last || pages != 3 {
				t.Errorf("%d pages, the last cursor is %q, want %q: %s", pages, cursor, test.last, test.reason)
			}
			if test.want != nil {
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Error(diff)
				}
			}
			slices.Sort(got)
			if len(slices.Compact(got)) != 7 {
				t.Errorf("each once: %v", got)
			}
		})
	}
}

func TestHierarchy(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	c := newCaller(t, srv)
	child := func(typ string, body object) object { return object{"resource_type": "Child" + typ, typ: body} }
	tree := func(children ...any) object { return object{"resource_type": "Infra", "children": children} }
	domain := func(children ...any) object {
		return object{"resource_type": "ChildResourceReference", "target_type": "Domain", "id": "default", "children": children}
	}
	c.must(http.MethodPatch, policy+"/infra", tree(
		child("LBVirtualServer", object{
			"id": "vs", "ip_address": "10.0.0.1", "ports": []string{"80"}, "pool_path": "/infra/lb-pools/p",
			"application_profile_path": "/infra/lb-app-profiles/default-tcp-lb-app-profile",
		}),
		child("LBPool", object{"id": "p"}),
		child("Tier1", object{"id": "t", "children": []any{
			object{"resource_type": "ChildPolicyNat", "PolicyNat": object{"id": "USER", "children": []any{
				child("PolicyNatRule", object{"id": "r", "action": "SNAT", "translated_network": "10.0.0.9"}),
			}}},
		}}),
		domain(
			child("SecurityPolicy", object{"id": "sp", "children": []any{
				child("Rule", object{"id": "r", "source_groups": []string{"/infra/domains/default/groups/g"}}),
			}}),
			child("Group", object{"id": "g"}),
		),
	))
	want := []string{
		"/infra/domains/default/groups/g", "/infra/domains/default/security-policies/sp",
		"/infra/domains/default/security-policies/sp/rules/r", "/infra/lb-pools/p", "/infra/lb-virtual-servers/vs",
		"/infra/tier-1s/t", "/infra/tier-1s/t/nat/USER/nat-rules/r",
	}
	if diff := cmp.Diff(want, srv.Paths("")); diff != "" {
		t.Fatal(diff)
	}

	gone := func(typ, id string) object {
		return object{"resource_type": "Child" + typ, "marked_for_delete": true, typ: object{"id": id}}
	}
	status, body := c.do(http.MethodPatch, policy+"/infra", tree(child("LBPool", object{"id": "new"}), domain(gone("Group", "g"))))
	if status != http.StatusBadRequest || body["error_code"] != 500030.0 {
		t.Errorf("deleting a group that a rule uses: %d %v", status, body)
	}
	if diff := cmp.Diff(want, srv.Paths("")); diff != "" {
		t.Errorf("half of a refused tree was applied: %s", diff)
	}
	stale := tree(child("LBPool", object{"id": "p", "_revision": 7}))
	if status, _ := c.do(http.MethodPatch, policy+"/infra?enforce_revision_check=true", stale); status != http.StatusPreconditionFailed {
		t.Errorf("a stale revision: %d", status)
	}
	c.must(http.MethodPatch, policy+"/infra", stale)
	c.must(http.MethodPatch, policy+"/infra", tree(
		gone("LBPool", "p"), gone("LBVirtualServer", "vs"), gone("LBVirtualServer", "never"),
		domain(gone("Group", "g"), gone("SecurityPolicy", "sp")),
	))
	if diff := cmp.Diff([]string{"/infra/tier-1s/t", "/infra/tier-1s/t/nat/USER/nat-rules/r"}, srv.Paths("")); diff != "" {
		t.Error(diff)
	}
	for name, bad := range map[string]object{
		"unknown child":   tree(object{"resource_type": "ChildLunch", "Lunch": object{"id": "x"}}),
		"misplaced child": tree(child("Group", object{"id": "g"})),
		"no object":       tree(object{"resource_type": "ChildSegment"}),
		"no id":           tree(child("Segment", object{})),
		"unknown field":   tree(child("Segment", object{"id": "x", "colour": "red"})),
	} {
		if status, body := c.do(http.MethodPatch, policy+"/infra", bad); status != http.StatusBadRequest {
			t.Errorf("%s: %d %v", name, status, body)
		}
	}
}

func TestSwitches(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer(nsxsim.WithSwitches(nsxsim.Switches{
		PatchReplaces: true, MissingPathNotFound: true, NotFoundCode: 500090, ProtectedStatus: http.StatusForbidden,
		EmptyPoolStatus: "DOWN", SearchCursorEnds: true, RepeatedScopeFindsNothing: true, SearchPageLimit: 100,
	}))
	c := newCaller(t, srv)
	if status, body := c.do(http.MethodGet, policy+"/infra/segments/none", nil); status != http.StatusNotFound || body["error_code"] != 500090.0 {
		t.Errorf("NotFoundCode: %d %v", status, body)
	}
	if status, _ := c.do(http.MethodPatch, policy+"/infra/segments/none/ports/p", object{}); status != http.StatusNotFound {
		t.Errorf("MissingPathNotFound: %d", status)
	}
	loadBalancer(t, srv, object{"description": "made by NCP"})
	if status, _ := c.do(http.MethodPatch, policy+"/infra/lb-pools/x", object{}); status != http.StatusForbidden {
		t.Errorf("ProtectedStatus: %d", status)
	}
	c.header.Set("X-Allow-Overwrite", "true")
	c.must(http.MethodPatch, policy+"/infra/lb-pools/x", object{})
	if got := c.must(http.MethodGet, policy+"/infra/lb-pools/x", nil); got["description"] != nil {
		t.Errorf("PatchReplaces: %v", got)
	}
	status := firstResult(c.must(http.MethodGet, policy+"/infra/lb-services/x/lb-pools/x/detailed-status", nil))
	if status["status"] != "DOWN" {
		t.Errorf("EmptyPoolStatus: %v", status)
	}
	search := policy + "/search/query?page_size=100&query=resource_type:LBPool"
	page := c.must(http.MethodGet, search, nil)
	if page["cursor"] != nil || page["result_count"] != 1.0 {
		t.Errorf("SearchCursorEnds: %v", page)
	}
	if got := c.ids(search + "%20OR%20tags.scope:a%20OR%20tags.scope:b"); len(got) != 0 {
		t.Errorf("RepeatedScopeFindsNothing: %v", got)
	}
	if status, body := c.do(http.MethodGet, policy+"/search/query?query=resource_type:LBPool", nil); status != http.StatusServiceUnavailable || body["error_code"] != 60576.0 {
		t.Errorf("SearchPageLimit: %d %v", status, body)
	}
}
