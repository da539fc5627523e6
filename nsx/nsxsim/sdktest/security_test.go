// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package sdktest

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	vapierrors "github.com/vmware/vsphere-automation-sdk-go/lib/vapi/std/errors"
	"github.com/vmware/vsphere-automation-sdk-go/runtime/data"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra/domains"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra/domains/groups"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra/domains/groups/members"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra/domains/security_policies"
	rulestats "github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra/domains/security_policies/rules"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra/settings/firewall/security"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/model"

	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

func addresses(list ...string) *data.StructValue {
	return pack(model.IPAddressExpression{ResourceType: "IPAddressExpression", IpAddresses: list}, model.IPAddressExpressionBindingType())
}

func TestSecurity(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	connector := connect(srv)

	domainClient := infra.NewDomainsClient(connector)
	resource[model.Domain]{
		typ: "Domain", make: func(int) model.Domain { return model.Domain{} },
		patch: domainClient.Patch, get: domainClient.Get, update: domainClient.Update, delete: domainClient.Delete,
		list: func(cursor *string, size *int64) (any, error) {
			return domainClient.List(cursor, nil, nil, size, nil, nil)
		},
	}.test(t, connector)

	groupClient := domains.NewGroupsClient(connector)
	or := pack(model.ConjunctionOperator{ResourceType: "ConjunctionOperator", ConjunctionOperator: new("OR")}, model.ConjunctionOperatorBindingType())
	condition := model.Condition{
		ResourceType: "Condition", MemberType: new("SegmentPort"), Key: new("Tag"), Operator: new("EQUALS"), Value: new("ncp/pod|db"),
	}
	nested := model.NestedExpression{
		ResourceType: "NestedExpression", Expressions: []*data.StructValue{pack(condition, model.ConditionBindingType())},
	}
	resource[model.Group]{
		typ: "Group",
		make: func(int) model.Group {
			return model.Group{Expression: []*data.StructValue{
				addresses("10.0.0.1"), or,
				pack(model.PathExpression{ResourceType: "PathExpression", Paths: []string{"/infra/domains/default/groups/none"}}, model.PathExpressionBindingType()), or,
				pack(model.MACAddressExpression{ResourceType: "MACAddressExpression", MacAddresses: []string{"02:50:56:00:00:01"}}, model.MACAddressExpressionBindingType()), or,
				pack(model.ExternalIDExpression{ResourceType: "ExternalIDExpression", MemberType: new("VirtualMachine"), ExternalIds: []string{"vm"}}, model.ExternalIDExpressionBindingType()), or,
				pack(nested, model.NestedExpressionBindingType()),
			}}
		},
		patch: func(id string, o model.Group) error {
			put(t, srv, "/infra/domains/default/groups/none", map[string]any{})
			return groupClient.Patch("default", id, o)
		},
		get:    func(id string) (model.Group, error) { return groupClient.Get("default", id) },
		update: func(id string, o model.Group) (model.Group, error) { return groupClient.Update("default", id, o) },
		delete: func(id string) error { return groupClient.Delete("default", id, nil, nil) },
		list: func(cursor *string, size *int64) (any, error) {
			return groupClient.List("default", cursor, nil, nil, nil, size, nil, nil)
		},
	}.test(t, connector)

	policies := domains.NewSecurityPoliciesClient(connector)
	resource[model.SecurityPolicy]{
		typ: "SecurityPolicy",
		make: func(n int) model.SecurityPolicy {
			return model.SecurityPolicy{SequenceNumber: new(int64(n)), Rules: []model.Rule{{Id: new("r"), Action: new(model.Rule_ACTION_DROP)}}}
		},
		patch: func(id string, o model.SecurityPolicy) error { return policies.Patch("default", id, o) },
		get:   func(id string) (model.SecurityPolicy, error) { return policies.Get("default", id) },
		update: func(id string, o model.SecurityPolicy) (model.SecurityPolicy, error) {
			return policies.Update("default", id, o)
		},
		delete: func(id string) error { return policies.Delete("default", id) },
		list: func(cursor *string, size *int64) (any, error) {
			return policies.List("default", cursor, nil, nil, nil, size, nil, nil)
		},
	}.test(t, connector)

	put(t, srv, "/infra/domains/default/security-policies/p", map[string]any{})
	rules := security_policies.NewRulesClient(connector)
	resource[model.Rule]{
		typ: "Rule",
		make: func(int) model.Rule {
			entry := model.L4PortSetServiceEntry{ResourceType: "L4PortSetServiceEntry", L4Protocol: new("TCP"), DestinationPorts: []string{"6379"}}
			return model.Rule{ServiceEntries: []*data.StructValue{pack(entry, model.L4PortSetServiceEntryBindingType())}}
		},
		patch:  func(id string, o model.Rule) error { return rules.Patch("default", "p", id, o) },
		get:    func(id string) (model.Rule, error) { return rules.Get("default", "p", id) },
		update: func(id string, o model.Rule) (model.Rule, error) { return rules.Update("default", "p", id, o) },
		delete: func(id string) error { return rules.Delete("default", "p", id) },
		list: func(cursor *string, size *int64) (any, error) {
			return rules.List("default", "p", cursor, nil, nil, size, nil, nil)
		},
	}.test(t, connector)

	services := infra.NewServicesClient(connector)
	resource[model.Service]{
		typ: "Service",
		make: func(int) model.Service {
			entry := model.L4PortSetServiceEntry{ResourceType: "L4PortSetServiceEntry", Id: new("e"), L4Protocol: new("TCP"), DestinationPorts: []string{"6379"}}
			return model.Service{ServiceEntries: []*data.StructValue{pack(entry, model.L4PortSetServiceEntryBindingType())}}
		},
		patch: services.Patch, get: services.Get, update: services.Update, delete: services.Delete,
		list: func(cursor *string, size *int64) (any, error) {
			return services.List(cursor, nil, nil, nil, size, nil, nil)
		},
	}.test(t, connector)
}

