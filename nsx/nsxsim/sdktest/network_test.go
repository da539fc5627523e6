// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package sdktest

import (
	"testing"

	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra/segments"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra/segments/ports"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra/tier_0s"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra/tier_1s"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra/tier_1s/nat"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/model"

	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

func TestGateways(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	t.Cleanup(srv.Close)
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

	put(t, srv, "/infra/tier-1s/t1", map[string]any{})
	put(t, srv, "/infra/tier-0s/t0", map[string]any{})
	rules := nat.NewNatRulesClient(connector)
	resource[model.PolicyNatRule]{
		typ: "PolicyNatRule",
		make: func(int) model.PolicyNatRule {
			return model.PolicyNatRule{Action: new(model.PolicyNatRule_ACTION_SNAT), TranslatedNetwork: new("192.168.30.97")}
		},
		patch: func(id string, o model.PolicyNatRule) error { return rules.Patch("t1", "USER", id, o) },
		get:   func(id string) (model.PolicyNatRule, error) { return rules.Get("t1", "USER", id) },
		update: func(id string, o model.PolicyNatRule) (model.PolicyNatRule, error) {
			return rules.Update("t1", "USER", id, o)
		},
		delete: func(id string) error { return rules.Delete("t1", "USER", id) },
		list: func(cursor *string, size *int64) (any, error) {
			return rules.List("t1", "USER", cursor, nil, nil, size, nil, nil)
		},
	}.test(t, connector)

	routes := tier_1s.NewStaticRoutesClient(connector)
	resource[model.StaticRoutes]{
		typ: "StaticRoutes",
		make: func(int) model.StaticRoutes {
			return model.StaticRoutes{Network: new("10.0.0.0/8"), NextHops: []model.RouterNexthop{{IpAddress: new("10.1.0.1")}}}
		},
		patch:  func(id string, o model.StaticRoutes) error { return routes.Patch("t1", id, o) },
		get:    func(id string) (model.StaticRoutes, error) { return routes.Get("t1", id) },
		update: func(id string, o model.StaticRoutes) (model.StaticRoutes, error) { return routes.Update("t1", id, o) },
		delete: func(id string) error { return routes.Delete("t1", id) },
		list: func(cursor *string, size *int64) (any, error) {
			return routes.List("t1", cursor, nil, nil, size, nil, nil)
		},
	}.test(t, connector)

	locales := tier_1s.NewLocaleServicesClient(connector)
	resource[model.LocaleServices]{
		typ: "LocaleServices", make: func(int) model.LocaleServices { return model.LocaleServices{} },
		patch: func(id string, o model.LocaleServices) error { return locales.Patch("t1", id, o) },
		get:   func(id string) (model.LocaleServices, error) { return locales.Get("t1", id) },
		update: func(id string, o model.LocaleServices) (model.LocaleServices, error) {
			return locales.Update("t1", id, o)
		},
		delete: func(id string) error { return locales.Delete("t1", id) },
		list: func(cursor *string, size *int64) (any, error) {
			return locales.List("t1", cursor, nil, nil, size, nil, nil)
		},
	}.test(t, connector)

	prefixes := tier_0s.NewPrefixListsClient(connector)
	resource[model.PrefixList]{
		typ: "PrefixList",
		make: func(int) model.PrefixList {
			return model.PrefixList{Prefixes: []model.PrefixEntry{{Network: new("10.0.0.0/8"), Action: new(model.PrefixEntry_ACTION_DENY)}}}
		},
		patch:  func(id string, o model.PrefixList) error { return prefixes.Patch("t0", id, o) },
		get:    func(id string) (model.PrefixList, error) { return prefixes.Get("t0", id) },
		update: func(id string, o model.PrefixList) (model.PrefixList, error) { return prefixes.Update("t0", id, o) },
		delete: func(id string) error { return prefixes.Delete("t0", id) },
		list: func(cursor *string, size *int64) (any, error) {
			return prefixes.List("t0", cursor, nil, nil, size, nil, nil)
		},
	}.test(t, connector)

	if got, err := tier_1s.NewStateClient(connector).Get("t1", nil, nil, nil, nil, nil, nil, nil, nil); err != nil || *got.Tier1State.State != "success" {
		t.Errorf("state of a gateway: %v %v", got, err)
	}
	if got, err := tier_1s.NewNatClient(connector).List("t1", nil, nil, nil, nil, nil, nil); err != nil || len(got.Results) != 3 {
		t.Errorf("sections of NAT rules: %v %v", got, err)
	}
}

func TestSegments(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	t.Cleanup(srv.Close)
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

// put stores what a test stands on, by the back door.
func put(t *testing.T, srv *nsxsim.Server, path string, object any) {
	t.Helper()
	if err := srv.Put(path, object); err != nil {
		t.Fatalf("put %s: %v", path, err)
	}
}
