// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
)

func TestBatchInPages(t *testing.T) {
	t.Parallel()
	srv, c := start(t)
	ctx := t.Context()
	groups := c.Domain(nsx.DefaultDomain).Groups()
	batch := nsx.NewBatch()
	for i := range 1200 {
		groups.ApplyIn(batch, nsx.Group{Resource: nsx.Resource{ID: fmt.Sprintf("g%04d", i)}})
	}
	for range 2 {
		must(t, c.Send(ctx, batch))
	}
	if n := len(srv.Paths("/infra/domains/default/groups")); n != 1200 {
		t.Errorf("got %d groups", n)
	}
	for _, r := range srv.Requests() {
		if r.Method != http.MethodPatch {
			continue
		}
		if n := countChildren(t, r.Body); n > 500 {
			t.Errorf("one request had %d children", n)
		}
	}
	if n := sent(srv, http.MethodPatch); n != 6 {
		t.Errorf("two times 1,200 groups took %d requests, want 6", n)
	}
	away := nsx.NewBatch()
	for i := range 1200 {
		groups.DeleteIn(away, fmt.Sprintf("g%04d", i))
	}
	for range 2 { // deleting what is gone is no error
		must(t, c.Send(ctx, away))
	}
	if left := srv.Paths("/infra/domains/default/groups"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// countChildren counts the objects of a request of the hierarchical API.
func countChildren(t *testing.T, body []byte) int {
	t.Helper()
	var root any
	must(t, json.Unmarshal(body, &root))
	n := 0
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, value := range v {
				if list, ok := value.([]any); ok && name == "children" {
					n += len(list)
				}
				walk(value)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(root)
	return n
}

func TestBatchOfEveryKind(t *testing.T) {
	t.Parallel()
	srv, c := start(t)
	ctx := t.Context()
	before := srv.Paths("/")
	domain := c.Domain(nsx.DefaultDomain)
	batch := nsx.NewBatch()
	c.Tier1s().ApplyIn(batch, nsx.Tier1{Resource: common("gw")})
	c.Tier1("gw").Segments().ApplyIn(batch, nsx.Segment{Resource: common("seg")})
	c.Tier1("gw").StaticRoutes().ApplyIn(batch, nsx.StaticRoute{
		Resource: common("route"), Network: "10.0.0.0/8", NextHops: []nsx.NextHop{{IPAddress: "10.1.1.1"}},
	})
	c.Tier1("gw").NATRules(nsx.NATUser).ApplyIn(batch, nsx.NATRule{
		Resource: common("nat"), Action: nsx.NATSource, SourceNetwork: "10.0.0.0/8", TranslatedNetwork: "192.168.30.97",
	})
	c.IPPools().ApplyIn(batch, nsx.IPPool{Resource: common("pool")})
	c.IPPools().Subnets("pool").ApplyIn(batch, nsx.IPSubnet{
		Resource: nsx.Resource{ID: "sub", ResourceType: nsx.IPStaticSubnet}, CIDR: "192.168.40.0/24",
		AllocationRanges: []nsx.IPRange{{Start: "192.168.40.2", End: "192.168.40.9"}},
	})
	c.LBServices().ApplyIn(batch, nsx.LBService{Resource: common("lb")})
	c.LBAppProfiles().ApplyIn(batch, nsx.LBAppProfile{Resource: nsx.Resource{ID: "tcp", ResourceType: nsx.LBFastTCPProfile}})
	c.LBMonitorProfiles().ApplyIn(batch, nsx.LBMonitorProfile{Resource: nsx.Resource{ID: "mon", ResourceType: nsx.LBTCPMonitor}})
	c.Pools().ApplyIn(batch, nsx.Pool{Resource: common("web"), ActiveMonitorPaths: []nsx.Path{c.LBMonitorProfiles().Path("mon")}})
	c.VirtualServers().ApplyIn(batch, nsx.VirtualServer{
		Resource: common("web"), IPAddress: "192.168.30.66", Ports: []string{"80"}, PoolPath: c.Pools().Path("web"),
		LBServicePath: c.LBServices().Path("lb"), ApplicationProfilePath: c.LBAppProfiles().Path("tcp"),
	})
	domain.Groups().ApplyIn(batch, nsx.Group{Resource: common("g")})
	domain.SecurityPolicies().ApplyIn(batch, nsx.SecurityPolicy{Resource: common("p"), Category: nsx.CategoryApplication})
	domain.SecurityPolicies().Rules("p").ApplyIn(batch, nsx.Rule{
		Resource: common("r"), Action: nsx.RuleAllow, Scope: []nsx.Path{domain.Groups().Path("g")},
		SourceGroups: []nsx.Path{nsx.Any}, DestinationGroups: []nsx.Path{nsx.Any}, Services: []nsx.Path{nsx.Any},
	})
	must(t, c.Send(ctx, batch))
	if n := len(srv.Paths("/")) - len(before); n != batch.Len() {
		t.Errorf("%d objects were made of %d", n, batch.Len())
	}
	if n := sent(srv, http.MethodPatch); n != 1 {
		t.Errorf("it took %d requests", n)
	}

	// In no order at all: referrers go first.
	away := nsx.NewBatch()
	c.IPPools().DeleteIn(away, "pool")
	c.IPPools().Subnets("pool").DeleteIn(away, "sub")
	c.LBMonitorProfiles().DeleteIn(away, "mon")
	c.LBAppProfiles().DeleteIn(away, "tcp")
	c.LBServices().DeleteIn(away, "lb")
	c.Pools().DeleteIn(away, "web")
	domain.Groups().DeleteIn(away, "g")
	c.Tier1s().DeleteIn(away, "gw")
	c.Tier1("gw").Segments().DeleteIn(away, "seg")
	c.Tier1("gw").StaticRoutes().DeleteIn(away, "route")
	c.Tier1("gw").NATRules(nsx.NATUser).DeleteIn(away, "nat")
	domain.SecurityPolicies().DeleteIn(away, "p")
	c.VirtualServers().DeleteIn(away, "web")
	must(t, c.Send(ctx, away))
	if diff := cmp.Diff(before, srv.Paths("/")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestBatchFailsAsAWhole(t *testing.T) {
	t.Parallel()
	srv, c := start(t)
	batch := nsx.NewBatch()
	c.Pools().ApplyIn(batch, pool("good"))
	c.VirtualServers().ApplyIn(batch, nsx.VirtualServer{Resource: common("bad"), IPAddress: "nowhere"})
	err := c.Send(t.Context(), batch)
	var e *nsx.BatchError
	if !errors.Is(err, viaduct.ErrInvalid) || !errors.As(err, &e) || len(e.Failed) != 2 || len(e.Done) != 0 {
		t.Errorf("got %v", err)
	}
	if paths := srv.Paths("/infra/lb-pools"); len(paths) != 0 {
		t.Errorf("half of it was done: %v", paths)
	}
}

func TestBatchIsCheckedBeforeItIsSent(t *testing.T) {
	t.Parallel()
	srv, c := start(t)
	for name, add := range map[string]func(*nsx.Batch){
		"no id":        func(b *nsx.Batch) { c.Pools().ApplyIn(b, nsx.Pool{}) },
		"dots":         func(b *nsx.Batch) { c.Pools().DeleteIn(b, "..") },
		"slash":        func(b *nsx.Batch) { c.Pools().DeleteIn(b, "a/b") },
		"no kind said": func(b *nsx.Batch) { c.LBAppProfiles().ApplyIn(b, nsx.LBAppProfile{Resource: common("x")}) },
	} {
		batch := nsx.NewBatch()
		add(batch)
		if err := c.Send(t.Context(), batch); !errors.Is(err, viaduct.ErrInvalid) {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
	}
	if n := len(srv.Requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
	must(t, c.Send(t.Context(), nsx.NewBatch()))
}

func TestBatchOverwritesByNameOnly(t *testing.T) {
	t.Parallel()
	srv, c := start(t)
	must(t, srv.Put("/infra/lb-pools/p", nsx.Pool{}))
	batch := nsx.NewBatch()
	c.Pools().ApplyIn(batch, pool("p"))
	if err := c.Send(t.Context(), batch); !errors.Is(err, viaduct.ErrNotOwned) {
		t.Errorf("got %v, want not owned", err)
	}
	must(t, c.Send(t.Context(), batch, nsx.WithAllowOverwrite()))
}