func TestFirewallOperations(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	connector := connect(srv)
	policies := domains.NewSecurityPoliciesClient(connector)
	for _, id := range []string{"a", "b"} {
		if err := policies.Patch("default", id, model.SecurityPolicy{Rules: []model.Rule{{Id: new("r")}}}); err != nil {
			t.Fatal(describe(err))
		}
	}
	second, err := policies.Get("default", "b")
	if err != nil {
		t.Fatal(describe(err))
	}
	if _, err := policies.Revise("default", "b", second, nil, new("insert_bottom")); err != nil {
		t.Error(describe(err))
	}
	rules := security_policies.NewRulesClient(connector)
	rule, err := rules.Get("default", "a", "r")
	if err != nil {
		t.Fatal(describe(err))
	}
	if _, err := rules.Revise("default", "a", "r", rule, nil, new("insert_top")); err != nil {
		t.Error(describe(err))
	}
	statistics, err := security_policies.NewStatisticsClient(connector).List("default", "a", nil, nil)
	if err != nil || len(statistics.Results[0].Statistics.Results) != 1 {
		t.Errorf("statistics of a policy: %+v %v", statistics, err)
	}
	one, err := rulestats.NewStatisticsClient(connector).List("default", "a", "r", nil, nil)
	if err != nil || *one.Results[0].Statistics.HitCount != 0 {
		t.Errorf("statistics of a rule: %+v %v", one, err)
	}
	exclude := security.NewExcludeListClient(connector)
	put(t, srv, "/infra/segments/s", map[string]any{})
	if err := exclude.Patch(model.PolicyExcludeList{Members: []string{"/infra/segments/s"}}); err != nil {
		t.Error(describe(err))
	}
	list, err := exclude.Get()
	if err != nil || len(list.Members) != 1 {
		t.Errorf("exclude list: %+v %v", list, err)
	}
	list.Members = nil
	if list, err = exclude.Update(list); err != nil || len(list.Members) > 0 {
		t.Errorf("exclude list: %+v %v", list, err)
	}
}

