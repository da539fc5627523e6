// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// sentinels are all that an error may match.
func sentinels() []error {
	return []error{
		viaduct.ErrNotFound, viaduct.ErrExists, viaduct.ErrConflict, viaduct.ErrInUse, viaduct.ErrInvalid,
		viaduct.ErrNotOwned, viaduct.ErrUnauthenticated, viaduct.ErrForbidden, viaduct.ErrRateLimited,
		viaduct.ErrUnavailable, viaduct.ErrUnsupported,
	}
}

// build makes a load balancer with two pools, an address, a service, groups and
// a firewall policy, reads and changes them. Each step may be repeated.
func build(ctx context.Context, c *nsx.Client) error {
	domain := c.Domain(nsx.DefaultDomain)
	var vip string
	return steps(
		func() error { return c.Tier1s().Apply(ctx, nsx.Tier1{Resource: named("t1")}) },
		func() error { return c.Segments().Apply(ctx, nsx.Segment{Resource: named("seg")}) },
		func() error { return c.LBServices().Apply(ctx, nsx.LBService{Resource: named("lb")}) },
		func() error { return c.IPPools().Apply(ctx, nsx.IPPool{Resource: named("vips")}) },
		func() error {
			return c.IPPools().Subnets("vips").Apply(ctx, nsx.IPSubnet{
				Resource: nsx.Resource{ID: "s", ResourceType: nsx.IPStaticSubnet}, CIDR: "192.168.30.64/27",
				AllocationRanges: []nsx.IPRange{{Start: "192.168.30.66", End: "192.168.30.67"}},
			})
		},
		func() (err error) {
			vip, err = c.IPPools().Allocations("vips").Allocate(ctx, nsx.IPAllocation{Resource: named("vip")})
			return err
		},
		func() error { return buildServer(ctx, c, "db", &vip) },
		func() error { return buildServer(ctx, c, "web", &vip) },
		func() error { return buildPolicy(ctx, domain) },
		func() error {
			return c.Services().Apply(ctx, nsx.Service{Resource: named("pg"), ServiceEntries: []nsx.ServiceEntry{{
				Resource: nsx.Resource{ID: "e", ResourceType: nsx.ServiceL4}, L4Protocol: "TCP", DestinationPorts: []string{"5432"},
			}}})
		},
		func() error {
			batch := nsx.NewBatch()
			for i := range 3 {
				domain.Groups().ApplyIn(batch, nsx.Group{Resource: named(fmt.Sprintf("extra-%d", i))})
			}
			return c.Send(ctx, batch)
		},
		func() error { return exhaust(c.VirtualServers().All(ctx, nsx.ListOptions{PageSize: 1})) },
		func() error { return exhaust(c.Pools().Search(ctx, nsx.Query{}.Tag("made-by", "sweep"))) },
		func() error {
			_, err := c.LBServices().Status(ctx, "lb")
			return err
		},
	)
}

func buildServer(ctx context.Context, c *nsx.Client, id string, vip *string) error {
	return steps(
		func() error {
			return c.Pools().Apply(ctx, nsx.Pool{Resource: named(id), Members: []nsx.PoolMember{{IPAddress: "10.0.0.1", Port: "80"}}})
		},
		func() error {
			_, err := c.Pools().Update(ctx, id, func(p *nsx.Pool) error {
				if len(p.Members) < 2 {
					p.Members = append(p.Members, nsx.PoolMember{IPAddress: "10.0.0.2", Port: "80"})
				}
				return nil
			})
			return err
		},
		func() error {
			return c.VirtualServers().Apply(ctx, nsx.VirtualServer{
				Resource: named(id), IPAddress: *vip, Ports: []string{"80"}, PoolPath: c.Pools().Path(id),
				LBServicePath: c.LBServices().Path("lb"), ApplicationProfilePath: nsx.DefaultTCPProfilePath,
			})
		},
		func() error {
			_, err := c.RealizedState().Wait(ctx, c.VirtualServers().Path(id), nil)
			return err
		},
		func() error {
			current, err := c.VirtualServers().Get(ctx, id)
			if err != nil {
				return err
			}
			current.Description = "replaced"
			_, err = c.VirtualServers().Replace(ctx, current)
			return err
		},
	)
}

