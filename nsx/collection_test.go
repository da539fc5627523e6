// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/page"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// common is the part of an object that a test may set.
func common(id string) nsx.Resource {
	return nsx.Resource{ID: id, DisplayName: "Name of " + id, Tags: nsx.Tags{{Scope: "team", Tag: "a"}}}
}

// prepare makes the objects beneath which others lie or to which they refer.
func prepare(t *testing.T, c *nsx.Client) {
	t.Helper()
	ctx := t.Context()
	must(t, c.Tier0s().Apply(ctx, nsx.Tier0{Resource: common("t0")}))
	must(t, c.Tier1s().Apply(ctx, nsx.Tier1{Resource: common("t1"), Tier0Path: c.Tier0("t0").Path()}))
	must(t, c.Segments().Apply(ctx, nsx.Segment{Resource: common("parent")}))
	must(t, c.IPPools().Apply(ctx, nsx.IPPool{Resource: common("parent")}))
	must(t, c.IPPools().Subnets("parent").Apply(ctx, nsx.IPSubnet{
		Resource: nsx.Resource{ID: "s", ResourceType: nsx.IPStaticSubnet}, CIDR: "192.168.30.0/24",
		AllocationRanges: []nsx.IPRange{{Start: "192.168.30.64", End: "192.168.30.95"}},
	}))
	must(t, c.Domain("default").SecurityPolicies().Apply(ctx, nsx.SecurityPolicy{Resource: common("parent")}))
}

// every runs the life of an object for each kind that the client offers.
func every(t *testing.T, run map[string]func(*testing.T, *nsxsim.Server, *nsx.Client)) {
	t.Helper()
	for name, life := range run {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, c := start(t)
			prepare(t, c)
			life(t, srv, c)
		})
	}
}

// life is the life of one object: created, read, found, changed, replaced and
// deleted. The collection is made from the client; change must set Description.
func life[T nsx.Object](
	collection func(*nsx.Client) nsx.Collection[T], object T, change func(*T),
) func(*testing.T, *nsxsim.Server, *nsx.Client) {
	return func(t *testing.T, srv *nsxsim.Server, c *nsx.Client) {
		t.Helper()
		ctx, all, id := t.Context(), collection(c), "mine"
		for range 2 { // applying twice is applying once
			must(t, all.Apply(ctx, object))
		}
		read, err := all.Get(ctx, id)
		must(t, err)
		if diff := cmp.Diff(essence(t, object), essence(t, read)); diff != "" {
			t.Errorf("what was read differs from what was applied: (-want +got)\n%s", diff)
		}
		listed, err := page.Collect(all.All(ctx, nsx.ListOptions{}))
		must(t, err)
		if n := count(listed, id); n != 1 {
			t.Errorf("it is in the list %d times", n)
		}
		found, err := page.Collect(all.Search(ctx, nsx.Query{}.ID(id).Tag("team", "a")))
		must(t, err)
		if len(found) != 1 {
			t.Errorf("a search finds it %d times", len(found))
		}

		keepsUnknownFields(t, srv, all, id, change)

		stale := read
		if _, err := all.Replace(ctx, stale); !errors.Is(err, viaduct.ErrConflict) {
			t.Errorf("replace with an old revision: got %v, want a conflict", err)
		}
		current, err := all.Get(ctx, id)
		must(t, err)
		change(&current)
		if _, err := all.Replace(ctx, current); err != nil {
			t.Errorf("replace: %v", err)
		}
		for range 2 { // deleting what is gone is no error
			must(t, all.Delete(ctx, id))
		}
		must(t, all.WaitGone(ctx, id))
		if err := all.Delete(ctx, id); err != nil {
			t.Errorf("delete again: %v", err)
		}
		if _, err := all.Update(ctx, id, func(*T) error { return nil }); !errors.Is(err, viaduct.ErrNotFound) {
			t.Errorf("update what is gone: got %v, want not found", err)
		}
	}
}

