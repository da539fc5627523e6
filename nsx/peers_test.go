// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx_test

// The tests of this file carry the numbers of bugs that were seen in other
// clients of NSX, and show that this one does not have them.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/page"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// pool is an object that is quickly made.
func pool(id string) nsx.Pool { return nsx.Pool{Resource: nsx.Resource{ID: id}} }

// sent counts the requests with the method that the simulator has seen.
func sent(srv *nsxsim.Server, method string) int {
	n := 0
	for _, r := range srv.Requests() {
		if r.Method == method && !strings.HasPrefix(r.Path, "/api/session/") {
			n++
		}
	}
	return n
}

// Bug 1: 429 and 503 were never retried, because the table of retries named an
// error type that nothing creates; after a 403 the session was made anew and the
// request that had failed not replayed.
func TestPeerBug1ThrottlingIsRetriedAndExpiryReplayed(t *testing.T) {
	t.Parallel()
	cases := map[string]nsxsim.Fault{
		"429":                 {Status: http.StatusTooManyRequests, Code: 102},
		"429, code as string": {Status: http.StatusTooManyRequests, Code: 102, TextCode: true},
		"503":                 {Status: http.StatusServiceUnavailable, Code: 98},
		"503 without a body":  {Status: http.StatusServiceUnavailable},
		"403, XSRF":           {Status: http.StatusForbidden, Code: 98},
		"403, credentials":    {Status: http.StatusForbidden, Code: 403},
		"401":                 {Status: http.StatusUnauthorized, Code: 401},
	}
	for name, fault := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv, c := start(t)
				fault.Kind, fault.Method = nsxsim.FaultStatus, http.MethodPatch
				srv.Inject(fault)
				must(t, c.Pools().Apply(t.Context(), pool("p")))
				if n := sent(srv, http.MethodPatch); n != 2 {
					t.Errorf("the request was sent %d times, want twice", n)
				}
				if paths := srv.Paths("/infra/lb-pools"); len(paths) != 1 {
					t.Errorf("got pools %v", paths)
				}
			})
		})
	}
}

// Bug 2: a retried PUT or PATCH went out with the body that the first attempt
// had used up; Authorization and X-Xsrf-Token were added once more with each
// attempt; with all managers down the result was neither an answer nor an error;
// waiting for limits and retries ignored the context.
func TestPeerBug2RetriesSendWholeRequests(t *testing.T) {
	t.Parallel()
	auths := map[string]nsx.Auth{
		"session": auth(),
		"basic":   nsx.BasicAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword),
	}
	for name, a := range auths {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := nsxsim.NewServer()
				c, err := nsx.NewClient(srv.URL(), a, nsx.WithHTTPClient(srv.Client()))
				must(t, err)
				srv.Inject(nsxsim.Fault{Kind: nsxsim.FaultStatus, Method: http.MethodPatch, Status: 503, Times: 3})
				must(t, c.Pools().Apply(t.Context(), pool("p")))
				var bodies [][]byte
				for _, r := range srv.Requests() {
					if r.Method != http.MethodPatch {
						continue
					}
					bodies = append(bodies, r.Body)
					for _, header := range []string{"Authorization", "X-Xsrf-Token", "Cookie"} {
						if len(r.Header[header]) > 1 {
							t.Errorf("%s was sent %d times in one request", header, len(r.Header[header]))
						}
					}
				}
				for _, body := range bodies {
					if len(body) == 0 || !bytes.Equal(body, bodies[0]) {
						t.Errorf("an attempt sent %q, the first %q", body, bodies[0])
					}
				}
				if len(bodies) != 4 {
					t.Errorf("got %d attempts, want 4", len(bodies))
				}
			})
		})
	}
}

func TestPeerBug2AllManagersDownIsAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := nsxsim.NewServer(nsxsim.WithManagers(3))
		var urls []string
		for _, m := range srv.Managers() {
			urls = append(urls, m.URL())
			m.Stop()
		}
		c := connect(t, srv, nsx.WithEndpoints(urls[1:]...))
		_, err := c.Pools().Get(t.Context(), "p")
		if !errors.Is(err, viaduct.ErrUnavailable) {
			t.Errorf("got %v, want unavailable", err)
		}
	})
}

