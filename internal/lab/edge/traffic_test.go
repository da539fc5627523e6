// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && e2etraffic

package edge_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/viaduct-sdk/viaduct/internal/lab/edge"
	"github.com/viaduct-sdk/viaduct/internal/lab/edge/echo"
	"github.com/viaduct-sdk/viaduct/internal/lab/edge/netfilter"
	"github.com/viaduct-sdk/viaduct/internal/lab/hosts"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// Addresses of the test network.
const (
	clientIP   = "10.1.0.2"
	internalIP = "100.64.0.1"
	internal6  = "fd00:64::1"
	vip        = "192.168.30.66"
	otherVIP   = "192.168.30.67"
)

type object = map[string]any

// network is an edge between a client and members, with a router in the middle.
type network struct {
	t      *testing.T
	ctx    context.Context
	prefix string
	router *hosts.Host
	client *hosts.Host
	host   *hosts.Host // the edge's
	nsx    *nsxsim.Server
	config edge.Config
	edge   *edge.Edge
	stop   func() // ends the edge; once
}

// newNetwork starts an edge on hosts of its own.
func newNetwork(t *testing.T, change func(*edge.Config)) *network {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	n := &network{t: t, ctx: ctx, prefix: strings.ReplaceAll(strings.ToLower(t.Name()), "/", "-"), nsx: nsxsim.NewServer()}
	n.router, n.client, n.host = n.newHost("router"), n.newHost("client"), n.newHost("edge")
	n.link(n.client, clientIP)
	n.link(n.host, "10.2.0.2")
	n.must(n.router.IP(ctx, "route add 192.168.30.64/27 via 10.2.0.2", "route add 100.64.0.0/10 via 10.2.0.2"))
	n.must(n.host.IP(n.ctx, "route add unreachable 192.168.30.64/27")) // but for virtual servers
	config := edge.Config{
		NSX: n.nsx, Host: n.host, Resync: 100 * time.Millisecond,
		Internal: func(string, netip.Addr) netip.Addr { return netip.MustParseAddr(internalIP) },
	}
	if change != nil {
		change(&config)
	}
	t.Cleanup(n.nsx.Close)
	n.start(config)
	n.put("/infra/tier-1s/x", object{})
	n.put("/infra/lb-services/x", object{"connectivity_path": "/infra/tier-1s/x"})
	return n
}

// start starts the edge.
func (n *network) start(config edge.Config) {
	n.t.Helper()
	var err error
	n.config = config
	n.edge, err = edge.New(config)
	n.must(err)
	ctx, cancel := context.WithCancel(n.ctx)
	done := make(chan error, 1)
	run := n.edge.Run
	go func() { done <- run(ctx) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			n.t.Errorf("Run: %v", err)
		}
	})
	n.t.Cleanup(n.stop)
}

// manager asks NSX.
func (n *network) manager() *nsx.Client {
	n.t.Helper()
	c, err := nsx.NewClient(n.nsx.URL(), nsx.BasicAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword), nsx.WithHTTPClient(n.nsx.Client()))
	n.must(err)
	return c
}

func (n *network) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *network) newHost(name string) *hosts.Host {
	n.t.Helper()
	h, err := world.Host(n.ctx, n.prefix+"-"+name, "")
	n.must(err)
	n.t.Cleanup(func() {
		if err := h.Remove(context.WithoutCancel(n.ctx)); err != nil {
			n.t.Error(err)
		}
	})
	return h
}

func (n *network) link(h *hosts.Host, address string) {
	n.t.Helper()
	a := netip.MustParseAddr(address)
	n.must(world.Link(n.ctx, hosts.Link{
		Host: h, Address: a, Router: n.router, RouterInterface: wire(a), Gateway: netip.MustParseAddr("169.254.1.1"),
	}))
}

// wire is the router's interface to the host with the address.
func wire(a netip.Addr) string { return "to" + strings.ReplaceAll(a.String(), ".", "_") }

// sixth gives a host that is linked an IPv6 address too.
func (n *network) sixth(h *hosts.Host, four, six string) {
	n.t.Helper()
	to := wire(netip.MustParseAddr(four))
	n.must(n.router.IP(n.ctx, "address add fe80::1/64 dev "+to+" nodad", "route add "+six+"/128 dev "+to))
	n.must(h.IP(n.ctx, "address add "+six+"/128 dev eth0 nodad", "route add default via fe80::1 dev eth0 onlink"))
	for _, host := range []*hosts.Host{n.router, h} {
		_, err := netfilter.Run(n.ctx, host, "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding", "/bin/sh", "-e")
		n.must(err)
	}
}

// serve starts a server on a host of its own and returns the host.
func (n *network) serve(name, address string, places ...string) *hosts.Host {
	n.t.Helper()
	h := n.newHost(name)
	n.link(h, address)
	n.run(h, name, places...)
	return h
}

