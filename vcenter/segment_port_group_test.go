// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/page"
	"github.com/viaduct-sdk/viaduct/vcenter"
	"github.com/viaduct-sdk/viaduct/vcenter/vcentersim"
)

// addPortGroups adds port groups to a simulator.
func addPortGroups(ctx context.Context, t testing.TB, srv *vcentersim.Server, groups ...vcentersim.SegmentPortGroup) {
	t.Helper()
	for _, pg := range groups {
		if err := srv.AddSegmentPortGroup(ctx, pg); err != nil {
			t.Fatal(err)
		}
	}
}

const (
	webSwitch = "aaaaaaaa-0000-4000-8000-000000000001"
	dbSwitch  = "aaaaaaaa-0000-4000-8000-000000000002"
)

// twins is one segment on two switches and an N-VDS, and another of the same
// name.
func twins(t testing.TB, srv *vcentersim.Server) {
	t.Helper()
	addPortGroups(t.Context(), t, srv,
		vcentersim.SegmentPortGroup{Name: "web", SegmentPath: "/infra/segments/web", LogicalSwitchUUID: webSwitch, TransportZoneUUID: "tz", TransportZoneName: "overlay"},
		vcentersim.SegmentPortGroup{Name: "web", SegmentPath: "/infra/segments/web", LogicalSwitchUUID: webSwitch, Switch: "DVS1", NoBackingType: true},
		vcentersim.SegmentPortGroup{Name: "web", SegmentPath: "/infra/segments/db", LogicalSwitchUUID: strings.ToUpper(dbSwitch), HideSwitch: true},
	)
	if err := srv.AddOpaqueNetwork(t.Context(), "web-on-nvds", webSwitch); err != nil {
		t.Fatal(err)
	}
}

func TestSegmentPortGroups(t *testing.T) {
	t.Parallel()
	srv := start(t)
	twins(t, srv)
	if err := srv.AddPortGroup(t.Context(), "vlan-7"); err != nil { // not NSX's
		t.Fatal(err)
	}
	got, err := page.Collect(connect(t, srv).SegmentPortGroups().All(deadline(t)))
	if err != nil {
		t.Fatal(err)
	}
	want := []vcenter.SegmentPortGroup{
		{Name: "web", LogicalSwitch: dbSwitch, Segment: "/infra/segments/db"},
		{
			Name: "web", LogicalSwitch: webSwitch, Segment: "/infra/segments/web", TransportZone: "tz", TransportZoneName: "overlay",
			SwitchName: "DVS0", SwitchUUID: srv.SwitchUUID("DVS0"),
		},
		{Name: "web", LogicalSwitch: webSwitch, Segment: "/infra/segments/web", SwitchName: "DVS1", SwitchUUID: srv.SwitchUUID("DVS1")},
		{Name: "web-on-nvds", LogicalSwitch: webSwitch, Opaque: true},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(vcenter.SegmentPortGroup{}, "Ref", "Key", "Switch")); diff != "" {
		t.Error(diff)
	}
	for _, p := range got {
		if !p.Opaque && p.Key != p.Ref.Value {
			t.Errorf("%s: key %q of %s", p, p.Key, p.Ref)
		}
	}
	if n := requestsOf(srv, http.MethodPost, "/sdk#RetrievePropertiesEx"); n != 1 {
		t.Errorf("%d round trips, want 1", n)
	}
}

func TestSegmentIndex(t *testing.T) {
	t.Parallel()
	srv := start(t)
	twins(t, srv)
	index, err := connect(t, srv).SegmentPortGroups().Index(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		reason string
		got    []vcenter.SegmentPortGroup
		want   []string
	}{
		"logical switch": {"one segment, two switches and an N-VDS", index.ByLogicalSwitch(webSwitch), []string{
			"web on DVS0 of /infra/segments/web", "web on DVS1 of /infra/segments/web", "web-on-nvds on N-VDS of " + webSwitch,
		}},
		"other case": {"UUIDs have no case", index.ByLogicalSwitch(strings.ToUpper(dbSwitch)), []string{"web on  of /infra/segments/db"}},
		"segment": {"the opaque network belongs to it by its logical switch", index.BySegment("/infra/segments/web"), []string{
			"web on DVS0 of /infra/segments/web", "web on DVS1 of /infra/segments/web", "web-on-nvds on N-VDS of " + webSwitch,
		}},
		"name": {"names are not unique", index.ByName("web"), []string{
			"web on  of /infra/segments/db", "web on DVS0 of /infra/segments/web", "web on DVS1 of /infra/segments/web",
		}},
		"unknown": {"none", index.BySegment("/infra/segments/none"), nil},
	} {
		var got []string
		for _, p := range tc.got {
			got = append(got, p.String())
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s: %s", name, tc.reason, diff)
		}
	}
}

