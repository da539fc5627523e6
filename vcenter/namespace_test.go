// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/page"
	"github.com/viaduct-sdk/viaduct/vcenter"
	"github.com/viaduct-sdk/viaduct/vcenter/vcentersim"
)

func TestNamespaceLifeCycle(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	namespaces := connect(t, start(t)).Namespaces()
	spec := vcenter.NamespaceSpec{
		Name: "acme-data", Cluster: vcentersim.SupervisorCluster, Description: "the shop's data",
		Resources: &vcenter.ResourceLimits{CPU: new(int64(4000)), Memory: new(int64(8192))},
		Storage:   []vcenter.StorageSpec{{Policy: vcentersim.StoragePolicy, Limit: new(int64(10240))}},
		VMService: &vcenter.VMServiceSpec{ContentLibraries: []string{"lib"}, VMClasses: []string{"best-effort-small"}},
		Access:    []vcenter.NamespaceAccess{{SubjectType: vcenter.SubjectUser, Subject: "dev", Domain: "vsphere.local", Role: vcenter.AccessEdit}},
	}
	if err := namespaces.Create(ctx, spec); err != nil {
		t.Fatal(err)
	}
	got, err := namespaces.Get(ctx, "acme-data")
	if err != nil {
		t.Fatal(err)
	}
	want := vcenter.Namespace{
		Name: spec.Name, Cluster: spec.Cluster, Status: vcenter.ConfigStatusRunning, Description: spec.Description,
		Messages: []vcenter.StatusMessage{}, Resources: *spec.Resources, Storage: spec.Storage, VMService: *spec.VMService,
		Access: spec.Access, Creator: vcenter.NamespacePrincipal{Subject: "administrator", Domain: "vsphere.local"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	update := vcenter.NamespaceUpdate{Description: new("changed"), Storage: &[]vcenter.StorageSpec{}}
	if err := namespaces.Update(ctx, "acme-data", update); err != nil {
		t.Fatal(err)
	}
	want.Description, want.Storage = "changed", []vcenter.StorageSpec{}
	if got, err = namespaces.Get(ctx, "acme-data"); err != nil || !cmp.Equal(want, got) {
		t.Errorf("after the update, which named two fields: %v %s", err, cmp.Diff(want, got))
	}
	list, err := page.Collect(namespaces.All(ctx))
	wantList := []vcenter.NamespaceSummary{{
		Name: "acme-data", Cluster: vcentersim.SupervisorCluster, Status: vcenter.ConfigStatusRunning, Description: "changed",
	}}
	if diff := cmp.Diff(wantList, list); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for range 2 {
		if err := namespaces.Delete(ctx, "acme-data"); err != nil {
			t.Errorf("delete, also of what is gone: %v", err)
		}
	}
	if err := namespaces.WaitGone(ctx, "acme-data", vcenter.WaitOptions[vcenter.Namespace]{}); err != nil {
		t.Error(err)
	}
	if _, err := namespaces.Get(ctx, "acme-data"); !errors.Is(err, viaduct.ErrNotFound) {
		t.Errorf("got %v, want not found", err)
	}
}

func TestNamespaceBadInput(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	srv := start(t, vcentersim.WithUser(vcentersim.User{Name: "ro@vsphere.local", Password: "x", Role: vcentersim.RoleReadOnly}))
	admin := connect(t, srv).Namespaces()
	reader := connectAs(t, srv, "ro@vsphere.local", "x").Namespaces()
	spec := func(change func(*vcenter.NamespaceSpec)) vcenter.NamespaceSpec {
		s := vcenter.NamespaceSpec{Name: "ns", Cluster: vcentersim.SupervisorCluster}
		change(&s)
		return s
	}
	taken := vcenter.NamespaceSpec{Name: "taken", Cluster: vcentersim.SupervisorCluster, Description: "first"}
	if err := admin.Create(ctx, taken); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		as   vcenter.Namespaces
		spec vcenter.NamespaceSpec
		want error
		text string
	}{
		"no DNS label": {admin, spec(func(s *vcenter.NamespaceSpec) { s.Name = "Acme_Data" }), viaduct.ErrInvalid, "DNS label"},
		"too long":     {admin, spec(func(s *vcenter.NamespaceSpec) { s.Name = strings.Repeat("a", 64) }), viaduct.ErrInvalid, "DNS label"},
		"empty":        {admin, spec(func(s *vcenter.NamespaceSpec) { s.Name = "" }), viaduct.ErrInvalid, "DNS label"},
		"path":         {admin, spec(func(s *vcenter.NamespaceSpec) { s.Name = "../v2" }), viaduct.ErrInvalid, "DNS label"},
		"reserved":     {admin, spec(func(s *vcenter.NamespaceSpec) { s.Name = "vmware-system-x" }), viaduct.ErrForbidden, "belong to the system"},
		"no cluster":   {admin, spec(func(s *vcenter.NamespaceSpec) { s.Cluster = "" }), viaduct.ErrInvalid, "no cluster"},
		"unknown cluster": {
			admin, spec(func(s *vcenter.NamespaceSpec) { s.Cluster = "domain-c404" }), viaduct.ErrNotFound, "domain-c404",
		},
		"cluster without workload management": {
			admin, spec(func(s *vcenter.NamespaceSpec) { s.Cluster = vcentersim.SpareCluster }), viaduct.ErrInvalid, "not enabled",
		},
		"unknown storage policy": {
			admin, spec(func(s *vcenter.NamespaceSpec) { s.Storage = []vcenter.StorageSpec{{Policy: "gold"}} }), viaduct.ErrInvalid, "gold",
		},
		"negative storage limit": {
			admin, spec(func(s *vcenter.NamespaceSpec) {
				s.Storage = []vcenter.StorageSpec{{Policy: vcentersim.StoragePolicy, Limit: new(int64(-1))}}
			}), viaduct.ErrInvalid, "negative: -1",
		},
		"negative CPU limit": {
			admin, spec(func(s *vcenter.NamespaceSpec) { s.Resources = &vcenter.ResourceLimits{CPU: new(int64(-5))} }),
			viaduct.ErrInvalid, "CPU limit is negative: -5",
		},
		"no permission": {reader, spec(func(*vcenter.NamespaceSpec) {}), viaduct.ErrForbidden, "Namespaces.Configure"},
		"exists": {
			admin, spec(func(s *vcenter.NamespaceSpec) { s.Name = "taken" }), viaduct.ErrExists, "ALREADY_EXISTS",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tc.as.Create(deadline(t), tc.spec)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) || !strings.Contains(err.Error(), tc.spec.Name) {
				t.Errorf("got %v, want %v with %q", err, tc.want, tc.text)
			}
		})
	}
	t.Cleanup(func() {
		got, err := admin.Get(context.WithoutCancel(ctx), "taken")
		if err == nil && got.Description != "first" {
			t.Errorf("what existed was changed: %+v", got)
		}
	})
}

