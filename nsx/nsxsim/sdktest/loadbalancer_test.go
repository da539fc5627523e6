// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package sdktest

import (
	"testing"

	"github.com/vmware/vsphere-automation-sdk-go/runtime/bindings"
	"github.com/vmware/vsphere-automation-sdk-go/runtime/data"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra/lb_services"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra/lb_services/lb_pools"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra/lb_services/lb_virtual_servers"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/model"
)

const tcpProfile = "/infra/lb-app-profiles/default-tcp-lb-app-profile"

func TestLoadBalancers(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	connector := connect(srv)

	services := infra.NewLbServicesClient(connector)
	resource[model.LBService]{
		typ: "LBService", make: func(int) model.LBService { return model.LBService{Size: new(model.LBService_SIZE_SMALL)} },
		patch: services.Patch, get: services.Get, update: services.Update,
		delete: func(id string) error { return services.Delete(id, nil) },
		list:   func(cursor *string, size *int64) (any, error) { return services.List(cursor, nil, nil, size, nil, nil) },
	}.test(t, connector)

	pools := infra.NewLbPoolsClient(connector)
	resource[model.LBPool]{
		typ: "LBPool",
		make: func(int) model.LBPool {
			snat := pack(model.LBSnatAutoMap{Type_: model.LBSnatTranslation_TYPE_LBSNATAUTOMAP}, model.LBSnatAutoMapBindingType())
			return model.LBPool{
				Members:         []model.LBPoolMember{{IpAddress: new("10.244.0.18"), Port: new("6379"), AdminState: new("ENABLED")}},
				SnatTranslation: snat,
			}
		},
		patch: pools.Patch, get: pools.Get, update: pools.Update,
		delete: func(id string) error { return pools.Delete(id, nil) },
		list:   func(cursor *string, size *int64) (any, error) { return pools.List(cursor, nil, nil, size, nil, nil) },
	}.test(t, connector)

	servers := infra.NewLbVirtualServersClient(connector)
	resource[model.LBVirtualServer]{
		typ: "LBVirtualServer",
		make: func(int) model.LBVirtualServer {
			return model.LBVirtualServer{IpAddress: new("192.168.30.66"), Ports: []string{"6379"}, ApplicationProfilePath: new(tcpProfile)}
		},
		patch: servers.Patch, get: servers.Get, update: servers.Update,
		delete: func(id string) error { return servers.Delete(id, nil) },
		list:   func(cursor *string, size *int64) (any, error) { return servers.List(cursor, nil, nil, size, nil, nil) },
	}.test(t, connector)

	serverSSL := infra.NewLbServerSslProfilesClient(connector)
	resource[model.LBServerSslProfile]{
		typ: "LBServerSslProfile", make: func(int) model.LBServerSslProfile { return model.LBServerSslProfile{SessionCacheEnabled: new(true)} },
		patch: serverSSL.Patch, get: serverSSL.Get, update: serverSSL.Update,
		delete: func(id string) error { return serverSSL.Delete(id, nil) },
		list: func(cursor *string, size *int64) (any, error) {
			return serverSSL.List(cursor, nil, nil, size, nil, nil)
		},
	}.test(t, connector)

	ssl := infra.NewLbClientSslProfilesClient(connector)
	resource[model.LBClientSslProfile]{
		typ: "LBClientSslProfile", make: func(int) model.LBClientSslProfile { return model.LBClientSslProfile{PreferServerCiphers: new(true)} },
		patch: ssl.Patch, get: ssl.Get, update: ssl.Update,
		delete: func(id string) error { return ssl.Delete(id, nil) },
		list:   func(cursor *string, size *int64) (any, error) { return ssl.List(cursor, nil, nil, size, nil, nil) },
	}.test(t, connector)
}

// dynamicClient is the shape of the SDK's clients of polymorphic resources.
type dynamicClient interface {
	Patch(id string, object *data.StructValue) error
	Get(id string) (*data.StructValue, error)
	Update(id string, object *data.StructValue) (*data.StructValue, error)
	Delete(id string, force *bool) error
}

