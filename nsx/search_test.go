// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
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

func TestQueries(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		query nsx.Query
		want  string
	}{
		"everything": {nsx.Query{}.IncludeMarkedForDelete(), "*"},
		"live":       {nsx.Query{}, "marked_for_delete:false"},
		"type":       {nsx.Query{}.Type("LBPool"), "resource_type:LBPool AND marked_for_delete:false"},
		"types":      {nsx.Query{}.Type("A", "B"), "resource_type:(A OR B) AND marked_for_delete:false"},
		"tag": {
			nsx.Query{}.Tag("ncp/cluster", "domain-c8:0a1b"),
			`tags.scope:ncp\/cluster AND tags.tag:domain\-c8\:0a1b AND marked_for_delete:false`,
		},
		"empty tag":    {nsx.Query{}.Tag("a", ""), `tags.scope:a AND marked_for_delete:false`},
		"two tags":     {nsx.Query{}.Tag("a", "1").Tag("b", "2"), `tags.scope:b AND tags.tag:2 AND marked_for_delete:false`},
		"injection":    {nsx.Query{}.ID(`x OR id:*"`), `id:x\ OR\ id\:\*\" AND marked_for_delete:false`},
		"operator":     {nsx.Query{}.Name("NOT"), `display_name:\NOT AND marked_for_delete:false`},
		"place":        {nsx.Query{}.Under("/infra/tier-1s/x"), `path:\/infra\/tier\-1s\/x* AND marked_for_delete:false`},
		"place, twice": {nsx.Query{}.Under("/a").Under("/b"), `path:\/b* AND marked_for_delete:false`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, tc.query.String()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestQueriesAreValues(t *testing.T) {
	t.Parallel()
	base := nsx.Query{}.Type("LBPool")
	a, b := base.Tag("s", "a"), base.Tag("s", "b")
	if a.String() == b.String() || strings.Contains(base.String(), "tags") {
		t.Errorf("got %s, %s from %s", a, b, base)
	}
}

func TestSearchFindsWhatMatchesToTheLetter(t *testing.T) {
	t.Parallel()
	odd := `od[d] "na/me" \ (x) AND`
	objects := map[string]nsx.Resource{
		"right":      {Tags: nsx.Tags{{Scope: "ncp/service_uid", Tag: "u-1"}, {Scope: "x", Tag: "y"}}},
		"crossed":    {Tags: nsx.Tags{{Scope: "ncp/service_uid", Tag: "other"}, {Scope: "ncp/project_uid", Tag: "u-1"}}},
		"other-case": {Tags: nsx.Tags{{Scope: "ncp/service_uid", Tag: "U-1"}}},
		"odd":        {DisplayName: odd, Tags: nsx.Tags{{Scope: odd, Tag: odd}}},
	}
	for _, switches := range []nsxsim.Switches{{}, {SearchCursorEnds: true}, {RepeatedScopeFindsNothing: true}} {
		srv, c := start(t, nsxsim.WithSwitches(switches))
		for id, r := range objects {
			must(t, srv.Put("/infra/lb-pools/"+id, nsx.Pool{Resource: r}))
			must(t, srv.Put("/infra/lb-services/"+id, nsx.LBService{Resource: r}))
		}
		cases := map[string]struct {
			query nsx.Query
			want  []string
		}{
			"tag":       {nsx.Query{}.Tag("ncp/service_uid", "u-1"), []string{"right"}},
			"two tags":  {nsx.Query{}.Tag("x", "y").Tag("ncp/service_uid", "u-1"), []string{"right"}},
			"scope":     {nsx.Query{}.TagScope("ncp/project_uid"), []string{"crossed"}},
			"odd tag":   {nsx.Query{}.Tag(odd, odd), []string{"odd"}},
			"odd name":  {nsx.Query{}.Name(odd), []string{"odd"}},
			"ids":       {nsx.Query{}.ID("odd", "right"), []string{"odd", "right"}},
			"nothing":   {nsx.Query{}.Tag("ncp/service_uid", "u-2"), nil},
			"elsewhere": {nsx.Query{}.Under("/infra/segments"), nil},
		}
		for name, tc := range cases {
			found, err := page.Collect(c.Pools().Search(t.Context(), tc.query))
			must(t, err)
			var ids []string
			for _, p := range found {
				ids = append(ids, p.ID)
			}
			if diff := cmp.Diff(tc.want, ids); diff != "" {
				t.Errorf("%+v, %s: %s: (-want +got)\n%s", switches, name, tc.query, diff)
			}
		}
		hits, err := page.Collect(c.Search().All(t.Context(), nsx.Query{}.Tag("ncp/service_uid", "u-1")))
		must(t, err)
		if len(hits) != 2 {
			t.Fatalf("a search over all kinds found %d objects, want 2", len(hits))
		}
		var p nsx.Pool
		must(t, hits[0].Into(&p))
		if p.ID != "right" || p.Algorithm == "" {
			t.Errorf("got %+v", p)
		}
	}
}

func TestSearchHasAllPagesOnce(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 999, 1000, 1001, 2500} {
		srv, c := start(t)
		for i := range n {
			must(t, srv.Put(fmt.Sprintf("/infra/lb-pools/p%04d", i), nsx.Pool{}))
		}
		seen := map[string]bool{}
		for p, err := range c.Pools().Search(t.Context(), nsx.Query{}) {
			must(t, err)
			if seen[p.ID] {
				t.Fatalf("%s came twice", p.ID)
			}
			seen[p.ID] = true
		}
		if len(seen) != n {
			t.Errorf("got %d of %d", len(seen), n)
		}
	}
}

func TestSearchAsksForSmallerPagesWhenTheyAreTooLarge(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]nsxsim.Fault{"503": {Status: 503, Code: 60576}, "400": {Status: 400, Code: 255}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, c := start(t)
			for i := range 600 {
				must(t, srv.Put(fmt.Sprintf("/infra/lb-pools/p%03d", i), nsx.Pool{}))
			}
			fault.Kind, fault.Route, fault.Times = nsxsim.FaultStatus, "/search/query", 3
			srv.Inject(fault)
			found, err := page.Collect(c.Pools().Search(t.Context(), nsx.Query{}))
			must(t, err)
			if len(found) != 600 {
				t.Errorf("got %d of 600", len(found))
			}
		})
	}
}

