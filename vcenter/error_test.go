// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/vcenter"
	"github.com/viaduct-sdk/viaduct/vcenter/vcentersim"
)

// scripted answers each request but logins with the same answer.
type scripted struct {
	status            int
	contentType, body string
}

func (s scripted) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := s.status, s.body
	header := http.Header{"Content-Type": {s.contentType}}
	switch r.URL.Path {
	case "/api/session":
		status, body = http.StatusCreated, `"token"`
	case "/sdk":
		sent, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if bytes.Contains(sent, []byte("<Login ")) {
			status, body = http.StatusOK, ""
			header.Set("Set-Cookie", `vmware_soap_session="key"; Path=/; HttpOnly`)
		}
	}
	return &http.Response{
		StatusCode: status, Header: header, Request: r,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}, nil
}

func soapFault(kind, text string) string {
	return `<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" ` +
		`xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><soapenv:Fault><faultcode>ServerFaultCode</faultcode>` +
		`<faultstring>` + text + `</faultstring><detail><` + kind + `Fault xmlns="urn:vim25" xsi:type="` + kind + `"></` + kind + `Fault></detail>` +
		`</soapenv:Fault></soapenv:Body></soapenv:Envelope>`
}

func TestErrors(t *testing.T) {
	t.Parallel()
	api := func(kind string) string {
		return `{"error_type":"` + kind + `","messages":[{"id":"com.vmware.x","default_message":"It is so.","args":["a"]}],"data":null}`
	}
	for name, tc := range map[string]struct {
		answer scripted
		soap   bool
		want   error // nil: none of the sentinels
		kind   vcenter.ErrorType
		text   string
	}{
		"not found":         {scripted{404, "application/json", api("NOT_FOUND")}, false, viaduct.ErrNotFound, "NOT_FOUND", "It is so."},
		"exists":            {scripted{400, "application/json", api("ALREADY_EXISTS")}, false, viaduct.ErrExists, "ALREADY_EXISTS", "It is so."},
		"changed":           {scripted{409, "application/json", api("CONCURRENT_CHANGE")}, false, viaduct.ErrConflict, "CONCURRENT_CHANGE", ""},
		"not now":           {scripted{400, "application/json", api("NOT_ALLOWED_IN_CURRENT_STATE")}, false, viaduct.ErrConflict, "NOT_ALLOWED_IN_CURRENT_STATE", ""},
		"in use":            {scripted{400, "application/json", api("RESOURCE_IN_USE")}, false, viaduct.ErrInUse, "RESOURCE_IN_USE", ""},
		"invalid":           {scripted{400, "application/json", api("INVALID_ARGUMENT")}, false, viaduct.ErrInvalid, "INVALID_ARGUMENT", ""},
		"forbidden":         {scripted{403, "application/json", api("UNAUTHORIZED")}, false, viaduct.ErrForbidden, "UNAUTHORIZED", ""},
		"busy":              {scripted{500, "application/json", api("RESOURCE_BUSY")}, false, viaduct.ErrUnavailable, "RESOURCE_BUSY", ""},
		"no such operation": {scripted{404, "application/json", api("OPERATION_NOT_FOUND")}, false, viaduct.ErrUnsupported, "OPERATION_NOT_FOUND", ""},
		"unknown type":      {scripted{400, "application/json", api("BRAND_NEW")}, false, viaduct.ErrInvalid, "BRAND_NEW", "It is so."},
		"older form": {
			scripted{404, "application/json", `{"type":"com.vmware.vapi.std.errors.not_found","value":{"messages":[{"id":"x","default_message":"Old."}]}}`},
			false, viaduct.ErrNotFound, "NOT_FOUND", "Old.",
		},
		"text":        {scripted{404, "text/plain", "404 page\nnot found"}, false, viaduct.ErrNotFound, "", "404 page not found"},
		"page":        {scripted{403, "text/html", "<html>proxy</html>"}, false, viaduct.ErrForbidden, "", "403 Forbidden"},
		"empty":       {scripted{500, "", ""}, false, viaduct.ErrUnavailable, "", "500 Internal Server Error"},
		"garbage":     {scripted{400, "application/json", `{"error_type":`}, false, viaduct.ErrInvalid, "", ""},
		"not JSON":    {scripted{200, "application/json", `{]`}, false, nil, "", "decode"},
		"no session":  {scripted{401, "application/json", api("UNAUTHENTICATED")}, false, viaduct.ErrUnauthenticated, "UNAUTHENTICATED", ""},
		"fault":       {scripted{500, "text/xml", soapFault("NoPermission", "Permission denied.")}, true, viaduct.ErrForbidden, "NoPermission", "Permission denied."},
		"object gone": {scripted{500, "text/xml", soapFault("ManagedObjectNotFound", "")}, true, viaduct.ErrNotFound, "ManagedObjectNotFound", ""},
		"other fault": {scripted{500, "text/xml", soapFault("BrandNew", "What?")}, true, viaduct.ErrUnavailable, "BrandNew", "What?"},
		"SOAP as text": {
			scripted{500, "text/xml", "<html>"}, true, viaduct.ErrUnavailable, "", "500",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := vcenter.NewClient("vc", vcenter.PasswordAuth("u", "p"),
				vcenter.WithHTTPClient(&http.Client{Transport: tc.answer}), vcenter.WithRetry(vcenter.RetryPolicy{Attempts: 1}))
			if err != nil {
				t.Fatal(err)
			}
			if tc.soap {
				_, err = c.About(deadline(t))
			} else {
				_, err = c.Namespaces().Get(deadline(t), "ns")
			}
			err = fmt.Errorf("wrapped: %w", err)
			var typed *vcenter.Error
			if !errors.As(err, &typed) {
				t.Fatalf("got %v", err)
			}
			for _, sentinel := range []error{
				viaduct.ErrNotFound, viaduct.ErrExists, viaduct.ErrConflict, viaduct.ErrInUse, viaduct.ErrInvalid,
				viaduct.ErrUnauthenticated, viaduct.ErrForbidden, viaduct.ErrUnavailable, viaduct.ErrUnsupported,
			} {
				if errors.Is(err, sentinel) != errors.Is(tc.want, sentinel) {
					t.Errorf("%v matches %v: %t", err, sentinel, errors.Is(err, sentinel))
				}
			}
			if typed.Type != tc.kind || !strings.Contains(err.Error(), tc.text) || typed.Status != tc.answer.status {
				t.Errorf("got %#v", typed)
			}
		})
	}
}