// profile is a resource whose clients take dynamic structs.
func profile[T any](typ string, binding bindings.BindingType, object T, c dynamicClient, list func(*string, *int64) (any, error)) resource[T] {
	return resource[T]{
		typ: typ, make: func(int) T { return object }, list: list,
		patch: func(id string, o T) error { return c.Patch(id, pack(o, binding)) },
		get: func(id string) (T, error) {
			dynamic, err := c.Get(id)
			return unpack[T](dynamic, err, binding)
		},
		update: func(id string, o T) (T, error) {
			dynamic, err := c.Update(id, pack(o, binding))
			return unpack[T](dynamic, err, binding)
		},
		delete: func(id string) error { return c.Delete(id, nil) },
	}
}

func TestProfiles(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	connector := connect(srv)

	apps := infra.NewLbAppProfilesClient(connector)
	listApps := func(cursor *string, size *int64) (any, error) { return apps.List(cursor, nil, nil, size, nil, nil) }
	profile("LBFastTcpProfile", model.LBFastTcpProfileBindingType(),
		model.LBFastTcpProfile{ResourceType: "LBFastTcpProfile", IdleTimeout: new(int64(60))}, apps, listApps).test(t, connector)
	profile("LBFastUdpProfile", model.LBFastUdpProfileBindingType(),
		model.LBFastUdpProfile{ResourceType: "LBFastUdpProfile", FlowMirroringEnabled: new(true)}, apps, listApps).test(t, connector)
	profile("LBHttpProfile", model.LBHttpProfileBindingType(),
		model.LBHttpProfile{ResourceType: "LBHttpProfile", XForwardedFor: new("INSERT")}, apps, listApps).test(t, connector)

	monitors := infra.NewLbMonitorProfilesClient(connector)
	listMonitors := func(cursor *string, size *int64) (any, error) {
		return monitors.List(cursor, nil, nil, size, nil, nil)
	}
	profile("LBTcpMonitorProfile", model.LBTcpMonitorProfileBindingType(),
		model.LBTcpMonitorProfile{ResourceType: "LBTcpMonitorProfile", Interval: new(int64(5))}, monitors, listMonitors).test(t, connector)
	profile("LBUdpMonitorProfile", model.LBUdpMonitorProfileBindingType(),
		model.LBUdpMonitorProfile{ResourceType: "LBUdpMonitorProfile", Receive: new("a"), Send: new("b")}, monitors, listMonitors).test(t, connector)
	profile("LBHttpMonitorProfile", model.LBHttpMonitorProfileBindingType(),
		model.LBHttpMonitorProfile{ResourceType: "LBHttpMonitorProfile", RequestUrl: new("/healthz")}, monitors, listMonitors).test(t, connector)
	profile("LBHttpsMonitorProfile", model.LBHttpsMonitorProfileBindingType(),
		model.LBHttpsMonitorProfile{ResourceType: "LBHttpsMonitorProfile", RequestUrl: new("/healthz")}, monitors, listMonitors).test(t, connector)
	profile("LBIcmpMonitorProfile", model.LBIcmpMonitorProfileBindingType(),
		model.LBIcmpMonitorProfile{ResourceType: "LBIcmpMonitorProfile", DataLength: new(int64(56))}, monitors, listMonitors).test(t, connector)
	profile("LBPassiveMonitorProfile", model.LBPassiveMonitorProfileBindingType(),
		model.LBPassiveMonitorProfile{ResourceType: "LBPassiveMonitorProfile", MaxFails: new(int64(5))}, monitors, listMonitors).test(t, connector)

	persistence := infra.NewLbPersistenceProfilesClient(connector)
	listPersistence := func(cursor *string, size *int64) (any, error) {
		return persistence.List(cursor, nil, nil, size, nil, nil)
	}
	profile("LBSourceIpPersistenceProfile", model.LBSourceIpPersistenceProfileBindingType(),
		model.LBSourceIpPersistenceProfile{ResourceType: "LBSourceIpPersistenceProfile", Timeout: new(int64(300))}, persistence, listPersistence).test(t, connector)
	profile("LBCookiePersistenceProfile", model.LBCookiePersistenceProfileBindingType(),
		model.LBCookiePersistenceProfile{ResourceType: "LBCookiePersistenceProfile", CookieName: new("c"), CookieMode: new("INSERT")}, persistence, listPersistence).test(t, connector)
	profile("LBGenericPersistenceProfile", model.LBGenericPersistenceProfileBindingType(),
		model.LBGenericPersistenceProfile{ResourceType: "LBGenericPersistenceProfile", Timeout: new(int64(300))}, persistence, listPersistence).test(t, connector)
}

