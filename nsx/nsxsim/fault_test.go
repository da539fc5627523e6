// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// attempt writes a segment and returns the status and what went wrong.
func (c *caller) attempt(ctx context.Context) (int, []byte, error) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodPatch, c.base+policy+"/infra/segments/x", http.NoBody)
	if err != nil {
		c.t.Fatal(err)
	}
	request.Method = http.MethodDelete
	request.Header = c.header.Clone()
	response, err := c.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	return response.StatusCode, data, err
}

func TestFaults(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason string
		fault  nsxsim.Fault
		status int
		body   string
		err    error
		gone   bool // the request took effect
	}{
		"status":       {"before anything happens", nsxsim.Fault{Kind: nsxsim.FaultStatus, Status: 503}, 503, "", nil, false},
		"code":         {"with NSX's envelope", nsxsim.Fault{Kind: nsxsim.FaultStatus, Status: 500, Code: 607}, 500, `{"error_code":607,"error_message":"an injected fault","httpStatus":"INTERNAL_SERVER_ERROR","module_name":"common-services"}`, nil, false},
		"body":         {"a proxy's words", nsxsim.Fault{Kind: nsxsim.FaultStatus, Status: 502, Body: "Bad Gateway"}, 502, "Bad Gateway", nil, false},
		"text code":    {"the code as a string", nsxsim.Fault{Kind: nsxsim.FaultStatus, Status: 429, Code: 102, TextCode: true}, 429, `{"error_code":"102","error_message":"an injected fault","module_name":"common-services"}`, nil, false},
		"status after": {"the answer is lost", nsxsim.Fault{Kind: nsxsim.FaultStatus, Status: 500, AfterEffect: true}, 500, "", nil, true},
		"reset":        {"before anything happens", nsxsim.Fault{Kind: nsxsim.FaultReset}, 0, "", syscall.ECONNRESET, false},
		"reset after":  {"the answer is lost", nsxsim.Fault{Kind: nsxsim.FaultReset, AfterEffect: true}, 0, "", syscall.ECONNRESET, true},
		"truncate":     {"the body ends early", nsxsim.Fault{Kind: nsxsim.FaultTruncate}, 200, "", io.ErrUnexpectedEOF, true},
		"malformed":    {"a proxy's page", nsxsim.Fault{Kind: nsxsim.FaultMalformed}, 200, "<html><head><title>502 Bad Gateway</title></head>", nil, true},
		"delay":        {"only later", nsxsim.Fault{Kind: nsxsim.FaultDelay, Delay: time.Millisecond}, 200, "", nil, true},
	}
	for name, test := range cases {
		for _, listening := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				srv := nsxsim.NewServer()
				if listening {
					if _, err := srv.ListenTLS("127.0.0.1:0"); err != nil {
						t.Fatal(err)
					}
				}
				c := newCaller(t, srv)
				if listening {
					c.client = tlsClient(t, srv)
				}
				c.must(http.MethodPatch, policy+"/infra/segments/x", object{})
				fault := test.fault
				fault.Method, fault.Route = http.MethodDelete, "/infra/segments/{segment}"
				srv.Inject(fault)
				status, body, err := c.attempt(t.Context())
				if !errors.Is(err, test.err) || status != test.status || string(body) != test.body {
					t.Errorf("listening %t: %d %s %v: %s", listening, status, body, err, test.reason)
				}
				if gone := len(srv.Paths("/infra/segments")) == 0; gone != test.gone {
					t.Errorf("took effect: %t, want %t", gone, test.gone)
				}
			})
		}
	}
}

func TestFaultMatching(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	c := newCaller(t, srv)
	get := func(path string) int {
		status, _ := c.do(http.MethodGet, path, nil)
		return status
	}
	srv.Inject(nsxsim.Fault{Kind: nsxsim.FaultStatus, Status: 503, Route: policy + "/infra/lb-pools/*", Skip: 1, Times: 2})
	want := []int{404, 503, 503, 404}
	var got []int
	for range want {
		got = append(got, get(policy+"/infra/lb-pools/x"))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("skip one, hit two: %s", diff)
	}
	srv.Inject(nsxsim.Fault{Kind: nsxsim.FaultStatus, Status: 500, Route: "/infra/segments/...", Times: -1})
	for path, want := range map[string]int{"/infra/segments/x": 500, "/infra/segments/x/ports/y": 500, "/infra/segments": 200} {
		for range 2 {
			if got := get(policy + path); got != want {
				t.Errorf("%s: %d, want %d", path, got, want)
			}
		}
	}
	srv.ClearFaults()
	if got := get(policy + "/infra/segments/x"); got != 404 {
		t.Errorf("cleared: %d", got)
	}
	seen := srv.Requests()
	if last := seen[1]; last.Fault != nsxsim.FaultStatus || last.Status != 503 || last.Route != policy+"/infra/lb-pools/{lb-pool}" || last.User != nsxsim.DefaultUser {
		t.Errorf("record: %+v", last)
	}
	srv.ClearRequests()
	if got := srv.Requests(); len(got) != 0 {
		t.Errorf("cleared: %v", got)
	}
}

func TestDelayEndsWithTheRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := nsxsim.NewServer()
		c := newCaller(t, srv)
		srv.Inject(nsxsim.Fault{Kind: nsxsim.FaultDelay, Delay: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		if _, _, err := c.attempt(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if waited := time.Since(start); waited != time.Minute {
			t.Errorf("waited %s", waited)
		}
	})
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := nsxsim.NewServer(
			nsxsim.WithManagers(2), nsxsim.WithLimits(nsxsim.Limits{RequestsPerSecond: 2}),
			nsxsim.WithSwitches(nsxsim.Switches{RetryAfter: 1}),
		)
		c := newCaller(t, srv)
		other := *c
		other.base = srv.Managers()[1].URL()
		statuses := func(c *caller) []int {
			var got []int
			for range 3 {
				status, _ := c.do(http.MethodGet, policy+"/infra/segments", nil)
				got = append(got, status)
			}
			return got
		}
		for _, manager := range []*caller{c, &other} {
			if diff := cmp.Diff([]int{200, 200, 429}, statuses(manager)); diff != "" {
				t.Errorf("each manager has its own limit: %s", diff)
			}
		}
		status, headers, body := c.raw(http.MethodGet, policy+"/infra/segments", nil)
		want := `{"error_code":"102","error_message":"Client 'admin' exceeded request rate of 2 per second","module_name":"common-services"}`
		if status != 429 || string(body) != want || headers.Get("Retry-After") != "1" {
			t.Errorf("%d %v %s", status, headers, body)
		}
		time.Sleep(time.Second)
		if diff := cmp.Diff([]int{200, 200, 429}, statuses(c)); diff != "" {
			t.Errorf("after a second: %s", diff)
		}
	})
}

func TestConcurrencyLimit(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		limits nsxsim.Limits
		status int
		want   int
	}{
		"of a user":         {nsxsim.Limits{ConcurrentPerUser: 2}, 0, 503},
		"of a user, as 429": {nsxsim.Limits{ConcurrentPerUser: 2}, 429, 429},
		"of a manager":      {nsxsim.Limits{Concurrent: 2}, 429, 503},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := nsxsim.NewServer(nsxsim.WithLimits(test.limits), nsxsim.WithSwitches(nsxsim.Switches{ConcurrencyStatus: test.status}))
				c := newCaller(t, srv)
				srv.Inject(nsxsim.Fault{Kind: nsxsim.FaultDelay, Delay: time.Second, Times: 2})
				var running sync.WaitGroup
				for range 2 {
					running.Go(func() { c.must(http.MethodGet, policy+"/infra/segments", nil) })
				}
				synctest.Wait()
				if status, _ := c.do(http.MethodGet, policy+"/infra/segments", nil); status != test.want {
					t.Errorf("beyond the limit: %d", status)
				}
				running.Wait()
				c.must(http.MethodGet, policy+"/infra/segments", nil)
			})
		})
	}
}

func TestManagersStopAndStart(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer(nsxsim.WithManagers(2))
	third := srv.AddManager()
	if got := third.URL(); got != "https://nsx-3.sim" {
		t.Errorf("the third manager: %s", got)
	}
	c := newCaller(t, srv)
	c.must(http.MethodPatch, policy+"/infra/segments/x", object{})
	first := srv.Managers()[0]
	for _, listening := range []bool{false, true} {
		if listening {
			if _, err := first.ListenTLS("127.0.0.1:0"); err != nil {
				t.Fatal(err)
			}
			c.client, c.base = tlsClient(t, srv), first.URL()
		}
		c.logIn()
		first.Stop()
		first.Stop()
		c.client.CloseIdleConnections() // the next one is dialled
		var refused *url.Error
		if _, _, err := c.attempt(t.Context()); !errors.As(err, &refused) || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("listening %t, stopped: %v", listening, err)
		}
		other := caller{t: t, client: srv.Client(), base: third.URL(), header: header(pair("Basic", nsxsim.DefaultUser, nsxsim.DefaultPassword))}
		other.must(http.MethodGet, policy+"/infra/segments/x", nil)
		if err := first.Start(); err != nil {
			t.Fatal(err)
		}
		if err := first.Start(); err != nil {
			t.Fatal(err)
		}
		if status, _ := c.do(http.MethodGet, policy+"/infra/segments/x", nil); status != http.StatusForbidden {
			t.Errorf("a session outlived its manager: %d", status)
		}
		c.logIn()
		srv.ExpireSessions()
		if status, _ := c.do(http.MethodGet, policy+"/infra/segments/x", nil); status != http.StatusForbidden {
			t.Errorf("an expired session: %d", status)
		}
		c.logIn()
		c.must(http.MethodGet, policy+"/infra/segments/x", nil)
	}
	c.client, c.base = srv.Client(), "https://elsewhere.sim"
	if _, _, err := c.attempt(t.Context()); err == nil {
		t.Error("a host that is no manager answered")
	}
}

func TestNode(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer(nsxsim.WithVersion("3.1.0.0.0.17107167"))
	c := newCaller(t, srv)
	if got := c.must(http.MethodGet, "/api/v1/node/version", nil)["product_version"]; got != "3.1.0.0.0.17107167" {
		t.Errorf("version: %v", got)
	}
	if got := c.must(http.MethodGet, "/api/v1/reverse-proxy/node/health", nil)["healthy"]; got != true {
		t.Errorf("health: %v", got)
	}
	for _, path := range []string{"/api/v1/licenses", "/api/v1/licenses/licensed-features"} {
		if got := c.must(http.MethodGet, path, nil)["result_count"]; got == 0.0 {
			t.Errorf("%s is empty", path)
		}
	}
}
