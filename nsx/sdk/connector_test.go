// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdkerrors "github.com/vmware/vsphere-automation-sdk-go/lib/vapi/std/errors"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/model"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/search"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
	"github.com/viaduct-sdk/viaduct/nsx/sdk"
)

// start returns a simulator and a client of it.
func start(t *testing.T, sim []nsxsim.Option, opts ...nsx.Option) (*nsxsim.Server, *nsx.Client) {
	t.Helper()
	srv := nsxsim.NewServer(sim...)
	t.Cleanup(srv.Close)
	var others []string
	for _, m := range srv.Managers()[1:] {
		others = append(others, m.URL())
	}
	opts = append([]nsx.Option{nsx.WithHTTPClient(srv.Client()), nsx.WithEndpoints(others...)}, opts...)
	client, err := nsx.NewClient(srv.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return srv, client
}

func logins(srv *nsxsim.Server) int {
	n := 0
	for _, r := range srv.Requests() {
		if strings.HasSuffix(r.Path, "/session/create") {
			n++
		}
	}
	return n
}

func pool(name string) model.LBPool {
	return model.LBPool{DisplayName: &name, Members: []model.LBPoolMember{{IpAddress: new("10.244.0.18"), Port: new("5432")}}}
}

func TestGeneratedClientLifecycle(t *testing.T) {
	t.Parallel()
	srv, client := start(t, nil)
	pools := infra.NewLbPoolsClient(sdk.NewConnector(t.Context(), client))
	for i := range 5 {
		if err := pools.Patch(fmt.Sprintf("p%d", i), pool(fmt.Sprintf("pool %d", i))); err != nil {
			t.Fatal(sdk.Error(err))
		}
	}
	got, err := pools.Get("p3")
	if err != nil {
		t.Fatal(sdk.Error(err))
	}
	if *got.DisplayName != "pool 3" || len(got.Members) != 1 || *got.Members[0].Port != "5432" {
		t.Errorf("read %v, want what was written", got)
	}
	got.DisplayName = new("renamed")
	if got, err = pools.Update("p3", got); err != nil || *got.DisplayName != "renamed" {
		t.Fatalf("update: %v, %v", got.DisplayName, sdk.Error(err))
	}
	var ids []string
	var cursor *string
	for {
		page, err := pools.List(cursor, nil, nil, new(int64(2)), nil, new("id"))
		if err != nil {
			t.Fatal(sdk.Error(err))
		}
		for _, p := range page.Results {
			ids = append(ids, *p.Id)
		}
		if cursor = page.Cursor; cursor == nil || *cursor == "" {
			break
		}
	}
	if diff := cmp.Diff([]string{"p0", "p1", "p2", "p3", "p4"}, ids); diff != "" {
		t.Errorf("listed over pages of two (-want +got):\n%s", diff)
	}
	found, err := search.NewQueryClient(sdk.NewConnector(t.Context(), client)).List("resource_type:LBPool AND display_name:renamed", nil, nil, nil, nil, nil)
	if err != nil || len(found.Results) != 1 {
		t.Errorf("search found %d objects, %v; want 1", len(found.Results), sdk.Error(err))
	}
	if err := pools.Delete("p3", nil); err != nil {
		t.Fatal(sdk.Error(err))
	}
	if _, err := pools.Get("p3"); !errors.Is(sdk.Error(err), viaduct.ErrNotFound) {
		t.Errorf("get what was deleted: %v, want ErrNotFound", sdk.Error(err))
	}
	if n := logins(srv); n != 1 {
		t.Errorf("%d logins, want one session for all connectors", n)
	}
}

func TestChain(t *testing.T) {
	t.Parallel()
	fast := nsx.WithRetry(nsx.RetryPolicy{MinWait: 1, MaxWait: 1})
	tests := map[string]struct {
		reason string
		sim    []nsxsim.Option
		before func(*nsxsim.Server)
	}{
		"expired session": {
			reason: "a session that ended is renewed and the request replayed",
			before: func(srv *nsxsim.Server) { srv.ExpireSessions() },
		},
		"rate limit": {
			reason: "a request that was turned away is sent again",
			before: func(srv *nsxsim.Server) {
				srv.Inject(nsxsim.Fault{Method: http.MethodGet, Kind: nsxsim.FaultStatus, Status: http.StatusTooManyRequests, Code: 102, TextCode: true, Times: 2})
			},
		},
		"reset": {
			reason: "a read whose connection broke is sent again",
			before: func(srv *nsxsim.Server) { srv.Inject(nsxsim.Fault{Method: http.MethodGet, Kind: nsxsim.FaultReset}) },
		},
		"truncated": {
			reason: "an answer that was cut short never reaches the generated code",
			before: func(srv *nsxsim.Server) {
				srv.Inject(nsxsim.Fault{Method: http.MethodGet, Kind: nsxsim.FaultTruncate})
			},
		},
		"reset of a write": {
			reason: "a PATCH says what the object is to be, and is sent again too",
			before: func(srv *nsxsim.Server) {
				srv.Inject(nsxsim.Fault{Method: http.MethodPatch, Kind: nsxsim.FaultReset})
			},
		},
		"manager down": {
			reason: "another manager of the cluster answers",
			sim:    []nsxsim.Option{nsxsim.WithManagers(2)},
			before: func(srv *nsxsim.Server) { srv.Managers()[0].Stop() },
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, client := start(t, tc.sim, fast)
			pools := infra.NewLbPoolsClient(sdk.NewConnector(t.Context(), client))
			if err := pools.Patch("p", pool("p")); err != nil {
				t.Fatal(sdk.Error(err))
			}
			tc.before(srv)
			if err := pools.Patch("p", pool("p")); err != nil {
				t.Errorf("%s: %v", tc.reason, sdk.Error(err))
			}
			if got, err := pools.Get("p"); err != nil || *got.Id != "p" {
				t.Errorf("%s: %v", tc.reason, sdk.Error(err))
			}
		})
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	once := nsx.WithRetry(nsx.RetryPolicy{Attempts: 1})
	fail := func(f nsxsim.Fault) func(*nsxsim.Server) {
		f.Kind, f.Method, f.Times = nsxsim.FaultStatus, http.MethodPut, -1
		return func(srv *nsxsim.Server) { srv.Inject(f) }
	}
	tests := map[string]struct {
		reason string
		before func(*nsxsim.Server)
		update func(*model.LBPool)
		want   error
		status int
		code   int64
	}{
		"stale revision": {
			reason: "412 is not 400",
			update: func(p *model.LBPool) { p.Revision = new(int64(7)) },
			want:   viaduct.ErrConflict, status: http.StatusPreconditionFailed,
		},
		"no revision": {
			reason: "what exists can't be created",
			update: func(p *model.LBPool) { p.Revision = nil },
			want:   viaduct.ErrExists, status: http.StatusBadRequest, code: 500127,
		},
		"too many requests": {
			reason: "429 is not 503, even when the code is a string",
			before: fail(nsxsim.Fault{Status: http.StatusTooManyRequests, Code: 102, TextCode: true}),
			want:   viaduct.ErrRateLimited, status: http.StatusTooManyRequests, code: 102,
		},
		"overloaded": {
			reason: "503 is not 429",
			before: fail(nsxsim.Fault{Status: http.StatusServiceUnavailable}),
			want:   viaduct.ErrUnavailable, status: http.StatusServiceUnavailable,
		},
		"conflict": {
			reason: "another transaction holds the object",
			before: fail(nsxsim.Fault{Status: http.StatusConflict, Code: 604}),
			want:   viaduct.ErrConflict, status: http.StatusConflict, code: 604,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, client := start(t, nil, once)
			pools := infra.NewLbPoolsClient(sdk.NewConnector(t.Context(), client))
			if err := pools.Patch("p", pool("p")); err != nil {
				t.Fatal(sdk.Error(err))
			}
			p, err := pools.Get("p")
			if err != nil {
				t.Fatal(sdk.Error(err))
			}
			if tc.before != nil {
				tc.before(srv)
			}
			if tc.update != nil {
				tc.update(&p)
			}
			_, sdkErr := pools.Update("p", p)
			err = sdk.Error(sdkErr)
			var answer *nsx.Error
			if !errors.Is(err, tc.want) || !errors.As(err, &answer) {
				t.Fatalf("%s: %v does not match %v", tc.reason, err, tc.want)
			}
			if answer.Status != tc.status || tc.code != 0 && answer.Code != tc.code {
				t.Errorf("%s: status %d, code %d", tc.reason, answer.Status, answer.Code)
			}
			if answer.Method != http.MethodPut || answer.Path != "/policy/api/v1/infra/lb-pools/p" {
				t.Errorf("the error is of %s %s", answer.Method, answer.Path)
			}
			var own sdkerrors.InvalidRequest
			if kind := sdkErr.Error(); !strings.Contains(err.Error(), kind) || errors.As(err, &own) != (kind == own.Error()) {
				t.Errorf("the SDK's own error %s is lost: %v", kind, err)
			}
		})
	}
}