// keepsUnknownFields changes the object while it has a field that no struct of
// this package knows.
func keepsUnknownFields[T nsx.Object](t *testing.T, srv *nsxsim.Server, all nsx.Collection[T], id string, change func(*T)) {
	t.Helper()
	var before, after map[string]any
	path := all.Path(id).String()
	must(t, srv.Read(path, &before))
	before["origin_site_id"] = "a field that the structs lack"
	must(t, srv.Put(path, before))
	updated, err := all.Update(t.Context(), id, func(object *T) error {
		change(object)
		return nil
	}, nsx.WithAllowOverwrite())
	must(t, err)
	must(t, srv.Read(path, &after))
	if after["origin_site_id"] != before["origin_site_id"] {
		t.Errorf("update lost an unknown field: %v", after)
	}
	if after["description"] != "changed" {
		t.Errorf("update changed nothing: %v", after)
	}
	if got := essence(t, updated); got["description"] != "changed" {
		t.Errorf("update returned %v", got)
	}
	requests := len(srv.Requests())
	if _, err := all.Update(t.Context(), id, func(*T) error { return nil }); err != nil {
		t.Errorf("update without a change: %v", err)
	}
	for _, r := range srv.Requests()[requests:] {
		if r.Method != http.MethodGet {
			t.Errorf("update without a change sent %s %s", r.Method, r.Path)
		}
	}
}

func count[T nsx.Object](objects []T, id string) int {
	n := 0
	for _, o := range objects {
		data, _ := json.Marshal(o)
		var r nsx.Resource
		_ = json.Unmarshal(data, &r)
		if r.ID == id {
			n++
		}
	}
	return n
}

// essence is what the caller set of an object, without what NSX adds.
func essence(t *testing.T, object any) map[string]any {
	t.Helper()
	data, err := json.Marshal(object)
	must(t, err)
	var fields map[string]any
	must(t, json.Unmarshal(data, &fields))
	essential := map[string]any{}
	for _, name := range []string{"id", "display_name", "description", "tags"} {
		if v, ok := fields[name]; ok {
			essential[name] = v
		}
	}
	return essential
}