func TestPeerBug2WaitsEndWithTheContext(t *testing.T) {
	t.Parallel()
	cases := map[string][]nsx.Option{
		"retry": {nsx.WithRetry(nsx.RetryPolicy{MinWait: time.Hour, MaxWait: time.Hour})},
		"limit": {nsx.WithLimit(nsx.Limit{PerSecond: 0.001})},
	}
	for name, opts := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := nsxsim.NewServer()
				c := connect(t, srv, opts...)
				srv.Inject(nsxsim.Fault{Kind: nsxsim.FaultStatus, Method: http.MethodGet, Status: 503, Times: -1})
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				began := time.Now()
				_, err := c.Pools().Get(ctx, "p")
				if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
					t.Errorf("got %v after %v, want the deadline after 1s", err, took)
				}
			})
		})
	}
}

// Bug 3: a request that had to queue in the same period hid a 429 from the rate
// limiter; it started at one request per second; one limiter served all
// managers.
func TestPeerBug3LimiterSeesEvery429(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := nsxsim.NewServer()
		c := connect(t, srv)
		_, _ = c.Pools().Get(t.Context(), "warm-up")
		fast := hurry(t, c, 100)
		if fast > time.Second {
			t.Errorf("the first 100 requests took %v: the rate must not start low", fast)
		}
		srv.Inject(nsxsim.Fault{Kind: nsxsim.FaultStatus, Method: http.MethodGet, Status: 429, Code: 102, TextCode: true, Skip: 10})
		slow := hurry(t, c, 100)
		if slow < fast*3/2 {
			t.Errorf("100 requests took %v before a 429 and %v with it among queued ones", fast, slow)
		}
	})
}

func TestPeerBug3EachManagerHasItsOwnLimiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := nsxsim.NewServer(nsxsim.WithManagers(2))
		one := connect(t, srv)
		two := connect(t, srv, nsx.WithEndpoints(srv.Managers()[1].URL()))
		alone, together := hurry(t, one, 200), hurry(t, two, 200)
		if together > alone*2/3 {
			t.Errorf("200 requests took %v with one manager, %v with two", alone, together)
		}
	})
}

// hurry sends n requests at once and returns how long they took together.
func hurry(t *testing.T, c *nsx.Client, n int) time.Duration {
	t.Helper()
	began := time.Now()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if _, err := c.Pools().Get(t.Context(), "p"); !errors.Is(err, viaduct.ErrNotFound) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return time.Since(began)
}

// Bug 4: the login went over a connection whose certificate nobody checked; user
// and password were swapped in one place; the page size was a global that
// concurrent calls changed; the second page of a list was read as if it had a
// result_count.
func TestPeerBug4CredentialsOnlyGoToTrustedManagers(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	t.Cleanup(srv.Close)
	address, err := srv.ListenTLS("127.0.0.1:0")
	must(t, err)
	for name, a := range map[string]nsx.Auth{"session": auth(), "basic": nsx.BasicAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword)} {
		c, err := nsx.NewClient(address, a)
		must(t, err)
		if _, err := c.Pools().Get(t.Context(), "p"); err == nil {
			t.Errorf("%s: an unknown authority was trusted", name)
		}
	}
	if n := len(srv.Requests()); n != 0 {
		t.Errorf("%d requests reached a manager that was not trusted", n)
	}
	c, err := nsx.NewClient(address, auth(), nsx.WithCACert(srv.CACertPEM()))
	must(t, err)
	must(t, c.Pools().Apply(t.Context(), pool("p")))
}

func TestPeerBug4LoginHasUserAndPasswordInPlace(t *testing.T) {
	t.Parallel()
	var form url.Values
	c, err := nsx.NewClient("nsx.test", nsx.SessionAuth("the user", "the pass&word"), nsx.WithHTTPClient(&http.Client{
		Transport: script(func(r *http.Request) (int, string) {
			body, _ := io.ReadAll(r.Body)
			form, _ = url.ParseQuery(string(body))
			return http.StatusForbidden, ""
		}),
	}))
	must(t, err)
	if _, err := c.Pools().Get(t.Context(), "p"); !errors.Is(err, viaduct.ErrUnauthenticated) {
		t.Errorf("got %v, want unauthenticated", err)
	}
	if form.Get("j_username") != "the user" || form.Get("j_password") != "the pass&word" {
		t.Error("the login has user and password wrong")
	}
}