func TestGroupMembers(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	connector := connect(srv)
	put(t, srv, "/infra/segments/s", map[string]any{})
	put(t, srv, "/infra/segments/s/ports/p", map[string]any{
		"address_bindings": []any{map[string]any{"ip_address": "10.0.0.5"}}, "attachment": map[string]any{"id": "vif"},
	})
	srv.SetVirtualMachine(nsxsim.VirtualMachine{ID: "vm", Interfaces: []nsxsim.Interface{{ID: "vif", IPs: []string{"10.0.0.6"}}}})
	path := model.PathExpression{ResourceType: "PathExpression", Paths: []string{"/infra/segments/s"}}
	group := model.Group{Expression: []*data.StructValue{pack(path, model.PathExpressionBindingType())}}
	if err := domains.NewGroupsClient(connector).Patch("default", "g", group); err != nil {
		t.Fatal(describe(err))
	}
	expressions := groups.NewIpAddressExpressionsClient(connector)
	if err := expressions.Patch("default", "g", "e", model.IPAddressExpression{ResourceType: "IPAddressExpression", IpAddresses: []string{"10.9.0.1"}}); err != nil {
		t.Error(describe(err))
	}
	if err := expressions.Create("default", "g", "e", model.IPAddressList{IpAddresses: []string{"10.9.0.2"}}, "add"); err != nil {
		t.Error(describe(err))
	}
	macs := groups.NewMacAddressExpressionsClient(connector)
	if err := macs.Patch("default", "other", "e", model.MACAddressExpression{}); err == nil {
		t.Error("an expression of a group that does not exist")
	}
	if err := macs.Patch("default", "g", "m", model.MACAddressExpression{ResourceType: "MACAddressExpression", MacAddresses: []string{"02:50:56:00:00:01"}}); err != nil {
		t.Error(describe(err))
	}
	if err := macs.Create("default", "g", "m", model.MACAddressList{MacAddresses: []string{"02:50:56:00:00:02"}}, "add"); err != nil {
		t.Error(describe(err))
	}
	paths := groups.NewPathExpressionsClient(connector)
	if err := paths.Patch("default", "g", "p", model.PathExpression{ResourceType: "PathExpression"}); err != nil {
		t.Error(describe(err))
	}
	if err := paths.Create("default", "g", "p", model.GroupMemberList{Members: []string{"/infra/segments/s"}}, "add"); err != nil {
		t.Error(describe(err))
	}
	ids := groups.NewExternalIdExpressionsClient(connector)
	if err := ids.Patch("default", "g", "x", model.ExternalIDExpression{ResourceType: "ExternalIDExpression", MemberType: new("VirtualMachine")}); err != nil {
		t.Error(describe(err))
	}
	if err := ids.Create("default", "g", "x", model.GroupMemberList{Members: []string{"vm"}}, "add"); err != nil {
		t.Error(describe(err))
	}
	ips, err := members.NewIpAddressesClient(connector).List("default", "g", nil, nil, nil, nil, nil, nil, nil)
	if err != nil {
		t.Fatal(describe(err))
	}
	if diff := cmp.Diff([]string{"10.0.0.5", "10.0.0.6", "10.9.0.1", "10.9.0.2"}, ips.Results); diff != "" {
		t.Error(diff)
	}
	segments, err := members.NewSegmentsClient(connector).List("default", "g", nil, nil, nil, nil, nil, nil, nil)
	if err != nil || len(segments.Results) != 1 {
		t.Errorf("segments: %+v %v", segments, err)
	}
	ports, err := members.NewSegmentPortsClient(connector).List("default", "g", nil, nil, nil, nil, nil, nil, nil)
	if err != nil || len(ports.Results) != 1 {
		t.Errorf("ports: %+v %v", ports, err)
	}
	machines, err := members.NewVirtualMachinesClient(connector).List("default", "g", nil, nil, nil, nil, nil, nil, nil)
	if err != nil || len(machines.Results) != 1 {
		t.Errorf("virtual machines: %+v %v", machines, err)
	}
	for id, remove := range map[string]func(domain, group, id string) error{
		"e": expressions.Delete, "m": macs.Delete, "p": paths.Delete, "x": ids.Delete,
	} {
		if err := remove("default", "g", id); err != nil {
			t.Errorf("delete %s: %s", id, describe(err))
		}
	}
	vifs, err := members.NewVifsClient(connector).List("default", "g", nil, nil, nil, nil, nil, nil, nil)
	if err != nil || len(vifs.Results) != 1 {
		t.Errorf("interfaces: %+v %v", vifs, err)
	}
}

