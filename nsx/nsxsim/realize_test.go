// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// publishStatus asks for the realization of the object at path.
func (c *caller) publishStatus(path string) any {
	c.t.Helper()
	return c.must(http.MethodGet, policy+"/infra/realized-state/status?intent_path="+path, nil)["publish_status"]
}

// entities lists the realized entities of the object at path.
func (c *caller) entities(path string) []object {
	c.t.Helper()
	return results(c.must(http.MethodGet, policy+"/infra/realized-state/realized-entities?intent_path="+path, nil))
}

func TestRealizationTakesTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCaller(t, nsxsim.NewServer(nsxsim.WithRealizationDelay(3*time.Second)))
		c.must(http.MethodPatch, policy+"/infra/segments/x", object{})
		if got := c.publishStatus("/infra/segments/x"); got != "UNREALIZED" {
			t.Errorf("at once: %v", got)
		}
		if got := c.entities("/infra/segments/x"); len(got) != 0 {
			t.Errorf("entities at once: %v", got)
		}
		if got := c.must(http.MethodGet, policy+"/infra/segments/x/state", nil)["state"]; got != "in_progress" {
			t.Errorf("state at once: %v", got)
		}
		time.Sleep(3 * time.Second)
		if got := c.publishStatus("/infra/segments/x"); got != "REALIZED" {
			t.Errorf("after the delay: %v", got)
		}
		found := c.entities("/infra/segments/x")
		if len(found) != 1 || found[0]["state"] != "REALIZED" {
			t.Fatalf("entities after the delay: %v", found)
		}
		entity := c.must(http.MethodGet, policy+"/infra/realized-state/realized-entity?realized_path="+found[0]["path"].(string), nil)
		if diff := cmp.Diff(found[0], entity); diff != "" {
			t.Error(diff)
		}
		if got := c.must(http.MethodGet, policy+"/infra/segments/x/state", nil)["state"]; got != "success" {
			t.Errorf("state after the delay: %v", got)
		}
	})
}

func TestForcedRealization(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer(nsxsim.WithManualRealization())
	c := newCaller(t, srv)
	loadBalancer(t, srv, object{"members": []any{object{"ip_address": "10.0.0.1", "port": "80"}}})
	server := "/infra/lb-virtual-servers/x"
	status := policy + "/infra/lb-services/x/lb-virtual-servers/x/detailed-status"

	if got := c.publishStatus(server); got != "UNREALIZED" {
		t.Errorf("by hand: %v", got)
	}
	if got := firstResult(c.must(http.MethodGet, status, nil))["status"]; got != "UNKNOWN" {
		t.Errorf("an unrealized server: %v", got)
	}
	srv.SetRealization(server, "ERROR", "Edge node is full.")
	if got := c.publishStatus(server); got != "ERROR" {
		t.Errorf("forced: %v", got)
	}
	alarms := results(c.must(http.MethodGet, policy+"/infra/realized-state/alarms", nil))
	if len(alarms) != 1 || alarms[0]["source_reference"] != server || alarms[0]["message"] != "Edge node is full." {
		t.Errorf("alarms: %v", alarms)
	}
	entity := c.entities(server)[0]
	if entity["state"] != "ERROR" || len(entity["alarms"].([]any)) != 1 {
		t.Errorf("entity: %v", entity)
	}
	srv.SetRealization(server, "REALIZED", "")
	srv.SetRealization("/infra/lb-pools/x", "REALIZED", "")
	if got := firstResult(c.must(http.MethodGet, status, nil))["status"]; got != "UP" {
		t.Errorf("realized by hand: %v", got)
	}
	srv.SetRealization(server, "", "")
	if got := c.publishStatus(server); got != "UNREALIZED" {
		t.Errorf("given back: %v", got)
	}
}

func TestSearchLag(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCaller(t, nsxsim.NewServer(nsxsim.WithSearchLag(2*time.Second)))
		find := func(query string) []string { return c.ids(policy + "/search/query?query=" + query) }
		c.must(http.MethodPatch, policy+"/infra/segments/x", object{"description": "old"})
		if got := find("resource_type:Segment"); len(got) != 0 {
			t.Errorf("found before it was indexed: %v", got)
		}
		time.Sleep(2 * time.Second)
		if got := find("resource_type:Segment"); len(got) != 1 {
			t.Errorf("not found when indexed: %v", got)
		}
		c.must(http.MethodPatch, policy+"/infra/segments/x", object{"description": "new"})
		if got := find("description:old"); len(got) != 1 {
			t.Errorf("the old version is gone too soon: %v", got)
		}
		time.Sleep(time.Second)
		c.must(http.MethodDelete, policy+"/infra/segments/x", nil)
		time.Sleep(time.Second)
		if got := find("description:new"); len(got) != 1 {
			t.Errorf("the new version is not indexed: %v", got)
		}
		time.Sleep(time.Second)
		if got := find("resource_type:Segment"); len(got) != 0 {
			t.Errorf("found after it was deleted: %v", got)
		}
	})
}