func TestPeerBug4PagesAreIndependent(t *testing.T) {
	t.Parallel()
	srv, c := start(t)
	for i := range 30 {
		must(t, srv.Put(fmt.Sprintf("/infra/lb-pools/p%02d", i), nsx.Pool{}))
	}
	var wg sync.WaitGroup
	for size := 1; size <= 8; size++ {
		wg.Go(func() {
			pools, err := page.Collect(c.Pools().All(t.Context(), nsx.ListOptions{PageSize: size}))
			if err != nil || len(pools) != 30 {
				t.Errorf("page size %d: got %d pools, %v", size, len(pools), err)
			}
		})
	}
	wg.Wait()
}

// Bug 5: the error of a missing object was wrapped until nobody recognized it,
// so that deleting twice failed; a list whose count shrank while it was read
// started over for ever; an address that came late was asked for twice; a token
// was never renewed; each operation listed everything.
func TestPeerBug5MissingIsRecognizedThroughWrapping(t *testing.T) {
	t.Parallel()
	for _, code := range []int{600, 500090, 202} {
		_, c := start(t, nsxsim.WithSwitches(nsxsim.Switches{NotFoundCode: code}))
		_, err := c.Pools().Get(t.Context(), "p")
		if err = fmt.Errorf("reconcile: %w", fmt.Errorf("get pool: %w", err)); !errors.Is(err, viaduct.ErrNotFound) {
			t.Errorf("code %d: got %v, want not found", code, err)
		}
		must(t, c.Pools().Delete(t.Context(), "p"))
	}
}

func TestPeerBug5ListsEndWhenObjectsVanish(t *testing.T) {
	t.Parallel()
	// Each page claims that there are more objects than ever come.
	cases := map[string]func(page int) string{
		"no cursor on a short list": func(int) string { return "" },
		"the same cursor again":     func(int) string { return "0036abcd" },
		"two cursors in turn":       func(n int) string { return []string{"a", "b"}[n%2] },
		"the end of a manager list": func(int) string { return "0000" },
		"the end of a search":       func(int) string { return "100" },
	}
	for name, cursor := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pages := 0
			c := scripted(t, func(*http.Request) (int, string) {
				pages++
				return http.StatusOK, fmt.Sprintf(`{"results":[{"id":"p%d"}],"result_count":100,"cursor":%q}`, pages, cursor(pages))
			})
			pools, err := page.Collect(c.Pools().All(t.Context(), nsx.ListOptions{}))
			must(t, err)
			if pages > 4 || len(pools) != pages {
				t.Errorf("got %d pools from %d pages", len(pools), pages)
			}
		})
	}
}

func TestPeerBug5LateAddressIsAllocatedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv, c := start(t, nsxsim.WithRealizationDelay(30*time.Second), nsxsim.WithSwitches(nsxsim.Switches{HideAllocatedIP: true}))
		addressPool(t, c)
		allocations := c.IPPools().Allocations("vips")
		vip := nsx.IPAllocation{Resource: nsx.Resource{ID: "vip"}}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := allocations.Allocate(ctx, vip); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		first, err := allocations.Allocate(t.Context(), vip)
		must(t, err)
		second, err := allocations.Allocate(t.Context(), vip)
		must(t, err)
		if first == "" || first != second {
			t.Errorf("got %q, then %q", first, second)
		}
		if paths := srv.Paths("/infra/ip-pools/vips/ip-allocations"); len(paths) != 1 {
			t.Errorf("got allocations %v", paths)
		}
	})
}

// addressPool makes a pool of four addresses.
func addressPool(t *testing.T, c *nsx.Client) {
	t.Helper()
	must(t, c.IPPools().Apply(t.Context(), nsx.IPPool{Resource: nsx.Resource{ID: "vips"}}))
	must(t, c.IPPools().Subnets("vips").Apply(t.Context(), nsx.IPSubnet{
		Resource: nsx.Resource{ID: "s", ResourceType: nsx.IPStaticSubnet}, CIDR: "192.168.30.64/27",
		AllocationRanges: []nsx.IPRange{{Start: "192.168.30.66", End: "192.168.30.69"}},
	}))
}

func TestPeerBug5TokensAreRenewed(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer(nsxsim.WithPrincipal(nsxsim.Principal{Name: "svc", Token: "second"}))
	token := "first"
	c, err := nsx.NewClient(srv.URL(), nsx.BearerAuth(func(context.Context) (string, error) {
		defer func() { token = "second" }()
		return token, nil
	}), nsx.WithHTTPClient(srv.Client()))
	must(t, err)
	must(t, c.Pools().Apply(t.Context(), pool("p")))
}

