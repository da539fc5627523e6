// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && e2etraffic

package traffic_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct/bridge"
	"github.com/viaduct-sdk/viaduct/internal/lab"
	"github.com/viaduct-sdk/viaduct/internal/lab/dfw"
	"github.com/viaduct-sdk/viaduct/internal/lab/edge"
	"github.com/viaduct-sdk/viaduct/internal/lab/hosts"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
	"github.com/viaduct-sdk/viaduct/supervisor/supervisorsim"
)

// The shop's namespaces and its TK cluster.
const (
	dataNamespace = "acme-data"
	appNamespace  = "acme-app"
	clusterName   = "acme-fitness"
)

// patience bounds every wait; nothing is asserted about time.
const patience = 5 * time.Minute

// world is an installation with machines.
type world struct {
	t   *testing.T
	ctx context.Context

	hosts  *hosts.World
	router *hosts.Host // tier-0 and tier-1 gateways in one
	edge   *hosts.Host
	node   *node
	pods   map[string]*pod // vSphere Pods, by name

	lab        *lab.Lab
	nsx        *nsx.Client
	supervisor kubernetes.Interface
	exporter   *bridge.Cluster
	importer   *bridge.Cluster

	forwarding *edge.Edge
	firewall   *dfw.Firewall

	secrets string // the directory of the client's password file
	table   table
}

// Addresses of the world that no server hands out.
func apiServerAddress() netip.Addr { return netip.AddrFrom4([4]byte{172, 31, 255, 1}) }
func nodeManagement() netip.Addr   { return netip.AddrFrom4([4]byte{172, 31, 255, 10}) }
func edgeUplink() netip.Addr       { return netip.AddrFrom4([4]byte{169, 254, 100, 2}) }
func edgeGateway() netip.Addr      { return netip.AddrFrom4([4]byte{169, 254, 100, 1}) }

// newWorld builds the world: the lab first, which hands out the addresses, then
// the machines that have them.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, ctx: t.Context(), pods: map[string]*pod{}}
	var err error
	w.hosts, err = hosts.Enter(w.ctx)
	w.must(err)
	w.must(w.hosts.Management().IP(w.ctx, "addr add "+apiServerAddress().String()+"/32 dev lo"))
	w.lab, err = lab.Start(w.ctx, lab.Config{
		Namespaces:        []string{dataNamespace, appNamespace},
		ControllerManager: true,
		Address:           apiServerAddress(),
		Progress:          os.Stderr,
	})
	w.must(err)
	t.Cleanup(func() {
		if err := w.lab.Close(); err != nil {
			t.Error(err)
		}
	})
	w.supervisor = w.client(w.lab.Supervisor.Config)
	w.nsx, err = nsx.NewClient(w.lab.NSX.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword),
		nsx.WithHTTPClient(w.lab.NSX.Client()))
	w.must(err)

	w.router, err = w.hosts.Host(w.ctx, "fabric", "")
	w.must(err)
	w.startFirewall()
	w.startEdge()
	w.startNode()
	w.startForwarding()
	w.exporter, err = bridge.NewCluster("supervisor", w.lab.Supervisor.Config, bridge.WithNSX(ncp.NewFinder(w.nsx)))
	w.must(err)
	segment, err := w.segment(w.node.address)
	w.must(err)
	w.shutIn(segment)
	w.importer, err = bridge.NewCluster(clusterName, w.node.cluster.Config, bridge.WithDistributedFirewall(w.nsx, segment.Path))
	w.must(err)
	return w
}

// startEdge makes the machine of the NSX edge, to which the fabric sends what is
// for virtual addresses and for the load balancers' own.
func (w *world) startEdge() {
	var err error
	w.edge, err = w.hosts.Host(w.ctx, "edge", "")
	w.must(err)
	w.must(w.hosts.Link(w.ctx, hosts.Link{
		Host: w.edge, Address: edgeUplink(), Router: w.router, RouterInterface: "edge", Gateway: edgeGateway(),
	}))
	for _, prefix := range []string{supervisorsim.DefaultIngressCIDR, "100.64.0.0/10"} {
		w.must(w.router.IP(w.ctx, fmt.Sprintf("route add %s via %s dev edge onlink", prefix, edgeUplink())))
	}
}

// startForwarding has the edge's kernel forward what NSX says.
func (w *world) startForwarding() {
	forwarding, err := edge.New(edge.Config{
		NSX: w.lab.NSX, Host: w.edge, Internal: w.internal(),
		Monitor: edge.Monitor{Interval: time.Second, Timeout: 2 * time.Second, Fall: 2, Rise: 1},
		Logger:  warnings(),
	})
	w.must(err)
	w.forwarding = forwarding
	w.background(forwarding.Run)
}

