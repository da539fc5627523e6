// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcentersim_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/viaduct-sdk/viaduct/vcenter/vcentersim"
)

func start(t testing.TB, opts ...vcentersim.Option) *vcentersim.Server {
	t.Helper()
	srv, err := vcentersim.NewServer(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	return srv
}

// api is a client of the REST API with one session.
type api struct {
	t     testing.TB
	srv   *vcentersim.Server
	token string
}

func login(t testing.TB, srv *vcentersim.Server, user, password string) *api {
	t.Helper()
	a := &api{t: t, srv: srv}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL()+"/api/session", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(user, password)
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("login: status %d", res.StatusCode)
	}
	if err := json.NewDecoder(res.Body).Decode(&a.token); err != nil {
		t.Fatal(err)
	}
	return a
}

func admin(t testing.TB, srv *vcentersim.Server) *api {
	t.Helper()
	return login(t, srv, srv.Username(), srv.Password())
}

// do sends a request and returns the status and the decoded answer.
func (a *api) do(method, path string, body any) (int, any) {
	a.t.Helper()
	var payload io.Reader = http.NoBody
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			a.t.Fatal(err)
		}
		payload = strings.NewReader(string(data))
	}
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.srv.URL()+path, payload)
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("vmware-api-session-id", a.token)
	res, err := a.srv.Client().Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	var answer any
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil && !errors.Is(err, io.EOF) {
		a.t.Fatal(err)
	}
	return res.StatusCode, answer
}

// field digs a string out of a decoded answer.
func field(answer any, path ...string) string {
	for _, name := range path {
		object, _ := answer.(map[string]any)
		answer = object[name]
	}
	text, _ := answer.(string)
	return text
}

// vimClient is govmomi's SOAP client with a session.
func vimClient(t testing.TB, srv *vcentersim.Server) *vim25.Client {
	t.Helper()
	u, err := url.Parse(srv.URL() + "/sdk")
	if err != nil {
		t.Fatal(err)
	}
	sc := soap.NewClient(u, false)
	sc.Transport = srv.Client().Transport
	c, err := vim25.NewClient(t.Context(), sc)
	if err != nil {
		t.Fatal(err)
	}
	if err := session.NewManager(c).Login(t.Context(), url.UserPassword(srv.Username(), srv.Password())); err != nil {
		t.Fatal(err)
	}
	return c
}

// eventually polls until check is true.
func eventually(t testing.TB, what string, check func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !check() {
		if time.Now().After(deadline) {
			t.Fatalf("timeout: %s", what)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(time.Millisecond):
		}
	}
}

// gate is a NamespaceController that waits to be told.
type gate struct {
	create, remove chan error
}

func newGate() *gate { return &gate{make(chan error), make(chan error)} }

func (g *gate) CreateNamespace(ctx context.Context, _ string) error { return g.wait(ctx, g.create) }

func (g *gate) DeleteNamespace(ctx context.Context, _ string) error { return g.wait(ctx, g.remove) }

func (g *gate) wait(ctx context.Context, end chan error) error {
	select {
	case err := <-end:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func TestNamespaceStates(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		reason  string
		created error
		want    string
		message string
	}{
		"running": {"the controller is done", nil, "RUNNING", ""},
		"error":   {"the controller's error is shown", errors.New("no subnet left"), "ERROR", "no subnet left"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctl := newGate()
			srv := start(t, vcentersim.WithNamespaceController(ctl))
			a := admin(t, srv)
			spec := map[string]any{"cluster": vcentersim.SupervisorCluster, "namespace": "acme-data"}
			if status, answer := a.do(http.MethodPost, "/api/vcenter/namespaces/instances", spec); status != http.StatusNoContent {
				t.Fatalf("create: %d %v", status, answer)
			}
			const path = "/api/vcenter/namespaces/instances/acme-data"
			state := func() string { _, ns := a.do(http.MethodGet, path, nil); return field(ns, "config_status") }
			if got := state(); got != "CONFIGURING" {
				t.Errorf("before the controller is done: got %s, want CONFIGURING", got)
			}
			ctl.create <- tc.created
			eventually(t, tc.reason, func() bool { return state() == tc.want })
			_, ns := a.do(http.MethodGet, path, nil)
			if tc.message != "" && !strings.Contains(fmt.Sprint(ns), tc.message) {
				t.Errorf("%s: got %v", tc.reason, ns)
			}
			if status, _ := a.do(http.MethodDelete, path, nil); status != http.StatusNoContent {
				t.Errorf("delete: got %d", status)
			}
			if got := state(); got != "REMOVING" {
				t.Errorf("while the controller removes: got %s", got)
			}
			ctl.remove <- nil
			eventually(t, "removed", func() bool { status, _ := a.do(http.MethodGet, path, nil); return status == http.StatusNotFound })
		})
	}
}