// run starts a server on a host.
func (n *network) run(h *hosts.Host, name string, places ...string) {
	n.t.Helper()
	self, err := os.Executable()
	n.must(err)
	cmd := h.Command(n.ctx, self)
	echo.Command(cmd, name, places...)
	out, err := cmd.StdoutPipe()
	n.must(err)
	cmd.Stderr = os.Stderr
	n.must(cmd.Start())
	n.t.Cleanup(func() {
		_ = cmd.Process.Kill() // gone, when its host is
		_ = cmd.Wait()         // killed
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		n.t.Fatalf("%s: %q, %v", name, line, err)
	}
}

func (n *network) put(path string, o object) {
	n.t.Helper()
	n.must(n.nsx.Put(path, o))
}

// pool makes the pool x of members.
func (n *network) pool(more object, members ...object) {
	n.t.Helper()
	o := object{"members": members, "snat_translation": object{"type": "LBSnatAutoMap"}}
	maps.Copy(o, more)
	n.put("/infra/lb-pools/x", o)
}

func member(ip, port string) object { return object{"ip_address": ip, "port": port} }

// server makes a virtual server for the pool x.
func (n *network) server(name, address, protocol string, more object, ports ...string) {
	n.t.Helper()
	o := object{
		"ip_address": address, "ports": ports, "pool_path": "/infra/lb-pools/x", "lb_service_path": "/infra/lb-services/x",
		"application_profile_path": "/infra/lb-app-profiles/default-" + protocol + "-lb-app-profile",
	}
	maps.Copy(o, more)
	n.put("/infra/lb-virtual-servers/"+name, o)
}

func (n *network) sync() {
	n.t.Helper()
	n.must(n.edge.Sync(n.ctx))
}

// ask asks over a new connection and returns who answered, and the address that
// he saw.
func (n *network) ask(network, address string) (name, seen string, err error) {
	conn, err := n.dial(network, address)
	if err != nil {
		return "", "", err
	}
	defer func() { _ = conn.Close() }() // was only asked
	return echo.Ask(conn, "hello")
}

func (n *network) dial(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(n.ctx, 20*time.Second)
	defer cancel()
	conn, err := n.client.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return nil, err
	}
	return conn, nil
}

// answers asks count times and says how often who answered.
func (n *network) answers(network, address string, count int) map[string]int {
	n.t.Helper()
	who := map[string]int{}
	for range count {
		name, seen, err := n.ask(network, address)
		if err != nil {
			n.t.Fatalf("ask %s: %v", address, err)
		}
		if from, _, _ := net.SplitHostPort(seen); from != internalIP && from != internal6 {
			n.t.Errorf("%s saw %s, want the load balancer", name, seen)
		}
		who[name]++
	}
	return who
}

// TestRoundRobin has two members take turns, by TCP and by UDP, at single ports
// and at ranges, and counts.
func TestRoundRobin(t *testing.T) {
	n := newNetwork(t, nil)
	for i := range 2 {
		ip := fmt.Sprintf("10.3.0.%d", i+2)
		n.serve(fmt.Sprintf("m%d", i), ip, "tcp/"+ip+":5432", "udp/"+ip+":5432")
	}
	n.pool(nil, member("10.3.0.2", "5432"), member("10.3.0.3", "5432"))
	n.server("tcp", vip, "tcp", nil, "5432", "8000-8010")
	n.server("udp", vip, "udp", nil, "53")
	n.sync()
	for _, at := range []struct{ network, address string }{
		{"tcp", vip + ":5432"}, {"tcp", vip + ":8003"}, {"udp", vip + ":53"},
	} {
		if got := n.answers(at.network, at.address, 10); got["m0"] != 5 || got["m1"] != 5 {
			t.Errorf("%s %s: answers %v, want five of each", at.network, at.address, got)
		}
	}
	if _, _, err := n.ask("tcp", vip+":9"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("at a port without virtual server: %v, want refused", err)
	}
	got, err := n.edge.Counters(n.ctx)
	n.must(err)
	if c := got["/infra/lb-virtual-servers/tcp"]; c.Connections != 20 || c.Packets < 20*6 {
		t.Errorf("counted %+v, want 20 connections and their packets", c)
	}
	if c := got["/infra/lb-virtual-servers/udp"]; c.Connections != 10 || c.Packets != 20 {
		t.Errorf("counted %+v, want 10 connections and 20 packets", c)
	}
}

// TestIPv6 forwards by TCP and UDP, with the load balancer's address.
func TestIPv6(t *testing.T) {
	n := newNetwork(t, func(c *edge.Config) {
		watching(c)
		c.Internal = func(string, netip.Addr) netip.Addr { return netip.MustParseAddr(internal6) }
	})
	n.sixth(n.client, clientIP, "fd00:1::2")
	n.sixth(n.host, "10.2.0.2", "fd00:2::2")
	n.must(n.router.IP(n.ctx, "route add fd00:66::/64 via fd00:2::2", "route add fd00:64::/64 via fd00:2::2"))
	for i := range 2 {
		four, six := fmt.Sprintf("10.3.0.%d", i+2), fmt.Sprintf("fd00:3::%d", i+2)
		h := n.newHost(fmt.Sprintf("m%d", i))
		n.link(h, four)
		n.sixth(h, four, six)
		n.run(h, fmt.Sprintf("m%d", i), "tcp/["+six+"]:5432", "udp/["+six+"]:5432")
	}
	n.pool(object{"min_active_members": 1}, member("fd00:3::2", "5432"), member("fd00:3::3", "5432"), member("fd00:3::9", "5432"))
	n.server("tcp", "fd00:66::1", "tcp", nil, "5432")
	n.server("udp", "fd00:66::1", "udp", nil, "53")
	n.until("the member that is not there is down", func() bool { return n.status()["fd00:3::9"] == "DOWN" })
	n.sync()
	for network, port := range map[string]string{"tcp": "5432", "udp": "53"} {
		if got := n.answers(network, "[fd00:66::1]:"+port, 4); got["m0"] != 2 || got["m1"] != 2 {
			t.Errorf("%s: answers %v, want two of each", network, got)
		}
	}
	if _, _, err := n.ask("tcp", "[fd00:66::1]:9"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("at a port without virtual server: %v, want refused", err)
	}
}