// answers is a server that says one thing.
type answers struct {
	status      int
	contentType string
	body        string
	header      http.Header
}

func (a answers) RoundTrip(req *http.Request) (*http.Response, error) {
	header := a.header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if a.contentType != "" {
		header.Set("Content-Type", a.contentType)
	}
	return &http.Response{
		StatusCode: a.status, Header: header, Request: req, ContentLength: int64(len(a.body)),
		Body: io.NopCloser(strings.NewReader(a.body)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

// Error bodies that the generated code fails on by itself: it panics on some of
// these and takes the others for an internal error.
func TestErrorBodies(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		reason string
		answer answers
		want   error
		text   string
	}{
		"null":  {reason: "not an object", answer: answers{status: 404, contentType: "application/json", body: "null"}, want: viaduct.ErrNotFound},
		"list":  {reason: "not an object", answer: answers{status: 409, contentType: "application/json", body: "[1]"}, want: viaduct.ErrConflict},
		"empty": {reason: "no body", answer: answers{status: 412}, want: viaduct.ErrConflict},
		"html":  {reason: "a proxy's page", answer: answers{status: 503, contentType: "text/html", body: "<html>no</html>"}, want: viaduct.ErrUnavailable},
		"text": {
			reason: "a proxy's text", answer: answers{status: 429, contentType: "text/plain", body: "slow\ndown"},
			want: viaduct.ErrRateLimited, text: "slow down",
		},
		"string code": {
			reason: "the body of NSX's rate limiter, and of a related error",
			answer: answers{
				status: 400, contentType: "application/json",
				body: `{"error_code":"500030","error_message":"in use","related_errors":[{"error_code":"7","error_message":"because"},{"error_code":[]}]}`,
			},
			want: viaduct.ErrInUse, text: "in use; because",
		},
		"odd code": {reason: "a code that is no number", answer: answers{status: 404, contentType: "application/json", body: `{"error_code":"gone"}`}, want: viaduct.ErrNotFound},
		"request id": {
			reason: "the server's id of the request is kept",
			answer: answers{status: 403, header: http.Header{"X-Nsx-Requestid": {"7f3a"}}}, want: viaduct.ErrForbidden, text: "7f3a",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, err := nsx.NewClient("nsx.example.com", nsx.BasicAuth("admin", "secret"),
				nsx.WithHTTPClient(&http.Client{Transport: tc.answer}), nsx.WithRetry(nsx.RetryPolicy{Attempts: 1}))
			if err != nil {
				t.Fatal(err)
			}
			_, err = infra.NewLbPoolsClient(sdk.NewConnector(t.Context(), client)).Get("p")
			err = sdk.Error(err)
			if !errors.Is(err, tc.want) {
				t.Errorf("%s: %v does not match %v", tc.reason, err, tc.want)
			}
			if err != nil && !strings.Contains(err.Error(), tc.text) {
				t.Errorf("%s: %v does not say %q", tc.reason, err, tc.text)
			}
		})
	}
}

func TestContext(t *testing.T) {
	t.Parallel()
	srv, client := start(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	pools := infra.NewLbPoolsClient(sdk.NewConnector(ctx, client))
	if err := pools.Patch("p", pool("p")); err != nil {
		t.Fatal(sdk.Error(err))
	}
	cancel()
	sent := len(srv.Requests())
	if _, err := pools.Get("p"); !errors.Is(sdk.Error(err), viaduct.ErrUnavailable) {
		t.Errorf("after the context's end: %v, want ErrUnavailable", sdk.Error(err))
	}
	if n := len(srv.Requests()); n != sent {
		t.Errorf("%d requests after the context's end", n-sent)
	}
}

func TestWrongCredentials(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	t.Cleanup(srv.Close)
	client, err := nsx.NewClient(srv.URL(), nsx.SessionAuth(nsxsim.DefaultUser, "wrong"), nsx.WithHTTPClient(srv.Client()))
	if err != nil {
		t.Fatal(err)
	}
	pools := infra.NewLbPoolsClient(sdk.NewConnector(t.Context(), client))
	for range 3 {
		if _, err := pools.Get("p"); !errors.Is(sdk.Error(err), viaduct.ErrUnauthenticated) {
			t.Errorf("%v, want ErrUnauthenticated", sdk.Error(err))
		}
	}
	if n := logins(srv); n != 1 {
		t.Errorf("%d logins with wrong credentials, want 1: more lock the account", n)
	}
}

func TestAllowOverwrite(t *testing.T) {
	t.Parallel()
	srv, client := start(t, nil)
	if err := srv.Put("/infra/lb-pools/ncp", map[string]any{"display_name": "NCP's"}); err != nil {
		t.Fatal(err)
	}
	plain := infra.NewLbPoolsClient(sdk.NewConnector(t.Context(), client))
	if err := sdk.Error(plain.Patch("ncp", pool("mine"))); !errors.Is(err, viaduct.ErrNotOwned) {
		t.Errorf("change of a protected object: %v, want ErrNotOwned", err)
	}
	allowed := infra.NewLbPoolsClient(sdk.NewConnector(t.Context(), client, sdk.WithAllowOverwrite()))
	if err := allowed.Patch("ncp", pool("mine")); err != nil {
		t.Errorf("with X-Allow-Overwrite: %v", sdk.Error(err))
	}
	if _, err := allowed.Get("ncp"); err != nil {
		t.Error(sdk.Error(err))
	}
	for _, r := range srv.Requests() {
		if want := r.Method == http.MethodPatch && slices.Equal(r.Header["X-Allow-Overwrite"], []string{"true"}); !want && r.Header.Get("X-Allow-Overwrite") != "" {
			t.Errorf("%s %s has X-Allow-Overwrite", r.Method, r.Path)
		}
	}
}

func TestErrorOfOthers(t *testing.T) {
	t.Parallel()
	if err := sdk.Error(nil); err != nil {
		t.Errorf("nil became %v", err)
	}
	if err := sdk.Error(io.EOF); err != io.EOF { //nolint:errorlint // it must be the same
		t.Errorf("another error became %v", err)
	}
}
