// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/rest"
)

// farm is two endpoints that can be switched off.
type farm struct {
	off  map[string]bool
	seen []string
}

func (f *farm) RoundTrip(req *http.Request) (*http.Response, error) {
	f.seen = append(f.seen, req.URL.Host+req.URL.Path)
	if f.off[req.URL.Host] {
		return nil, errDial
	}
	return answer(200, ""), nil
}

func (f *farm) take() []string {
	seen := f.seen
	f.seen = nil
	return seen
}

func twoEndpoints(c *rest.Config) {
	c.Endpoints, c.Health = []string{"a.test", "b.test"}, "/health"
}

func TestFailoverIsImmediateAndRecoveryProbed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &farm{off: map[string]bool{"a.test": true}}
		client := newClient(t, f.RoundTrip, twoEndpoints)
		start := time.Now()
		step := func(what string, want ...string) {
			t.Helper()
			if err := client.Do(t.Context(), get()); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if diff := cmp.Diff(want, f.take()); diff != "" {
				t.Errorf("%s: (-want +got)\n%s", what, diff)
			}
		}
		step("the first request fails over", "a.test/things/t", "b.test/things/t")
		step("the next avoids what failed", "b.test/things/t")
		if got := time.Since(start); got != 0 {
			t.Errorf("failing over took %v, want no wait", got)
		}
		time.Sleep(2 * time.Second)
		f.off = map[string]bool{"b.test": true}
		step("what failed is probed before it serves again", "b.test/things/t", "a.test/health", "a.test/things/t")
	})
}

func TestAllEndpointsDownIsAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &farm{off: map[string]bool{"a.test": true, "b.test": true}}
		client := newClient(t, f.RoundTrip, twoEndpoints)
		for range 3 {
			if err := client.Do(t.Context(), get()); !errors.Is(err, viaduct.ErrUnavailable) {
				t.Errorf("got %v, want unavailable", err)
			}
		}
		f.off = nil
		time.Sleep(time.Minute)
		if err := client.Do(t.Context(), get()); err != nil {
			t.Errorf("after recovery: %v", err)
		}
	})
}

func TestLeastBusyEndpointIsPicked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosts := make(chan string, 3)
		free := make(chan struct{})
		client := newClient(t, func(req *http.Request) (*http.Response, error) {
			hosts <- req.URL.Host
			<-free
			return answer(200, ""), nil
		}, func(c *rest.Config) { c.Endpoints = []string{"a.test", "b.test", "c.test"} })
		count := map[string]int{}
		for range 3 {
			go func() { _ = client.Do(t.Context(), get()) }()
			synctest.Wait()
		}
		close(free)
		for range 3 {
			count[<-hosts]++
		}
		want := map[string]int{"a.test": 1, "b.test": 1, "c.test": 1}
		if diff := cmp.Diff(want, count); diff != "" {
			t.Error(diff)
		}
	})
}

func TestCheckHealth(t *testing.T) {
	t.Parallel()
	f := &farm{off: map[string]bool{"b.test": true}}
	client := newClient(t, f.RoundTrip, twoEndpoints)
	health := client.CheckHealth(t.Context())
	if len(health) != 2 || health[0].Err != nil || !errors.Is(health[1].Err, viaduct.ErrUnavailable) {
		t.Errorf("got %+v, want a healthy and b not", health)
	}
}

func TestEndpointsAreChecked(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		endpoint string
		want     string // "": refused
	}{
		"host":        {"nsx.test", "https://nsx.test"},
		"port":        {"nsx.test:8443", "https://nsx.test:8443"},
		"slash":       {"https://nsx.test/", "https://nsx.test"},
		"prefix":      {"https://proxy.test/nsx/", "https://proxy.test/nsx"},
		"IPv6":        {"https://[fd00::1]:443", "https://[fd00::1]:443"},
		"credentials": {"https://admin:secret@nsx.test", ""},
		"query":       {"https://nsx.test?x=1", ""},
		"scheme":      {"ftp://nsx.test", ""},
		"nothing":     {"", ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, err := rest.New(rest.Config{
				Server: "test", Endpoints: []string{tc.endpoint},
				DecodeError: func(f rest.Failure) error { return &failed{f} },
			})
			if tc.want == "" {
				if !errors.Is(err, viaduct.ErrInvalid) {
					t.Errorf("got %v, want invalid", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{tc.want}, client.Endpoints()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestExpand(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		route string
		args  []string
		want  string
	}{
		"plain":       {"/a/{id}", []string{"web"}, "/a/web"},
		"two":         {"/a/{id}/b/{id}", []string{"x", "y"}, "/a/x/b/y"},
		"slash":       {"/a/{id}", []string{"x/../y"}, "/a/x%2F..%2Fy"},
		"query":       {"/a/{id}", []string{"x?y#z"}, "/a/x%3Fy%23z"},
		"braces":      {"/a/{id}/{n}", []string{"{n}", "z"}, "/a/%7Bn%7D/z"},
		"dots":        {"/a/{id}", []string{".."}, ""},
		"empty":       {"/a/{id}/b", []string{""}, ""},
		"too few":     {"/a/{id}/{n}", []string{"x"}, ""},
		"too many":    {"/a/{id}", []string{"x", "y"}, ""},
		"no argument": {"/a", nil, "/a"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := rest.Expand(tc.route, tc.args...)
			if got != tc.want || (tc.want == "") != errors.Is(err, viaduct.ErrInvalid) {
				t.Errorf("got %q, %v; want %q", got, err, tc.want)
			}
		})
	}
}