func TestErrorsCarryVCenterBodies(t *testing.T) {
	t.Parallel()
	srv := start(t, vcentersim.WithUser(vcentersim.User{Name: "ro@vsphere.local", Password: "x", Role: vcentersim.RoleReadOnly}))
	a := admin(t, srv)
	ro := login(t, srv, "ro@vsphere.local", "x")
	create := func(cluster, name string) map[string]any {
		return map[string]any{"cluster": cluster, "namespace": name}
	}
	if status, _ := a.do(http.MethodPost, "/api/vcenter/namespaces/instances", create(vcentersim.SupervisorCluster, "taken")); status != http.StatusNoContent {
		t.Fatal("create")
	}
	policy := create(vcentersim.SupervisorCluster, "p")
	policy["storage_specs"] = []any{map[string]any{"policy": "none"}}
	limit := create(vcentersim.SupervisorCluster, "l")
	limit["storage_specs"] = []any{map[string]any{"policy": vcentersim.StoragePolicy, "limit": -1}}
	negative := create(vcentersim.SupervisorCluster, "n")
	negative["resource_spec"] = map[string]any{"cpu_limit": -1}
	for name, tc := range map[string]struct {
		as     *api
		spec   any
		status int
		kind   string
	}{
		"exists":            {a, create(vcentersim.SupervisorCluster, "taken"), 400, "ALREADY_EXISTS"},
		"unknown cluster":   {a, create("domain-c99", "n"), 404, "NOT_FOUND"},
		"disabled cluster":  {a, create(vcentersim.SpareCluster, "n"), 400, "INVALID_ARGUMENT"},
		"bad name":          {a, create(vcentersim.SupervisorCluster, "Not_DNS"), 400, "INVALID_ARGUMENT"},
		"reserved name":     {a, create(vcentersim.SupervisorCluster, "vmware-system-x"), 403, "UNAUTHORIZED"},
		"no permission":     {ro, create(vcentersim.SupervisorCluster, "n"), 403, "UNAUTHORIZED"},
		"no session":        {&api{t: t, srv: srv}, create(vcentersim.SupervisorCluster, "n"), 401, "UNAUTHENTICATED"},
		"no storage policy": {a, policy, 400, "INVALID_ARGUMENT"},
		"negative limit":    {a, limit, 400, "INVALID_ARGUMENT"},
		"negative cpu":      {a, negative, 400, "INVALID_ARGUMENT"},
		"not JSON":          {a, "text", 400, "UNEXPECTED_INPUT"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, answer := tc.as.do(http.MethodPost, "/api/vcenter/namespaces/instances", tc.spec)
			if status != tc.status || field(answer, "error_type") != tc.kind {
				t.Errorf("got %d %v, want %d %s", status, answer, tc.status, tc.kind)
			}
		})
	}
}

