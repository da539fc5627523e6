// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/page"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

func TestWaitForRealization(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, c := start(t, nsxsim.WithRealizationDelay(10*time.Second))
		must(t, c.Pools().Apply(t.Context(), pool("p")))
		path := c.Pools().Path("p")
		var states []string
		began := time.Now()
		entities, err := c.RealizedState().Wait(t.Context(), path, func(s string) { states = append(states, s) })
		must(t, err)
		if took := time.Since(began); took < 9*time.Second || took > 13*time.Second {
			t.Errorf("it took %v", took)
		}
		if diff := cmp.Diff([]string{"UNREALIZED", "REALIZED"}, states); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if len(entities) != 1 || entities[0].State != nsx.Realized {
			t.Errorf("got %+v", entities)
		}
		status, err := c.RealizedState().Status(t.Context(), path)
		must(t, err)
		if status.PublishStatus != nsx.Realized || status.Consolidated.Status != "SUCCESS" || status.IntentPath != path {
			t.Errorf("got %+v", status)
		}
	})
}

func TestWaitNamesTheStateAtTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv, c := start(t)
		must(t, c.Pools().Apply(t.Context(), pool("p")))
		srv.SetRealization("/infra/lb-pools/p", "UNREALIZED", "")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := c.RealizedState().Wait(ctx, "/infra/lb-pools/p", nil)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "/infra/lb-pools/p is UNREALIZED") {
			t.Errorf("got %v", err)
		}
	})
}

func TestFailedRealization(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv, c := start(t)
		addressPool(t, c)
		allocations := c.IPPools().Allocations("vips")
		for _, id := range []string{"a", "b", "c", "d"} {
			_, err := allocations.Allocate(t.Context(), nsx.IPAllocation{Resource: nsx.Resource{ID: id}})
			must(t, err)
		}
		_, err := allocations.Allocate(t.Context(), nsx.IPAllocation{Resource: nsx.Resource{ID: "e"}})
		var e *nsx.RealizationError
		if !errors.As(err, &e) || !errors.Is(err, viaduct.ErrInvalid) || e.IntentPath != allocations.Path("e") || len(e.Alarms) == 0 {
			t.Fatalf("an exhausted pool: got %v", err)
		}
		alarms, err := page.Collect(c.RealizedState().Alarms(t.Context()))
		must(t, err)
		if len(alarms) != 1 || alarms[0].SourceReference != allocations.Path("e") || alarms[0].Details.Code == 0 {
			t.Errorf("got alarms %+v", alarms)
		}
		// What is not ready yet goes away by itself, so that a wait goes on.
		must(t, c.Pools().Apply(t.Context(), pool("p")))
		srv.SetRealization("/infra/lb-pools/p", "ERROR", "provider not ready")
		go func() {
			time.Sleep(30 * time.Second)
			srv.SetRealization("/infra/lb-pools/p", "REALIZED", "")
		}()
		if _, err := c.RealizedState().Wait(t.Context(), "/infra/lb-pools/p", nil); err != nil {
			t.Errorf("got %v", err)
		}
	})
}

