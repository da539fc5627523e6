// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

const groups = "/infra/domains/default/groups/"

// network makes two segments with ports of pods, and a virtual machine.
func network(t *testing.T, srv *nsxsim.Server) {
	t.Helper()
	tag := func(scope, value string) []any { return []any{object{"scope": scope, "tag": value}} }
	port := func(ip, id string, tags []any) object {
		return object{"address_bindings": []any{object{"ip_address": ip}}, "attachment": object{"id": id}, "tags": tags}
	}
	mustPut(t, srv, "/infra/segments/app", object{"tags": tag("ncp/project", "acme-app")})
	mustPut(t, srv, "/infra/segments/data", object{"tags": tag("ncp/project", "acme-data")})
	mustPut(t, srv, "/infra/segments/app/ports/web", port("10.244.0.3", "vif-web", tag("role", "web")))
	mustPut(t, srv, "/infra/segments/data/ports/db", port("10.244.0.18", "vif-db", tag("role", "db")))
	srv.SetVirtualMachine(nsxsim.VirtualMachine{
		ID: "vm-1", Name: "db-vm", OSName: "Photon", Tags: []nsxsim.Tag{{Scope: "tier", Tag: "data"}},
		Interfaces: []nsxsim.Interface{{ID: "vif-db", MAC: "00:50:56:00:00:01", IPs: []string{"10.244.0.19"}}},
	})
	srv.SetVirtualMachine(nsxsim.VirtualMachine{ID: "vm-2", Name: "other"})
}

func TestEffectiveMembers(t *testing.T) {
	t.Parallel()
	condition := func(member, key, operator, value string) object {
		return object{"resource_type": "Condition", "member_type": member, "key": key, "operator": operator, "value": value}
	}
	paths := func(all ...string) object { return object{"resource_type": "PathExpression", "paths": all} }
	or := object{"resource_type": "ConjunctionOperator", "conjunction_operator": "OR"}
	and := object{"resource_type": "ConjunctionOperator", "conjunction_operator": "AND"}
	const (
		app, data = "/infra/segments/app", "/infra/segments/data"
		web, db   = app + "/ports/web", data + "/ports/db"
	)
	cases := map[string]struct {
		reason     string
		expression []any
		addresses  []any
		segments   []string
		ports      []string
		machines   []string
	}{
		"addresses": {
			"as they were given",
			[]any{object{"resource_type": "IPAddressExpression", "ip_addresses": []string{"10.1.0.0/16", "10.2.0.1-10.2.0.9"}}},
			[]any{"10.1.0.0/16", "10.2.0.1-10.2.0.9"},
			nil, nil, nil,
		},
		"segment path": {"its ports and what is on them", []any{paths(data)}, []any{"10.244.0.18", "10.244.0.19"}, []string{data}, []string{db}, []string{"vm-1"}},
		"port path":    {"only the port", []any{paths(web)}, []any{"10.244.0.3"}, nil, []string{web}, nil},
		"segment tag":  {"scope and tag", []any{condition("Segment", "Tag", "EQUALS", "ncp/project|acme-app")}, []any{"10.244.0.3"}, []string{app}, []string{web}, nil},
		"wrong scope":  {"the tag is of another scope", []any{condition("Segment", "Tag", "EQUALS", "role|acme-app")}, nil, nil, nil, nil},
		"port tag":     {"of ports", []any{condition("SegmentPort", "Tag", "EQUALS", "role|db")}, []any{"10.244.0.18", "10.244.0.19"}, nil, []string{db}, []string{"vm-1"}},
		"machine name": {"by prefix", []any{condition("VirtualMachine", "Name", "STARTSWITH", "db")}, []any{"10.244.0.18", "10.244.0.19"}, nil, []string{db}, []string{"vm-1"}},
		"machine tag":  {"not equal", []any{condition("VirtualMachine", "Tag", "NOTEQUALS", "tier|data")}, nil, nil, nil, []string{"vm-2"}},
		"or":           {"either", []any{paths(web), or, paths(db)}, []any{"10.244.0.18", "10.244.0.19", "10.244.0.3"}, nil, []string{web, db}, []string{"vm-1"}},
		"and":          {"both", []any{condition("SegmentPort", "Tag", "CONTAINS", "role|b"), and, condition("SegmentPort", "Name", "EQUALS", "db")}, []any{"10.244.0.18", "10.244.0.19"}, nil, []string{db}, []string{"vm-1"}},
		"nested": {
			"ports on segments",
			[]any{object{"resource_type": "NestedExpression", "expressions": []any{
				condition("Segment", "Tag", "EQUALS", "ncp/project|acme-data"), and, condition("SegmentPort", "Tag", "EQUALS", "role|db"),
			}}},
			[]any{"10.244.0.18", "10.244.0.19"},
			nil,
			[]string{db},
			[]string{"vm-1"},
		},
		"external id": {
			"a virtual machine",
			[]any{object{"resource_type": "ExternalIDExpression", "member_type": "VirtualMachine", "external_ids": []string{"vm-1"}}},
			[]any{"10.244.0.18", "10.244.0.19"},
			nil,
			[]string{db},
			[]string{"vm-1"},
		},
		"other group": {"what is in it", []any{paths(groups + "inner")}, []any{"10.9.9.9"}, nil, nil, nil},
		"itself":      {"a circle adds nobody", []any{paths(groups+"outer", web)}, []any{"10.244.0.3"}, nil, []string{web}, nil},
		"empty":       {"nobody", nil, nil, nil, nil, nil},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := nsxsim.NewServer()
			c := newCaller(t, srv)
			network(t, srv)
			mustPut(t, srv, groups+"inner", object{"expression": []any{object{"resource_type": "IPAddressExpression", "ip_addresses": []string{"10.9.9.9"}}}})
			mustPut(t, srv, groups+"outer", object{"expression": test.expression})
			base := policy + groups + "outer/members/"
			addresses, _ := c.must(http.MethodGet, base+"ip-addresses", nil)["results"].([]any)
			if diff := cmp.Diff(append([]any{}, test.addresses...), addresses); diff != "" {
				t.Errorf("addresses: %s: %s", test.reason, diff)
			}
			for kind, want := range map[string][]string{"segments": test.segments, "segment-ports": test.ports, "virtual-machines": test.machines} {
				field := "path"
				if kind == "virtual-machines" {
					field = "id"
				}
				got := []string{}
				for _, result := range results(c.must(http.MethodGet, base+kind, nil)) {
					got = append(got, fmt.Sprint(result[field]))
				}
				if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
					t.Errorf("%s: %s: %s", kind, test.reason, diff)
				}
			}
		})
	}
}