func TestLifeOfEveryKind(t *testing.T) {
	t.Parallel()
	mine := common("mine")
	typed := func(typ string) nsx.Resource {
		r := mine
		r.ResourceType = typ
		return r
	}
	every(t, map[string]func(*testing.T, *nsxsim.Server, *nsx.Client){
		"segment": life(func(c *nsx.Client) nsx.Collection[nsx.Segment] { return c.Segments().Collection },
			nsx.Segment{Resource: mine, Subnets: []nsx.SegmentSubnet{{GatewayAddress: "10.244.0.1/28"}}},
			func(s *nsx.Segment) { s.Description = "changed" }),
		"segment of a gateway": life(func(c *nsx.Client) nsx.Collection[nsx.Segment] { return c.Tier1("t1").Segments().Collection },
			nsx.Segment{Resource: mine}, func(s *nsx.Segment) { s.Description = "changed" }),
		"segment port": life(func(c *nsx.Client) nsx.Collection[nsx.SegmentPort] { return c.Segments().Ports("parent").Collection },
			nsx.SegmentPort{Resource: mine, AddressBindings: []nsx.AddressBinding{{IPAddress: "10.244.0.5"}}},
			func(s *nsx.SegmentPort) { s.Description = "changed" }),
		"tier-0": life((*nsx.Client).Tier0s, nsx.Tier0{Resource: mine, HAMode: "ACTIVE_STANDBY"},
			func(g *nsx.Tier0) { g.Description = "changed" }),
		"tier-1": life((*nsx.Client).Tier1s,
			nsx.Tier1{Resource: mine, Tier0Path: "/infra/tier-0s/t0", RouteAdvertisementTypes: []string{"TIER1_LB_VIP"}},
			func(g *nsx.Tier1) { g.Description = "changed" }),
		"nat rule": life(func(c *nsx.Client) nsx.Collection[nsx.NATRule] { return c.Tier1("t1").NATRules(nsx.NATUser) },
			nsx.NATRule{Resource: mine, Action: nsx.NATSource, SourceNetwork: "10.244.0.0/28", TranslatedNetwork: "192.168.30.97"},
			func(r *nsx.NATRule) { r.Description = "changed" }),
		"static route": life(func(c *nsx.Client) nsx.Collection[nsx.StaticRoute] { return c.Tier0("t0").StaticRoutes() },
			nsx.StaticRoute{Resource: mine, Network: "10.0.0.0/8", NextHops: []nsx.NextHop{{IPAddress: "192.168.1.1", AdminDistance: 1}}},
			func(r *nsx.StaticRoute) { r.Description = "changed" }),
		"lb service": life(func(c *nsx.Client) nsx.Collection[nsx.LBService] { return c.LBServices().Collection },
			nsx.LBService{Resource: mine, Size: nsx.LBServiceSmall, Enabled: new(true)},
			func(s *nsx.LBService) { s.Description = "changed" }),
		"virtual server": life((*nsx.Client).VirtualServers,
			nsx.VirtualServer{
				Resource: mine, IPAddress: "192.168.30.66", Ports: []string{"80"}, ApplicationProfilePath: nsx.DefaultHTTPProfilePath,
				Rules: []nsx.LBRule{{
					Phase: "HTTP_REQUEST_REWRITE", MatchStrategy: "ALL",
					MatchConditions: []nsx.LBCondition{{Type: "LBHttpRequestUriCondition", URI: "/old", MatchType: "STARTS_WITH"}},
					Actions:         []nsx.LBAction{{Type: "LBHttpRequestUriRewriteAction", URI: "/new"}},
				}},
			},
			func(v *nsx.VirtualServer) { v.Description = "changed" }),
		"pool": life((*nsx.Client).Pools,
			nsx.Pool{
				Resource: mine, Algorithm: nsx.LBLeastConnection, SNAT: &nsx.SNATTranslation{Type: "LBSnatDisabled"},
				Members: []nsx.PoolMember{{IPAddress: "10.244.0.5", Port: "5432", Weight: 1}},
			},
			func(p *nsx.Pool) { p.Description = "changed"; p.Members[0].Weight = 2 }),
		"application profile": life((*nsx.Client).LBAppProfiles,
			nsx.LBAppProfile{Resource: typed(nsx.LBFastTCPProfile), IdleTimeout: 1800},
			func(p *nsx.LBAppProfile) { p.Description = "changed" }),
		"monitor profile": life((*nsx.Client).LBMonitorProfiles,
			nsx.LBMonitorProfile{Resource: typed(nsx.LBHTTPMonitor), Interval: 5, RequestURL: "/healthz", ResponseStatusCodes: []int64{200}},
			func(p *nsx.LBMonitorProfile) { p.Description = "changed" }),
		"persistence profile": life((*nsx.Client).LBPersistenceProfiles,
			nsx.LBPersistenceProfile{Resource: typed(nsx.LBCookiePersistence), CookieName: "c", CookieMode: "INSERT", CookieTime: &nsx.LBCookieTime{Type: "LBSessionCookieTime", MaxIdle: 60}},
			func(p *nsx.LBPersistenceProfile) { p.Description = "changed" }),
		"ip pool": life(func(c *nsx.Client) nsx.Collection[nsx.IPPool] { return c.IPPools().Collection },
			nsx.IPPool{Resource: mine}, func(p *nsx.IPPool) { p.Description = "changed" }),
		"ip subnet": life(func(c *nsx.Client) nsx.Collection[nsx.IPSubnet] { return c.IPPools().Subnets("parent") },
			nsx.IPSubnet{
				Resource: typed(nsx.IPStaticSubnet), CIDR: "192.168.40.0/24",
				AllocationRanges: []nsx.IPRange{{Start: "192.168.40.2", End: "192.168.40.9"}},
			},
			func(s *nsx.IPSubnet) { s.Description = "changed" }),
		"ip allocation": life(func(c *nsx.Client) nsx.Collection[nsx.IPAllocation] {
			return c.IPPools().Allocations("parent").Collection
		},
			nsx.IPAllocation{Resource: mine, AllocationIP: "192.168.30.70"},
			func(a *nsx.IPAllocation) { a.Description = "changed" }),
		"ip block": life((*nsx.Client).IPBlocks, nsx.IPBlock{Resource: mine, CIDR: "10.244.0.0/20"},
			func(b *nsx.IPBlock) { b.Description = "changed" }),
		"group": life(func(c *nsx.Client) nsx.Collection[nsx.Group] { return c.Domain("default").Groups().Collection },
			nsx.Group{Resource: mine, Expression: nsx.AnyOf(
				nsx.IPAddresses("10.0.0.1", "10.1.0.0/16"), nsx.HasTag("Segment", "ncp/cluster", "x"), nsx.MACAddresses("00:50:56:00:00:01"),
				nsx.Paths("/infra/segments/parent"), nsx.ExternalIDs("VirtualMachine", "vm-1"),
				nsx.Nested(nsx.HasTag("SegmentPort", "a", "b"), nsx.HasTag("SegmentPort", "c", "d")), nsx.HasName("VirtualMachine", "web"),
			)},
			func(g *nsx.Group) { g.Description = "changed" }),
		"security policy": life(func(c *nsx.Client) nsx.Collection[nsx.SecurityPolicy] {
			return c.Domain("default").SecurityPolicies().Collection
		},
			nsx.SecurityPolicy{Resource: mine, Category: nsx.CategoryApplication, SequenceNumber: 10},
			func(p *nsx.SecurityPolicy) { p.Description = "changed" }),
		"rule": life(func(c *nsx.Client) nsx.Collection[nsx.Rule] {
			return c.Domain("default").SecurityPolicies().Rules("parent")
		},
			nsx.Rule{
				Resource: mine, Action: nsx.RuleDrop, Direction: nsx.RuleIn,
				SourceGroups: []nsx.Path{nsx.Any}, DestinationGroups: []nsx.Path{"10.0.0.1"}, Services: []nsx.Path{nsx.Any},
				Scope: []nsx.Path{nsx.Any}, SequenceNumber: 5,
			},
			func(r *nsx.Rule) { r.Description = "changed" }),
		"service": life((*nsx.Client).Services,
			nsx.Service{Resource: mine, ServiceEntries: []nsx.ServiceEntry{{
				Resource: nsx.Resource{ID: "tcp", DisplayName: "tcp", ResourceType: nsx.ServiceL4}, L4Protocol: "TCP", DestinationPorts: []string{"5432"},
			}}},
			func(s *nsx.Service) { s.Description = "changed" }),
	})
}