// TestListWithPages meets a vCenter that limits its answers, and loses the
// session between two pages.
func TestListWithPages(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]vcentersim.Fault{
		"plain":               {Kind: vcentersim.FaultDelay, Route: "/none"},
		"expiry between":      {Kind: vcentersim.FaultExpire, Route: "/sdk#ContinueRetrievePropertiesEx", Skip: 1},
		"pages are forgotten": {Route: "/sdk#ContinueRetrievePropertiesEx", Code: "InvalidProperty", Skip: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := start(t, vcentersim.WithResultLimit(7))
			for i := range 20 {
				addPortGroups(t.Context(), t, srv, vcentersim.SegmentPortGroup{Name: fmt.Sprintf("pg-%02d", i), SegmentPath: "/infra/segments/s"})
			}
			srv.Inject(fault)
			list, err := connect(t, srv).SegmentPortGroups().List(deadline(t))
			if err != nil || len(list) != 20 {
				t.Errorf("got %d port groups, %v", len(list), err)
			}
		})
	}
}

// replay keeps what a watch reported.
type replay struct {
	added, removed map[string]int
	now            map[string]vcenter.SegmentPortGroup // by logical switch
}

func newReplay() *replay {
	return &replay{added: map[string]int{}, removed: map[string]int{}, now: map[string]vcenter.SegmentPortGroup{}}
}

