// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
)

func TestErrorBodies(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason string
		method string
		status int
		kind   string // content type
		body   string
		is     error
		code   int64
		text   string // what the error says
	}{
		"policy 404": {
			"the usual envelope", "GET", 404, "application/json",
			`{"httpStatus":"NOT_FOUND","error_code":500090,"module_name":"Policy","error_message":"Path not found"}`,
			viaduct.ErrNotFound, 500090, `nsx: get pool "p": 404 Path not found (code 500090)`,
		},
		"code as string": {
			"the rate limiter writes it so, and leaves out the status", "GET", 429, "application/json",
			`{"module_name":"common-services","error_message":"Client 'admin' exceeded request rate of 100 per second","error_code":"102"}`,
			viaduct.ErrRateLimited, 102, `nsx: get pool "p": 429 Client 'admin' exceeded request rate of 100 per second (code 102)`,
		},
		"code as something else": {
			"the message must not be lost", "GET", 400, "application/json", `{"error_code":{"a":1},"error_message":"broken"}`,
			viaduct.ErrInvalid, 0, `nsx: get pool "p": 400 broken`,
		},
		"related errors": {
			"causes are told", "GET", 400, "application/json",
			`{"error_code":500,"error_message":"multiple","related_errors":[{"error_code":"7","error_message":"first"},{"error_message":"second"}]}`,
			viaduct.ErrInvalid, 500, `nsx: get pool "p": 400 multiple; first; second (code 500)`,
		},
		"plain text": {
			"a proxy", "GET", 403, "text/plain", "RBAC: access denied\n", viaduct.ErrForbidden, 0,
			`nsx: get pool "p": 403 RBAC: access denied`,
		},
		"HTML": {
			"a proxy: markup is no message", "GET", 404, "text/html", "<html><body>nope</body></html>",
			viaduct.ErrNotFound, 0, `nsx: get pool "p": 404 Not Found`,
		},
		"HTML without a type": {"a proxy", "GET", 404, "", "  <html>nope</html>", viaduct.ErrNotFound, 0, `nsx: get pool "p": 404 Not Found`},
		"empty":               {"a proxy", "GET", 404, "application/json", "", viaduct.ErrNotFound, 0, `nsx: get pool "p": 404 Not Found`},
		"truncated":           {"a lost connection", "GET", 400, "application/json", `{"error_code":5`, viaduct.ErrInvalid, 0, `nsx: get pool "p": 400 {"error_code":5`},
		"control characters": {
			"errors are one line", "GET", 400, "text/plain", "a\x00b\r\n\x1b[31mc", viaduct.ErrInvalid, 0, `nsx: get pool "p": 400 a b [31mc`,
		},
		"stale revision": {"412 is not 400", "PUT", 412, "application/json", `{"error_code":604,"error_message":"stale"}`, viaduct.ErrConflict, 604, ""},
		"manager stale":  {"the Manager API says it so", "PUT", 412, "application/json", `{"error_code":206}`, viaduct.ErrConflict, 206, ""},
		"concurrent":     {"another transaction", "PUT", 409, "application/json", `{"error_code":603}`, viaduct.ErrConflict, 603, ""},
		"stale as 400":   {"nsx-operator's table", "PUT", 400, "application/json", `{"error_code":500087}`, viaduct.ErrConflict, 500087, ""},
		"exists":         {"PUT without a revision", "PUT", 400, "application/json", `{"error_code":500127}`, viaduct.ErrExists, 500127, ""},
		"being deleted":  {"wait for the purge", "PUT", 400, "application/json", `{"error_code":500045}`, viaduct.ErrConflict, 500045, ""},
		"bad path, GET":  {"there is no such object", "GET", 400, "application/json", `{"error_code":500012}`, viaduct.ErrNotFound, 500012, ""},
		"bad path, PUT":  {"a parent or a reference is missing", "PUT", 400, "application/json", `{"error_code":500012}`, viaduct.ErrNotFound, 500012, ""},
		"segment in use": {"VMs are attached", "DELETE", 400, "application/json", `{"error_code":503040}`, viaduct.ErrInUse, 503040, ""},
		"bad session":    {"XSRF", "GET", 403, "application/json", `{"error_code":98}`, viaduct.ErrUnauthenticated, 98, ""},
		"no credentials": {"403 for what is 401", "GET", 403, "application/json", `{"error_code":403}`, viaduct.ErrUnauthenticated, 403, ""},
		"licence":        {"not a matter of credentials", "GET", 403, "application/json", `{"error_code":505}`, viaduct.ErrForbidden, 505, ""},
		"protected": {
			"somebody else's", "PUT", 403, "application/json",
			`{"error_code":0,"error_message":"Principal attempts to delete or modify an object of type Segment it doesn't own. (createUser=wcp-1, allowOverwrite=null)"}`,
			viaduct.ErrNotOwned, 0, "",
		},
		"index":           {"not ready yet", "GET", 400, "application/json", `{"error_code":60508}`, viaduct.ErrUnavailable, 60508, ""},
		"not implemented": {"an API that this manager lacks", "GET", 501, "application/json", `{}`, viaduct.ErrUnsupported, 0, ""},
		"internal":        {"", "GET", 500, "application/json", `{"error_code":100}`, viaduct.ErrUnavailable, 100, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := answering(t, tc.status, tc.kind, tc.body)
				err := provoke(t.Context(), c, tc.method)
				var e *nsx.Error
				if !errors.As(err, &e) {
					t.Fatalf("%s: got %v", tc.reason, err)
				}
				for _, s := range sentinels() {
					if errors.Is(err, s) != (s == tc.is) { //nolint:errorlint // which one is the question
						t.Errorf("%s: matching %v: got %t", tc.reason, s, errors.Is(err, s))
					}
				}
				if e.Code != tc.code || e.Status != tc.status {
					t.Errorf("got status %d, code %d", e.Status, e.Code)
				}
				if tc.text != "" && err.Error() != tc.text {
					t.Errorf("got  %s\nwant %s", err, tc.text)
				}
			})
		})
	}
}

