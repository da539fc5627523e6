// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx_test

// What public sources leave open about real managers is a switch of the
// simulator. The client must not depend on how it is set.

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

func TestPatchMayMergeOrReplace(t *testing.T) {
	t.Parallel()
	for _, replaces := range []bool{false, true} {
		_, c := start(t, nsxsim.WithSwitches(nsxsim.Switches{PatchReplaces: replaces}))
		ctx := t.Context()
		whole := nsx.Pool{
			Resource:  nsx.Resource{ID: "p", Description: "d", Tags: nsx.Tags{{Scope: "a", Tag: "b"}}},
			Algorithm: nsx.LBIPHash, MinActiveMembers: 2,
			Members: []nsx.PoolMember{{IPAddress: "10.0.0.1", Port: "80", Weight: 3}},
		}
		must(t, c.Pools().Apply(ctx, whole))
		before, err := c.Pools().Get(ctx, "p")
		must(t, err)
		before.Members[0].Weight = 5
		must(t, c.Pools().Apply(ctx, before)) // what was read is whole
		after, err := c.Pools().Get(ctx, "p")
		must(t, err)
		before.Revision, before.LastModifiedTime = after.Revision, after.LastModifiedTime
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("replaces %t: (-want +got)\n%s", replaces, diff)
		}
	}
}

func TestMissingParentMayBe400Or404(t *testing.T) {
	t.Parallel()
	for _, notFound := range []bool{false, true} {
		_, c := start(t, nsxsim.WithSwitches(nsxsim.Switches{MissingPathNotFound: notFound}))
		err := c.IPPools().Allocations("none").Apply(t.Context(), nsx.IPAllocation{Resource: nsx.Resource{ID: "a"}})
		if !errors.Is(err, viaduct.ErrNotFound) {
			t.Errorf("404 %t: got %v, want not found", notFound, err)
		}
		err = c.Segments().Apply(t.Context(), nsx.Segment{Resource: nsx.Resource{ID: "s"}, ConnectivityPath: "/infra/tier-1s/none"})
		if !errors.Is(err, viaduct.ErrNotFound) {
			t.Errorf("404 %t, reference: got %v, want not found", notFound, err)
		}
		must(t, c.IPPools().Allocations("none").Delete(t.Context(), "a"))
	}
}

func TestExpiredSessionMayBe401Or403(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		srv, c := start(t, nsxsim.WithSwitches(nsxsim.Switches{ExpiredSessionStatus: status}))
		for range 3 {
			must(t, c.Pools().Apply(t.Context(), pool("p")))
			srv.ExpireSessions()
		}
		if n := logins(srv); n != 3 {
			t.Errorf("%d: got %d logins, want 3", status, n)
		}
	}
}

// TestLimitsOfARealManager sends a burst at a manager with NSX's own limits,
// beside another client of the same user: both adapt, and nothing fails.
func TestLimitsOfARealManager(t *testing.T) {
	t.Parallel()
	for name, switches := range map[string]nsxsim.Switches{
		"429 and 503": {},
		"429 only":    {ConcurrencyStatus: http.StatusTooManyRequests},
		"Retry-After": {RetryAfter: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := nsxsim.NewServer(nsxsim.WithSwitches(switches),
					nsxsim.WithLimits(nsxsim.Limits{RequestsPerSecond: 100, ConcurrentPerUser: 40, Concurrent: 199}))
				began := time.Now()
				both := make(chan struct{})
				for range 2 {
					go func() {
						hurry(t, connect(t, srv, nsx.WithRetry(nsx.RetryPolicy{Attempts: 10})), 500)
						both <- struct{}{}
					}()
				}
				<-both
				<-both
				refused := 0
				for _, r := range srv.Requests() {
					if r.Status == http.StatusTooManyRequests || r.Status == http.StatusServiceUnavailable {
						refused++
					}
				}
				t.Logf("1,000 requests of two clients took %v, %d were refused meanwhile", time.Since(began), refused)
				if took := time.Since(began); took > 30*time.Second { // 10 s at the full rate
					t.Errorf("it took %v: the rate did not recover for those who waited", took)
				}
				if refused == 0 || refused > 500 {
					t.Errorf("%d requests were refused: two clients must meet the limit and then keep to it", refused)
				}
			})
		})
	}
}
