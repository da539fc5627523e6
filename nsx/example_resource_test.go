// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/viaduct-sdk/viaduct/nsx"
)

func ExampleLBServices_PoolStatus() {
	srv, client := simulated()
	ctx := context.Background()
	check(client.LBServices().Apply(ctx, nsx.LBService{Resource: nsx.Resource{ID: "lb"}}))
	check(client.Pools().Apply(ctx, nsx.Pool{
		Resource: nsx.Resource{ID: "db"}, Members: []nsx.PoolMember{{IPAddress: "10.244.0.5", Port: "5432"}},
	}))
	check(client.VirtualServers().Apply(ctx, nsx.VirtualServer{
		Resource: nsx.Resource{ID: "db"}, IPAddress: "192.168.30.66", Ports: []string{"5432"},
		PoolPath: "/infra/lb-pools/db", LBServicePath: "/infra/lb-services/lb", ApplicationProfilePath: nsx.DefaultTCPProfilePath,
	}))
	srv.SetMemberStatus("/infra/lb-pools/db", "10.244.0.5", "DOWN")
	status, err := client.LBServices().PoolStatus(ctx, "lb", "db")
	check(err)
	fmt.Println(status.Status, status.Members[0].Status, status.Members[0].FailureCause)
	// Output: DOWN DOWN Connect to Peer Failure
}

func ExampleRealizedStates_Wait() {
	_, client := simulated()
	ctx := context.Background()
	check(client.Segments().Apply(ctx, nsx.Segment{Resource: nsx.Resource{ID: "web"}}))
	entities, err := client.RealizedState().Wait(ctx, client.Segments().Path("web"), nil)
	check(err)
	fmt.Println(entities[0].EntityType, entities[0].State)
	// Output: RealizedLogicalSwitch REALIZED
}

func ExampleRealizationError() {
	_, client := simulated()
	ctx := context.Background()
	check(client.IPPools().Apply(ctx, nsx.IPPool{Resource: nsx.Resource{ID: "empty"}}))
	_, err := client.IPPools().Allocations("empty").Allocate(ctx, nsx.IPAllocation{Resource: nsx.Resource{ID: "vip"}})
	var e *nsx.RealizationError
	fmt.Println(errors.As(err, &e), e.IntentPath)
	// Output: true /infra/ip-pools/empty/ip-allocations/vip
}

func ExampleIPAllocations_Allocate() {
	_, client := simulated()
	ctx := context.Background()
	pools := client.IPPools()
	check(pools.Apply(ctx, nsx.IPPool{Resource: nsx.Resource{ID: "ingress"}}))
	check(pools.Subnets("ingress").Apply(ctx, nsx.IPSubnet{
		Resource: nsx.Resource{ID: "s", ResourceType: nsx.IPStaticSubnet}, CIDR: "192.168.30.64/27",
		AllocationRanges: []nsx.IPRange{{Start: "192.168.30.66", End: "192.168.30.94"}},
	}))
	address, err := pools.Allocations("ingress").Allocate(ctx, nsx.IPAllocation{Resource: nsx.Resource{ID: "vip"}})
	check(err)
	fmt.Println(address)
	// Output: 192.168.30.66
}

func ExampleSegments_Ports() {
	_, client := simulated()
	ctx := context.Background()
	check(client.Segments().Apply(ctx, nsx.Segment{
		Resource: nsx.Resource{ID: "web"}, Subnets: []nsx.SegmentSubnet{{GatewayAddress: "10.244.0.1/28"}},
	}))
	ports := client.Segments().Ports("web")
	check(ports.Apply(ctx, nsx.SegmentPort{
		Resource: nsx.Resource{ID: "pod"}, AddressBindings: []nsx.AddressBinding{{IPAddress: "10.244.0.5"}},
	}))
	state, err := ports.State(ctx, "pod")
	check(err)
	fmt.Println(ports.Path("pod"), state.RealizedBindings[0].Binding.IPAddress)
	// Output: /infra/segments/web/ports/pod 10.244.0.5
}