// steps is a NamespaceController that is told when and how to end.
type steps chan error

func (s steps) CreateNamespace(ctx context.Context, _ string) error { return s.next(ctx) }

func (s steps) DeleteNamespace(ctx context.Context, _ string) error { return s.next(ctx) }

func (s steps) next(ctx context.Context) error {
	select {
	case err := <-s:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func TestWaitSeesEachTransition(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		reason string
		end    error
		want   []vcenter.ConfigStatus
		text   string
	}{
		"running": {"CONFIGURING, then RUNNING", nil, []vcenter.ConfigStatus{vcenter.ConfigStatusConfiguring, vcenter.ConfigStatusRunning}, ""},
		"error": {
			"the server's own message", errors.New("no subnet left in 10.244.0.0/20"),
			[]vcenter.ConfigStatus{vcenter.ConfigStatusConfiguring, vcenter.ConfigStatusError},
			"no subnet left in 10.244.0.0/20",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctl := make(steps)
				namespaces := connect(t, start(t, vcentersim.WithNamespaceController(ctl))).Namespaces()
				if err := namespaces.Create(t.Context(), vcenter.NamespaceSpec{Name: "ns", Cluster: vcentersim.SupervisorCluster}); err != nil {
					t.Fatal(err)
				}
				go func() {
					time.Sleep(time.Minute) // of the bubble
					ctl <- tc.end
				}()
				var seen []vcenter.ConfigStatus
				begin := time.Now()
				ns, err := namespaces.Wait(t.Context(), "ns", vcenter.WaitOptions[vcenter.Namespace]{
					OnProgress: func(ns vcenter.Namespace) { seen = append(seen, ns.Status) },
				})
				if diff := cmp.Diff(tc.want, seen); diff != "" {
					t.Error(tc.reason, diff)
				}
				if took := time.Since(begin); took < time.Minute || took > time.Minute+2*time.Second {
					t.Errorf("took %v, want a minute and one look", took)
				}
				var state *vcenter.StateError
				switch {
				case tc.end == nil && (err != nil || !ns.IsReady()):
					t.Errorf("got %+v, %v", ns, err)
				case tc.end != nil && (!errors.As(err, &state) || !strings.Contains(err.Error(), tc.text)):
					t.Errorf("%s: got %v", tc.reason, err)
				}
			})
		})
	}
}

