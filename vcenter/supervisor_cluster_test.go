// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/netip"
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

func cidr(text string) vcenter.CIDR { return vcenter.CIDR{Prefix: netip.MustParsePrefix(text)} }

func TestSupervisorCluster(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	srv := start(t)
	c := connect(t, srv)
	list, err := page.Collect(c.SupervisorClusters().All(ctx))
	want := []vcenter.SupervisorClusterSummary{{
		ID: vcentersim.SupervisorCluster, Name: "DC0_C0",
		ConfigStatus: vcenter.ConfigStatusRunning, KubernetesStatus: vcenter.KubernetesStatusReady,
	}}
	if diff := cmp.Diff(want, list); err != nil || diff != "" {
		t.Error(err, diff)
	}
	got, err := c.SupervisorClusters().Get(ctx, vcentersim.SupervisorCluster)
	if err != nil {
		t.Fatal(err)
	}
	wantNSX := &vcenter.NSXClusterNetwork{
		PodCIDRs: []vcenter.CIDR{cidr("10.244.0.0/20")}, IngressCIDRs: []vcenter.CIDR{cidr("192.168.30.64/27")},
		EgressCIDRs: []vcenter.CIDR{cidr("192.168.30.96/27")}, DistributedSwitch: srv.SwitchUUID("DVS0"), EdgeCluster: got.NSX.EdgeCluster,
	}
	if diff := cmp.Diff(wantNSX, got.NSX, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if got.ServiceCIDR != cidr("10.96.0.0/23") || got.NetworkProvider != vcenter.NetworkNSXT || !got.IsReady() {
		t.Errorf("got %+v", got)
	}
	checkEndpoint(t, got)
	for _, id := range []string{vcentersim.SpareCluster, "domain-c404"} {
		if _, err := c.SupervisorClusters().Get(ctx, id); !errors.Is(err, viaduct.ErrNotFound) {
			t.Errorf("%s: got %v", id, err)
		}
	}
}

// checkEndpoint proves that the certificate is one for the endpoint, and that
// its chain leads to its root.
func checkEndpoint(t *testing.T, c vcenter.SupervisorCluster) {
	t.Helper()
	block, rest := pem.Decode([]byte(c.EndpointCertificate))
	if block == nil {
		t.Fatalf("no certificate: %q", c.EndpointCertificate)
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(rest)
	if _, err := leaf.Verify(x509.VerifyOptions{DNSName: c.Endpoint, Roots: roots}); err != nil {
		t.Error(err)
	}
}

// TestOpenEnums keeps values that nobody knew of when this was written.
func TestOpenEnums(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	srv := start(t)
	if err := errors.Join(
		srv.SetClusterState(vcentersim.SupervisorCluster, "HIBERNATING", "DREAMING", "sleeping"),
		srv.SetNetworkProvider(vcentersim.SupervisorCluster, "NSX_VPC_2"),
	); err != nil {
		t.Fatal(err)
	}
	got, err := connect(t, srv).SupervisorClusters().Get(ctx, vcentersim.SupervisorCluster)
	if err != nil || got.ConfigStatus != "HIBERNATING" || got.KubernetesStatus != "DREAMING" || got.NetworkProvider != "NSX_VPC_2" {
		t.Errorf("got %+v, %v", got, err)
	}
	if len(got.Messages) != 1 || got.Messages[0].String() != "ERROR: sleeping" {
		t.Errorf("got %v", got.Messages)
	}
}

// enableSpec is the spare cluster's.
func enableSpec(srv *vcentersim.Server, edge string) vcenter.EnableSpec {
	return vcenter.EnableSpec{
		Size: vcenter.SizeTiny,
		ManagementNetwork: vcenter.ManagementNetwork{
			Network: "dvportgroup-12", Mode: vcenter.IPModeStatic,
			Range: &vcenter.IPRange{Start: "192.168.10.70", Count: 5, Gateway: "192.168.10.1", Mask: "255.255.255.0"},
		},
		Network: vcenter.NSXClusterNetwork{
			PodCIDRs: []vcenter.CIDR{cidr("10.245.0.0/20")}, IngressCIDRs: []vcenter.CIDR{cidr("192.168.31.64/27")},
			EgressCIDRs: []vcenter.CIDR{cidr("192.168.31.96/27")}, DistributedSwitch: srv.SwitchUUID("DVS0"), EdgeCluster: edge,
		},
		ServiceCIDR:               cidr("10.97.0.0/23"),
		ControlPlaneStoragePolicy: vcentersim.StoragePolicy, EphemeralStoragePolicy: vcentersim.StoragePolicy, ImageStoragePolicy: vcentersim.StoragePolicy,
		DNSNames: []string{"sv.example.com"}, DNS: []string{"192.168.10.2"},
	}
}

// edgeOf finds the compatible edge cluster, as a program does.
func edgeOf(t *testing.T, c *vcenter.Client, cluster string) string {
	t.Helper()
	ctx := deadline(t)
	switches, err := c.Compatibility().Switches(ctx, cluster)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range switches {
		if !s.Compatible {
			continue
		}
		edges, err := c.Compatibility().EdgeClusters(ctx, cluster, s.DistributedSwitch)
		if err != nil || len(edges) != 1 {
			t.Fatal(edges, err)
		}
		return edges[0].EdgeCluster
	}
	t.Fatal("no compatible switch")
	return ""
}

func TestEnableAndDisable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		srv := start(t, vcentersim.WithManualClusters())
		c := connect(t, srv)
		clusters := c.SupervisorClusters()
		spec := enableSpec(srv, edgeOf(t, c, vcentersim.SpareCluster))
		if err := clusters.Enable(ctx, vcentersim.SpareCluster, spec); err != nil {
			t.Fatal(err)
		}
		if err := clusters.Enable(ctx, vcentersim.SpareCluster, spec); !errors.Is(err, viaduct.ErrExists) {
			t.Errorf("again: got %v", err)
		}
		configuring, err := clusters.Get(ctx, vcentersim.SpareCluster)
		if err != nil || configuring.EndpointCertificate != "" || configuring.IsReady() {
			t.Errorf("while configuring: got %+v, %v", configuring, err)
		}
		go func() {
			time.Sleep(20 * time.Minute) // of the bubble
			if err := srv.FinishCluster(vcentersim.SpareCluster, nil); err != nil {
				t.Error(err)
			}
		}()
		var seen []string
		ready, err := clusters.Wait(ctx, vcentersim.SpareCluster, vcenter.WaitOptions[vcenter.SupervisorCluster]{
			OnProgress: func(c vcenter.SupervisorCluster) {
				seen = append(seen, string(c.ConfigStatus)+" "+string(c.KubernetesStatus))
			},
		})
		if err != nil || ready.Endpoint != "192.168.31.65" || ready.EndpointCertificate == "" {
			t.Errorf("got %+v, %v", ready, err)
		}
		if diff := cmp.Diff([]string{"CONFIGURING WARNING", "RUNNING READY"}, seen); diff != "" {
			t.Error(diff)
		}
		if err := clusters.Disable(ctx, vcentersim.SpareCluster); err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(5 * time.Minute) // of the bubble
			if err := srv.FinishCluster(vcentersim.SpareCluster, nil); err != nil {
				t.Error(err)
			}
		}()
		if err := clusters.WaitDisabled(ctx, vcentersim.SpareCluster, vcenter.WaitOptions[vcenter.SupervisorCluster]{}); err != nil {
			t.Error(err)
		}
		if err := clusters.Disable(ctx, vcentersim.SpareCluster); err != nil {
			t.Errorf("without workload management: %v", err)
		}
	})
}

