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
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/page"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// fuzzed returns a client, which sends everything once, of a manager that
// answers so.
func fuzzed(f *testing.F, answer func(*http.Request) (int, string, string)) *nsx.Client {
	f.Helper()
	transport := transportFunc(func(r *http.Request) (*http.Response, error) {
		status, kind, body := answer(r)
		res, err := script(func(*http.Request) (int, string) { return status, body }).RoundTrip(r)
		res.Header.Set("Content-Type", kind)
		return res, err
	})
	c, err := nsx.NewClient("nsx.test", nsx.RemoteAuth("a", "b"), nsx.WithLimit(nsx.Limit{}),
		nsx.WithRetry(nsx.RetryPolicy{Attempts: 1}), nsx.WithHTTPClient(&http.Client{Transport: transport}))
	if err != nil {
		f.Fatal(err)
	}
	return c
}

func FuzzErrorBody(f *testing.F) {
	f.Add(404, "application/json", `{"httpStatus":"NOT_FOUND","error_code":500090,"module_name":"policy","error_message":"gone"}`)
	f.Add(429, "application/json", `{"error_code":"102","error_message":"rate"}`)
	f.Add(400, "application/json", `{"error_code":500030,"error_message":"The object path=[/a/b] is referenced by path=[/c/d,/e/f]","related_errors":[{"error_code":1}]}`)
	f.Add(502, "text/html", "<html>")
	f.Add(500, "text/plain; charset=\"", "a\x00\n\r\x1bb")
	f.Add(400, "", `{"error_code":1e99,"error_code":null,"related_errors":[[]]}`)
	var status int
	var kind, body string
	c := fuzzed(f, func(*http.Request) (int, string, string) { return status, kind, body })
	f.Fuzz(func(t *testing.T, s int, k, b string) {
		status, kind, body = 300+(s%300+300)%300, k, b
		if status == http.StatusUnauthorized || status == http.StatusForbidden {
			status++ // refused credentials are not sent again
		}
		_, err := c.Pools().Get(t.Context(), "p")
		var e *nsx.Error
		if !errors.As(err, &e) || e.Status != status {
			t.Fatalf("got %v for status %d", err, status)
		}
		if i := strings.IndexFunc(err.Error(), unicode.IsControl); i >= 0 {
			t.Errorf("the text is not one line: %q", err.Error())
		}
		for _, path := range e.Referrers() {
			if _, err := nsx.ParsePath(path.String()); err != nil {
				t.Errorf("referrer %q: %v", path, err)
			}
		}
		for _, sentinel := range sentinels() {
			_ = errors.Is(err, sentinel)
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"/infra/lb-pools/web", "/infra", "", "/", "//", "/a/../b", "/a b/c?d#e", "/%2e%2e/x", "/ä/\x00", "/a/.", "a"} {
		f.Add(s)
	}
	var got string
	c := fuzzed(f, func(r *http.Request) (int, string, string) {
		got = r.URL.Path
		return http.StatusOK, "application/json", "{}"
	})
	f.Fuzz(func(t *testing.T, s string) {
		p, err := nsx.ParsePath(s)
		if err != nil {
			if !errors.Is(err, viaduct.ErrInvalid) || p != "" {
				t.Errorf("got %q, %v", p, err)
			}
			return
		}
		if p.ID() == "" || !strings.HasSuffix(s, "/"+p.ID()) || !p.Under(p.Parent()) || !p.Under(p) || len(p.Parent()) >= len(p) {
			t.Errorf("%q has id %q and parent %q", s, p.ID(), p.Parent())
		}
		if strings.Contains(s, "?") {
			return // Raw takes what follows for the query
		}
		if err := c.Raw().Get(t.Context(), s, nil); err != nil || got != "/policy/api/v1"+s {
			t.Errorf("%q went to %q: %v", s, got, err)
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add("a\nb\nc", int64(10), 2)
	f.Add("1000\n2000\n2500", int64(2500), 1)
	f.Add("0000", int64(5), 1)
	f.Add("0", int64(-1), 3)
	f.Add("a\na", int64(1), 0)
	f.Add("9223372036854775808", int64(9223372036854775807), 1)
	var cursors []string
	var total int64
	var items, pages int
	c := fuzzed(f, func(*http.Request) (int, string, string) {
		cursor, _ := json.Marshal(cursors[min(pages, len(cursors)-1)])
		objects := strings.TrimSuffix(strings.Repeat(`{"id":"p"},`, items), ",")
		pages++
		return http.StatusOK, "application/json", fmt.Sprintf(`{"results":[%s],"result_count":%d,"cursor":%s}`, objects, total, cursor)
	})
	f.Fuzz(func(t *testing.T, list string, n int64, perPage int) {
		cursors, total, items, pages = strings.Split(list, "\n"), n, (perPage%5+5)%5, 0
		pools, err := page.Collect(c.Pools().All(t.Context(), nsx.ListOptions{}))
		if err != nil {
			t.Fatal(err)
		}
		// The last cursor repeats for ever: a list that goes on has no end.
		if pages > len(cursors)+1 || len(pools) != pages*items {
			t.Errorf("%d pages and %d objects of %d cursors", pages, len(pools), len(cursors))
		}
		if items == 0 && pages != 1 {
			t.Errorf("went on after an empty page")
		}
	})
}

func FuzzEscapeQuery(f *testing.F) {
	for _, s := range []string{"domain-c8:0a1b", "a b", `\`, `"`, "AND", "NOT", "or", "*", "(x OR y)", "[a TO b]", "ä\t\n", "~1^2?", "-", "&&"} {
		f.Add(s)
	}
	srv := nsxsim.NewServer()
	c, err := nsx.NewClient(srv.URL(), auth(), nsx.WithHTTPClient(srv.Client()), nsx.WithLimit(nsx.Limit{}))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value string) {
		escaped := nsx.EscapeQuery(value)
		plain, literal := "", false
		for _, r := range escaped {
			switch {
			case literal:
				plain, literal = plain+string(r), false
			case r == '\\':
				literal = true
			case strings.ContainsRune(`"()[]{}+-=&|><!^~*?:/ `, r):
				t.Fatalf("%q has a bare %q", escaped, r)
			default:
				plain += string(r)
			}
		}
		if utf8.ValidString(value) && (literal || plain != value) {
			t.Fatalf("%q means %q", escaped, plain)
		}
		if !utf8.ValidString(value) || value == "" || utf8.RuneCountInString(value) > 256 {
			return
		}
		srv.ClearRequests()
		if err := srv.Put("/infra/lb-pools/p", nsx.Pool{Resource: nsx.Resource{Tags: nsx.Tags{{Scope: "s", Tag: value}}}}); err != nil {
			return // not a tag
		}
		found, err := page.Collect(c.Pools().Search(t.Context(), nsx.Query{}.Tag("s", value)))
		if err != nil || len(found) != 1 {
			t.Errorf("%q finds %d objects, %v", nsx.Query{}.Tag("s", value), len(found), err)
		}
	})
}

func FuzzTags(f *testing.F) {
	f.Add(`[{"scope":"a","tag":"1"},{"scope":"a","tag":"2"},{"scope":"","tag":""}]`, "a", "3")
	f.Add(`null`, "", "")
	f.Add(`[]`, "x", "y")
	f.Add(`[{"scope":null,"tag":null,"x":1}]`, "a", "b")
	var body string
	c := fuzzed(f, func(*http.Request) (int, string, string) {
		return http.StatusOK, "application/json", `{"id":"p","tags":` + body + `}`
	})
	f.Fuzz(func(t *testing.T, list, scope, tag string) {
		body = list
		p, err := c.Pools().Get(t.Context(), "p")
		if err != nil {
			return // no list of tags
		}
		before := append(nsx.Tags(nil), p.Tags...)
		with, without := p.Tags.With(scope, tag), p.Tags.Without(scope)
		if diff := cmp.Diff(before, append(nsx.Tags(nil), p.Tags...)); diff != "" {
			t.Errorf("the receiver changed: %s", diff)
		}
		if _, ok := without.Get(scope); ok || len(without.All(scope)) != 0 {
			t.Errorf("%v still has %q", without, scope)
		}
		if got := with.All(scope); len(got) != 1 || got[0] != tag || !with.Has(scope, tag) || len(with) != len(without)+1 {
			t.Errorf("got %v", with)
		}
		if len(without)+len(p.Tags.All(scope)) != len(p.Tags) {
			t.Errorf("tags were lost: %v of %v", without, p.Tags)
		}
	})
}
