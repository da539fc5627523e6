// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//nolint:bodyclose // the client closes the bodies of the responses that it returns
package sdktest

import (
	"net/http"
	"testing"

	"github.com/vmware/go-vmware-nsxt/loadbalancer"
)

func TestManagerLoadBalancers(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	client := managerClient(t, srv)
	ctx, lb := client.Context, client.ServicesApi

	newProfile := func() loadbalancer.LbFastTcpProfile {
		return loadbalancer.LbFastTcpProfile{ResourceType: "LbFastTcpProfile", IdleTimeout: 60, CloseTimeout: 8}
	}
	managed[loadbalancer.LbRule]{
		make: func() loadbalancer.LbRule {
			return loadbalancer.LbRule{Actions: []loadbalancer.LbRuleAction{{Type_: "LbHttpRejectAction"}}, MatchStrategy: "ALL", Phase: "HTTP_FORWARDING"}
		},
		create: lb.CreateLoadBalancerRule, read: lb.ReadLoadBalancerRule, update: lb.UpdateLoadBalancerRule, delete: lb.DeleteLoadBalancerRule,
	}.test(t, client)
	newPool := func() loadbalancer.LbPool {
		return loadbalancer.LbPool{Members: []loadbalancer.PoolMember{{IpAddress: "10.244.0.18", Port: "6379", AdminState: "ENABLED"}}}
	}
	managed[loadbalancer.LbPool]{
		make: newPool, create: lb.CreateLoadBalancerPool, read: lb.ReadLoadBalancerPool,
		update: lb.UpdateLoadBalancerPool, delete: lb.DeleteLoadBalancerPool,
		list: func(o map[string]any) (any, *http.Response, error) { return lb.ListLoadBalancerPools(ctx, o) },
	}.test(t, client)

	pool, _, err := lb.CreateLoadBalancerPool(ctx, newPool())
	if err != nil {
		t.Fatal(err)
	}
	used, _, err := lb.CreateLoadBalancerFastTcpProfile(ctx, newProfile())
	if err != nil {
		t.Fatal(err)
	}
	newServer := func() loadbalancer.LbVirtualServer {
		return loadbalancer.LbVirtualServer{
			ApplicationProfileId: used.Id, IpAddress: "192.168.30.66", Ports: []string{"6379"}, PoolId: pool.Id, Enabled: true,
		}
	}
	managed[loadbalancer.LbVirtualServer]{
		make: newServer, create: lb.CreateLoadBalancerVirtualServer, read: lb.ReadLoadBalancerVirtualServer,
		update: lb.UpdateLoadBalancerVirtualServer, delete: optionals(lb.DeleteLoadBalancerVirtualServer),
		list: func(o map[string]any) (any, *http.Response, error) { return lb.ListLoadBalancerVirtualServers(ctx, o) },
	}.test(t, client)
	server, _, err := lb.CreateLoadBalancerVirtualServer(ctx, newServer())
	if err != nil {
		t.Fatal(err)
	}
	newService := func() loadbalancer.LbService {
		return loadbalancer.LbService{VirtualServerIds: []string{server.Id}, Enabled: true}
	}
	managed[loadbalancer.LbService]{
		make: newService, create: lb.CreateLoadBalancerService, read: lb.ReadLoadBalancerService,
		update: lb.UpdateLoadBalancerService, delete: lb.DeleteLoadBalancerService,
		list: func(o map[string]any) (any, *http.Response, error) { return lb.ListLoadBalancerServices(ctx, o) },
	}.test(t, client)

	service, _, err := lb.CreateLoadBalancerService(ctx, newService())
	if err != nil {
		t.Fatal(err)
	}
	srv.SetMemberStatus("/loadbalancer/pools/"+pool.Id, "10.244.0.18", "DOWN")
	status, _, err := lb.ReadLoadBalancerServiceStatus(ctx, service.Id, nil)
	if err != nil || status.ServiceStatus != "DETACHED" || status.Pools[0].Status != "DOWN" || status.VirtualServers[0].Status != "DOWN" {
		t.Errorf("status: %+v %v", status, err)
	}
	if _, err := lb.DeleteLoadBalancerVirtualServer(ctx, server.Id, nil); err == nil {
		t.Error("a virtual server of a service was deleted")
	}
}

