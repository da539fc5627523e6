// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcentersim_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/viaduct-sdk/viaduct/vcenter/vcentersim"
)

// portGroups returns the configurations of the port groups of NSX by name.
func portGroups(t *testing.T, c *vim25.Client) map[string]types.DVPortgroupConfigInfo {
	t.Helper()
	v, err := view.NewManager(c).CreateContainerView(t.Context(), c.ServiceContent.RootFolder, []string{"DistributedVirtualPortgroup"}, true)
	if err != nil {
		t.Fatal(err)
	}
	var list []mo.DistributedVirtualPortgroup
	if err := v.Retrieve(t.Context(), []string{"DistributedVirtualPortgroup"}, []string{"config"}, &list); err != nil {
		t.Fatal(err)
	}
	found := map[string]types.DVPortgroupConfigInfo{}
	for _, pg := range list {
		if pg.Config.BackingType == "nsx" {
			found[pg.Config.Name] = pg.Config
		}
	}
	return found
}

func TestSegmentPortGroups(t *testing.T) {
	t.Parallel()
	srv := start(t)
	c := vimClient(t, srv)
	add := vcentersim.SegmentPortGroup{
		Name: "web", SegmentPath: "/infra/segments/web", LogicalSwitchUUID: "11111111-0000-0000-0000-000000000001",
		TransportZoneUUID: "tz-1", TransportZoneName: "overlay",
	}
	if err := srv.AddSegmentPortGroup(t.Context(), add); err != nil {
		t.Fatal(err)
	}
	if err := srv.AddSegmentPortGroup(t.Context(), add); err == nil {
		t.Error("the same logical switch on the same switch: want an error")
	}
	got := portGroups(t, c)["web"]
	want := []string{add.SegmentPath, add.LogicalSwitchUUID, "tz-1", "overlay", "ephemeral"}
	if diff := cmp.Diff(want, []string{got.SegmentId, got.LogicalSwitchUuid, got.TransportZoneUuid, got.TransportZoneName, got.Type}); diff != "" {
		t.Error(diff)
	}
	if err := srv.RemoveSegmentPortGroup(t.Context(), add.LogicalSwitchUUID); err != nil {
		t.Fatal(err)
	}
	if err := srv.RemoveSegmentPortGroup(t.Context(), add.LogicalSwitchUUID); err != nil {
		t.Errorf("removing what is absent: got %v", err)
	}
	if left := portGroups(t, c); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestWaitReportsEachChangeOnce adds and removes between two waits, in which
// govmomi's own simulator reports objects twice and forgets removals.
func TestWaitReportsEachChangeOnce(t *testing.T) {
	t.Parallel()
	srv := start(t)
	c := vimClient(t, srv)
	ctx := t.Context()
	add := func(i int) {
		id := fmt.Sprintf("ls-%d", i)
		if err := srv.AddSegmentPortGroup(ctx, vcentersim.SegmentPortGroup{Name: id, SegmentPath: "/infra/segments/" + id, LogicalSwitchUUID: id}); err != nil {
			t.Error(err)
		}
	}
	add(0)
	add(1)
	v, err := view.NewManager(c).CreateContainerView(ctx, c.ServiceContent.RootFolder, []string{"DistributedVirtualPortgroup"}, true)
	if err != nil {
		t.Fatal(err)
	}
	pc, err := property.DefaultCollector(c).Create(ctx)
	if err != nil {
		t.Fatal(err)
	}
	filter := new(property.WaitFilter).Add(v.Reference(), "DistributedVirtualPortgroup", []string{"name"}, v.TraversalSpec())
	seen := map[string]int{}
	names := map[types.ManagedObjectReference]string{}
	round := 0
	err = property.WaitForUpdatesEx(ctx, pc, filter, func(updates []types.ObjectUpdate) bool {
		for _, u := range updates {
			for _, change := range u.ChangeSet {
				names[u.Obj], _ = change.Val.(string)
			}
			seen[string(u.Kind)+" "+names[u.Obj]]++
		}
		if round++; round == 1 {
			_ = srv.RemoveSegmentPortGroup(ctx, "ls-0")
			add(2)
			_ = srv.UpdateSegmentPortGroup(ctx, "ls-1", "renamed")
		}
		return seen["leave ls-0"] > 0 && seen["enter ls-2"] > 0 && seen["modify renamed"] > 0
	})
	if err != nil {
		t.Fatal(err)
	}
	for change, n := range seen {
		if n != 1 {
			t.Errorf("%s was reported %d times", change, n)
		}
	}
}

func TestWaitEndsWithItsSession(t *testing.T) {
	t.Parallel()
	for _, end := range []vcentersim.WaitEnd{vcentersim.WaitEndsNotAuthenticated, vcentersim.WaitEndsCanceled, vcentersim.WaitEndsNotFound} {
		t.Run(string(end), func(t *testing.T) {
			t.Parallel()
			srv := start(t, vcentersim.WithWaitEnd(end))
			c := vimClient(t, srv)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				filter := new(property.WaitFilter).Add(c.ServiceContent.RootFolder, "Folder", []string{"name"})
				ended <- property.WaitForUpdates(ctx, property.DefaultCollector(c), filter, func([]types.ObjectUpdate) bool { return false })
			}()
			eventually(t, "the wait runs", func() bool {
				all := srv.Requests()
				last := all[len(all)-1]
				return last.Route == "/sdk#WaitForUpdatesEx" && last.Status == 0
			})
			srv.ExpireSessions()
			if err := <-ended; err == nil {
				t.Error("want an error")
			}
		})
	}
}

// TestWaitEndsWithItsClient proves that a client that hangs up leaves no wait
// behind.
func TestWaitEndsWithItsClient(t *testing.T) {
	t.Parallel()
	srv := start(t)
	c := vimClient(t, srv)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		filter := new(property.WaitFilter).Add(c.ServiceContent.RootFolder, "Folder", []string{"name"})
		ended <- property.WaitForUpdates(ctx, property.DefaultCollector(c), filter, func([]types.ObjectUpdate) bool { return false })
	}()
	waiting := func() bool {
		return slices.ContainsFunc(srv.Requests(), func(r vcentersim.Request) bool { return r.Route == "/sdk#WaitForUpdatesEx" && r.Status == 0 })
	}
	eventually(t, "the wait runs", waiting)
	cancel()
	<-ended
	eventually(t, "no wait is left", func() bool { return !waiting() })
}