func TestSearchQueries(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	c := newCaller(t, srv)
	tags := func(pairs ...string) object {
		var list []any
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, object{"scope": pairs[i], "tag": pairs[i+1]})
		}
		return object{"tags": list}
	}
	mustPut(t, srv, "/infra/segments/one", tags("ncp/cluster", "domain-c8:7f", "ncp/project", "acme-app"))
	mustPut(t, srv, "/infra/segments/two", tags("ncp/cluster", "domain-c9:7f", "ncp/project", "domain-c8:7f"))
	mustPut(t, srv, "/infra/lb-pools/pool", tags("ncp/cluster", "domain-c8:7f"))
	mustPut(t, srv, "/infra/lb-pools/named", object{"display_name": "Web (blue)", "min_active_members": 5})
	cases := map[string]struct {
		reason string
		query  string
		want   []string
	}{
		"type":               {"any case", `resource_type:segment`, []string{"one", "two"}},
		"escaped":            {"slashes and colons mean themselves", `resource_type:Segment AND tags.scope:ncp\/project AND tags.tag:acme\-app`, []string{"one"}},
		"tags do not relate": {"scope and tag are of different tags", `resource_type:Segment AND tags.scope:ncp\/cluster AND tags.tag:domain\-c8\:7f`, []string{"one", "two"}},
		"or":                 {"either", `display_name:one OR display_name:pool`, []string{"pool", "one"}},
		"precedence":         {"AND before OR", `resource_type:LBPool AND display_name:pool OR display_name:two`, []string{"pool", "two"}},
		"not":                {"the others", `resource_type:Segment AND NOT display_name:one`, []string{"two"}},
		"group":              {"terms", `resource_type:Segment AND (display_name:one OR display_name:two)`, []string{"one", "two"}},
		"values":             {"of one field", `display_name:(one OR pool)`, []string{"pool", "one"}},
		"wildcard":           {"any characters", `display_name:o*`, []string{"one"}},
		"single wildcard":    {"any character", `display_name:tw?`, []string{"two"}},
		"path":               {"a wildcard crosses slashes", `resource_type:(Segment OR LBPool) AND path:\/infra\/s*`, []string{"one", "two"}},
		"quoted":             {"a phrase", `display_name:"Web (blue)"`, []string{"named"}},
		"escaped phrase":     {"the same with escapes", `display_name:Web\ \(blue\)`, []string{"named"}},
		"exists":             {"has tags", `_exists_:tags.scope AND resource_type:LBPool`, []string{"pool"}},
		"range":              {"numbers", `resource_type:LBPool AND min_active_members:[2 TO 9]`, []string{"named"}},
		"open range":         {"up to any", `resource_type:LBPool AND min_active_members:{1 TO *]`, []string{"named"}},
		"boolean":            {"as text", `resource_type:LBPool AND marked_for_delete:false`, []string{"named", "pool"}},
		"bare word":          {"any field", `acme-app`, []string{"one"}},
		"nothing":            {"no such", `display_name:none`, []string{}},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := c.ids(policy + "/search/query?query=" + queryEscape(test.query))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s: %s", test.reason, diff)
			}
		})
	}
	for _, bad := range []string{`a:(b`, `a:"b`, `)`, `a:[1 2]`, `a AND`, `_exists_:`, ``} {
		if status, body := c.do(http.MethodGet, policy+"/search/query?query="+queryEscape(bad), nil); status != http.StatusBadRequest {
			t.Errorf("query %s: %d %v", bad, status, body)
		}
	}
	page := c.must(http.MethodGet, policy+"/search/query?query=display_name:one&included_fields=id,path", nil)
	if diff := cmp.Diff(object{"id": "one", "path": "/infra/segments/one"}, firstResult(page)); diff != "" {
		t.Error(diff)
	}
}