func TestListsHaveAllPagesOnce(t *testing.T) {
	t.Parallel()
	srv, c := start(t)
	for i := range 25 {
		must(t, srv.Put(fmt.Sprintf("/infra/lb-pools/p%02d", i), nsx.Pool{Resource: nsx.Resource{Tags: nsx.Tags{{Scope: "n", Tag: fmt.Sprint(i)}}}}))
	}
	var ids []string
	var tags []string
	for range 2 { // a sequence may be ranged over again
		ids, tags = nil, nil
		for p, err := range c.Pools().All(t.Context(), nsx.ListOptions{PageSize: 4}) {
			must(t, err)
			ids, tags = append(ids, p.ID), append(tags, p.Tags[0].Tag)
		}
		if len(ids) != 25 || ids[0] != "p00" || ids[24] != "p24" || tags[3] != "3" || tags[24] != "24" {
			t.Errorf("got %v %v", ids, tags)
		}
	}
	kept, err := page.Collect(c.Pools().All(t.Context(), nsx.ListOptions{PageSize: 4}))
	must(t, err)
	for i, p := range kept {
		if p.Tags[0].Tag != fmt.Sprint(i) {
			t.Errorf("pool %d was overwritten by a later page: %v", i, p.Tags)
		}
	}
	var paged []string
	opts := nsx.ListOptions{PageSize: 10}
	for {
		p, err := c.Pools().List(t.Context(), opts)
		must(t, err)
		for _, pool := range p.Items {
			paged = append(paged, pool.ID)
		}
		if p.Next == "" {
			break
		}
		opts.Cursor = p.Next
	}
	if diff := cmp.Diff(ids, paged); diff != "" {
		t.Errorf("page by page: (-want +got)\n%s", diff)
	}
}