// answering returns a client of a manager that always answers so.
func answering(t *testing.T, status int, kind, body string) *nsx.Client {
	t.Helper()
	transport := transportFunc(func(r *http.Request) (*http.Response, error) {
		header := http.Header{}
		if kind != "" {
			header.Set("Content-Type", kind)
		}
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), ContentLength: -1, Request: r}, nil
	})
	c, err := nsx.NewClient("nsx.test", nsx.BasicAuth("admin", "secret"), nsx.WithHTTPClient(&http.Client{Transport: transport}))
	must(t, err)
	return c
}

type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func provoke(ctx context.Context, c *nsx.Client, method string) error {
	switch method {
	case http.MethodPut:
		return c.Raw().Do(ctx, method, "/infra/lb-pools/p", nsx.Pool{}, nil)
	case http.MethodDelete:
		return c.Pools().Delete(ctx, "p")
	default:
		_, err := c.Pools().Get(ctx, "p")
		return err
	}
}

func TestReferrersAreNamed(t *testing.T) {
	t.Parallel()
	c := answering(t, 400, "application/json", `{"error_code":500030,"error_message":"The object path=[/infra/lb-pools/p] cannot be deleted as either it has children or it is being referenced by other objects path=[/infra/lb-virtual-servers/a,/infra/lb-virtual-servers/b]."}`)
	var e *nsx.Error
	if err := c.Pools().Delete(t.Context(), "p"); !errors.As(err, &e) || !errors.Is(err, viaduct.ErrInUse) {
		t.Fatalf("got %v", err)
	}
	want := []nsx.Path{"/infra/lb-virtual-servers/a", "/infra/lb-virtual-servers/b"}
	if diff := cmp.Diff(want, e.Referrers()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestUntrustedCertificateIsNotUnavailable(t *testing.T) {
	t.Parallel()
	// It does not go away by waiting, and no retry is sent.
	attempts := 0
	transport := transportFunc(func(*http.Request) (*http.Response, error) {
		attempts++
		return nil, certificateError()
	})
	c, err := nsx.NewClient("nsx.test", nsx.BasicAuth("a", "b"), nsx.WithHTTPClient(&http.Client{Transport: transport}))
	must(t, err)
	_, err = c.Pools().Get(t.Context(), "p")
	if err == nil || errors.Is(err, viaduct.ErrUnavailable) || attempts != 1 {
		t.Errorf("got %v after %d attempts", err, attempts)
	}
}

func TestPath(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		path       string
		id, parent string
		ok         bool
	}{
		"pool":     {"/infra/lb-pools/web", "web", "/infra", true},
		"rule":     {"/infra/domains/default/security-policies/p/rules/r", "r", "/infra/domains/default/security-policies/p", true},
		"infra":    {"/infra", "infra", "", true},
		"spaces":   {"/infra/lb-pools/my pool", "my pool", "/infra", true},
		"relative": {"infra/lb-pools/web", "", "", false},
		"empty":    {"", "", "", false},
		"root":     {"/", "", "", false},
		"gap":      {"/infra//web", "", "", false},
		"dots":     {"/infra/../web", "", "", false},
		"slash":    {"/infra/lb-pools/", "", "", false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := nsx.ParsePath(tc.path)
			if (err == nil) != tc.ok || (err != nil && !errors.Is(err, viaduct.ErrInvalid)) {
				t.Fatalf("got %q, %v", p, err)
			}
			if tc.ok && (p.ID() != tc.id || p.Parent().String() != tc.parent || !p.Under(p.Parent()) || p.Parent().Under(p)) {
				t.Errorf("got id %q, parent %q", p.ID(), p.Parent())
			}
		})
	}
	if nsx.Path("/infra/segments-old/x").Under("/infra/segments") {
		t.Error("a name that begins alike is not beneath")
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	tags := nsx.Tags{{Scope: "a", Tag: "1"}, {Scope: "b", Tag: "2"}, {Scope: "a", Tag: "3"}}
	if !tags.Has("a", "3") || tags.Has("a", "2") {
		t.Error("scope and tag belong together")
	}
	if tag, ok := tags.Get("a"); tag != "1" || !ok {
		t.Errorf("got %q, %t", tag, ok)
	}
	if _, ok := tags.Get("c"); ok {
		t.Error("there is no c")
	}
	if diff := cmp.Diff([]string{"1", "3"}, tags.All("a")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(nsx.Tags{{Scope: "b", Tag: "2"}, {Scope: "a", Tag: "4"}}, tags.With("a", "4")); diff != "" {
		t.Error(diff)
	}
	if len(tags) != 3 || tags[0].Tag != "1" {
		t.Errorf("With changed its receiver: %v", tags)
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		product string
		want    nsx.Version
		ok      bool
	}{
		"build":    {"3.2.1.0.0.19801959", nsx.Version{Major: 3, Minor: 2, Patch: 1, Product: "3.2.1.0.0.19801959"}, true},
		"short":    {"4.1", nsx.Version{Major: 4, Minor: 1, Product: "4.1"}, true},
		"letters":  {"three", nsx.Version{}, false},
		"empty":    {"", nsx.Version{}, false},
		"negative": {"3.-1", nsx.Version{}, false},
	}
	for name, tc := range cases {
		got, err := nsx.ParseVersion(tc.product)
		if got != tc.want || (err == nil) != tc.ok {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	order := []nsx.Version{{Major: 3}, {Major: 3, Patch: 1}, {Major: 3, Minor: 2}, {Major: 4}}
	for i := range order {
		for j := range order {
			if order[i].Before(order[j]) != (i < j) {
				t.Errorf("%v before %v", order[i], order[j])
			}
		}
	}
}