func TestEnableFails(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	srv := start(t, vcentersim.WithManualClusters())
	c := connect(t, srv)
	if err := c.SupervisorClusters().Enable(ctx, vcentersim.SpareCluster, enableSpec(srv, edgeOf(t, c, vcentersim.SpareCluster))); err != nil {
		t.Fatal(err)
	}
	if err := srv.FinishCluster(vcentersim.SpareCluster, errors.New("no edge node has room")); err != nil {
		t.Fatal(err)
	}
	_, err := c.SupervisorClusters().Wait(ctx, vcentersim.SpareCluster, vcenter.WaitOptions[vcenter.SupervisorCluster]{})
	var state *vcenter.StateError
	if !errors.As(err, &state) || state.Status != vcenter.ConfigStatusError || !strings.Contains(err.Error(), "no edge node has room") {
		t.Errorf("got %v", err)
	}
}

func TestEnableBadInput(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	srv := start(t)
	c := connect(t, srv)
	edge := edgeOf(t, c, vcentersim.SpareCluster)
	for name, tc := range map[string]struct {
		change func(*vcenter.EnableSpec)
		text   string
	}{
		"no size":         {func(s *vcenter.EnableSpec) { s.Size = "" }, "a size"},
		"no pods":         {func(s *vcenter.EnableSpec) { s.Network.PodCIDRs = nil }, "pod CIDRs"},
		"no service CIDR": {func(s *vcenter.EnableSpec) { s.ServiceCIDR = vcenter.CIDR{} }, "a service CIDR"},
		"overlap":         {func(s *vcenter.EnableSpec) { s.ServiceCIDR = cidr("10.245.1.0/24") }, "overlap"},
		"unknown policy":  {func(s *vcenter.EnableSpec) { s.ImageStoragePolicy = "gold" }, "gold"},
		"unknown switch":  {func(s *vcenter.EnableSpec) { s.Network.DistributedSwitch = "none" }, "none"},
		"unknown edge":    {func(s *vcenter.EnableSpec) { s.Network.EdgeCluster = "none" }, "none"},
	} {
		spec := enableSpec(srv, edge)
		tc.change(&spec)
		err := c.SupervisorClusters().Enable(ctx, vcentersim.SpareCluster, spec)
		if !errors.Is(err, viaduct.ErrInvalid) || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := c.SupervisorClusters().Enable(ctx, "domain-c404", enableSpec(srv, edge)); !errors.Is(err, viaduct.ErrNotFound) {
		t.Errorf("unknown cluster: got %v", err)
	}
}

func TestDisableWithNamespaces(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	c := connect(t, start(t))
	if err := c.Namespaces().Create(ctx, vcenter.NamespaceSpec{Name: "ns", Cluster: vcentersim.SupervisorCluster}); err != nil {
		t.Fatal(err)
	}
	if err := c.SupervisorClusters().Disable(ctx, vcentersim.SupervisorCluster); !errors.Is(err, viaduct.ErrInUse) {
		t.Errorf("got %v", err)
	}
}

func TestSoftware(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	c := connect(t, start(t, vcentersim.WithVersion("8.0.2")))
	list, err := c.Software().List(ctx)
	if err != nil || len(list) != 1 || len(list[0].AvailableVersions) != 2 || list[0].State != vcenter.SoftwareReady {
		t.Fatalf("got %+v, %v", list, err)
	}
	next := list[0].AvailableVersions[0]
	if err := c.Software().Upgrade(ctx, vcentersim.SupervisorCluster, next); err != nil {
		t.Fatal(err)
	}
	got, err := c.Software().Wait(ctx, vcentersim.SupervisorCluster, next, vcenter.WaitOptions[vcenter.Software]{})
	if err != nil || got.CurrentVersion != next || got.LastUpgraded.IsZero() || got.Cluster != vcentersim.SupervisorCluster {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, version := range []string{"", "v0.0.1", next} {
		if err := c.Software().Upgrade(ctx, vcentersim.SupervisorCluster, version); !errors.Is(err, viaduct.ErrInvalid) {
			t.Errorf("upgrade to %q: got %v", version, err)
		}
	}
	if _, err := c.Software().Get(ctx, vcentersim.SpareCluster); !errors.Is(err, viaduct.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	versions, err := c.Software().Versions(ctx)
	if err != nil || len(versions) != 3 {
		t.Errorf("got %v, %v", versions, err)
	}
}

func TestUpgradeInProgress(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	c := connect(t, start(t, vcentersim.WithManualClusters()))
	list, err := c.Software().List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	next := list[0].AvailableVersions[1]
	if err := c.Software().Upgrade(ctx, vcentersim.SupervisorCluster, next); err != nil {
		t.Fatal(err)
	}
	got, err := c.Software().Get(ctx, vcentersim.SupervisorCluster)
	if err != nil || got.State != vcenter.SoftwarePending || got.DesiredVersion != next || got.Upgrade == nil || got.Upgrade.Progress.Total != 100 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestCompatibility(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	c := connect(t, start(t))
	got, err := c.Compatibility().Clusters(ctx)
	if err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	for _, k := range got {
		if want := k.Cluster == vcentersim.SpareCluster; k.Compatible != want || (len(k.Reasons) == 0) != want {
			t.Errorf("got %+v", k)
		}
	}
	switches, err := c.Compatibility().Switches(ctx, vcentersim.SpareCluster)
	if err != nil {
		t.Fatal(err)
	}
	gateways, err := c.Compatibility().Tier0Gateways(ctx, switches[0].DistributedSwitch)
	if diff := cmp.Diff([]vcenter.Tier0Gateway{{ID: "t0", Name: "t0", Path: "/infra/tier-0s/t0"}}, gateways); err != nil || diff != "" {
		t.Error(err, diff)
	}
	capability, err := c.Compatibility().Capability(ctx)
	if err != nil || capability != (vcenter.Capability{Supported: true, Licensed: true}) {
		t.Errorf("got %+v, %v", capability, err)
	}
	if _, err := c.Compatibility().Switches(ctx, "domain-c404"); !errors.Is(err, viaduct.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Compatibility().EdgeClusters(ctx, vcentersim.SpareCluster, "none"); !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

func TestSupervisors(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	c := connect(t, start(t, vcentersim.WithVersion("8.0.2")))
	list, err := c.Supervisors().List(ctx)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	one, err := c.Supervisors().Get(ctx, list[0].ID)
	if diff := cmp.Diff(list[0], one); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if one.Name != "DC0_C0" || one.Stats.MemoryCapacity == 0 || one.ConfigStatus != vcenter.ConfigStatusRunning {
		t.Errorf("got %+v", one)
	}
	zones, err := c.Supervisors().Topology(ctx, one.ID)
	if diff := cmp.Diff([]vcenter.SupervisorZone{{Zone: "zone-domain-c8", Clusters: []string{"domain-c8"}}}, zones); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for name, call := range map[string]func() error{
		"get":        func() error { _, err := c.Supervisors().Get(ctx, "none"); return err },
		"topology":   func() error { _, err := c.Supervisors().Topology(ctx, "none"); return err },
		"of cluster": func() error { _, err := c.Supervisors().OfCluster(ctx, vcentersim.SpareCluster); return err },
	} {
		if err := call(); !errors.Is(err, viaduct.ErrNotFound) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
