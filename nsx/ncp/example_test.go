// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package ncp_test

import (
	"context"
	"fmt"

	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// simulated returns a Finder, and puts what NCP made for one Service.
func simulated() *ncp.Finder {
	srv := nsxsim.NewServer()
	client, err := nsx.NewClient(srv.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword), nsx.WithHTTPClient(srv.Client()))
	check(err)
	putService(func(path string, object any) { check(srv.Put(path, object)) }, "vs-postgres",
		tags("ncp/project", "acme-data", "ncp/project_uid", "ns-1", "ncp/service_uid", "svc-1"))
	return ncp.NewFinder(client)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func ExampleFinder_VirtualServers() {
	servers, err := simulated().VirtualServers(context.Background(), "svc-1")
	check(err)
	for _, s := range servers {
		fmt.Println(s.Path, s.IP, s.Ports, s.Protocol, s.Realization.State, s.Status)
		for _, m := range s.Members {
			fmt.Println(m.IP, m.Port, m.Status)
		}
	}
	// Output:
	// /infra/lb-virtual-servers/vs-postgres 192.168.30.66 [5432] TCP REALIZED UP
	// 10.244.0.5 5432 UP
	// 10.244.0.6 5432 UP
}

func ExampleFinder_Objects() {
	for o, err := range simulated().Objects(context.Background(), ncp.Selector{Cluster: "domain-c8:0a1b", Namespace: "acme-data"}) {
		check(err)
		fmt.Println(o.ResourceType, o.Path, o.Owner.Kind)
	}
	// Output:
	// LBPool /infra/lb-pools/vs-postgres Service
	// LBVirtualServer /infra/lb-virtual-servers/vs-postgres Service
}

func ExampleFinder_Orphans() {
	// In earnest, list the Services and namespaces of the cluster here.
	live := func(context.Context) (ncp.Live, error) {
		return ncp.Live{ServiceUIDs: map[string]bool{"svc-2": true}}, nil
	}
	orphans, err := simulated().Orphans(context.Background(), "domain-c8:0a1b", live)
	check(err)
	for _, o := range orphans {
		fmt.Println(o.Path, "-", o.Reason)
	}
	// Output:
	// /infra/lb-pools/vs-postgres - no Service has the UID svc-1
	// /infra/lb-virtual-servers/vs-postgres - no Service has the UID svc-1
}

func ExampleScopes() {
	scopes := ncp.DefaultScopes()
	scopes.ServiceUID = append(scopes.ServiceUID, "acme/service_uid")
	client, err := nsx.NewClient("nsx.example.com", nsx.SessionAuth("admin", "secret"))
	check(err)
	finder := ncp.NewFinder(client, ncp.WithScopes(scopes))
	fmt.Println(finder.Owner(nsx.Tags{{Scope: "acme/service_uid", Tag: "svc-1"}}).ServiceUID)
	// Output: svc-1
}

func ExampleFinder_Pools() {
	pools, err := simulated().Pools(context.Background(), ncp.Selector{ServiceUID: "svc-1"})
	check(err)
	for _, p := range pools {
		fmt.Println(p.Path, len(p.Members))
	}
	// Output: /infra/lb-pools/vs-postgres 2
}

func ExampleFinder_LeakedAddresses() {
	srv := nsxsim.NewServer()
	client, err := nsx.NewClient(srv.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword), nsx.WithHTTPClient(srv.Client()))
	check(err)
	check(srv.Put("/infra/ip-pools/ingress", nsx.IPPool{}))
	check(srv.Put("/infra/ip-pools/ingress/ip-subnets/s", nsx.IPSubnet{
		Resource: nsx.Resource{ResourceType: nsx.IPStaticSubnet}, CIDR: "192.168.30.64/27",
		AllocationRanges: []nsx.IPRange{{Start: "192.168.30.66", End: "192.168.30.94"}},
	}))
	check(srv.Put("/infra/ip-pools/ingress/ip-allocations/vip", nsx.IPAllocation{
		Resource: nsx.Resource{Tags: tags("ncp/service_uid", "svc-1")},
	}))
	live := func(context.Context) (ncp.Live, error) {
		return ncp.Live{ServiceUIDs: map[string]bool{}}, nil // no Service is left
	}
	leaked, err := ncp.NewFinder(client).LeakedAddresses(context.Background(), "domain-c8:0a1b", live)
	check(err)
	for _, l := range leaked {
		fmt.Println(l.IP, "-", l.Reason)
	}
	// Output: 192.168.30.66 - no Service has the UID svc-1
}

func ExampleFinder_AddressPools() {
	srv := nsxsim.NewServer()
	client, err := nsx.NewClient(srv.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword), nsx.WithHTTPClient(srv.Client()))
	check(err)
	put := func(path string, object any) { check(srv.Put(path, object)) }
	putPool(put, "ingress", tags("ncp/external", "true"), nsx.IPRange{Start: "192.168.30.65", End: "192.168.30.94"})
	putPool(put, "egress", tags("ncp/external", "true"), nsx.IPRange{Start: "192.168.30.97", End: "192.168.30.126"})
	put("/infra/tier-1s/t1", nsx.Tier1{Resource: nsx.Resource{Tags: tags("ncp/extpoolid", "egress")}})

	pools, err := ncp.NewFinder(client).AddressPools(context.Background(), "domain-c8:0a1b")
	check(err)
	for _, p := range pools {
		fmt.Println(p.DisplayName, p.Ranges, "egress:", p.Egress)
	}
	// Output:
	// egress [{192.168.30.97 192.168.30.126}] egress: true
	// ingress [{192.168.30.65 192.168.30.94}] egress: false
}