func TestSearchListsWhereTheIndexIsNotReady(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv, c := start(t)
		must(t, srv.Put("/infra/lb-pools/a", nsx.Pool{Resource: nsx.Resource{Tags: nsx.Tags{{Scope: "s", Tag: "1"}}}}))
		must(t, srv.Put("/infra/lb-pools/b", nsx.Pool{}))
		srv.Inject(nsxsim.Fault{Kind: nsxsim.FaultStatus, Route: "/search/query", Status: 400, Code: 60514, Times: -1})
		found, err := page.Collect(c.Pools().Search(t.Context(), nsx.Query{}.Tag("s", "1")))
		must(t, err)
		if len(found) != 1 || found[0].ID != "a" {
			t.Errorf("got %+v", found)
		}
		if _, err := page.Collect(c.Search().All(t.Context(), nsx.Query{})); !errors.Is(err, viaduct.ErrUnavailable) {
			t.Errorf("a search over all kinds: got %v, want unavailable", err)
		}
	})
}

func TestSearchIsBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, c := start(t, nsxsim.WithSearchLag(5*time.Second), nsxsim.WithPurgeDelay(time.Minute))
		ctx := t.Context()
		must(t, c.Pools().Apply(ctx, pool("p")))
		find := func(q nsx.Query) int {
			t.Helper()
			found, err := page.Collect(c.Pools().Search(ctx, q))
			must(t, err)
			return len(found)
		}
		if n := find(nsx.Query{}); n != 0 {
			t.Errorf("found %d before the index could know", n)
		}
		time.Sleep(6 * time.Second)
		must(t, c.Pools().Delete(ctx, "p"))
		if n := find(nsx.Query{}); n != 1 {
			t.Errorf("found %d right after the deletion, want the ghost", n)
		}
		time.Sleep(6 * time.Second)
		if n := find(nsx.Query{}); n != 0 {
			t.Errorf("found %d although it is marked for deletion", n)
		}
		if n := find(nsx.Query{}.IncludeMarkedForDelete()); n != 1 {
			t.Errorf("found %d, want the one that waits for its purge", n)
		}
		if err := c.Pools().Apply(ctx, pool("p")); !errors.Is(err, viaduct.ErrConflict) {
			t.Errorf("got %v, want a conflict until the purge", err)
		}
	})
}

func TestRawReachesTheUntypedAPI(t *testing.T) {
	t.Parallel()
	srv, c := start(t)
	ctx := t.Context()
	must(t, c.Raw().Do(ctx, http.MethodPatch, "/infra/lb-pools/p", map[string]any{"display_name": "raw"}, nil))
	var got struct {
		DisplayName string `json:"display_name"`
	}
	must(t, c.Raw().Get(ctx, "/infra/lb-pools/p", &got))
	if got.DisplayName != "raw" {
		t.Errorf("got %+v", got)
	}
	for i := range 5 {
		must(t, srv.Put(fmt.Sprintf("/infra/lb-pools/q%d", i), nsx.Pool{}))
	}
	listed, err := page.Collect(c.Raw().List(ctx, "/infra/lb-pools?page_size=2"))
	must(t, err)
	found, err := page.Collect(c.Raw().Search(ctx, "resource_type:LBPool"))
	must(t, err)
	for what, messages := range map[string][]json.RawMessage{"listed": listed, "found": found} {
		ids := map[string]bool{} // no message may be overwritten by those of a later page
		for _, message := range messages {
			var r nsx.Resource
			must(t, json.Unmarshal(message, &r))
			ids[r.ID] = true
		}
		if len(messages) != 6 || len(ids) != 6 {
			t.Errorf("%s %d objects of 6: %v", what, len(messages), ids)
		}
	}
	for _, path := range []string{"infra/lb-pools", "/infra/../x", "/infra?a=%zz"} {
		if err := c.Raw().Get(ctx, path, nil); !errors.Is(err, viaduct.ErrInvalid) {
			t.Errorf("%s: got %v, want invalid", path, err)
		}
	}
}