func TestWaitEndsWithTheContextAndNamesTheState(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		namespaces := connect(t, start(t, vcentersim.WithNamespaceController(make(steps)))).Namespaces()
		if err := namespaces.Create(t.Context(), vcenter.NamespaceSpec{Name: "ns", Cluster: vcentersim.SupervisorCluster}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := namespaces.Wait(ctx, "ns", vcenter.WaitOptions[vcenter.Namespace]{})
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), `"ns": CONFIGURING`) {
			t.Errorf("got %v", err)
		}
	})
}

func TestWaitForWhatDoesNotExist(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	_, err := connect(t, start(t)).Namespaces().Wait(ctx, "none", vcenter.WaitOptions[vcenter.Namespace]{})
	if !errors.Is(err, viaduct.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestAccess(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	srv := start(t, vcentersim.WithUser(vcentersim.User{Name: "dev@vsphere.local", Password: "x", Role: vcentersim.RoleDeveloper}))
	namespaces := connect(t, srv).Namespaces()
	for _, name := range []string{"acme-app", "acme-data"} {
		if err := namespaces.Create(ctx, vcenter.NamespaceSpec{Name: name, Cluster: vcentersim.SupervisorCluster}); err != nil {
			t.Fatal(err)
		}
	}
	dev := connectAs(t, srv, "dev@vsphere.local", "x").Namespaces()
	if _, err := dev.List(ctx); !errors.Is(err, viaduct.ErrForbidden) {
		t.Errorf("list without System.Read: got %v", err)
	}
	access := vcenter.NamespaceAccess{SubjectType: vcenter.SubjectUser, Subject: "dev", Domain: "vsphere.local", Role: vcenter.AccessView}
	if err := namespaces.Grant(ctx, "acme-data", access); err != nil {
		t.Fatal(err)
	}
	access.Role = vcenter.AccessEdit
	for range 2 {
		if err := namespaces.Grant(ctx, "acme-data", access); err != nil {
			t.Errorf("changing the role, and granting what is granted: %v", err)
		}
	}
	got, err := namespaces.GetAccess(ctx, "acme-data", access)
	if err != nil || got != access {
		t.Errorf("got %v, %v", got, err)
	}
	ns, err := namespaces.Get(ctx, "acme-data")
	if diff := cmp.Diff([]vcenter.NamespaceAccess{access}, ns.Access); err != nil || diff != "" {
		t.Error(err, diff)
	}
	mine, err := dev.Mine(ctx)
	if diff := cmp.Diff([]vcenter.UserNamespace{{Name: "acme-data", APIServer: "192.168.30.65"}}, mine); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for range 2 {
		if err := namespaces.Revoke(ctx, "acme-data", access); err != nil {
			t.Errorf("revoke, also of what is revoked: %v", err)
		}
	}
	if _, err := namespaces.GetAccess(ctx, "acme-data", access); !errors.Is(err, viaduct.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if err := namespaces.Grant(ctx, "acme-data", vcenter.NamespaceAccess{Subject: "dev"}); !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("without a domain: got %v", err)
	}
	access.Role = "KING"
	if err := namespaces.Grant(ctx, "acme-app", access); !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("an unknown role: got %v", err)
	}
}

func TestNamespacesV2(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	c := connect(t, start(t, vcentersim.WithVersion("8.0.2")))
	supervisor, err := c.Supervisors().OfCluster(ctx, vcentersim.SupervisorCluster)
	if err != nil {
		t.Fatal(err)
	}
	spec := vcenter.NamespaceV2Spec{
		Name: "acme-data", Supervisor: supervisor, Description: "d",
		Libraries: []vcenter.ContentLibrary{{ID: "lib", Writable: true}},
	}
	if err := c.NamespacesV2().Create(ctx, spec); err != nil {
		t.Fatal(err)
	}
	if err := c.NamespacesV2().Create(ctx, spec); !errors.Is(err, viaduct.ErrExists) {
		t.Errorf("again: got %v", err)
	}
	got, err := c.NamespacesV2().Get(ctx, "acme-data")
	want := vcenter.NamespaceV2{
		Name: "acme-data", Supervisor: supervisor, Zones: []string{"zone-" + vcentersim.SupervisorCluster},
		Status: vcenter.ConfigStatusRunning, Messages: []vcenter.StatusMessage{}, Description: "d",
		Storage: []vcenter.StorageSpec{}, Libraries: spec.Libraries, Access: []vcenter.NamespaceAccess{},
		Network: vcenter.NamespaceNetwork{Provider: vcenter.NetworkNSXT},
		Creator: vcenter.NamespacePrincipal{Subject: "administrator", Domain: "vsphere.local"},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	list, err := page.Collect(c.NamespacesV2().All(ctx))
	if err != nil || len(list) != 1 || list[0].Supervisor != supervisor {
		t.Errorf("got %v, %v", list, err)
	}
	if err := c.NamespacesV2().Create(ctx, vcenter.NamespaceV2Spec{Name: "x", Supervisor: "none"}); !errors.Is(err, viaduct.ErrNotFound) {
		t.Errorf("unknown Supervisor: got %v", err)
	}
}

func TestVersionGates(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	srv := start(t) // 7.0.3
	c := connect(t, srv)
	calls := map[string]func() error{
		"namespaces v2 get":  func() error { _, err := c.NamespacesV2().Get(ctx, "ns"); return err },
		"namespaces v2 list": func() error { _, err := c.NamespacesV2().List(ctx); return err },
		"namespaces v2 create": func() error {
			return c.NamespacesV2().Create(ctx, vcenter.NamespaceV2Spec{Name: "ns", Supervisor: "s"})
		},
		"supervisors":  func() error { _, err := c.Supervisors().List(ctx); return err },
		"supervisor":   func() error { _, err := c.Supervisors().Get(ctx, "s"); return err },
		"topology":     func() error { _, err := c.Supervisors().Topology(ctx, "s"); return err },
		"of a cluster": func() error { _, err := c.Supervisors().OfCluster(ctx, "c"); return err },
	}
	for name, call := range calls {
		err := call()
		var unsupported *vcenter.UnsupportedError
		if !errors.Is(err, viaduct.ErrUnsupported) || !errors.As(err, &unsupported) || unsupported.Have.String() != "7.0.3" {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if n := requestsOf(srv, "GET", "/api/vcenter"); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// stuck is a NamespaceController that can't delete.
type stuck struct{}

func (stuck) CreateNamespace(context.Context, string) error { return nil }

func (stuck) DeleteNamespace(context.Context, string) error {
	return errors.New("a pod does not terminate")
}

func TestWaitGoneTellsWhyNot(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	namespaces := connect(t, start(t, vcentersim.WithNamespaceController(stuck{}))).Namespaces()
	none := vcenter.WaitOptions[vcenter.Namespace]{}
	if err := namespaces.Create(ctx, vcenter.NamespaceSpec{Name: "ns", Cluster: vcentersim.SupervisorCluster}); err != nil {
		t.Fatal(err)
	}
	if _, err := namespaces.Wait(ctx, "ns", none); err != nil {
		t.Fatal(err)
	}
	if err := namespaces.Delete(ctx, "ns"); err != nil {
		t.Fatal(err)
	}
	var state *vcenter.StateError
	err := namespaces.WaitGone(ctx, "ns", none)
	if !errors.As(err, &state) || !strings.Contains(err.Error(), "a pod does not terminate") {
		t.Errorf("got %v", err)
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	err = namespaces.WaitGone(short, "ns", vcenter.WaitOptions[vcenter.Namespace]{TolerateError: true})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("when ERROR is tolerated: got %v", err)
	}
}

func TestAllYieldsOneError(t *testing.T) {
	t.Parallel()
	srv := start(t, vcentersim.WithUser(vcentersim.User{Name: "dev@vsphere.local", Password: "x", Role: vcentersim.RoleDeveloper}))
	var errs []error
	for _, err := range connectAs(t, srv, "dev@vsphere.local", "x").Namespaces().All(deadline(t)) {
		errs = append(errs, err)
	}
	if len(errs) != 1 || !errors.Is(errs[0], viaduct.ErrForbidden) {
		t.Errorf("got %v", errs)
	}
}