func TestPeerBug5OneObjectIsOneRequest(t *testing.T) {
	t.Parallel()
	srv, c := start(t)
	must(t, srv.Put("/infra/lb-pools/p", nsx.Pool{}))
	_, err := c.Pools().Get(t.Context(), "p")
	must(t, err)
	if n := sent(srv, http.MethodGet); n != 1 {
		t.Errorf("reading one object took %d requests", n)
	}
}

// Bug 6: 400 and 409 were retried with the same body, and any 400 was taken for
// a stale revision, because the SDK tells it as it tells a 412.
func TestPeerBug6OnlyConflictsStartOver(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason string
		fault  nsxsim.Fault
		puts   int
		is     error
	}{
		"400": {"sending it again changes nothing", nsxsim.Fault{Status: 400, Code: 255}, 1, viaduct.ErrInvalid},
		"412": {"a fresh read has the new revision", nsxsim.Fault{Status: 412, Code: 604}, 2, nil},
		"409": {"a fresh read has the new state", nsxsim.Fault{Status: 409, Code: 600}, 2, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv, c := start(t)
				must(t, c.Pools().Apply(t.Context(), pool("p")))
				reads := sent(srv, http.MethodGet)
				tc.fault.Kind, tc.fault.Method = nsxsim.FaultStatus, http.MethodPut
				srv.Inject(tc.fault)
				_, err := c.Pools().Update(t.Context(), "p", func(p *nsx.Pool) error {
					p.Description = "changed"
					return nil
				})
				if !errors.Is(err, tc.is) {
					t.Errorf("got %v, want %v", err, tc.is)
				}
				if n := sent(srv, http.MethodPut); n != tc.puts {
					t.Errorf("%s: got %d PUTs, want %d", tc.reason, n, tc.puts)
				}
				if n := sent(srv, http.MethodGet) - reads; n != tc.puts {
					t.Errorf("got %d reads for %d PUTs: each must follow a fresh one", n, tc.puts)
				}
			})
		})
	}
}

// Bug 7: a firewall policy and its groups were deleted in one request; one group
// that was still referred to kept the policy alive.
func TestPeerBug7OneGroupInUseKeepsNoPolicyAlive(t *testing.T) {
	t.Parallel()
	srv, c := start(t)
	ctx := t.Context()
	domain := c.Domain(nsx.DefaultDomain)
	groups, policies := domain.Groups(), domain.SecurityPolicies()
	for _, id := range []string{"mine", "shared"} {
		must(t, groups.Apply(ctx, nsx.Group{Resource: nsx.Resource{ID: id}, Expression: nsx.AnyOf(nsx.IPAddresses("10.0.0.1"))}))
	}
	for policy, group := range map[string]string{"mine": "mine", "other": "shared"} {
		must(t, policies.Apply(ctx, nsx.SecurityPolicy{Resource: nsx.Resource{ID: policy}, Category: nsx.CategoryApplication, Rules: []nsx.Rule{{
			Resource: nsx.Resource{ID: "allow"}, Action: nsx.RuleAllow, Scope: []nsx.Path{groups.Path(group)},
			SourceGroups: []nsx.Path{nsx.Any}, DestinationGroups: []nsx.Path{groups.Path(group)}, Services: []nsx.Path{nsx.Any},
		}}}))
	}
	batch := nsx.NewBatch()
	groups.DeleteIn(batch, "shared") // the policy other still needs it
	groups.DeleteIn(batch, "mine")
	policies.DeleteIn(batch, "mine")
	err := c.Send(ctx, batch)
	var e *nsx.BatchError
	if !errors.Is(err, viaduct.ErrInUse) || !errors.As(err, &e) {
		t.Fatalf("got %v, want a group in use", err)
	}
	if len(e.Failed) != 1 || e.Failed[0] != groups.Path("shared") || len(e.Done) != 2 {
		t.Errorf("done %v, failed %v", e.Done, e.Failed)
	}
	for _, path := range srv.Paths("/infra/domains/default") {
		if strings.Contains(path, "mine") {
			t.Errorf("%s is still there", path)
		}
	}
}

// script is a transport in place of a manager.
type script func(*http.Request) (int, string)

func (s script) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := s(r)
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}, nil
}

// scripted returns a client, without a session, of a manager that answers so.
func scripted(t *testing.T, s script, opts ...nsx.Option) *nsx.Client {
	t.Helper()
	c, err := nsx.NewClient("nsx.test", nsx.BasicAuth("admin", "secret"),
		append([]nsx.Option{nsx.WithHTTPClient(&http.Client{Transport: s})}, opts...)...)
	must(t, err)
	return c
}