func ExampleTier1Gateway() {
	_, client := simulated()
	ctx := context.Background()
	check(client.Tier0s().Apply(ctx, nsx.Tier0{Resource: nsx.Resource{ID: "t0"}}))
	check(client.Tier1s().Apply(ctx, nsx.Tier1{Resource: nsx.Resource{ID: "t1"}, Tier0Path: client.Tier0("t0").Path()}))
	gateway := client.Tier1("t1")
	check(gateway.Segments().Apply(ctx, nsx.Segment{Resource: nsx.Resource{ID: "web"}}))
	check(gateway.NATRules(nsx.NATUser).Apply(ctx, nsx.NATRule{
		Resource: nsx.Resource{ID: "out"}, Action: nsx.NATSource,
		SourceNetwork: "10.244.0.0/20", TranslatedNetwork: "192.168.30.97",
	}))
	check(gateway.StaticRoutes().Apply(ctx, nsx.StaticRoute{
		Resource: nsx.Resource{ID: "default"}, Network: "0.0.0.0/0", NextHops: []nsx.NextHop{{IPAddress: "192.168.1.1"}},
	}))
	state, err := gateway.State(ctx)
	check(err)
	fmt.Println(gateway.Path(), state.Tier1.State)
	// Output: /infra/tier-1s/t1 success
}

func ExampleGroups_IPAddresses() {
	_, client := simulated()
	ctx := context.Background()
	groups := client.Domain(nsx.DefaultDomain).Groups()
	check(groups.Apply(ctx, nsx.Group{
		Resource:   nsx.Resource{ID: "web"},
		Expression: nsx.AnyOf(nsx.IPAddresses("10.244.0.0/28"), nsx.HasTag("SegmentPort", "app", "web")),
	}))
	for address, err := range groups.IPAddresses(ctx, "web") {
		check(err)
		fmt.Println(address)
	}
	// Output: 10.244.0.0/28
}

func ExampleSecurityPolicies_Rules() {
	_, client := simulated()
	ctx := context.Background()
	domain := client.Domain(nsx.DefaultDomain)
	check(domain.SecurityPolicies().Apply(ctx, nsx.SecurityPolicy{
		Resource: nsx.Resource{ID: "acme"}, Category: nsx.CategoryApplication, SequenceNumber: 10,
	}))
	rules := domain.SecurityPolicies().Rules("acme")
	check(rules.Apply(ctx, nsx.Rule{
		Resource: nsx.Resource{ID: "db"}, Action: nsx.RuleAllow, Direction: nsx.RuleIn,
		SourceGroups: []nsx.Path{nsx.Any}, DestinationGroups: []nsx.Path{"192.168.30.66"}, Scope: []nsx.Path{nsx.Any},
		ServiceEntries: []nsx.ServiceEntry{{
			Resource: nsx.Resource{ID: "pg", ResourceType: nsx.ServiceL4}, L4Protocol: "TCP", DestinationPorts: []string{"5432"},
		}},
	}))
	rule, err := rules.Get(ctx, "db")
	check(err)
	fmt.Println(rule.Path, rule.Action)
	// Output: /infra/domains/default/security-policies/acme/rules/db ALLOW
}

func ExampleClient_Services() {
	_, client := simulated()
	ctx := context.Background()
	check(client.Services().Apply(ctx, nsx.Service{
		Resource: nsx.Resource{ID: "postgres"},
		ServiceEntries: []nsx.ServiceEntry{{
			Resource: nsx.Resource{ID: "tcp", ResourceType: nsx.ServiceL4}, L4Protocol: "TCP", DestinationPorts: []string{"5432"},
		}},
	}))
	service, err := client.Services().Get(ctx, "postgres")
	check(err)
	fmt.Println(service.ServiceEntries[0].DestinationPorts)
	// Output: [5432]
}

