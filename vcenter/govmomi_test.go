// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vapi/namespace"
	"github.com/vmware/govmomi/vapi/rest"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/soap"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/vcenter"
	"github.com/viaduct-sdk/viaduct/vcenter/vcentersim"
)

// These tests put this package next to govmomi's vapi/namespace on the same
// simulator: each shows what is lost there, so that it is noticed when it is
// not any more, and that it is not lost here.

// govmomi is govmomi's own client of namespaces.
func govmomi(t testing.TB, srv *vcentersim.Server) *namespace.Manager {
	t.Helper()
	u, err := url.Parse(srv.URL() + "/sdk")
	if err != nil {
		t.Fatal(err)
	}
	sc := soap.NewClient(u, false)
	sc.Transport = srv.Client().Transport
	vim, err := vim25.NewClient(t.Context(), sc)
	if err != nil {
		t.Fatal(err)
	}
	client := rest.NewClient(vim)
	client.Transport = srv.Client().Transport
	if err := client.Login(t.Context(), url.UserPassword(srv.Username(), srv.Password())); err != nil {
		t.Fatal(err)
	}
	return namespace.NewManager(client)
}

// failing is a NamespaceController that fails.
type failing struct{}

func (failing) CreateNamespace(context.Context, string) error {
	return errors.New("no subnet left in 10.244.0.0/20")
}

func (failing) DeleteNamespace(context.Context, string) error { return nil }

func TestBesideGovmomiMessages(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	srv := start(t, vcentersim.WithNamespaceController(failing{}), vcentersim.WithVersion("8.0.2"))
	c := connect(t, srv)
	access := vcenter.NamespaceAccess{SubjectType: vcenter.SubjectGroup, Subject: "devs", Domain: "vsphere.local", Role: vcenter.AccessEdit}
	if err := c.Namespaces().Create(ctx, vcenter.NamespaceSpec{
		Name: "ns", Cluster: vcentersim.SupervisorCluster, Access: []vcenter.NamespaceAccess{access},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Namespaces().Wait(ctx, "ns", vcenter.WaitOptions[vcenter.Namespace]{}); err == nil {
		t.Fatal("want a state error")
	}
	theirs, err := govmomi(t, srv).GetNamespace(ctx, "ns")
	if err != nil || len(theirs.Messages) != 0 {
		t.Errorf("govmomi reads messages now: %+v, %v", theirs.Messages, err)
	}
	ours, err := c.Namespaces().Get(ctx, "ns")
	if err != nil || len(ours.Messages) != 1 || !strings.Contains(ours.Messages[0].String(), "no subnet left") {
		t.Errorf("got %+v, %v", ours.Messages, err)
	}
	if len(ours.Access) != 1 || ours.Access[0] != access || ours.Creator.Subject != "administrator" {
		t.Errorf("got %+v", ours)
	}
	v2, err := c.NamespacesV2().Get(ctx, "ns")
	if err != nil || len(v2.Messages) != 1 || len(v2.Zones) != 1 || len(v2.Access) != 1 {
		t.Errorf("version 2: got %+v, %v", v2, err)
	}
}

func TestBesideGovmomiEnums(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	srv := start(t)
	if err := srv.SetClusterState(vcentersim.SupervisorCluster, "HIBERNATING", "DREAMING"); err != nil {
		t.Fatal(err)
	}
	theirs, err := govmomi(t, srv).ListClusters(ctx)
	if err != nil || theirs[0].ConfigStatus.String() != "" || theirs[0].KubernetesStatus.String() != "" {
		t.Errorf("govmomi keeps unknown states now: %v %v", theirs, err)
	}
	ours, err := connect(t, srv).SupervisorClusters().List(ctx)
	if err != nil || ours[0].ConfigStatus != "HIBERNATING" || ours[0].KubernetesStatus != "DREAMING" {
		t.Errorf("got %+v, %v", ours, err)
	}
}

func TestBesideGovmomiErrors(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	srv := start(t)
	_, theirs := govmomi(t, srv).GetNamespace(ctx, "none")
	if strings.Contains(theirs.Error(), "was not found.") || rest.IsStatusError(fmt.Errorf("wrapped: %w", theirs), http.StatusNotFound) {
		t.Errorf("govmomi keeps error bodies or unwraps now: %v", theirs)
	}
	_, ours := connect(t, srv).Namespaces().Get(ctx, "none")
	if ours = fmt.Errorf("wrapped: %w", ours); !errors.Is(ours, viaduct.ErrNotFound) || !strings.Contains(ours.Error(), "The namespace none was not found.") {
		t.Errorf("got %v", ours)
	}
	theirs = govmomi(t, srv).CreateNamespace(ctx, namespace.NamespacesInstanceCreateSpec{Cluster: vcentersim.SpareCluster, Namespace: "ns"})
	var typed *vcenter.Error
	if errors.As(theirs, &typed) {
		t.Error("unexpected")
	}
	ours = connect(t, srv).Namespaces().Create(ctx, vcenter.NamespaceSpec{Cluster: vcentersim.SpareCluster, Name: "ns"})
	if !errors.As(ours, &typed) || typed.Type != vcenter.ErrorTypeInvalidArgument || typed.Messages[0].ID == "" {
		t.Errorf("got %v", ours)
	}
}

func TestBesideGovmomiRetryAndRenewal(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	srv := start(t)
	theirs, ours := govmomi(t, srv), connect(t, srv).Namespaces()
	if _, err := ours.List(ctx); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(){
		"session": srv.ExpireSessions,
		"503": func() {
			srv.Inject(vcentersim.Fault{Method: http.MethodGet, Status: http.StatusServiceUnavailable, Code: "SERVICE_UNAVAILABLE"})
		},
	} {
		spoil()
		if _, err := theirs.ListNamespaces(ctx); err == nil {
			t.Errorf("%s: govmomi goes on by itself now", name)
		}
		spoil()
		if _, err := ours.List(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// printing makes this test's binary enable a cluster and say what was printed
// by being run as a process of its own.
const printing = "VCENTER_TEST_PRINTING"

// TestBesideGovmomiPrinting shows that enabling a cluster prints nothing here,
// where govmomi prints the specification to the standard output.
func TestBesideGovmomiPrinting(t *testing.T) {
	t.Parallel()
	if by := os.Getenv(printing); by != "" {
		srv := start(t)
		c := connect(t, srv)
		spec := enableSpec(srv, edgeOf(t, c, vcentersim.SpareCluster))
		spec.LoginBanner = "marker of this test"
		if by == "ours" {
			if err := c.SupervisorClusters().Enable(deadline(t), vcentersim.SpareCluster, spec); err != nil {
				t.Fatal(err)
			}
			return
		}
		_ = govmomi(t, srv).EnableCluster(deadline(t), vcentersim.SpareCluster, &namespace.EnableClusterSpec{LoginBanner: spec.LoginBanner})
		return
	}
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for by, want := range map[string]bool{"ours": false, "govmomi": true} {
		cmd := exec.CommandContext(t.Context(), binary, "-test.run=^TestBesideGovmomiPrinting$")
		cmd.Env = append(os.Environ(), printing+"="+by)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", by, err, out)
		}
		if got := bytes.Contains(out, []byte("marker of this test")); got != want {
			t.Errorf("%s: printed: %t, want %t\n%s", by, got, want, out)
		}
	}
}