func buildPolicy(ctx context.Context, domain nsx.Domain) error {
	groups, policies := domain.Groups(), domain.SecurityPolicies()
	return steps(
		func() error {
			return groups.Apply(ctx, nsx.Group{Resource: named("g"), Expression: []nsx.Expression{
				{ResourceType: nsx.ExprIPAddresses, ID: "ips", IPAddresses: []string{"10.0.0.1"}},
			}})
		},
		func() error { return groups.AddIPAddresses(ctx, "g", "ips", []string{"10.0.0.2"}) },
		func() error {
			return policies.Apply(ctx, nsx.SecurityPolicy{Resource: named("p"), Category: nsx.CategoryApplication})
		},
		func() error {
			return policies.Rules("p").Apply(ctx, nsx.Rule{
				Resource: named("r"), Action: nsx.RuleAllow, Scope: []nsx.Path{groups.Path("g")},
				SourceGroups: []nsx.Path{nsx.Any}, DestinationGroups: []nsx.Path{groups.Path("g")}, Services: []nsx.Path{nsx.Any},
			})
		},
	)
}

// raze deletes all that build makes.
func raze(ctx context.Context, c *nsx.Client) error {
	domain := c.Domain(nsx.DefaultDomain)
	var all []func() error
	for _, id := range []string{"db", "web"} {
		all = append(all,
			func() error { return c.VirtualServers().Delete(ctx, id) },
			func() error { return c.Pools().Delete(ctx, id) })
	}
	return steps(append(all,
		func() error { return c.IPPools().Allocations("vips").Delete(ctx, "vip") },
		func() error { return c.IPPools().Subnets("vips").Delete(ctx, "s") },
		func() error { return c.IPPools().Delete(ctx, "vips") },
		func() error { return c.LBServices().Delete(ctx, "lb") },
		func() error { return c.Segments().Delete(ctx, "seg") },
		func() error { return c.Tier1s().Delete(ctx, "t1") },
		func() error {
			batch := nsx.NewBatch()
			for i := range 3 {
				domain.Groups().DeleteIn(batch, fmt.Sprintf("extra-%d", i))
			}
			domain.Groups().DeleteIn(batch, "g")
			domain.SecurityPolicies().DeleteIn(batch, "p")
			c.Services().DeleteIn(batch, "pg")
			return c.Send(ctx, batch)
		},
	)...)
}

func named(id string) nsx.Resource {
	return nsx.Resource{ID: id, Tags: nsx.Tags{{Scope: "made-by", Tag: "sweep"}}}
}

func steps(all ...func() error) error {
	for _, step := range all {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func exhaust[T any](seq func(func(T, error) bool)) error {
	for _, err := range seq {
		if err != nil {
			return err
		}
	}
	return nil
}

// faults is everything that may go wrong with one request.
func faults() map[string]nsxsim.Fault {
	all := map[string]nsxsim.Fault{
		"reset before the effect":    {Kind: nsxsim.FaultReset},
		"reset after the effect":     {Kind: nsxsim.FaultReset, AfterEffect: true},
		"truncated answer":           {Kind: nsxsim.FaultTruncate},
		"malformed answer":           {Kind: nsxsim.FaultMalformed},
		"delay":                      {Kind: nsxsim.FaultDelay, Delay: 10 * time.Second},
		"hang":                       {Kind: nsxsim.FaultDelay, Delay: 10 * time.Minute},
		"503 after the effect":       {Kind: nsxsim.FaultStatus, Status: 503, AfterEffect: true},
		"500 after the effect":       {Kind: nsxsim.FaultStatus, Status: 500, AfterEffect: true},
		"500, aborted":               {Kind: nsxsim.FaultStatus, Status: 500, Code: 607},
		"429, code as string":        {Kind: nsxsim.FaultStatus, Status: 429, Code: 102, TextCode: true},
		"429, Retry-After":           {Kind: nsxsim.FaultStatus, Status: 429, Header: http.Header{"Retry-After": {"3"}}},
		"403, session ended":         {Kind: nsxsim.FaultStatus, Status: 403, Code: 98},
		"reset from then on":         {Kind: nsxsim.FaultReset, Times: -1},
		"503 from then on":           {Kind: nsxsim.FaultStatus, Status: 503, Times: -1},
		"malformed from then on":     {Kind: nsxsim.FaultMalformed, Times: -1},
		"403 (no more) from then on": {Kind: nsxsim.FaultStatus, Status: 403, Code: 403, Times: -1},
	}
	for _, status := range []int{400, 401, 403, 404, 409, 412, 500, 502, 503, 504} {
		all[fmt.Sprint(status)] = nsxsim.Fault{Kind: nsxsim.FaultStatus, Status: status}
	}
	return all
}

// TestFaultSweep hits each request of a workflow with each kind of fault. Every
// run ends well or in an error that matches a sentinel, and running the workflow
// again always leads to the same state, and in the end to nothing.
func TestFaultSweep(t *testing.T) {
	t.Parallel()
	for _, managers := range []int{1, 2} {
		requests := 0
		synctest.Test(t, func(t *testing.T) { requests, _ = sweep(t, managers, nil) })
		if requests < 30 {
			t.Fatalf("the workflow has %d requests, want at least 30", requests)
		}
		runs, kinds, failed := 0, 0, 0
		for name, fault := range faults() {
			if managers > 1 && (fault.Times < 0 || fault.Kind != nsxsim.FaultReset && fault.Status != http.StatusServiceUnavailable) {
				continue // what a second manager does not change
			}
			kinds++
			for i := range requests {
				fault.Skip = i
				ok := t.Run(fmt.Sprintf("%d managers, %s at request %d", managers, name, i+1), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						if _, err := sweep(t, managers, &fault); err != nil {
							failed++
						}
					})
				})
				runs++
				if !ok {
					return
				}
			}
		}
		t.Logf("%d managers: %d requests, %d kinds of faults, %d runs; %d ended in an error first, all converged",
			managers, requests, kinds, runs, failed)
	}
}

