// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcentersim_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmware/govmomi/cli"
	_ "github.com/vmware/govmomi/cli/about"
	_ "github.com/vmware/govmomi/cli/dvs/portgroup"
	_ "github.com/vmware/govmomi/cli/namespace"
	_ "github.com/vmware/govmomi/cli/namespace/cluster"
	_ "github.com/vmware/govmomi/cli/object"

	"github.com/viaduct-sdk/viaduct/vcenter/vcentersim"
)

// asGovc turns this test's binary into govc: the command-line code of govmomi
// as it is, in a process of its own because it writes to the standard output.
const asGovc = "VCENTERSIM_TEST_AS_GOVC"

func TestMain(m *testing.M) {
	if os.Getenv(asGovc) != "" {
		os.Exit(cli.Run(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// govc runs a command against the simulator's listener.
func govc(t *testing.T, srv *vcentersim.Server, args ...string) string {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, srv.CACertPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = []string{
		asGovc + "=1", "HOME=" + t.TempDir(),
		"GOVC_URL=" + srv.URL(), "GOVC_USERNAME=" + srv.Username(), "GOVC_PASSWORD=" + srv.Password(),
		"GOVC_TLS_CA_CERTS=" + ca, "GOVC_PERSIST_SESSION=false",
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("govc %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestGovc runs govmomi's own commands, unchanged, over TLS.
func TestGovc(t *testing.T) {
	t.Parallel()
	srv := start(t, vcentersim.WithListener("127.0.0.1:0"))
	pg := vcentersim.SegmentPortGroup{Name: "web", SegmentPath: "/infra/segments/web", LogicalSwitchUUID: "11111111-0000-4000-8000-000000000001"}
	if err := srv.AddSegmentPortGroup(t.Context(), pg); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		args []string
		want []string // in the output
		not  []string
	}{
		{args: []string{"about"}, want: []string{"vcentersim", "7.0.3"}},
		{args: []string{"ls", "/"}, want: []string{"/DC0"}},
		{args: []string{"ls", "/DC0/network"}, want: []string{"/DC0/network/DVS0", "/DC0/network/DC0_DVPG0", "/DC0/network/web"}},
		{args: []string{"ls", "/DC0/host/DC0_C0"}, want: []string{"domain-c8-esx0.vcenter.sim", "Resources"}},
		{args: []string{"find", "/", "-type", "DistributedVirtualPortgroup"}, want: []string{"web", "DC0_DVPG0"}},
		{args: []string{"object.collect", "-s", "/DC0/network/web", "config.segmentId"}, want: []string{"/infra/segments/web"}},
		{args: []string{"dvs.portgroup.info", "-pg", "DC0_DVPG0", "DVS0"}, want: []string{"PortgroupKey:"}},
		{args: []string{"namespace.ls"}, not: []string{"test"}},
		{args: []string{"namespace.create", "-cluster", "DC0_C0", "-vmclass", "best-effort-small", "-storage", "wcp-policy", "test"}},
		{args: []string{"namespace.ls"}, want: []string{"test"}},
		{args: []string{"namespace.info", "test"}, want: []string{"RUNNING", "best-effort-small", "/DC0/host/DC0_C0", "wcp-policy"}},
		{args: []string{"namespace.update", "-vmclass", "guaranteed-large", "test"}},
		{args: []string{"namespace.info", "test"}, want: []string{"guaranteed-large"}, not: []string{"best-effort-small", "wcp-policy"}},
		{args: []string{"namespace.rm", "test"}},
		{args: []string{"namespace.ls"}, not: []string{"test"}},
		{args: []string{"namespace.cluster.ls", "-l"}, want: []string{"/DC0/host/DC0_C0", "RUNNING", "READY"}, not: []string{"DC0_C1"}},
		{args: []string{
			"namespace.cluster.enable", "-cluster", "DC0_C1", "-service-cidr", "10.97.0.0/23", "-pod-cidrs", "10.245.0.0/20",
			"-workload-network.egress-cidrs", "192.168.31.96/27", "-workload-network.ingress-cidrs", "192.168.31.64/27",
			"-workload-network.switch", "DVS0", "-workload-network.edge-cluster", "Edge-Cluster-1", "-size", "TINY",
			"-mgmt-network.network", "DC0_DVPG0", "-mgmt-network.gateway", "192.168.10.1", "-mgmt-network.starting-address", "192.168.10.70",
			"-mgmt-network.subnet-mask", "255.255.255.0", "-network-provider", "NSXT_CONTAINER_PLUGIN",
			"-control-plane-storage-policy", "vSAN Default Storage Policy", "-ephemeral-storage-policy", "vSAN Default Storage Policy",
			"-image-storage-policy", "vSAN Default Storage Policy",
		}},
		{args: []string{"namespace.cluster.ls"}, want: []string{"/DC0/host/DC0_C0", "/DC0/host/DC0_C1"}},
		{args: []string{"namespace.cluster.disable", "-cluster", "DC0_C1"}},
		{args: []string{"namespace.cluster.ls"}, want: []string{"/DC0/host/DC0_C0"}, not: []string{"DC0_C1"}},
	} {
		out := govc(t, srv, step.args...)
		for _, text := range step.want {
			if !strings.Contains(out, text) {
				t.Errorf("%s: no %q in\n%s", step.args[0], text, out)
			}
		}
		for _, text := range step.not {
			if strings.Contains(out, text) {
				t.Errorf("%s: %q in\n%s", step.args[0], text, out)
			}
		}
	}
	if left := srv.Unsimulated(); len(left) != 0 {
		t.Errorf("not simulated: %v", left)
	}
}