// shutIn has the firewall let nobody out of a segment, as an administrator may:
// NCP isolates the pods of a namespace, and lets TK clusters out. So both sides
// have something to open.
func (w *world) shutIn(segment nsx.Segment) {
	w.must(w.nsx.Raw().Do(w.ctx, http.MethodPatch, "/infra/domains/default/security-policies/shut-in", map[string]any{
		"category": "Application", "sequence_number": 1000,
		"rules": []any{map[string]any{
			"id": "drop", "action": "DROP", "direction": "IN_OUT",
			"source_groups": []any{segment.Subnets[0].Network}, "destination_groups": []any{"ANY"},
			"services": []any{"ANY"}, "profiles": []any{"ANY"}, "scope": []any{"ANY"},
		}},
	}, nil))
}

// startFirewall has the hosts' kernels drop what NSX's rules say.
func (w *world) startFirewall() {
	var err error
	w.firewall, err = dfw.New(dfw.Config{NSX: w.lab.NSX, Logger: warnings()})
	w.must(err)
	w.background(w.firewall.Run)
}

func warnings() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// background runs something until the world ends.
func (w *world) background(f func(context.Context) error) {
	ctx, cancel := context.WithCancel(w.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = f(ctx) // It ends when ctx does, and says so.
	}()
	w.t.Cleanup(func() { cancel(); <-done })
}

// internal returns what knows the address from which the load balancer with a
// virtual address reaches its members: NCP writes it on the Service. What it
// said once is remembered, for when there is no API server to ask.
func (w *world) internal() func(string, netip.Addr) netip.Addr {
	var mu sync.Mutex
	known := map[netip.Addr]netip.Addr{}
	return func(_ string, vip netip.Addr) netip.Addr {
		mu.Lock()
		defer mu.Unlock()
		if a, ok := known[vip]; ok {
			return a
		}
		all, err := w.supervisor.CoreV1().Services(metav1.NamespaceAll).List(w.ctx, metav1.ListOptions{})
		if err != nil {
			return netip.Addr{}
		}
		for _, s := range all.Items {
			a, err := netip.ParseAddr(s.Annotations["ncp/internal_ip_for_policy"])
			for _, ingress := range s.Status.LoadBalancer.Ingress {
				if err == nil && ingress.IP == vip.String() {
					known[vip] = a
				}
			}
		}
		return known[vip]
	}
}

// attach connects a host to the segment that its address belongs to, with the
// distributed firewall at its interface.
func (w *world) attach(h *hosts.Host, address netip.Addr) {
	w.t.Helper()
	segment, err := w.segment(address)
	w.must(err)
	gateway, err := netip.ParsePrefix(segment.Subnets[0].GatewayAddress)
	w.must(err)
	w.must(w.hosts.Link(w.ctx, hosts.Link{Host: h, Address: address, Router: w.router, Gateway: gateway.Addr()}))
	w.must(w.firewall.Attach(dfw.Interface{
		Name: h.Name(), Host: h, Device: "eth0", Addresses: []netip.Addr{address},
	}))
}

// segment is the segment that an address belongs to.
func (w *world) segment(address netip.Addr) (nsx.Segment, error) {
	for segment, err := range w.nsx.Segments().All(w.ctx, nsx.ListOptions{}) {
		if err != nil {
			return nsx.Segment{}, err
		}
		for _, subnet := range segment.Subnets {
			gateway, err := netip.ParsePrefix(subnet.GatewayAddress)
			if err == nil && gateway.Masked().Contains(address) {
				return segment, nil
			}
		}
	}
	return nsx.Segment{}, fmt.Errorf("no segment has %s", address)
}

// client returns a client that the bridge does not use.
func (w *world) client(config *rest.Config) kubernetes.Interface {
	w.t.Helper()
	config = rest.CopyConfig(config)
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	c, err := kubernetes.NewForConfig(config)
	w.must(err)
	return c
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// eventually waits until check returns an empty string.
func (w *world) eventually(what string, check func(context.Context) string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		missing := check(ctx)
		if missing == "" {
			return
		}
		select {
		case <-ctx.Done():
			w.t.Fatalf("%s: still %s", what, missing)
		case <-tick.C:
		}
	}
}

// start starts a process that goes with the world. What it says goes to a file,
// which is shown when the test fails.
func (w *world) start(cmd *exec.Cmd) {
	w.t.Helper()
	log, err := os.CreateTemp(w.hosts.Dir(), "log-")
	w.must(err)
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.Env == nil {
		cmd.Env = environment()
	}
	name := strings.Join(cmd.Args, " ")
	w.must(cmd.Start())
	w.t.Cleanup(func() {
		_ = cmd.Process.Kill() // It may be gone.
		how := cmd.Wait()
		if w.t.Failed() {
			content, _ := os.ReadFile(log.Name())
			w.t.Logf("%s\n%s\nended: %v\n%s", strings.Repeat("-", 8), name, how, content)
		}
		_ = log.Close()
	})
}

// environment is that of all processes of the world.
func environment(more ...string) []string {
	path := cmp.Or(os.Getenv("PATH"), "/usr/bin:/bin") + ":/usr/sbin:/sbin"
	return append([]string{"PATH=" + path, "LC_ALL=C.UTF-8", "HOME=/nonexistent", "TMPDIR=" + os.Getenv("TMPDIR")}, more...)
}