func ExampleClient_LBMonitorProfiles() {
	_, client := simulated()
	ctx := context.Background()
	check(client.LBMonitorProfiles().Apply(ctx, nsx.LBMonitorProfile{
		Resource: nsx.Resource{ID: "http", ResourceType: nsx.LBHTTPMonitor},
		Interval: 5, RequestURL: "/healthz", ResponseStatusCodes: []int64{200},
	}))
	check(client.LBAppProfiles().Apply(ctx, nsx.LBAppProfile{
		Resource: nsx.Resource{ID: "tcp", ResourceType: nsx.LBFastTCPProfile}, IdleTimeout: 1800,
	}))
	check(client.LBPersistenceProfiles().Apply(ctx, nsx.LBPersistenceProfile{
		Resource: nsx.Resource{ID: "source", ResourceType: nsx.LBSourceIPPersistence}, Timeout: 300,
	}))
	monitor, err := client.LBMonitorProfiles().Get(ctx, "http")
	check(err)
	fmt.Println(monitor.ResourceType, monitor.RequestURL)
	// Output: LBHttpMonitorProfile /healthz
}

func ExampleClient_IPBlocks() {
	_, client := simulated()
	ctx := context.Background()
	check(client.IPBlocks().Apply(ctx, nsx.IPBlock{Resource: nsx.Resource{ID: "pods"}, CIDR: "10.244.0.0/20"}))
	check(client.IPPools().Apply(ctx, nsx.IPPool{Resource: nsx.Resource{ID: "acme"}}))
	check(client.IPPools().Subnets("acme").Apply(ctx, nsx.IPSubnet{
		Resource: nsx.Resource{ID: "s", ResourceType: nsx.IPBlockSubnet}, IPBlockPath: client.IPBlocks().Path("pods"), Size: 16,
	}))
	subnet, err := client.IPPools().Subnets("acme").Get(ctx, "s")
	check(err)
	fmt.Println(subnet.CIDR)
	// Output: 10.244.0.0/28
}

func ExampleRealizedEntity_Attribute() {
	_, client := simulated()
	ctx := context.Background()
	pools := client.IPPools()
	check(client.IPBlocks().Apply(ctx, nsx.IPBlock{Resource: nsx.Resource{ID: "pods"}, CIDR: "10.244.0.0/20"}))
	check(pools.Apply(ctx, nsx.IPPool{Resource: nsx.Resource{ID: "acme"}}))
	check(pools.Subnets("acme").Apply(ctx, nsx.IPSubnet{
		Resource: nsx.Resource{ID: "s", ResourceType: nsx.IPBlockSubnet}, IPBlockPath: client.IPBlocks().Path("pods"), Size: 16,
	}))
	entities, err := client.RealizedState().Wait(ctx, pools.Subnets("acme").Path("s"), nil)
	check(err)
	fmt.Println(entities[0].Attribute("cidr"))
	// Output: 10.244.0.0/28 true
}

func ExampleBatchError() {
	_, client := simulated()
	ctx := context.Background()
	check(client.Pools().Apply(ctx, nsx.Pool{Resource: nsx.Resource{ID: "free"}}))
	check(client.Pools().Apply(ctx, nsx.Pool{Resource: nsx.Resource{ID: "used"}}))
	check(client.VirtualServers().Apply(ctx, nsx.VirtualServer{
		Resource: nsx.Resource{ID: "web"}, IPAddress: "192.168.30.66", Ports: []string{"80"},
		PoolPath: client.Pools().Path("used"), ApplicationProfilePath: nsx.DefaultTCPProfilePath,
	}))
	batch := nsx.NewBatch()
	client.Pools().DeleteIn(batch, "used")
	client.Pools().DeleteIn(batch, "free")
	var e *nsx.BatchError
	if errors.As(client.Send(ctx, batch), &e) {
		fmt.Println("done", e.Done, "failed", e.Failed)
	}
	// Output: done [/infra/lb-pools/free] failed [/infra/lb-pools/used]
}