func TestManagerProfiles(t *testing.T) {
	t.Parallel()
	client := managerClient(t, newServer(t))
	lb := client.ServicesApi
	monitors := func(o map[string]any) (any, *http.Response, error) {
		return lb.ListLoadBalancerMonitors(client.Context, o)
	}
	managed[loadbalancer.LbTcpMonitor]{
		make:   func() loadbalancer.LbTcpMonitor { return loadbalancer.LbTcpMonitor{ResourceType: "LbTcpMonitor"} },
		create: lb.CreateLoadBalancerTcpMonitor, read: lb.ReadLoadBalancerTcpMonitor,
		update: lb.UpdateLoadBalancerTcpMonitor, delete: lb.DeleteLoadBalancerMonitor, list: monitors,
	}.test(t, client)
	managed[loadbalancer.LbUdpMonitor]{
		make:   func() loadbalancer.LbUdpMonitor { return loadbalancer.LbUdpMonitor{ResourceType: "LbUdpMonitor"} },
		create: lb.CreateLoadBalancerUdpMonitor, read: lb.ReadLoadBalancerUdpMonitor,
		update: lb.UpdateLoadBalancerUdpMonitor, delete: lb.DeleteLoadBalancerMonitor, list: monitors,
	}.test(t, client)
	managed[loadbalancer.LbHttpMonitor]{
		make:   func() loadbalancer.LbHttpMonitor { return loadbalancer.LbHttpMonitor{ResourceType: "LbHttpMonitor"} },
		create: lb.CreateLoadBalancerHttpMonitor, read: lb.ReadLoadBalancerHttpMonitor,
		update: lb.UpdateLoadBalancerHttpMonitor, delete: lb.DeleteLoadBalancerMonitor, list: monitors,
	}.test(t, client)
	managed[loadbalancer.LbHttpsMonitor]{
		make:   func() loadbalancer.LbHttpsMonitor { return loadbalancer.LbHttpsMonitor{ResourceType: "LbHttpsMonitor"} },
		create: lb.CreateLoadBalancerHttpsMonitor, read: lb.ReadLoadBalancerHttpsMonitor,
		update: lb.UpdateLoadBalancerHttpsMonitor, delete: lb.DeleteLoadBalancerMonitor, list: monitors,
	}.test(t, client)
	managed[loadbalancer.LbIcmpMonitor]{
		make:   func() loadbalancer.LbIcmpMonitor { return loadbalancer.LbIcmpMonitor{ResourceType: "LbIcmpMonitor"} },
		create: lb.CreateLoadBalancerIcmpMonitor, read: lb.ReadLoadBalancerIcmpMonitor,
		update: lb.UpdateLoadBalancerIcmpMonitor, delete: lb.DeleteLoadBalancerMonitor, list: monitors,
	}.test(t, client)
	managed[loadbalancer.LbPassiveMonitor]{
		make: func() loadbalancer.LbPassiveMonitor {
			return loadbalancer.LbPassiveMonitor{ResourceType: "LbPassiveMonitor"}
		},
		create: lb.CreateLoadBalancerPassiveMonitor, read: lb.ReadLoadBalancerPassiveMonitor,
		update: lb.UpdateLoadBalancerPassiveMonitor, delete: lb.DeleteLoadBalancerMonitor, list: monitors,
	}.test(t, client)
	managed[loadbalancer.LbFastTcpProfile]{
		make: func() loadbalancer.LbFastTcpProfile {
			return loadbalancer.LbFastTcpProfile{ResourceType: "LbFastTcpProfile"}
		},
		create: lb.CreateLoadBalancerFastTcpProfile, read: lb.ReadLoadBalancerFastTcpProfile,
		update: lb.UpdateLoadBalancerFastTcpProfile, delete: lb.DeleteLoadBalancerApplicationProfile,
	}.test(t, client)
	managed[loadbalancer.LbFastUdpProfile]{
		make: func() loadbalancer.LbFastUdpProfile {
			return loadbalancer.LbFastUdpProfile{ResourceType: "LbFastUdpProfile"}
		},
		create: lb.CreateLoadBalancerFastUdpProfile, read: lb.ReadLoadBalancerFastUdpProfile,
		update: lb.UpdateLoadBalancerFastUdpProfile, delete: lb.DeleteLoadBalancerApplicationProfile,
	}.test(t, client)
	managed[loadbalancer.LbHttpProfile]{
		make:   func() loadbalancer.LbHttpProfile { return loadbalancer.LbHttpProfile{ResourceType: "LbHttpProfile"} },
		create: lb.CreateLoadBalancerHttpProfile, read: lb.ReadLoadBalancerHttpProfile,
		update: lb.UpdateLoadBalancerHttpProfile, delete: lb.DeleteLoadBalancerApplicationProfile,
	}.test(t, client)
	managed[loadbalancer.LbSourceIpPersistenceProfile]{
		make: func() loadbalancer.LbSourceIpPersistenceProfile {
			return loadbalancer.LbSourceIpPersistenceProfile{ResourceType: "LbSourceIpPersistenceProfile"}
		},
		create: lb.CreateLoadBalancerSourceIpPersistenceProfile, read: lb.ReadLoadBalancerSourceIpPersistenceProfile,
		update: lb.UpdateLoadBalancerSourceIpPersistenceProfile, delete: lb.DeleteLoadBalancerPersistenceProfile,
	}.test(t, client)
	managed[loadbalancer.LbCookiePersistenceProfile]{
		make: func() loadbalancer.LbCookiePersistenceProfile {
			return loadbalancer.LbCookiePersistenceProfile{ResourceType: "LbCookiePersistenceProfile"}
		},
		create: lb.CreateLoadBalancerCookiePersistenceProfile, read: lb.ReadLoadBalancerCookiePersistenceProfile,
		update: lb.UpdateLoadBalancerCookiePersistenceProfile, delete: lb.DeleteLoadBalancerPersistenceProfile,
	}.test(t, client)
}
