// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//nolint:bodyclose // go-vmware-nsxt closes the bodies of its answers
package manager_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	nsxt "github.com/vmware/go-vmware-nsxt"
	"github.com/vmware/go-vmware-nsxt/common"
	"github.com/vmware/go-vmware-nsxt/loadbalancer"
	mp "github.com/vmware/go-vmware-nsxt/manager"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/manager"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

const (
	cluster = "pks-c2f4e2a0-7b1e-4a7e-9d4e-6b1f0c0d9e11"
	uid     = "b2b9ae15-4d0c-4b4e-9d9f-0b7a4f1f2a10"
)

// installation is a simulated NSX of TKGI.
type installation struct {
	t   *testing.T
	srv *nsxsim.Server
	// ncp is go-vmware-nsxt as it comes, with its own session: it writes what
	// NCP writes.
	ncp    *nsxt.APIClient
	finder *manager.Finder
}

func start(t *testing.T, opts ...nsxsim.Option) *installation {
	t.Helper()
	srv := nsxsim.NewServer(opts...)
	t.Cleanup(srv.Close)
	ncp, err := nsxt.NewAPIClient(&nsxt.Configuration{
		BasePath: srv.URL() + "/api/v1", UserName: nsxsim.DefaultUser, Password: nsxsim.DefaultPassword, HTTPClient: srv.Client(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return &installation{t: t, srv: srv, ncp: ncp, finder: newFinder(t, srv)}
}

func newFinder(t *testing.T, srv *nsxsim.Server, opts ...nsx.Option) *manager.Finder {
	t.Helper()
	opts = append([]nsx.Option{nsx.WithHTTPClient(srv.Client()), nsx.WithLimit(nsx.Limit{})}, opts...)
	client, err := nsx.NewClient(srv.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return manager.NewFinder(client)
}

// made returns what a call of go-vmware-nsxt made.
func made[T any](t *testing.T) func(object T, _ *http.Response, err error) T {
	return func(object T, _ *http.Response, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return object
	}
}

func tags(pairs ...string) []common.Tag {
	t := []common.Tag{{Scope: "ncp/cluster", Tag: cluster}}
	for i := 0; i+1 < len(pairs); i += 2 {
		t = append(t, common.Tag{Scope: pairs[i], Tag: pairs[i+1]})
	}
	return t
}

// server makes a virtual server and its pool.
func (i *installation) server(name, profile string, members []loadbalancer.PoolMember, t []common.Tag) loadbalancer.LbVirtualServer {
	i.t.Helper()
	ctx := i.t.Context()
	pool := made[loadbalancer.LbPool](i.t)(i.ncp.ServicesApi.CreateLoadBalancerPool(ctx, loadbalancer.LbPool{DisplayName: name, Members: members, Tags: t}))
	return made[loadbalancer.LbVirtualServer](i.t)(i.ncp.ServicesApi.CreateLoadBalancerVirtualServer(ctx, loadbalancer.LbVirtualServer{
		DisplayName: name, IpAddress: "192.168.30.66", Ports: []string{"5432"}, IpProtocol: "TCP", Enabled: true,
		ApplicationProfileId: profile, PoolId: pool.Id, Tags: t,
	}))
}

// loadBalancer makes a load balancer with the virtual servers.
func (i *installation) loadBalancer(ids ...string) loadbalancer.LbService {
	i.t.Helper()
	ctx := i.t.Context()
	router := made[mp.LogicalRouter](i.t)(i.ncp.LogicalRoutingAndServicesApi.CreateLogicalRouter(ctx, mp.LogicalRouter{RouterType: "TIER1", Tags: tags()}))
	return made[loadbalancer.LbService](i.t)(i.ncp.ServicesApi.CreateLoadBalancerService(ctx, loadbalancer.LbService{
		DisplayName: "lb", Enabled: true, VirtualServerIds: ids, Tags: tags(),
		Attachment: &common.ResourceReference{TargetType: "LogicalRouter", TargetId: router.Id},
	}))
}

func (i *installation) profile() string {
	i.t.Helper()
	return made[loadbalancer.LbFastTcpProfile](i.t)(i.ncp.ServicesApi.CreateLoadBalancerFastTcpProfile(i.t.Context(),
		loadbalancer.LbFastTcpProfile{ResourceType: "LbFastTcpProfile"})).Id
}

func TestVirtualServers(t *testing.T) {
	t.Parallel()
	i := start(t)
	profile := i.profile()
	two := []loadbalancer.PoolMember{{IpAddress: "10.200.1.2", Port: "5432"}, {IpAddress: "10.200.1.3", Port: "5432"}}
	mine := tags("ncp/service_uid", uid, "ncp/ip_pool_id", "floating")
	attached := i.server("postgres", profile, two, mine)
	loose := i.server("metrics", profile, two[:1], mine)
	decoy := i.server("decoy", profile, two, tags("ncp/service_uid", "another", "ncp/project_uid", uid))
	lb := i.loadBalancer(attached.Id, decoy.Id)
	i.srv.SetMemberStatus("/loadbalancer/pools/"+attached.PoolId, "10.200.1.3", "DOWN")

	got, err := i.finder.VirtualServers(t.Context(), uid)
	if err != nil {
		t.Fatal(err)
	}
	shared := nsx.Tags{{Scope: "ncp/cluster", Tag: cluster}, {Scope: "ncp/service_uid", Tag: uid}, {Scope: "ncp/ip_pool_id", Tag: "floating"}}
	owner := ncp.Owner{Kind: ncp.OwnerService, Cluster: cluster, ServiceUID: uid}
	want := []ncp.VirtualServer{
		{
			Path: "/loadbalancer/virtual-servers/" + attached.Id, DisplayName: "postgres",
			IP: "192.168.30.66", Ports: []string{"5432"}, Protocol: "TCP",
			LBServicePath: "/loadbalancer/services/" + lb.Id, PoolPath: "/loadbalancer/pools/" + attached.PoolId,
			Realization: ncp.Realization{State: "REALIZED"}, Status: "PARTIALLY_UP",
			Members: []ncp.Member{
				{IP: "10.200.1.2", Port: "5432", Status: "UP"},
				{IP: "10.200.1.3", Port: "5432", Status: "DOWN", FailureCause: "-"},
			},
			Tags: shared, Owner: owner, IPPool: "floating",
		},
		{
			Path: "/loadbalancer/virtual-servers/" + loose.Id, DisplayName: "metrics",
			IP: "192.168.30.66", Ports: []string{"5432"}, Protocol: "TCP", PoolPath: "/loadbalancer/pools/" + loose.PoolId,
			Realization: ncp.Realization{State: "UNREALIZED"},
			Members:     []ncp.Member{{IP: "10.200.1.2", Port: "5432"}}, Tags: shared, Owner: owner, IPPool: "floating",
		},
	}
	if want[0].Path > want[1].Path {
		want[0], want[1] = want[1], want[0]
	}
	for n := range got { // the simulator's words for a cause are its own
		for m := range got[n].Members {
			if got[n].Members[m].FailureCause != "" {
				got[n].Members[m].FailureCause = "-"
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	all, err := i.finder.AllVirtualServers(t.Context(), manager.Selector{Cluster: cluster})
	if err != nil || len(all) != 3 {
		t.Errorf("%d virtual servers of the cluster, %v; want 3", len(all), err)
	}
	if got, err := i.finder.VirtualServers(t.Context(), "unknown"); err != nil || len(got) != 0 {
		t.Errorf("of a Service that nothing was made for: %v, %v", got, err)
	}
	if _, err := i.finder.VirtualServers(t.Context(), ""); !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("without a UID: %v, want ErrInvalid", err)
	}
}

func TestPools(t *testing.T) {
	t.Parallel()
	i := start(t)
	profile := i.profile()
	members := []loadbalancer.PoolMember{{IpAddress: "10.200.1.2", Port: "6379"}}
	used := i.server("used", profile, members, tags("ncp/project", "acme-data"))
	i.server("unused", profile, members, tags("ncp/project", "acme-data"))
	i.server("other", profile, members, tags("ncp/project", "acme-app"))
	i.loadBalancer(used.Id)
	got, err := i.finder.Pools(t.Context(), manager.Selector{Cluster: cluster, Namespace: "acme-data"})
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]string{}
	for _, p := range got {
		states[p.DisplayName] = p.Status + " " + p.Members[0].IP + " " + p.Members[0].Status
	}
	want := map[string]string{"used": "UP 10.200.1.2 UP", "unused": " 10.200.1.2 "}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNetworksAndSections(t *testing.T) {
	t.Parallel()
	i := start(t)
	ctx := t.Context()
	for _, ns := range []string{"acme-data", "acme-app"} {
		made[mp.LogicalSwitch](t)(i.ncp.LogicalSwitchingApi.CreateLogicalSwitch(ctx, mp.LogicalSwitch{
			DisplayName: ns + "-0", TransportZoneId: "tz", AdminState: "UP", Tags: tags("ncp/project", ns),
		}))
	}
	made[mp.LogicalSwitch](t)(i.ncp.LogicalSwitchingApi.CreateLogicalSwitch(ctx, mp.LogicalSwitch{DisplayName: "vlan", TransportZoneId: "tz", AdminState: "UP"}))
	made[mp.IpPool](t)(i.ncp.PoolManagementApi.CreateIpPool(ctx, mp.IpPool{
		DisplayName: "floating", Tags: tags("ncp/external", "true"),
		Subnets: []mp.IpPoolSubnet{{Cidr: "192.168.30.64/27", AllocationRanges: []mp.IpPoolRange{{Start: "192.168.30.65", End: "192.168.30.94"}}}},
	}))
	made[mp.FirewallSection](t)(i.ncp.ServicesApi.AddSection(ctx, mp.FirewallSection{DisplayName: "top", SectionType: "LAYER3", Stateful: true, Tags: tags("ncp/fw_sect_marker", "top")}, map[string]any{}))

	switches, err := i.finder.LogicalSwitches(ctx, manager.Selector{Namespace: "acme-data"})
	if err != nil || len(switches) != 1 || switches[0].DisplayName != "acme-data-0" || switches[0].TransportZoneID != "tz" {
		t.Errorf("logical switches of the namespace: %+v, %v", switches, err)
	}
	if all, err := i.finder.LogicalSwitches(ctx, manager.Selector{}); err != nil || len(all) != 2 {
		t.Errorf("logical switches of any cluster: %+v, %v; want the 2 with a cluster's tag", all, err)
	}
	pools, err := i.finder.IPPools(ctx, manager.Selector{Cluster: cluster})
	if err != nil || len(pools) != 1 {
		t.Fatalf("ip pools: %+v, %v", pools, err)
	}
	wantSubnets := []manager.IPPoolSubnet{{CIDR: "192.168.30.64/27", Ranges: []string{"192.168.30.65-192.168.30.94"}}}
	if diff := cmp.Diff(wantSubnets, pools[0].Subnets); diff != "" {
		t.Errorf("subnets (-want +got):\n%s", diff)
	}
	if pools[0].Total != 30 || pools[0].Free != 30 || pools[0].Allocated != 0 {
		t.Errorf("pool usage %d = %d + %d, want 30 = 30 + 0", pools[0].Total, pools[0].Free, pools[0].Allocated)
	}
	sections, err := i.finder.FirewallSections(ctx, manager.Selector{Cluster: cluster})
	if err != nil || len(sections) != 1 || sections[0].Marker != "top" || !sections[0].Stateful {
		t.Errorf("firewall sections: %+v, %v", sections, err)
	}
}

func TestAddressPools(t *testing.T) {
	t.Parallel()
	i := start(t)
	pool := func(name, first, last string, tags []common.Tag) string {
		return made[mp.IpPool](t)(i.ncp.PoolManagementApi.CreateIpPool(t.Context(), mp.IpPool{
			DisplayName: name, Tags: tags,
			Subnets: []mp.IpPoolSubnet{{Cidr: "192.168.30.0/24", AllocationRanges: []mp.IpPoolRange{{Start: first, End: last}}}},
		})).Id
	}
	pool("tagged", "192.168.30.65", "192.168.30.94", tags("ncp/external", "true"))
	pool("given", "192.168.30.130", "192.168.30.140", []common.Tag{{Scope: "ncp/owner", Tag: "cluster:" + cluster}})
	pool("pods", "192.168.30.150", "192.168.30.160", tags("ncp/project", "acme-data"))
	pool("others", "192.168.30.170", "192.168.30.180", []common.Tag{{Scope: "ncp/cluster", Tag: "pks-other"}})
	floating := pool("floating", "192.168.30.190", "192.168.30.200", nil)

	for named, want := range map[string][]string{
		"":       {"given 192.168.30.130 " + cluster, "tagged 192.168.30.65 " + cluster},
		floating: {"floating 192.168.30.190 ", "given 192.168.30.130 " + cluster, "tagged 192.168.30.65 " + cluster},
	} {
		found, err := i.finder.AddressPools(t.Context(), cluster, named)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range found {
			got = append(got, fmt.Sprintf("%s %s %s", p.DisplayName, p.Ranges[0].Start, p.Cluster))
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("named %q (-want +got):\n%s", named, diff)
		}
	}
	if _, err := i.finder.AddressPools(t.Context(), ""); !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("no cluster: got %v, want invalid", err)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	i := start(t)
	for n := range 1001 {
		made[mp.LogicalSwitch](t)(i.ncp.LogicalSwitchingApi.CreateLogicalSwitch(t.Context(), mp.LogicalSwitch{
			DisplayName: fmt.Sprint(n), TransportZoneId: "tz", AdminState: "UP", Tags: tags(),
		}))
	}
	got, err := i.finder.LogicalSwitches(t.Context(), manager.Selector{Cluster: cluster})
	if err != nil || len(got) != 1001 {
		t.Fatalf("%d logical switches, %v; want 1001", len(got), err)
	}
	seen := map[string]bool{}
	for n, s := range got {
		if seen[s.ID] || n > 0 && got[n-1].ID > s.ID {
			t.Fatalf("%s is there twice or out of order", s.ID)
		}
		seen[s.ID] = true
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	fast := nsx.WithRetry(nsx.RetryPolicy{MinWait: 1, MaxWait: 1})
	once := nsx.WithRetry(nsx.RetryPolicy{Attempts: 1})
	fault := func(f nsxsim.Fault) func(*nsxsim.Server) {
		f.Route = "/api/v1/logical-switches"
		return func(srv *nsxsim.Server) { srv.Inject(f) }
	}
	tests := map[string]struct {
		reason string
		policy nsx.Option
		before func(*nsxsim.Server)
		want   error
		status int
	}{
		"retried":   {reason: "the chain sends again what was turned away", policy: fast, before: fault(nsxsim.Fault{Kind: nsxsim.FaultStatus, Status: 429, Code: 102, TextCode: true, Times: 2})},
		"reset":     {reason: "the chain reads again after a lost connection", policy: fast, before: fault(nsxsim.Fault{Kind: nsxsim.FaultReset})},
		"truncated": {reason: "an answer cut short is not an empty list", policy: fast, before: fault(nsxsim.Fault{Kind: nsxsim.FaultTruncate})},
		"expired":   {reason: "a session that ended is renewed", policy: once, before: func(srv *nsxsim.Server) { srv.ExpireSessions() }},
		"limited": {
			reason: "429 keeps its code though it is a string", policy: once,
			before: fault(nsxsim.Fault{Kind: nsxsim.FaultStatus, Status: 429, Code: 102, TextCode: true}), want: viaduct.ErrRateLimited, status: 429,
		},
		"internal": {
			reason: "500 is an error of package nsx, not a text", policy: once,
			before: fault(nsxsim.Fault{Kind: nsxsim.FaultStatus, Status: 500, Code: 99}), want: viaduct.ErrUnavailable, status: 500,
		},
		"forbidden": {
			reason: "the credentials lack a permission", policy: once,
			before: fault(nsxsim.Fault{Kind: nsxsim.FaultStatus, Status: 403, Code: 505}), want: viaduct.ErrForbidden, status: 403,
		},
		"malformed": {reason: "an answer that is not JSON is not an empty list", policy: once, before: fault(nsxsim.Fault{Kind: nsxsim.FaultMalformed}), want: viaduct.ErrUnavailable},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := nsxsim.NewServer()
			t.Cleanup(srv.Close)
			finder := newFinder(t, srv, tc.policy)
			if _, err := finder.LogicalSwitches(t.Context(), manager.Selector{}); err != nil {
				t.Fatal(err)
			}
			tc.before(srv)
			_, err := finder.LogicalSwitches(t.Context(), manager.Selector{})
			if !errors.Is(err, tc.want) {
				t.Fatalf("%s: %v, want %v", tc.reason, err, tc.want)
			}
			var answer *nsx.Error
			if tc.status != 0 && (!errors.As(err, &answer) || answer.Status != tc.status || answer.Path != "/api/v1/logical-switches") {
				t.Errorf("%s: %v is not the answer with status %d", tc.reason, err, tc.status)
			}
		})
	}
}

func TestContext(t *testing.T) {
	t.Parallel()
	i := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := i.finder.IPPools(ctx, manager.Selector{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
}

func TestRemovedInNine(t *testing.T) {
	t.Parallel()
	i := start(t, nsxsim.WithVersion("9.0.0.0.24733063"))
	if _, err := i.finder.VirtualServers(t.Context(), uid); !errors.Is(err, viaduct.ErrUnsupported) {
		t.Errorf("virtual servers: %v, want ErrUnsupported", err)
	}
	if _, err := i.finder.Pools(t.Context(), manager.Selector{}); !errors.Is(err, viaduct.ErrUnsupported) {
		t.Errorf("pools: %v, want ErrUnsupported", err)
	}
	for _, r := range i.srv.Requests() {
		if strings.Contains(r.Path, "loadbalancer") {
			t.Errorf("asked for %s, which NSX 9.0 does not have", r.Path)
		}
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	i := start(t)
	made[mp.IpPool](t)(i.ncp.PoolManagementApi.CreateIpPool(t.Context(), mp.IpPool{Tags: []common.Tag{{Scope: "fork/cluster", Tag: "c"}}}))
	client, err := nsx.NewClient(i.srv.URL(), nsx.BasicAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword), nsx.WithHTTPClient(i.srv.Client()))
	if err != nil {
		t.Fatal(err)
	}
	scopes := ncp.DefaultScopes()
	scopes.Cluster = append(scopes.Cluster, "fork/cluster")
	finder := manager.NewFinder(client, manager.WithScopes(scopes))
	if pools, err := finder.IPPools(t.Context(), manager.Selector{Cluster: "c"}); err != nil || len(pools) != 1 {
		t.Errorf("with another scope: %v, %v; want 1 pool", pools, err)
	}
}