func TestNothingIsRealizedOfWhatDoesNotExist(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	for name, err := range map[string]error{
		"wait":   second(c.RealizedState().Wait(t.Context(), "/infra/lb-pools/p", nil)),
		"status": second(c.RealizedState().Status(t.Context(), "/infra/lb-pools/p")),
	} {
		if !errors.Is(err, viaduct.ErrNotFound) {
			t.Errorf("%s: got %v, want not found", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestLoadBalancerStatusAndStatistics(t *testing.T) {
	t.Parallel()
	srv, c := start(t)
	ctx := t.Context()
	prepare(t, c)
	must(t, c.LBServices().Apply(ctx, nsx.LBService{Resource: common("lb"), ConnectivityPath: c.Tier1("t1").Path()}))
	must(t, c.Pools().Apply(ctx, nsx.Pool{Resource: common("web"), Members: []nsx.PoolMember{{IPAddress: "10.0.0.1", Port: "80"}}}))
	must(t, c.VirtualServers().Apply(ctx, nsx.VirtualServer{
		Resource: common("web"), IPAddress: "192.168.30.66", Ports: []string{"80"}, PoolPath: c.Pools().Path("web"),
		LBServicePath: c.LBServices().Path("lb"), ApplicationProfilePath: nsx.DefaultTCPProfilePath,
	}))
	status, err := c.LBServices().Status(ctx, "lb")
	must(t, err)
	if status.Status != nsx.LBUp || len(status.VirtualServers) != 1 || len(status.Pools) != 1 || len(status.Pools[0].Members) != 1 {
		t.Errorf("got %+v", status)
	}
	srv.SetMemberStatus("/infra/lb-pools/web", "10.0.0.1", "DOWN")
	server, err := c.LBServices().VirtualServerStatus(ctx, "lb", "web")
	must(t, err)
	if server.Status != nsx.LBDown || server.VirtualServerPath != c.VirtualServers().Path("web") {
		t.Errorf("got %+v", server)
	}
	all, err := c.LBServices().Statistics(ctx, "lb")
	must(t, err)
	one, err := c.LBServices().VirtualServerStatistics(ctx, "lb", "web")
	must(t, err)
	behind, err := c.LBServices().PoolStatistics(ctx, "lb", "web")
	must(t, err)
	if len(all.Pools) != 1 || one.VirtualServerPath == "" || len(behind.Members) != 1 {
		t.Errorf("got %+v, %+v, %+v", all, one, behind)
	}
	if _, err := c.LBServices().PoolStatus(ctx, "lb", "nothing"); !errors.Is(err, viaduct.ErrNotFound) {
		t.Errorf("got %v, want not found", err)
	}
}

func TestStatesOfTransportNodes(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	ctx := t.Context()
	prepare(t, c)
	must(t, c.Segments().Ports("parent").Apply(ctx, nsx.SegmentPort{
		Resource: common("port"), AddressBindings: []nsx.AddressBinding{{IPAddress: "10.0.0.1"}},
	}))
	segment, err := c.Segments().State(ctx, "parent")
	must(t, err)
	port, err := c.Segments().Ports("parent").State(ctx, "port")
	must(t, err)
	gateway, err := c.Tier1("t1").State(ctx)
	must(t, err)
	if segment.State != "success" || gateway.Tier1.State != "success" || len(port.RealizedBindings) != 1 {
		t.Errorf("got %+v, %+v, %+v", segment, gateway, port)
	}
}

func TestEffectiveMembersOfGroups(t *testing.T) {
	t.Parallel()
	srv, c := start(t)
	ctx := t.Context()
	groups := c.Domain(nsx.DefaultDomain).Groups()
	must(t, c.Segments().Apply(ctx, nsx.Segment{Resource: nsx.Resource{ID: "seg", Tags: nsx.Tags{{Scope: "ncp/project", Tag: "acme"}}}}))
	must(t, c.Segments().Ports("seg").Apply(ctx, nsx.SegmentPort{
		Resource: nsx.Resource{ID: "port"}, AddressBindings: []nsx.AddressBinding{{IPAddress: "10.244.0.5"}},
	}))
	srv.SetVirtualMachine(nsxsim.VirtualMachine{ID: "vm-1", Name: "web"})
	must(t, groups.Apply(ctx, nsx.Group{Resource: nsx.Resource{ID: "g"}, Expression: nsx.AnyOf(
		nsx.HasTag("Segment", "ncp/project", "acme"), nsx.HasName("VirtualMachine", "web"),
		nsx.Expression{ResourceType: nsx.ExprIPAddresses, ID: "ips", IPAddresses: []string{"192.0.2.1"}},
	)}))
	for range 2 {
		must(t, groups.AddIPAddresses(ctx, "g", "ips", []string{"192.0.2.2"}))
		must(t, groups.RemoveIPAddresses(ctx, "g", "ips", []string{"192.0.2.1"}))
	}
	addresses, err := page.Collect(groups.IPAddresses(ctx, "g"))
	must(t, err)
	if diff := cmp.Diff([]string{"10.244.0.5", "192.0.2.2"}, addresses); diff != "" {
		t.Errorf("addresses: (-want +got)\n%s", diff)
	}
	segments, err := page.Collect(groups.Segments(ctx, "g"))
	must(t, err)
	ports, err := page.Collect(groups.SegmentPorts(ctx, "g"))
	must(t, err)
	machines, err := page.Collect(groups.VirtualMachines(ctx, "g"))
	must(t, err)
	if len(segments) != 1 || segments[0].Path != "/infra/segments/seg" || len(ports) != 1 || len(machines) != 1 || machines[0].DisplayName != "web" {
		t.Errorf("got %+v, %+v, %+v", segments, ports, machines)
	}
	if err := groups.AddIPAddresses(ctx, "g", "none", []string{"192.0.2.3"}); !errors.Is(err, viaduct.ErrNotFound) {
		t.Errorf("got %v, want not found", err)
	}
}
