// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
)

func TestVirtualServerFromCreationToDeletion(t *testing.T) {
	t.Parallel()
	srv, c := start(t)
	ctx := t.Context()

	must(t, c.LBServices().Apply(ctx, nsx.LBService{Resource: nsx.Resource{ID: "lb"}, Size: nsx.LBServiceSmall}))
	must(t, c.Pools().Apply(ctx, nsx.Pool{
		Resource: nsx.Resource{ID: "db"},
		Members:  []nsx.PoolMember{{IPAddress: "10.244.0.5", Port: "5432"}, {IPAddress: "10.244.0.6", Port: "5432"}},
	}))
	must(t, c.VirtualServers().Apply(ctx, nsx.VirtualServer{
		Resource:               nsx.Resource{ID: "db", Tags: nsx.Tags{{Scope: "team", Tag: "data"}}},
		IPAddress:              "192.168.30.66",
		Ports:                  []string{"5432"},
		PoolPath:               "/infra/lb-pools/db",
		LBServicePath:          "/infra/lb-services/lb",
		ApplicationProfilePath: "/infra/lb-app-profiles/default-tcp-lb-app-profile",
	}))

	got, err := c.VirtualServers().Get(ctx, "db")
	must(t, err)
	if got.IPAddress != "192.168.30.66" || got.Path != "/infra/lb-virtual-servers/db" || !got.Tags.Has("team", "data") {
		t.Errorf("got %+v", got)
	}
	if _, err := c.RealizedState().Wait(ctx, got.Path, nil); err != nil {
		t.Error(err)
	}
	srv.SetMemberStatus("/infra/lb-pools/db", "10.244.0.6", "DOWN")
	pool, err := c.LBServices().PoolStatus(ctx, "lb", "db")
	must(t, err)
	if pool.Status != nsx.LBPartiallyUp || len(pool.Members) != 2 || pool.Members[1].FailureCause == "" {
		t.Errorf("got pool status %+v", pool)
	}
	server, err := c.LBServices().VirtualServerStatus(ctx, "lb", "db")
	must(t, err)
	if server.Status != nsx.LBPartiallyUp {
		t.Errorf("got virtual server status %+v", server)
	}

	err = c.Pools().Delete(ctx, "db")
	var e *nsx.Error
	if !errors.Is(err, viaduct.ErrInUse) || !errors.As(err, &e) {
		t.Fatalf("got %v, want the pool in use", err)
	}
	if diff := cmp.Diff([]nsx.Path{got.Path}, e.Referrers()); diff != "" {
		t.Errorf("referrers: (-want +got)\n%s", diff)
	}
	for range 2 { // deleting what is gone is no error
		must(t, c.VirtualServers().Delete(ctx, "db"))
		must(t, c.Pools().Delete(ctx, "db"))
		must(t, c.LBServices().Delete(ctx, "lb"))
	}
	if _, err := c.VirtualServers().Get(ctx, "db"); !errors.Is(err, viaduct.ErrNotFound) {
		t.Errorf("got %v, want not found", err)
	}
	if left := srv.Paths("/infra/lb-"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