func TestErrorDataAndLog(t *testing.T) {
	t.Parallel()
	answer := scripted{400, "application/json", `{"error_type":"INVALID_ARGUMENT","messages":[],"data":{"field":"cpu_limit"}}`}
	c, err := vcenter.NewClient("vc", vcenter.PasswordAuth("u", "p"), vcenter.WithHTTPClient(&http.Client{Transport: answer}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Namespaces().Get(deadline(t), "ns")
	var typed *vcenter.Error
	if !errors.As(err, &typed) || string(typed.Data) != `{"field":"cpu_limit"}` {
		t.Fatalf("got %#v", err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("failed", "err", typed)
	if !strings.Contains(log.String(), "err.type=INVALID_ARGUMENT") || !strings.Contains(log.String(), "err.object=ns") {
		t.Errorf("got %s", log.String())
	}
}

// TestRetries tells what is sent again from what is not.
func TestRetries(t *testing.T) {
	t.Parallel()
	unavailable := vcentersim.Fault{Status: http.StatusServiceUnavailable, Code: "SERVICE_UNAVAILABLE", Message: "busy"}
	at := func(f vcentersim.Fault, method, route string) vcentersim.Fault {
		f.Method, f.Route = method, route
		return f
	}
	const instances = "/api/vcenter/namespaces/instances"
	for name, tc := range map[string]struct {
		reason string
		fault  vcentersim.Fault
		call   func(ctx context.Context, c *vcenter.Client) error
		want   error
		tries  int
	}{
		"read": {
			"reading twice does no harm", at(unavailable, http.MethodGet, instances),
			func(ctx context.Context, c *vcenter.Client) error { _, err := c.Namespaces().List(ctx); return err }, nil, 2,
		},
		"create": {
			"the first may have taken effect", at(unavailable, http.MethodPost, instances),
			func(ctx context.Context, c *vcenter.Client) error {
				return c.Namespaces().Create(ctx, vcenter.NamespaceSpec{Name: "ns", Cluster: vcentersim.SupervisorCluster})
			}, viaduct.ErrUnavailable, 1,
		},
		"create, throttled": {
			"the server says that it did nothing",
			at(vcentersim.Fault{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"0"}}}, http.MethodPost, instances),
			func(ctx context.Context, c *vcenter.Client) error {
				return c.Namespaces().Create(ctx, vcenter.NamespaceSpec{Name: "ns", Cluster: vcentersim.SupervisorCluster})
			}, nil, 2,
		},
		"delete, answer lost": {
			"gone is gone", at(vcentersim.Fault{Kind: vcentersim.FaultDropAfter}, http.MethodDelete, instances+"/{namespace}"),
			func(ctx context.Context, c *vcenter.Client) error { return c.Namespaces().Delete(ctx, "there") }, nil, 2,
		},
		"update, answer lost": {
			"the same values twice are the same values", at(vcentersim.Fault{Kind: vcentersim.FaultDropAfter}, http.MethodPatch, instances+"/{namespace}"),
			func(ctx context.Context, c *vcenter.Client) error {
				return c.Namespaces().Update(ctx, "there", vcenter.NamespaceUpdate{Description: new("d")})
			}, nil, 2,
		},
		"SOAP read, answer lost": {
			"reading twice does no harm", at(vcentersim.Fault{Kind: vcentersim.FaultDropAfter}, http.MethodPost, "/sdk#RetrievePropertiesEx"),
			func(ctx context.Context, c *vcenter.Client) error {
				_, err := c.SegmentPortGroups().List(ctx)
				return err
			}, nil, 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			srv := start(t)
			c := connect(t, srv)
			if err := c.Namespaces().Create(ctx, vcenter.NamespaceSpec{Name: "there", Cluster: vcentersim.SupervisorCluster}); err != nil {
				t.Fatal(err)
			}
			before := 0
			count := func() int {
				n := 0
				for _, r := range srv.Requests() {
					if r.Method == tc.fault.Method && r.Route == tc.fault.Route {
						n++
					}
				}
				return n
			}
			before = count()
			srv.Inject(tc.fault)
			if err := tc.call(ctx, c); !errors.Is(err, tc.want) {
				t.Errorf("%s: got %v", tc.reason, err)
			}
			if tries := count() - before; tries != tc.tries {
				t.Errorf("%s: sent %d times, want %d", tc.reason, tries, tc.tries)
			}
		})
	}
}

func TestAttemptsAreBounded(t *testing.T) {
	t.Parallel()
	srv := start(t)
	srv.Inject(vcentersim.Fault{Method: http.MethodGet, Status: http.StatusServiceUnavailable, Code: "SERVICE_UNAVAILABLE", Times: -1})
	c := connect(t, srv, vcenter.WithRetry(vcenter.RetryPolicy{Attempts: 3, MinWait: time.Millisecond}))
	_, err := c.Namespaces().List(deadline(t))
	var typed *vcenter.Error
	if !errors.As(err, &typed) {
		t.Fatalf("got %v", err)
	}
	if diff := cmp.Diff([]int{3, 503}, []int{typed.Attempts, typed.Status}); diff != "" {
		t.Error(diff)
	}
}