func TestClusterHasEndpointAndCertificate(t *testing.T) {
	t.Parallel()
	srv := start(t)
	status, cl := admin(t, srv).do(http.MethodGet, "/api/vcenter/namespace-management/clusters/"+vcentersim.SupervisorCluster, nil)
	if status != http.StatusOK {
		t.Fatal(status)
	}
	got := []string{field(cl, "api_server_cluster_endpoint"), field(cl, "config_status"), field(cl, "kubernetes_status"), field(cl, "network_provider")}
	if diff := cmp.Diff([]string{"192.168.30.65", "RUNNING", "READY", "NSXT_CONTAINER_PLUGIN"}, got); diff != "" {
		t.Error(diff)
	}
	if chain := field(cl, "tls_endpoint_certificate"); strings.Count(chain, "BEGIN CERTIFICATE") != 2 {
		t.Errorf("want leaf and root, got %q", chain)
	}
	if err := srv.SetSupervisorEndpoint(vcentersim.SupervisorCluster, "127.0.0.1", []byte("PEM")); err != nil {
		t.Fatal(err)
	}
	_, cl = admin(t, srv).do(http.MethodGet, "/api/vcenter/namespace-management/clusters/"+vcentersim.SupervisorCluster, nil)
	if got := field(cl, "tls_endpoint_certificate"); got != "PEM" {
		t.Errorf("got %q", got)
	}
}

func TestUnknownRouteIsNotImplemented(t *testing.T) {
	t.Parallel()
	srv := start(t)
	status, answer := admin(t, srv).do(http.MethodGet, "/api/vcenter/vm", nil)
	if status != http.StatusNotImplemented || !strings.Contains(fmt.Sprint(answer), "GET /api/vcenter/vm") {
		t.Errorf("got %d %v", status, answer)
	}
	if diff := cmp.Diff([]string{"GET /api/vcenter/vm"}, srv.Unsimulated()); diff != "" {
		t.Error(diff)
	}
}

func TestSOAPReadsNeedASession(t *testing.T) {
	t.Parallel()
	srv := start(t)
	c := vimClient(t, srv)
	now, err := session.NewManager(c).UserSession(t.Context())
	if err != nil || now == nil || now.UserName != srv.Username() {
		t.Fatalf("got %v, %v", now, err)
	}
	srv.ExpireSessions()
	if now, err = session.NewManager(c).UserSession(t.Context()); err != nil || now != nil {
		t.Errorf("after expiry: got %v, %v; want no session", now, err)
	}
	if _, soapSessions := srv.Sessions(); soapSessions != 0 {
		t.Errorf("got %d SOAP sessions", soapSessions)
	}
	err = session.NewManager(c).Login(t.Context(), url.UserPassword(srv.Username(), "wrong"))
	var want types.InvalidLogin
	if !soap.IsSoapFault(err) || !cmp.Equal(soap.ToSoapFault(err).VimFault(), want) {
		t.Errorf("wrong password: got %v", err)
	}
}

func TestListenTLS(t *testing.T) {
	t.Parallel()
	srv := start(t, vcentersim.WithListener("127.0.0.1:0"))
	if !strings.HasPrefix(srv.URL(), "https://127.0.0.1:") {
		t.Fatalf("got %s", srv.URL())
	}
	if status, _ := admin(t, srv).do(http.MethodGet, "/api/vcenter/namespace-management/clusters", nil); status != http.StatusOK {
		t.Errorf("got %d", status)
	}
	if c := vimClient(t, srv); c.ServiceContent.About.InstanceUuid != srv.InstanceUUID() {
		t.Errorf("got %s, want %s", c.ServiceContent.About.InstanceUuid, srv.InstanceUUID())
	}
	if _, err := srv.ListenTLS("127.0.0.1:0"); err == nil {
		t.Error("a second listener: want an error")
	}
}

// TestSetReplacesAndUpdateDoesNot tells PUT from PATCH.
func TestSetReplacesAndUpdateDoesNot(t *testing.T) {
	t.Parallel()
	a := admin(t, start(t))
	a.do(http.MethodPost, instances, map[string]any{"cluster": vcentersim.SupervisorCluster, "namespace": "ns", "description": "old"})
	description := func() string { _, ns := a.do(http.MethodGet, instances+"/ns", nil); return field(ns, "description") }
	for _, step := range []struct{ method, want string }{{http.MethodPatch, "old"}, {http.MethodPut, ""}} {
		if status, answer := a.do(step.method, instances+"/ns", map[string]any{}); status != http.StatusNoContent {
			t.Fatal(status, answer)
		}
		if got := description(); got != step.want {
			t.Errorf("after %s: got %q, want %q", step.method, got, step.want)
		}
	}
}