func TestLoadBalancerStatus(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	connector := connect(srv)
	put(t, srv, "/infra/tier-1s/x", map[string]any{})
	put(t, srv, "/infra/lb-services/x", map[string]any{"connectivity_path": "/infra/tier-1s/x"})
	put(t, srv, "/infra/lb-pools/x", map[string]any{"members": []any{map[string]any{"ip_address": "10.244.0.18", "port": "6379"}}})
	put(t, srv, "/infra/lb-virtual-servers/x", map[string]any{
		"ip_address": "192.168.30.66", "ports": []string{"6379"}, "pool_path": "/infra/lb-pools/x",
		"lb_service_path": "/infra/lb-services/x", "application_profile_path": tcpProfile,
	})
	srv.SetMemberStatus("/infra/lb-pools/x", "10.244.0.18", "DOWN")

	pool, err := lb_pools.NewDetailedStatusClient(connector).Get("x", "x", nil, nil)
	if err != nil {
		t.Fatal(describe(err))
	}
	poolStatus, err := unpack[model.LBPoolStatus](pool.Results[0], nil, model.LBPoolStatusBindingType())
	if err != nil || *poolStatus.Status != "DOWN" || *poolStatus.Members[0].FailureCause == "" {
		t.Errorf("pool: %+v %v", poolStatus, err)
	}
	server, err := lb_virtual_servers.NewDetailedStatusClient(connector).Get("x", "x", nil, nil)
	if err != nil {
		t.Fatal(describe(err))
	}
	serverStatus, err := unpack[model.LBVirtualServerStatus](server.Results[0], nil, model.LBVirtualServerStatusBindingType())
	if err != nil || *serverStatus.Status != "DOWN" {
		t.Errorf("virtual server: %+v %v", serverStatus, err)
	}
	service, err := lb_services.NewDetailedStatusClient(connector).Get("x", nil, nil, nil, nil)
	if err != nil {
		t.Fatal(describe(err))
	}
	serviceStatus, err := unpack[model.LBServiceStatus](service.Results[0], nil, model.LBServiceStatusBindingType())
	if err != nil || *serviceStatus.ServiceStatus != "UP" || len(serviceStatus.Pools) != 1 || len(serviceStatus.VirtualServers) != 1 {
		t.Errorf("service: %+v %v", serviceStatus, err)
	}
	statistics, err := lb_services.NewStatisticsClient(connector).Get("x", nil, nil)
	if err != nil {
		t.Fatal(describe(err))
	}
	if _, err := unpack[model.LBServiceStatistics](statistics.Results[0], nil, model.LBServiceStatisticsBindingType()); err != nil {
		t.Errorf("statistics: %v", err)
	}
	usage, err := lb_services.NewServiceUsageClient(connector).Get("x", nil, nil)
	if err != nil {
		t.Fatal(describe(err))
	}
	serviceUsage, err := unpack[model.LBServiceUsage](usage.Results[0], nil, model.LBServiceUsageBindingType())
	if err != nil || *serviceUsage.CurrentVirtualServerCount != 1 || *serviceUsage.VirtualServerCapacity != 20 {
		t.Errorf("usage: %+v %v", serviceUsage, err)
	}
	if _, err := lb_pools.NewStatisticsClient(connector).Get("x", "x", nil, nil); err != nil {
		t.Error(describe(err))
	}
	if _, err := lb_virtual_servers.NewStatisticsClient(connector).Get("x", "x", nil, nil); err != nil {
		t.Error(describe(err))
	}
}