func (r *replay) take(t *testing.T, e vcenter.SegmentEvent) {
	t.Helper()
	switch e.Kind {
	case vcenter.SegmentAdded:
		r.added[e.After.LogicalSwitch]++
		r.now[e.After.LogicalSwitch] = e.After
	case vcenter.SegmentRemoved:
		r.removed[e.Before.LogicalSwitch]++
		if r.now[e.Before.LogicalSwitch] != e.Before {
			t.Errorf("removed %v, which was %v", e.Before, r.now[e.Before.LogicalSwitch])
		}
		delete(r.now, e.Before.LogicalSwitch)
	case vcenter.SegmentChanged:
		if r.now[e.Before.LogicalSwitch] != e.Before {
			t.Errorf("changed %v, which was %v", e.Before, r.now[e.Before.LogicalSwitch])
		}
		r.now[e.After.LogicalSwitch] = e.After
	case vcenter.SegmentSynced:
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	srv := start(t)
	addPortGroups(t.Context(), t, srv,
		vcentersim.SegmentPortGroup{Name: "a", SegmentPath: "/infra/segments/a", LogicalSwitchUUID: "ls-a"},
		vcentersim.SegmentPortGroup{Name: "b", SegmentPath: "/infra/segments/b", LogicalSwitchUUID: "ls-b"})
	var got []string
	for e, err := range connect(t, srv).SegmentPortGroups().Watch(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.String())
		switch len(got) {
		case 3:
			addPortGroups(ctx, t, srv, vcentersim.SegmentPortGroup{Name: "c", SegmentPath: "/infra/segments/c", LogicalSwitchUUID: "ls-c"})
		case 4:
			if err := srv.UpdateSegmentPortGroup(ctx, "ls-a", "a2"); err != nil {
				t.Fatal(err)
			}
		case 5:
			if err := srv.RemoveSegmentPortGroup(ctx, "ls-b"); err != nil {
				t.Fatal(err)
			}
		}
		if len(got) == 6 {
			break
		}
	}
	want := []string{
		"added a on DVS0 of /infra/segments/a", "added b on DVS0 of /infra/segments/b", "synced",
		"added c on DVS0 of /infra/segments/c", "changed a2 on DVS0 of /infra/segments/a", "removed b on DVS0 of /infra/segments/b",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := requestsOf(srv, http.MethodPost, "/sdk#DestroyPropertyCollector"); n != 1 {
		t.Errorf("the collector was destroyed %d times", n)
	}
}

// TestWatchAcrossSessionLoss adds port groups, 1,000 in the first case, and
// removes each as soon as it was seen, while all sessions end in the middle of
// either.
func TestWatchAcrossSessionLoss(t *testing.T) {
	t.Parallel()
	for end, total := range map[vcentersim.WaitEnd]int{
		vcentersim.WaitEndsNotAuthenticated: 1000, vcentersim.WaitEndsCanceled: 100, vcentersim.WaitEndsNotFound: 100,
	} {
		t.Run("ends as "+string(end), func(t *testing.T) {
			t.Parallel()
			srv := start(t, vcentersim.WithWaitEnd(end))
			seen := make(chan string, total)
			r := newReplay()
			stop := churn(t, srv, total, seen)
			for e, err := range connect(t, srv).SegmentPortGroups().Watch(t.Context()) {
				if err != nil {
					t.Error(err)
					break
				}
				r.take(t, e)
				if e.Kind == vcenter.SegmentAdded {
					seen <- e.After.LogicalSwitch
				}
				if len(r.removed) == total {
					break
				}
			}
			stop()
			for _, counts := range []map[string]int{r.added, r.removed} {
				if len(counts) != total || slices.Max(slices.Collect(maps.Values(counts))) != 1 {
					t.Errorf("%d of %d were reported, at most %d times", len(counts), total, slices.Max(slices.Collect(maps.Values(counts))))
				}
			}
			if len(r.now) != 0 {
				t.Errorf("left: %v", r.now)
			}
			if _, soap := srv.Logins(); soap < 2 || soap > 4 {
				t.Errorf("%d logins for 3 session losses", soap)
			}
		})
	}
}

// churn adds port groups, at most 50 at a time, removes those that were seen,
// and ends all sessions three times meanwhile, until it is stopped.
func churn(t *testing.T, srv *vcentersim.Server, total int, seen <-chan string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	room := make(chan struct{}, 50)
	var work sync.WaitGroup
	work.Go(func() {
		for i := range total {
			select {
			case room <- struct{}{}:
			case <-ctx.Done():
				return
			}
			if i == total/2 {
				srv.ExpireSessions()
			}
			id := fmt.Sprintf("ls-%04d", i)
			if err := srv.AddSegmentPortGroup(t.Context(), vcentersim.SegmentPortGroup{Name: id, SegmentPath: "/infra/segments/" + id, LogicalSwitchUUID: id}); err != nil {
				t.Error(err)
			}
		}
	})
	work.Go(func() {
		for i := range total {
			var id string
			select {
			case id = <-seen:
			case <-ctx.Done():
				return
			}
			if i == total/4 || i == 3*total/4 {
				srv.ExpireSessions()
			}
			if err := srv.RemoveSegmentPortGroup(t.Context(), id); err != nil {
				t.Error(err)
			}
			<-room
		}
	})
	return func() { cancel(); work.Wait() }
}

// TestWatchCatchesUp changes things while the watch has no session.
func TestWatchCatchesUp(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	srv := start(t)
	for _, id := range []string{"stays", "goes", "changes"} {
		addPortGroups(t.Context(), t, srv, vcentersim.SegmentPortGroup{Name: id, SegmentPath: "/infra/segments/" + id, LogicalSwitchUUID: id})
	}
	// The first wait that would sleep ends with the session instead, and the
	// changes happen before the next login.
	srv.Inject(vcentersim.Fault{Route: "/sdk#WaitForUpdatesEx", Skip: 1, Kind: vcentersim.FaultExpire})
	var got []string
	for e, err := range connect(t, srv).SegmentPortGroups().Watch(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		name := e.After.Name
		if e.Kind == vcenter.SegmentRemoved {
			name = e.Before.Name
		}
		got = append(got, string(e.Kind)+" "+name)
		if e.Kind == vcenter.SegmentSynced {
			addPortGroups(ctx, t, srv, vcentersim.SegmentPortGroup{Name: "comes", SegmentPath: "/infra/segments/comes", LogicalSwitchUUID: "comes"})
			if err := errors.Join(srv.RemoveSegmentPortGroup(ctx, "goes"), srv.UpdateSegmentPortGroup(ctx, "changes", "changed")); err != nil {
				t.Fatal(err)
			}
		}
		if len(got) == 7 {
			break
		}
	}
	want := []string{"added changes", "added goes", "added stays", "synced ", "changed changed", "added comes", "removed goes"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWatchSurvivesALostAnswer(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	srv := start(t)
	srv.Inject(vcentersim.Fault{Route: "/sdk#WaitForUpdatesEx", Skip: 1, Kind: vcentersim.FaultDropAfter})
	var got []string
	for e, err := range connect(t, srv).SegmentPortGroups().Watch(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, e.String()); len(got) == 2 {
			break
		}
		addPortGroups(ctx, t, srv, vcentersim.SegmentPortGroup{Name: "a", SegmentPath: "/infra/segments/a"})
	}
	if diff := cmp.Diff([]string{"synced", "added a on DVS0 of /infra/segments/a"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestWatchEndsOnce(t *testing.T) {
	t.Parallel()
	t.Run("with its context", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		shutdown := errors.New("shutting down")
		var errs []error
		for e, err := range connect(t, start(t)).SegmentPortGroups().Watch(ctx) {
			if e.Kind == vcenter.SegmentSynced {
				cancel(shutdown)
			}
			if err != nil {
				errs = append(errs, err)
			}
		}
		if len(errs) != 1 || !errors.Is(errs[0], shutdown) {
			t.Errorf("got %v", errs)
		}
	})
	t.Run("with its server", func(t *testing.T) {
		t.Parallel()
		srv := start(t)
		var errs []error
		for e, err := range connect(t, srv).SegmentPortGroups().Watch(deadline(t)) {
			if e.Kind == vcenter.SegmentSynced {
				srv.Inject(vcentersim.Fault{Kind: vcentersim.FaultDrop, Times: -1})
				srv.ExpireSessions()
			}
			if err != nil {
				errs = append(errs, err)
			}
		}
		if len(errs) != 1 || !errors.Is(errs[0], viaduct.ErrUnavailable) {
			t.Errorf("got %v", errs)
		}
	})
}
