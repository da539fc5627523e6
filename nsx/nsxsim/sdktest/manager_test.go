// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//nolint:bodyclose // the client closes the bodies of the responses that it returns
package sdktest

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vmware/go-vmware-nsxt"
	"github.com/vmware/go-vmware-nsxt/common"
	"github.com/vmware/go-vmware-nsxt/manager"

	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// managerClient returns VMware's client of the Manager API, logged in by a
// session.
func managerClient(t *testing.T, srv *nsxsim.Server) *nsxt.APIClient {
	t.Helper()
	config := nsxt.NewConfiguration()
	config.BasePath, config.Scheme, config.Host = srv.URL()+"/api/v1", "https", "nsx.sim"
	config.UserName, config.Password = nsxsim.DefaultUser, nsxsim.DefaultPassword
	config.HTTPClient = srv.Client()
	client, err := nsxt.NewAPIClient(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// managed is one kind of object of the Manager API and how its client handles
// it. The client has no list for some.
type managed[T any] struct {
	make   func() T
	create func(context.Context, T) (T, *http.Response, error)
	read   func(context.Context, string) (T, *http.Response, error)
	update func(context.Context, string, T) (T, *http.Response, error)
	list   func(map[string]any) (any, *http.Response, error)
	delete func(context.Context, string) (*http.Response, error)
}

// optionals drops the optional parameters of a delete.
func optionals(del func(context.Context, string, map[string]any) (*http.Response, error)) func(context.Context, string) (*http.Response, error) {
	return func(ctx context.Context, id string) (*http.Response, error) { return del(ctx, id, nil) }
}

func (m managed[T]) test(t *testing.T, client *nsxt.APIClient) {
	t.Helper()
	ctx := client.Context
	name := reflect.TypeFor[T]().Name()
	var ids []string
	for range count {
		made, response, err := m.create(ctx, m.make())
		if err != nil || response.StatusCode != http.StatusCreated {
			t.Fatalf("%s: create: %v", name, err)
		}
		ids = append(ids, reflect.ValueOf(made).FieldByName("Id").String())
	}
	slices.Sort(ids)
	object, _, err := m.read(ctx, ids[1])
	if err != nil {
		t.Fatalf("%s: read: %v", name, err)
	}
	if m.list != nil {
		if diff := cmp.Diff(ids, m.pages(t)); diff != "" {
			t.Errorf("%s: list across pages: %s", name, diff)
		}
	}
	reflect.ValueOf(&object).Elem().FieldByName("Description").SetString("changed")
	updated, _, err := m.update(ctx, ids[1], object)
	if err != nil {
		t.Fatalf("%s: update: %v", name, err)
	}
	if got := reflect.ValueOf(updated).FieldByName("Revision").Int(); got != 1 {
		t.Errorf("%s: update: revision %d", name, got)
	}
	if _, response, err := m.update(ctx, ids[1], object); response == nil || response.StatusCode != http.StatusPreconditionFailed {
		t.Errorf("%s: update from a stale copy: %v", name, err)
	}
	for _, id := range ids {
		if _, err := m.delete(ctx, id); err != nil {
			t.Fatalf("%s: delete: %v", name, err)
		}
	}
	if _, response, _ := m.read(ctx, ids[1]); response == nil || response.StatusCode != http.StatusNotFound {
		t.Errorf("%s: read after delete: %v", name, response)
	}
}

// pages lists all ids, page by page, until the cursor of zeros.
func (m managed[T]) pages(t *testing.T) []string {
	t.Helper()
	var ids []string
	options := map[string]any{"pageSize": int64(2)}
	for range 10 {
		page, _, err := m.list(options)
		if err != nil {
			t.Fatal(err)
		}
		results := reflect.ValueOf(page).FieldByName("Results")
		for i := range results.Len() {
			ids = append(ids, results.Index(i).FieldByName("Id").String())
		}
		cursor := reflect.ValueOf(page).FieldByName("Cursor").String()
		if strings.HasPrefix(cursor, "0000") {
			return ids
		}
		options["cursor"] = cursor
	}
	t.Fatal("the list does not end")
	return nil
}

func TestManagerNetworks(t *testing.T) {
	t.Parallel()
	client := managerClient(t, newServer(t))
	ctx := client.Context
	switching, routing := client.LogicalSwitchingApi, client.LogicalRoutingAndServicesApi
	newSwitch := func() manager.LogicalSwitch {
		return manager.LogicalSwitch{
			TransportZoneId: "tz", AdminState: "UP", Tags: []common.Tag{{Scope: "ncp/cluster", Tag: "pks-1"}},
		}
	}
	managed[manager.LogicalSwitch]{
		make: newSwitch, create: switching.CreateLogicalSwitch, read: switching.GetLogicalSwitch,
		update: switching.UpdateLogicalSwitch, delete: optionals(switching.DeleteLogicalSwitch),
		list: func(o map[string]any) (any, *http.Response, error) { return switching.ListLogicalSwitches(ctx, o) },
	}.test(t, client)
	home, _, err := switching.CreateLogicalSwitch(ctx, newSwitch())
	if err != nil {
		t.Fatal(err)
	}
	managed[manager.LogicalPort]{
		make:   func() manager.LogicalPort { return manager.LogicalPort{LogicalSwitchId: home.Id, AdminState: "UP"} },
		create: switching.CreateLogicalPort, read: switching.GetLogicalPort,
		update: switching.UpdateLogicalPort, delete: optionals(switching.DeleteLogicalPort),
		list: func(o map[string]any) (any, *http.Response, error) { return switching.ListLogicalPorts(ctx, o) },
	}.test(t, client)
	managed[manager.LogicalRouter]{
		make:   func() manager.LogicalRouter { return manager.LogicalRouter{RouterType: "TIER1"} },
		create: routing.CreateLogicalRouter, read: routing.ReadLogicalRouter,
		update: routing.UpdateLogicalRouter, delete: optionals(routing.DeleteLogicalRouter),
		list: func(o map[string]any) (any, *http.Response, error) { return routing.ListLogicalRouters(ctx, o) },
	}.test(t, client)

	if state, _, err := switching.GetLogicalSwitchState(ctx, home.Id); err != nil || state.State != "success" {
		t.Errorf("state: %+v %v", state, err)
	}
	if _, _, err := switching.CreateLogicalPort(ctx, manager.LogicalPort{LogicalSwitchId: home.Id, AdminState: "UP"}); err != nil {
		t.Fatal(err)
	}
	if _, err := switching.DeleteLogicalSwitch(ctx, home.Id, nil); err == nil {
		t.Error("a switch with a port was deleted")
	}
	if _, err := switching.DeleteLogicalSwitch(ctx, home.Id, map[string]any{"cascade": true, "detach": true}); err != nil {
		t.Error(err)
	}
	if ports, _, err := switching.ListLogicalPorts(ctx, nil); err != nil || len(ports.Results) > 0 {
		t.Errorf("ports after cascade: %+v %v", ports, err)
	}
}

func TestManagerFirewall(t *testing.T) {
	t.Parallel()
	client := managerClient(t, newServer(t))
	ctx, fw := client.Context, client.ServicesApi
	newSection := func() manager.FirewallSection {
		return manager.FirewallSection{SectionType: "LAYER3", Stateful: true}
	}
	managed[manager.FirewallSection]{
		make: newSection, read: fw.GetSection, update: fw.UpdateSection, delete: optionals(fw.DeleteSection),
		create: func(ctx context.Context, o manager.FirewallSection) (manager.FirewallSection, *http.Response, error) {
			return fw.AddSection(ctx, o, map[string]any{"operation": "insert_bottom"})
		},
	}.test(t, client)

	rule := func(name string) manager.FirewallRule {
		return manager.FirewallRule{DisplayName: name, Action: "ALLOW", Direction: "IN_OUT"}
	}
	with := manager.FirewallSectionRuleList{FirewallSection: newSection(), Rules: []manager.FirewallRule{rule("a"), rule("b")}}
	first, _, err := fw.AddSectionWithRulesCreateWithRules(ctx, with, nil)
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := fw.AddSection(ctx, newSection(), map[string]any{"operation": "insert_before", "id": first.Id})
	if err != nil {
		t.Fatal(err)
	}
	sections, _, err := fw.ListSections(ctx, nil)
	if err != nil || len(sections.Results) != 2 || sections.Results[0].Id != second.Id {
		t.Errorf("order: %+v %v", sections, err)
	}
	if _, _, err := fw.ReviseSectionRevise(ctx, second.Id, second, map[string]any{"operation": "insert_after", "id": first.Id}); err != nil {
		t.Error(err)
	}
	if sections, _, _ := fw.ListSections(ctx, nil); sections.Results[0].Id != first.Id {
		t.Errorf("order after revise: %+v", sections)
	}
	if _, _, err := fw.AddRuleInSection(ctx, first.Id, rule("c"), map[string]any{"operation": "insert_bottom"}); err != nil {
		t.Error(err)
	}
	if _, _, err := fw.AddRulesInSectionCreateMultiple(ctx, first.Id, manager.FirewallRuleList{Rules: []manager.FirewallRule{rule("d"), rule("e")}}, map[string]any{"operation": "insert_bottom"}); err != nil {
		t.Error(err)
	}
	listed, _, err := fw.GetSectionWithRulesListWithRules(ctx, first.Id)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range listed.Rules {
		names = append(names, r.DisplayName)
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "d", "e"}, names); diff != "" {
		t.Error(diff)
	}
	one := listed.Rules[0]
	one.Action = "DROP"
	if changed, _, err := fw.UpdateRule(ctx, first.Id, one.Id, one); err != nil || changed.Action != "DROP" {
		t.Errorf("update of a rule: %+v %v", changed, err)
	}
	if read, _, err := fw.GetRule(ctx, first.Id, one.Id); err != nil || read.Revision != 1 {
		t.Errorf("rule: %+v %v", read, err)
	}
	last := listed.Rules[4]
	if _, _, err := fw.ReviseRuleRevise(ctx, first.Id, last.Id, last, map[string]any{"operation": "insert_top"}); err != nil {
		t.Error(err)
	}
	if rules, _, err := fw.GetRules(ctx, first.Id, nil); err != nil || rules.Results[0].DisplayName != "e" {
		t.Errorf("rules after revise: %+v %v", rules, err)
	}
	if _, err := fw.DeleteRule(ctx, first.Id, last.Id); err != nil {
		t.Error(err)
	}
	listed.Rules = []manager.FirewallRule{rule("only")}
	if changed, _, err := fw.UpdateSectionWithRulesUpdateWithRules(ctx, first.Id, listed); err != nil || len(changed.Rules) != 1 {
		t.Errorf("update with rules: %+v %v", changed, err)
	}
	if _, err := fw.DeleteSection(ctx, first.Id, nil); err == nil {
		t.Error("a section with rules was deleted")
	}
	if _, err := fw.DeleteSection(ctx, first.Id, map[string]any{"cascade": true}); err != nil {
		t.Error(err)
	}
}

func TestManagerPools(t *testing.T) {
	t.Parallel()
	client := managerClient(t, newServer(t))
	ctx, pools := client.Context, client.PoolManagementApi
	newPool := func() manager.IpPool {
		return manager.IpPool{Subnets: []manager.IpPoolSubnet{{
			Cidr: "192.168.30.64/27", AllocationRanges: []manager.IpPoolRange{{Start: "192.168.30.66", End: "192.168.30.67"}},
		}}}
	}
	managed[manager.IpPool]{
		make: newPool, create: pools.CreateIpPool, read: pools.ReadIpPool, update: pools.UpdateIpPool, delete: optionals(pools.DeleteIpPool),
		list: func(o map[string]any) (any, *http.Response, error) { return pools.ListIpPools(ctx, o) },
	}.test(t, client)
	managed[manager.IpBlock]{
		make:   func() manager.IpBlock { return manager.IpBlock{Cidr: "10.244.0.0/27"} },
		create: pools.CreateIpBlock, read: pools.ReadIpBlock, update: pools.UpdateIpBlock, delete: pools.DeleteIpBlock,
		list: func(o map[string]any) (any, *http.Response, error) { return pools.ListIpBlocks(ctx, o) },
	}.test(t, client)

	block, _, err := pools.CreateIpBlock(ctx, manager.IpBlock{Cidr: "10.244.0.0/27"})
	if err != nil {
		t.Fatal(err)
	}
	var last manager.IpBlockSubnet
	for _, want := range []string{"10.244.0.0/28", "10.244.0.16/28", ""} {
		subnet, _, err := pools.CreateIpBlockSubnet(ctx, manager.IpBlockSubnet{BlockId: block.Id, Size: 16})
		if subnet.Cidr != want || (err != nil) != (want == "") {
			t.Errorf("subnet: %+v %v, want %q", subnet, err, want)
		}
		if err == nil {
			last = subnet
		}
	}
	if list, _, err := pools.ListIpBlockSubnets(ctx, map[string]any{"blockId": block.Id}); err != nil || len(list.Results) != 2 {
		t.Errorf("subnets: %+v %v", list, err)
	}
	if got, _, err := pools.AllocateOrReleaseFromIpBlockSubnet(ctx, last.Id, manager.AllocationIpAddress{}, "ALLOCATE"); err != nil || got.AllocationId != "10.244.0.17" {
		t.Errorf("allocate from a subnet: %+v %v", got, err)
	}
	if got, _, err := pools.ReadIpBlockSubnet(ctx, last.Id); err != nil || got.Cidr != last.Cidr {
		t.Errorf("subnet: %+v %v", got, err)
	}
	if _, err := pools.DeleteIpBlockSubnet(ctx, last.Id); err != nil {
		t.Error(err)
	}
	pool, _, err := pools.CreateIpPool(ctx, newPool())
	if err != nil {
		t.Fatal(err)
	}
	any1, _, err := pools.AllocateOrReleaseFromIpPool(ctx, pool.Id, manager.AllocationIpAddress{}, "ALLOCATE")
	if err != nil || any1.AllocationId != "192.168.30.66" {
		t.Errorf("allocate: %+v %v", any1, err)
	}
	fixed := manager.AllocationIpAddress{AllocationId: "192.168.30.67"}
	if got, _, err := pools.AllocateOrReleaseFromIpPool(ctx, pool.Id, fixed, "ALLOCATE"); err != nil || got.AllocationId != fixed.AllocationId {
		t.Errorf("allocate one: %+v %v", got, err)
	}
	if _, response, _ := pools.AllocateOrReleaseFromIpPool(ctx, pool.Id, manager.AllocationIpAddress{}, "ALLOCATE"); response.StatusCode != http.StatusConflict {
		t.Errorf("exhausted: %s", response.Status)
	}
	if list, _, err := pools.ListIpPoolAllocations(ctx, pool.Id); err != nil || len(list.Results) != 2 {
		t.Errorf("allocations: %+v %v", list, err)
	}
	if read, _, err := pools.ReadIpPool(ctx, pool.Id); err != nil || read.PoolUsage.FreeIds != 0 {
		t.Errorf("usage: %+v %v", read.PoolUsage, err)
	}
	if _, err := pools.DeleteIpPool(ctx, pool.Id, nil); err == nil {
		t.Error("a pool in use was deleted")
	}
	if _, _, err := pools.AllocateOrReleaseFromIpPool(ctx, pool.Id, fixed, "RELEASE"); err != nil {
		t.Errorf("release: %v", err)
	}
	if _, _, err := pools.AllocateOrReleaseFromIpPool(ctx, pool.Id, fixed, "RELEASE"); err == nil {
		t.Error("an address was released twice")
	}
	if _, err := pools.DeleteIpPool(ctx, pool.Id, map[string]any{"force": true}); err != nil {
		t.Error(err)
	}
}

func TestManagerGroups(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	client := managerClient(t, srv)
	ctx, grouping := client.Context, client.GroupingObjectsApi
	managed[manager.IpSet]{
		make:   func() manager.IpSet { return manager.IpSet{IpAddresses: []string{"10.0.0.1"}} },
		create: grouping.CreateIPSet, read: grouping.ReadIPSet, update: grouping.UpdateIPSet, delete: optionals(grouping.DeleteIPSet),
		list: func(o map[string]any) (any, *http.Response, error) { return grouping.ListIPSets(ctx, o) },
	}.test(t, client)
	managed[manager.NsGroup]{
		make: func() manager.NsGroup {
			return manager.NsGroup{Tags: []common.Tag{{Scope: "ncp/cluster", Tag: "pks-1"}}}
		},
		create: func(ctx context.Context, o manager.NsGroup) (manager.NsGroup, *http.Response, error) {
			return grouping.CreateNSGroup(ctx, o)
		},
		read: func(ctx context.Context, id string) (manager.NsGroup, *http.Response, error) {
			return grouping.ReadNSGroup(ctx, id, nil)
		},
		update: grouping.UpdateNSGroup, delete: optionals(grouping.DeleteNSGroup),
		list: func(o map[string]any) (any, *http.Response, error) { return grouping.ListNSGroups(ctx, o) },
	}.test(t, client)
	if licenses, _, err := client.LicensingApi.GetLicenses(ctx); err != nil || len(licenses.Results) != 1 {
		t.Errorf("licences: %+v %v", licenses, err)
	}
	if node, _, err := client.NsxComponentAdministrationApi.ReadNodeProperties(ctx); err != nil || node.NodeVersion == "" {
		t.Errorf("node: %+v %v", node, err)
	}
	if got := srv.Unsimulated(); len(got) > 0 {
		t.Errorf("unsimulated: %v", got)
	}
	for _, request := range srv.Requests() {
		if request.Path == "/api/session/create" && request.Status != http.StatusOK {
			t.Errorf("session: %s", fmt.Sprint(request.Status))
		}
	}
}