func TestHierarchy(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	connector := connect(srv)
	segment := model.ChildSegment{ResourceType: "ChildSegment", Segment: &model.Segment{Id: new("s")}}
	pool := model.ChildLBPool{ResourceType: "ChildLBPool", LbPool: &model.LBPool{Id: new("p")}}
	group := model.ChildGroup{ResourceType: "ChildGroup", Group: &model.Group{Id: new("g"), Expression: []*data.StructValue{addresses("10.0.0.1")}}}
	domain := model.ChildResourceReference{
		ResourceType: "ChildResourceReference", Id: new("default"), TargetType: new("Domain"),
		Children: []*data.StructValue{pack(group, model.ChildGroupBindingType())},
	}
	tree := model.Infra{ResourceType: new("Infra"), Children: []*data.StructValue{
		pack(segment, model.ChildSegmentBindingType()), pack(pool, model.ChildLBPoolBindingType()),
		pack(domain, model.ChildResourceReferenceBindingType()),
	}}
	hierarchical := nsx_policy.NewInfraClient(connector)
	if err := hierarchical.Patch(tree, new(false)); err != nil {
		t.Fatal(describe(err))
	}
	want := []string{"/infra/domains/default/groups/g", "/infra/lb-pools/p", "/infra/segments/s"}
	if diff := cmp.Diff(want, srv.Paths("")); diff != "" {
		t.Error(diff)
	}
	if root, err := hierarchical.Get(nil, nil, nil); err != nil || *root.Id != "infra" {
		t.Errorf("the root: %+v %v", root, err)
	}
	segment.MarkedForDelete = new(true)
	tree.Children = []*data.StructValue{pack(segment, model.ChildSegmentBindingType())}
	if err := hierarchical.Patch(tree, new(false)); err != nil {
		t.Fatal(describe(err))
	}
	if diff := cmp.Diff(want[:2], srv.Paths("")); diff != "" {
		t.Error(diff)
	}
}

func TestErrorsOfTheSDK(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	pools := infra.NewLbPoolsClient(connect(srv))
	srv.Inject(nsxsim.Fault{Kind: nsxsim.FaultStatus, Status: http.StatusServiceUnavailable, Code: 98})
	var unavailable vapierrors.ServiceUnavailable
	if _, err := pools.Get("x"); !errors.As(err, &unavailable) {
		t.Errorf("503: %T %v", err, err)
	}
	var invalid vapierrors.InvalidRequest
	if err := pools.Patch("x", model.LBPool{Members: []model.LBPoolMember{{IpAddress: new("not an address")}}}); !errors.As(err, &invalid) {
		t.Errorf("400: %T %v", err, err)
	}
	put(t, srv, "/infra/lb-pools/x", map[string]any{})
	if err := pools.Delete("x", nil); !errors.As(err, &invalid) {
		t.Errorf("a protected object: %T %v", err, err)
	}
	if got := srv.Unsimulated(); len(got) > 0 {
		t.Errorf("unsimulated: %v", got)
	}
}