// sweep runs the workflow with one fault, and again without where it fails. It
// returns the number of requests and the first error.
func sweep(t *testing.T, managers int, fault *nsxsim.Fault) (requests int, first error) {
	t.Helper()
	srv := nsxsim.NewServer(nsxsim.WithManagers(managers))
	var others []string
	for _, m := range srv.Managers()[1:] {
		others = append(others, m.URL())
	}
	c := connect(t, srv, nsx.WithEndpoints(others...))
	pristine := srv.Paths("/")
	if fault != nil {
		srv.Inject(*fault)
	}
	attempt := func(what string, work func(context.Context, *nsx.Client) error) {
		err := work(t.Context(), c)
		if err == nil {
			return
		}
		if first == nil {
			first = err
		}
		if !slices.ContainsFunc(sentinels(), func(s error) bool { return errors.Is(err, s) }) {
			t.Errorf("%s: the error matches no sentinel: %v", what, err)
		}
		srv.ClearFaults()
		time.Sleep(time.Hour) // refused credentials may be tried again
		if err := work(t.Context(), c); err != nil {
			t.Errorf("%s again: %v (first: %v)", what, err, first)
		}
	}
	attempt("build", build)
	if diff := cmp.Diff(built(pristine), srv.Paths("/")); diff != "" {
		t.Errorf("after build: (-want +got)\n%s", diff)
	}
	for _, id := range []string{"db", "web"} {
		var p nsx.Pool
		must(t, srv.Read("/infra/lb-pools/"+id, &p))
		if len(p.Members) != 2 {
			t.Errorf("pool %s has %d members, want 2", id, len(p.Members))
		}
	}
	attempt("raze", raze)
	if diff := cmp.Diff(pristine, srv.Paths("/")); diff != "" {
		t.Errorf("after raze: (-want +got)\n%s", diff)
	}
	return len(srv.Requests()), first
}

// built is what exists after build.
func built(pristine []string) []string {
	domain := "/infra/domains/default"
	all := append(slices.Clone(pristine),
		"/infra/tier-1s/t1", "/infra/segments/seg", "/infra/lb-services/lb", "/infra/services/pg",
		"/infra/ip-pools/vips", "/infra/ip-pools/vips/ip-subnets/s", "/infra/ip-pools/vips/ip-allocations/vip",
		"/infra/lb-pools/db", "/infra/lb-pools/web", "/infra/lb-virtual-servers/db", "/infra/lb-virtual-servers/web",
		domain+"/groups/g", domain+"/groups/extra-0", domain+"/groups/extra-1", domain+"/groups/extra-2",
		domain+"/security-policies/p", domain+"/security-policies/p/rules/r",
	)
	slices.Sort(all)
	return all
}
