// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcentersim_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/viaduct-sdk/viaduct/vcenter/vcentersim"
)

const instances = "/api/vcenter/namespaces/instances"

// try sends a request that may fail.
func (a *api) try(method, path string) (status int, err error) {
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.srv.URL()+path, http.NoBody)
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("vmware-api-session-id", a.token)
	res, err := a.srv.Client().Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	return res.StatusCode, nil
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for where, opts := range map[string][]vcentersim.Option{
		"in process": nil, "on a listener": {vcentersim.WithListener("127.0.0.1:0")},
	} {
		for name, tc := range map[string]struct {
			fault  vcentersim.Fault
			status int // 0: no answer
			left   bool
		}{
			"error":      {vcentersim.Fault{Status: 503, Code: "SERVICE_UNAVAILABLE"}, 503, true},
			"bare":       {vcentersim.Fault{Status: 502}, 502, true},
			"expire":     {vcentersim.Fault{Kind: vcentersim.FaultExpire}, 401, true},
			"delay":      {vcentersim.Fault{Kind: vcentersim.FaultDelay, Delay: time.Millisecond}, 204, false},
			"drop":       {vcentersim.Fault{Kind: vcentersim.FaultDrop}, 0, true},
			"drop after": {vcentersim.Fault{Kind: vcentersim.FaultDropAfter}, 0, false},
			"elsewhere":  {vcentersim.Fault{Method: http.MethodPut, Status: 503}, 204, false},
			"later":      {vcentersim.Fault{Status: 503, Skip: 1}, 204, false},
		} {
			t.Run(where+" "+name, func(t *testing.T) {
				t.Parallel()
				srv := start(t, opts...)
				a := admin(t, srv)
				if status, answer := a.do(http.MethodPost, instances, map[string]any{"cluster": vcentersim.SupervisorCluster, "namespace": "ns"}); status != 204 {
					t.Fatal(status, answer)
				}
				fault := tc.fault
				fault.Route = instances + "/{namespace}"
				srv.Inject(fault)
				status, err := a.try(http.MethodDelete, instances+"/ns")
				if status != tc.status || (err != nil) != (tc.status == 0) {
					t.Errorf("got %d, %v; want %d", status, err, tc.status)
				}
				fresh := admin(t, srv)
				_, list := fresh.do(http.MethodGet, instances, nil)
				if namespaces, _ := list.([]any); (len(namespaces) == 1) != tc.left {
					t.Errorf("left: %v", list)
				}
			})
		}
	}
}

func TestFaultsAreCounted(t *testing.T) {
	t.Parallel()
	srv := start(t)
	a := admin(t, srv)
	srv.Inject(vcentersim.Fault{Method: http.MethodGet, Route: instances, Status: 503, Times: 2, Skip: 1})
	var got []int
	for range 5 {
		status, err := a.try(http.MethodGet, instances)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, status)
	}
	for i, want := range []int{200, 503, 503, 200, 200} {
		if got[i] != want {
			t.Errorf("request %d: got %d, want %d", i, got[i], want)
		}
	}
}

func TestSessionsEndForIdleness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := start(t, vcentersim.WithSessionTimeout(30*time.Minute))
		a := admin(t, srv)
		for _, step := range []struct {
			after time.Duration
			want  int
		}{{29 * time.Minute, 200}, {29 * time.Minute, 200}, {31 * time.Minute, 401}} {
			time.Sleep(step.after) // of the bubble
			if status, err := a.try(http.MethodGet, instances); err != nil || status != step.want {
				t.Errorf("got %d, %v; want %d", status, err, step.want)
			}
		}
	})
}

// patient is a NamespaceController whose creations take until they are ended.
type patient struct{ log chan string }

func (p patient) CreateNamespace(ctx context.Context, _ string) error {
	<-ctx.Done()
	p.log <- "creation ended"
	return context.Cause(ctx)
}

func (p patient) DeleteNamespace(context.Context, string) error {
	p.log <- "deleted"
	return nil
}

func TestDeletingEndsTheCreation(t *testing.T) {
	t.Parallel()
	ctl := patient{make(chan string, 2)}
	srv := start(t, vcentersim.WithNamespaceController(ctl))
	a := admin(t, srv)
	a.do(http.MethodPost, instances, map[string]any{"cluster": vcentersim.SupervisorCluster, "namespace": "ns"})
	if status, _ := a.do(http.MethodDelete, instances+"/ns", nil); status != 204 {
		t.Fatalf("got %d", status)
	}
	if first, second := <-ctl.log, <-ctl.log; first != "creation ended" || second != "deleted" {
		t.Errorf("got %s, %s", first, second)
	}
	eventually(t, "the namespace is gone", func() bool {
		status, _ := a.do(http.MethodGet, instances+"/ns", nil)
		return status == http.StatusNotFound
	})
}
