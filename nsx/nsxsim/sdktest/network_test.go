// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package sdktest

import (
	"testing"

	"github.com/vmware/vsphere-automation-sdk-go/runtime/protocol/client"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra/segments"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra/segments/ports"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra/tier_0s"
	nat0 "github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra/tier_0s/nat"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra/tier_1s"
	nat1 "github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra/tier_1s/nat"
	fixed "github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra/tier_1s/segments"
	fixedports "github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra/tier_1s/segments/ports"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/model"

	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

func TestGateways(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	connector := connect(srv)

	tier0s := infra.NewTier0sClient(connector)
	resource[model.Tier0]{
		typ: "Tier0", make: func(int) model.Tier0 { return model.Tier0{HaMode: new("ACTIVE_STANDBY")} },
		patch: tier0s.Patch, get: tier0s.Get, update: tier0s.Update, delete: tier0s.Delete,
		list: func(cursor *string, size *int64) (any, error) { return tier0s.List(cursor, nil, nil, size, nil, nil) },
	}.test(t, connector)

	tier1s := infra.NewTier1sClient(connector)
	resource[model.Tier1]{
		typ: "Tier1", make: func(int) model.Tier1 { return model.Tier1{FailoverMode: new(model.Tier1_FAILOVER_MODE_PREEMPTIVE)} },
		patch: tier1s.Patch, get: tier1s.Get, update: tier1s.Update, delete: tier1s.Delete,
		list: func(cursor *string, size *int64) (any, error) { return tier1s.List(cursor, nil, nil, size, nil, nil) },
	}.test(t, connector)

	put(t, srv, "/infra/tier-1s/g", map[string]any{})
	put(t, srv, "/infra/tier-0s/g", map[string]any{})
	testGateway(t, connector, nat1.NewNatRulesClient(connector), tier_1s.NewStaticRoutesClient(connector), tier_1s.NewLocaleServicesClient(connector))
	testGateway(t, connector, nat0.NewNatRulesClient(connector), tier_0s.NewStaticRoutesClient(connector), tier_0s.NewLocaleServicesClient(connector))

	prefixes := tier_0s.NewPrefixListsClient(connector)
	resource[model.PrefixList]{
		typ: "PrefixList",
		make: func(int) model.PrefixList {
			return model.PrefixList{Prefixes: []model.PrefixEntry{{Network: new("10.0.0.0/8"), Action: new(model.PrefixEntry_ACTION_DENY)}}}
		},
		patch:  func(id string, o model.PrefixList) error { return prefixes.Patch("g", id, o) },
		get:    func(id string) (model.PrefixList, error) { return prefixes.Get("g", id) },
		update: func(id string, o model.PrefixList) (model.PrefixList, error) { return prefixes.Update("g", id, o) },
		delete: func(id string) error { return prefixes.Delete("g", id) },
		list: func(cursor *string, size *int64) (any, error) {
			return prefixes.List("g", cursor, nil, nil, size, nil, nil)
		},
	}.test(t, connector)

	if got, err := tier_1s.NewStateClient(connector).Get("g", nil, nil, nil, nil, nil, nil, nil, nil); err != nil || *got.Tier1State.State != "success" {
		t.Errorf("state of a gateway: %v %v", got, err)
	}
	if got, err := tier_0s.NewStateClient(connector).Get("g", nil, nil, nil, nil, nil, nil, nil, nil); err != nil || *got.Tier0State.State != "success" {
		t.Errorf("state of a gateway: %v %v", got, err)
	}
	if got, err := tier_0s.NewNatClient(connector).List("g", nil, nil, nil, nil, nil, nil); err != nil || len(got.Results) != 3 {
		t.Errorf("sections of NAT rules: %v %v", got, err)
	}
	if got, err := tier_1s.NewNatClient(connector).List("g", nil, nil, nil, nil, nil, nil); err != nil || len(got.Results) != 3 {
		t.Errorf("sections of NAT rules: %v %v", got, err)
	}
}

// ruleClient, routeClient and localeClient are the clients that the SDK has
// twice, for tier-0 and for tier-1 gateways.
type ruleClient interface {
	Patch(gateway, nat, id string, object model.PolicyNatRule) error
	Get(gateway, nat, id string) (model.PolicyNatRule, error)
	Update(gateway, nat, id string, object model.PolicyNatRule) (model.PolicyNatRule, error)
	Delete(gateway, nat, id string) error
	List(gateway, nat string, cursor *string, marked *bool, fields *string, size *int64, ascending *bool, by *string) (model.PolicyNatRuleListResult, error)
}

type routeClient interface {
	Patch(gateway, id string, object model.StaticRoutes) error
	Get(gateway, id string) (model.StaticRoutes, error)
	Update(gateway, id string, object model.StaticRoutes) (model.StaticRoutes, error)
	Delete(gateway, id string) error
	List(gateway string, cursor *string, marked *bool, fields *string, size *int64, ascending *bool, by *string) (model.StaticRoutesListResult, error)
}

type localeClient interface {
	Patch(gateway, id string, object model.LocaleServices) error
	Get(gateway, id string) (model.LocaleServices, error)
	Update(gateway, id string, object model.LocaleServices) (model.LocaleServices, error)
	Delete(gateway, id string) error
	List(gateway string, cursor *string, marked *bool, fields *string, size *int64, ascending *bool, by *string) (model.LocaleServicesListResult, error)
}

// testGateway tests what lies beneath the gateway g.
func testGateway(t *testing.T, connector client.Connector, rules ruleClient, routes routeClient, locales localeClient) {
	t.Helper()
	resource[model.PolicyNatRule]{
		typ: "PolicyNatRule",
		make: func(int) model.PolicyNatRule {
			return model.PolicyNatRule{Action: new(model.PolicyNatRule_ACTION_SNAT), TranslatedNetwork: new("192.168.30.97")}
		},
		patch: func(id string, o model.PolicyNatRule) error { return rules.Patch("g", "USER", id, o) },
		get:   func(id string) (model.PolicyNatRule, error) { return rules.Get("g", "USER", id) },
		update: func(id string, o model.PolicyNatRule) (model.PolicyNatRule, error) {
			return rules.Update("g", "USER", id, o)
		},
		delete: func(id string) error { return rules.Delete("g", "USER", id) },
		list: func(cursor *string, size *int64) (any, error) {
			return rules.List("g", "USER", cursor, nil, nil, size, nil, nil)
		},
	}.test(t, connector)
	resource[model.StaticRoutes]{
		typ: "StaticRoutes",
		make: func(int) model.StaticRoutes {
			return model.StaticRoutes{Network: new("10.0.0.0/8"), NextHops: []model.RouterNexthop{{IpAddress: new("10.1.0.1")}}}
		},
		patch:  func(id string, o model.StaticRoutes) error { return routes.Patch("g", id, o) },
		get:    func(id string) (model.StaticRoutes, error) { return routes.Get("g", id) },
		update: func(id string, o model.StaticRoutes) (model.StaticRoutes, error) { return routes.Update("g", id, o) },
		delete: func(id string) error { return routes.Delete("g", id) },
		list: func(cursor *string, size *int64) (any, error) {
			return routes.List("g", cursor, nil, nil, size, nil, nil)
		},
	}.test(t, connector)
	resource[model.LocaleServices]{
		typ: "LocaleServices", make: func(int) model.LocaleServices { return model.LocaleServices{} },
		patch: func(id string, o model.LocaleServices) error { return locales.Patch("g", id, o) },
		get:   func(id string) (model.LocaleServices, error) { return locales.Get("g", id) },
		update: func(id string, o model.LocaleServices) (model.LocaleServices, error) {
			return locales.Update("g", id, o)
		},
		delete: func(id string) error { return locales.Delete("g", id) },
		list: func(cursor *string, size *int64) (any, error) {
			return locales.List("g", cursor, nil, nil, size, nil, nil)
		},
	}.test(t, connector)
}

func TestSegments(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	connector := connect(srv)

	clients := infra.NewSegmentsClient(connector)
	resource[model.Segment]{
		typ: "Segment",
		make: func(n int) model.Segment {
			subnet := model.SegmentSubnet{GatewayAddress: new([]string{"10.0.0.1/24", "10.0.1.1/24", "10.0.2.1/24", "10.0.3.1/24", "10.0.4.1/24"}[n])}
			return model.Segment{Subnets: []model.SegmentSubnet{subnet}, Tags: []model.Tag{{Scope: new("ncp/cluster"), Tag: new("c")}}}
		},
		patch: clients.Patch, get: clients.Get, update: clients.Update, delete: clients.Delete,
		list: func(cursor *string, size *int64) (any, error) {
			return clients.List(cursor, nil, nil, size, nil, nil, nil)
		},
	}.test(t, connector)

	if err := clients.Patch("s", model.Segment{}); err != nil {
		t.Fatal(describe(err))
	}
	portClient := segments.NewPortsClient(connector)
	resource[model.SegmentPort]{
		typ: "SegmentPort",
		make: func(int) model.SegmentPort {
			return model.SegmentPort{
				Attachment:      &model.PortAttachment{Id: new("vif"), Type_: new(model.PortAttachment_TYPE_INDEPENDENT)},
				AddressBindings: []model.PortAddressBindingEntry{{IpAddress: new("10.0.0.5"), MacAddress: new("02:50:56:00:00:01")}},
			}
		},
		patch:  func(id string, o model.SegmentPort) error { return portClient.Patch("s", id, o) },
		get:    func(id string) (model.SegmentPort, error) { return portClient.Get("s", id) },
		update: func(id string, o model.SegmentPort) (model.SegmentPort, error) { return portClient.Update("s", id, o) },
		delete: func(id string) error { return portClient.Delete("s", id) },
		list: func(cursor *string, size *int64) (any, error) {
			return portClient.List("s", cursor, nil, nil, size, nil, nil)
		},
	}.test(t, connector)

	if err := portClient.Patch("s", "p", model.SegmentPort{Attachment: &model.PortAttachment{Id: new("vif")}}); err != nil {
		t.Fatal(describe(err))
	}
	if got, err := segments.NewStateClient(connector).Get("s", nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil); err != nil || *got.State != "success" {
		t.Errorf("state of a segment: %v %v", got, err)
	}
	if got, err := ports.NewStateClient(connector).Get("s", "p", nil, nil); err != nil || *got.Attachment.State != "ATTACHED" {
		t.Errorf("state of a port: %v %v", got, err)
	}
	if err := clients.Delete0("s", new(true)); err != nil {
		t.Errorf("forced delete: %s", describe(err))
	}
}

func TestSegmentsOfGateways(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	connector := connect(srv)
	put(t, srv, "/infra/tier-1s/g", map[string]any{})
	clients := tier_1s.NewSegmentsClient(connector)
	resource[model.Segment]{
		typ: "Segment", make: func(int) model.Segment { return model.Segment{} },
		patch:  func(id string, o model.Segment) error { return clients.Patch("g", id, o) },
		get:    func(id string) (model.Segment, error) { return clients.Get("g", id) },
		update: func(id string, o model.Segment) (model.Segment, error) { return clients.Update("g", id, o) },
		delete: func(id string) error { return clients.Delete("g", id) },
		list: func(cursor *string, size *int64) (any, error) {
			return clients.List("g", cursor, nil, nil, size, nil, nil, nil)
		},
	}.test(t, connector)
	put(t, srv, "/infra/tier-1s/g/segments/s", map[string]any{})
	put(t, srv, "/infra/tier-1s/g/segments/s/ports/p", map[string]any{})
	if got, err := fixedports.NewStateClient(connector).Get("g", "s", "p", nil, nil); err != nil || *got.Attachment.State != "FREE" {
		t.Errorf("state of a port: %v %v", got, err)
	}
	portClient := fixed.NewPortsClient(connector)
	resource[model.SegmentPort]{
		typ: "SegmentPort", make: func(int) model.SegmentPort { return model.SegmentPort{} },
		patch: func(id string, o model.SegmentPort) error { return portClient.Patch("g", "s", id, o) },
		get:   func(id string) (model.SegmentPort, error) { return portClient.Get("g", "s", id) },
		update: func(id string, o model.SegmentPort) (model.SegmentPort, error) {
			return portClient.Update("g", "s", id, o)
		},
		delete: func(id string) error { return portClient.Delete("g", "s", id) },
		list: func(cursor *string, size *int64) (any, error) {
			return portClient.List("g", "s", cursor, nil, nil, size, nil, nil)
		},
	}.test(t, connector)
}

// put stores what a test stands on, by the back door.
func put(t *testing.T, srv *nsxsim.Server, path string, object any) {
	t.Helper()
	if err := srv.Put(path, object); err != nil {
		t.Fatalf("put %s: %v", path, err)
	}
}