func TestAllStopsFetchingOnBreak(t *testing.T) {
	t.Parallel()
	srv, c := start(t)
	for i := range 10 {
		must(t, srv.Put(fmt.Sprintf("/infra/lb-pools/p%d", i), nsx.Pool{}))
	}
	before := len(srv.Requests())
	for range c.Pools().All(t.Context(), nsx.ListOptions{PageSize: 2}) {
		break
	}
	if n := len(srv.Requests()) - before; n > 2 { // the login and one page
		t.Errorf("sent %d requests after a break in the first page", n)
	}
}

func TestUpdateStartsOverOnConflict(t *testing.T) {
	t.Parallel()
	srv, c := start(t)
	ctx := t.Context()
	must(t, c.Pools().Apply(ctx, nsx.Pool{Resource: nsx.Resource{ID: "p"}}))
	rounds := 0
	updated, err := c.Pools().Update(ctx, "p", func(p *nsx.Pool) error {
		rounds++
		if rounds < 3 { // somebody else is faster
			must(t, c.Pools().Apply(ctx, nsx.Pool{Resource: nsx.Resource{ID: "p"}, MinActiveMembers: int64(rounds)}))
		}
		p.Members = append(p.Members, nsx.PoolMember{IPAddress: "10.0.0.1", Port: "80"})
		return nil
	})
	must(t, err)
	if rounds != 3 || len(updated.Members) != 1 || updated.MinActiveMembers != 2 {
		t.Errorf("got %+v after %d rounds, want both changes after 3", updated, rounds)
	}
	if srv.Requests()[0].Path == "" {
		t.Error("the simulator recorded nothing")
	}
}

func TestUpdateEndsWithTheErrorOfTheChange(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	must(t, c.Pools().Apply(t.Context(), nsx.Pool{Resource: nsx.Resource{ID: "p"}}))
	stop := errors.New("stop")
	if _, err := c.Pools().Update(t.Context(), "p", func(*nsx.Pool) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}

// TestLostAnswerToAPutIsNoConflict has the answer to a PUT lost after it took
// effect: the replay meets the revision that the first attempt made.
func TestLostAnswerToAPutIsNoConflict(t *testing.T) {
	t.Parallel()
	srv, c := start(t)
	ctx := t.Context()
	must(t, c.Pools().Apply(ctx, nsx.Pool{Resource: nsx.Resource{ID: "p"}}))
	srv.Inject(nsxsim.Fault{Method: http.MethodPut, Kind: nsxsim.FaultReset, AfterEffect: true})
	updated, err := c.Pools().Update(ctx, "p", func(p *nsx.Pool) error {
		p.Members = append(p.Members, nsx.PoolMember{IPAddress: "10.0.0.1", Port: "80"})
		return nil
	})
	must(t, err)
	if len(updated.Members) != 1 {
		t.Errorf("the change was made %d times", len(updated.Members))
	}
}

func TestIDsThatWouldChangeThePath(t *testing.T) {
	t.Parallel()
	srv, c := start(t)
	for _, id := range []string{"", ".", "..", "../lb-services/x", "a/b"} {
		err := c.Pools().Delete(t.Context(), id)
		if !errors.Is(err, viaduct.ErrInvalid) {
			t.Errorf("%q: got %v, want invalid", id, err)
		}
	}
	if _, err := c.Pools().Get(t.Context(), "x?y#z &%2F"); !errors.Is(err, viaduct.ErrNotFound) {
		t.Errorf("got %v, want not found", err)
	}
	if n := len(srv.Unsimulated()); n != 0 {
		t.Errorf("an id reached another route: %v", srv.Unsimulated())
	}
}

func TestProtectedObjectsNeedOverwrite(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusForbidden, http.StatusBadRequest} {
		srv, c := start(t, nsxsim.WithSwitches(nsxsim.Switches{ProtectedStatus: status}))
		ctx := t.Context()
		must(t, srv.Put("/infra/lb-pools/p", nsx.Pool{}))
		pool := nsx.Pool{Resource: nsx.Resource{ID: "p", Description: "mine now"}}
		if err := c.Pools().Apply(ctx, pool); !errors.Is(err, viaduct.ErrNotOwned) {
			t.Errorf("%d: apply: got %v, want not owned", status, err)
		}
		if err := c.Pools().Delete(ctx, "p"); !errors.Is(err, viaduct.ErrNotOwned) {
			t.Errorf("%d: delete: got %v, want not owned", status, err)
		}
		must(t, c.Pools().Apply(ctx, pool, nsx.WithAllowOverwrite()))
		if err := c.Pools().Delete(ctx, "p"); !errors.Is(err, viaduct.ErrNotOwned) {
			t.Errorf("%d: the permission outlived the call: %v", status, err)
		}
		must(t, c.Pools().Delete(ctx, "p", nsx.WithAllowOverwrite()))
	}
}