func TestOperators(t *testing.T) {
	t.Parallel()
	for operator, want := range map[string][]string{
		"EQUALS": {"web"}, "NOTEQUALS": {"db", "web-2"}, "CONTAINS": {"web", "web-2"}, "STARTSWITH": {"web", "web-2"},
		"ENDSWITH": {"web"}, "IN": {"web"}, "NOTIN": {"db", "web-2"}, "MATCHES": {"web"},
	} {
		srv := nsxsim.NewServer()
		c := newCaller(t, srv)
		for _, id := range []string{"web", "web-2", "db"} {
			mustPut(t, srv, "/infra/segments/"+id, object{})
		}
		mustPut(t, srv, groups+"g", object{"expression": []any{object{
			"resource_type": "Condition", "member_type": "Segment", "key": "Name", "operator": operator, "value": "web",
		}}})
		if diff := cmp.Diff(want, c.ids(policy+groups+"g/members/segments")); diff != "" {
			t.Errorf("%s: %s", operator, diff)
		}
	}
}

func TestInventory(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer(nsxsim.WithSwitches(nsxsim.Switches{UnstableVirtualMachines: true}))
	c := newCaller(t, srv)
	network(t, srv)
	for i := range 20 {
		srv.SetVirtualMachine(nsxsim.VirtualMachine{ID: fmt.Sprintf("x-%02d", i)})
	}
	srv.RemoveVirtualMachine("x-00")
	seen := func(sorted string) int {
		ids := map[string]bool{}
		cursor := ""
		for {
			page := c.must(http.MethodGet, policy+"/infra/realized-state/virtual-machines?page_size=7&cursor="+cursor+sorted, nil)
			for _, vm := range results(page) {
				ids[vm["external_id"].(string)] = true
			}
			if cursor, _ = page["cursor"].(string); cursor == "" {
				return len(ids)
			}
		}
	}
	if got := seen("&sort_by=external_id"); got != 21 {
		t.Errorf("sorted pages show %d of 21 virtual machines", got)
	}
	if got := seen(""); got == 21 {
		t.Error("unsorted pages show every virtual machine once: the switch does nothing")
	}
	vifs := results(c.must(http.MethodGet, policy+"/infra/realized-state/enforcement-points/default/vifs", nil))
	if len(vifs) != 1 || vifs[0]["lport_attachment_id"] != "vif-db" {
		t.Errorf("vifs: %v", vifs)
	}
}

func TestExpressions(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	c := newCaller(t, srv)
	group := policy + groups + "g"
	c.must(http.MethodPatch, group, object{})
	members := func() any { return c.must(http.MethodGet, group+"/members/ip-addresses", nil)["results"] }
	one := group + "/ip-address-expressions/one"

	c.must(http.MethodPatch, one, object{"ip_addresses": []string{"10.0.0.1"}})
	c.must(http.MethodPatch, group+"/ip-address-expressions/two", object{"ip_addresses": []string{"10.0.1.1"}})
	c.must(http.MethodPost, one+"?action=add", object{"ip_addresses": []string{"10.0.0.2", "10.0.0.1"}})
	if diff := cmp.Diff(any([]any{"10.0.0.1", "10.0.0.2", "10.0.1.1"}), members()); diff != "" {
		t.Error(diff)
	}
	c.must(http.MethodPost, one+"?action=remove", object{"ip_addresses": []string{"10.0.0.1"}})
	c.must(http.MethodDelete, group+"/ip-address-expressions/two", nil)
	if diff := cmp.Diff(any([]any{"10.0.0.2"}), members()); diff != "" {
		t.Error(diff)
	}
	if status, _ := c.do(http.MethodPost, group+"/ip-address-expressions/none?action=add", object{}); status != http.StatusNotFound {
		t.Errorf("no such expression: %d", status)
	}
	if status, _ := c.do(http.MethodPost, one+"?action=paint", object{}); status != http.StatusNotImplemented {
		t.Errorf("no such action: %d", status)
	}
	c.must(http.MethodDelete, one, nil)
	if got := c.must(http.MethodGet, group, nil)["expression"]; len(got.([]any)) != 0 {
		t.Errorf("left: %v", got)
	}
}