func TestForceDeletesWhatIsInUse(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	ctx := t.Context()
	must(t, c.Pools().Apply(ctx, nsx.Pool{Resource: nsx.Resource{ID: "p"}}))
	must(t, c.VirtualServers().Apply(ctx, nsx.VirtualServer{
		Resource: nsx.Resource{ID: "v"}, IPAddress: "192.168.30.66", Ports: []string{"80"},
		PoolPath: c.Pools().Path("p"), ApplicationProfilePath: nsx.DefaultTCPProfilePath,
	}))
	if err := c.Pools().Delete(ctx, "p"); !errors.Is(err, viaduct.ErrInUse) {
		t.Errorf("got %v, want in use", err)
	}
	must(t, c.Pools().Delete(ctx, "p", nsx.WithForce()))
}

func TestFeaturesAreGatedBeforeTheCall(t *testing.T) {
	t.Parallel()
	srv, c := start(t, nsxsim.WithVersion("3.2.1.0.0.19801959"))
	ctx := t.Context()
	gateway := nsx.Tier1{Resource: nsx.Resource{ID: "t1"}, HAMode: "ACTIVE_ACTIVE"}
	for range 2 {
		err := c.Tier1s().Apply(ctx, gateway)
		var e *nsx.UnsupportedError
		if !errors.Is(err, viaduct.ErrUnsupported) || !errors.As(err, &e) {
			t.Fatalf("got %v, want unsupported", err)
		}
		if e.Have.String() != "3.2.1.0.0.19801959" || e.Need != (nsx.Version{Major: 4, Patch: 1}) {
			t.Errorf("got %+v", e)
		}
	}
	versions := 0
	for _, r := range srv.Requests() {
		switch {
		case r.Path == "/api/v1/node/version":
			versions++
		case r.Method == http.MethodPatch:
			t.Errorf("sent %s %s", r.Method, r.Path)
		}
	}
	if versions != 1 {
		t.Errorf("read the version %d times, want once", versions)
	}
	_, c = start(t, nsxsim.WithVersion("4.1.0.0.0.21332672"))
	if err := c.Tier1s().Apply(ctx, gateway); err != nil {
		t.Errorf("NSX 4.1: %v", err)
	}
	if err := c.RequireBefore(ctx, "the Manager API's load balancer", nsx.Version{Major: 9}); err != nil {
		t.Errorf("NSX 4.1: %v", err)
	}
	if err := c.RequireBefore(ctx, "something old", nsx.Version{Major: 4}); !errors.Is(err, viaduct.ErrUnsupported) {
		t.Errorf("NSX 4.1: got %v, want unsupported", err)
	}
}

func TestContextIsHonoured(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	shutdown := errors.New("shutting down")
	cancel(shutdown)
	if _, err := c.Pools().Get(ctx, "p"); !errors.Is(err, shutdown) {
		t.Errorf("get: got %v, want the cause", err)
	}
	if _, err := c.Version(ctx); !errors.Is(err, shutdown) {
		t.Errorf("version: got %v, want the cause", err)
	}
	if _, err := c.RealizedState().Wait(ctx, "/infra/lb-pools/p", nil); !errors.Is(err, shutdown) {
		t.Errorf("wait: got %v, want the cause", err)
	}
}
