// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && e2etraffic

package dfw_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/viaduct-sdk/viaduct/internal/lab/dfw"
	"github.com/viaduct-sdk/viaduct/internal/lab/edge/echo"
	"github.com/viaduct-sdk/viaduct/internal/lab/edge/netfilter"
	"github.com/viaduct-sdk/viaduct/internal/lab/hosts"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// Addresses of the test network.
const (
	webIP  = "10.1.0.2"
	dbIP   = "10.2.0.2"
	evilIP = "10.3.0.2"

	policies = "/infra/domains/default/security-policies/"
	groups   = "/infra/domains/default/groups/"
)

type object = map[string]any

// network is a client, a server and a stranger, each behind a guarded interface,
// with a router in the middle.
type network struct {
	t             *testing.T
	ctx           context.Context
	router        *hosts.Host
	web, db, evil *hosts.Host
	nsx           *nsxsim.Server
	firewall      *dfw.Firewall
	stop          func() // ends the firewall; once
}

func newNetwork(t *testing.T, change ...func(*dfw.Config)) *network {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	n := &network{t: t, ctx: ctx, nsx: nsxsim.NewServer()}
	t.Cleanup(n.nsx.Close)
	n.router = n.newHost("router")
	n.web, n.db, n.evil = n.newHost("web"), n.newHost("db"), n.newHost("evil")
	n.link(n.web, webIP)
	n.link(n.db, dbIP)
	n.link(n.evil, evilIP)
	n.serve("db", n.db, "tcp/"+dbIP+":5432", "tcp/"+dbIP+":22", "udp/"+dbIP+":53")
	n.serve("web", n.web, "tcp/"+webIP+":80")
	config := dfw.Config{NSX: n.nsx, Resync: 100 * time.Millisecond}
	for _, c := range change {
		c(&config)
	}
	n.start(config)
	return n
}

// start starts the firewall.
func (n *network) start(config dfw.Config) {
	n.t.Helper()
	var err error
	n.firewall, err = dfw.New(config)
	n.must(err)
	n.attach("web", n.web, webIP)
	n.attach("db", n.db, dbIP)
	n.attach("evil", n.evil, evilIP)
	ctx, cancel := context.WithCancel(n.ctx)
	done := make(chan error, 1)
	run := n.firewall.Run
	go func() { done <- run(ctx) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			n.t.Errorf("Run: %v", err)
		}
	})
	n.t.Cleanup(n.stop)
}

func (n *network) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *network) newHost(name string) *hosts.Host {
	n.t.Helper()
	h, err := world.Host(n.ctx, strings.ReplaceAll(strings.ToLower(n.t.Name()), "/", "-")+"-"+name, "")
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

func (n *network) attach(name string, h *hosts.Host, address string) {
	n.t.Helper()
	n.must(n.firewall.Attach(dfw.Interface{
		Name: name, Host: h, Device: "eth0", Addresses: []netip.Addr{netip.MustParseAddr(address)},
	}))
}

func (n *network) serve(name string, h *hosts.Host, places ...string) {
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

func (n *network) sync() {
	n.t.Helper()
	n.must(n.firewall.Sync(n.ctx))
}

func (n *network) dial(from *hosts.Host, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(n.ctx, 20*time.Second)
	defer cancel()
	conn, err := from.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(20 * time.Second))
}

// passes fails unless the server at the address answers.
func (n *network) passes(from *hosts.Host, network, address string) {
	n.t.Helper()
	conn, err := n.dial(from, network, address)
	if err == nil {
		defer func() { _ = conn.Close() }() // was only asked
		_, _, err = echo.Ask(conn, "hello")
	}
	if err != nil {
		n.t.Errorf("%s %s: %v, want an answer", network, address, err)
	}
}

// refused fails unless the connection is refused, at once.
func (n *network) refused(from *hosts.Host, address string, want error) {
	n.t.Helper()
	conn, err := n.dial(from, "tcp", address)
	if err == nil {
		_ = conn.Close() // should not be there
	}
	if !errors.Is(err, want) {
		n.t.Errorf("%s: %v, want %v", address, err, want)
	}
}

// dropped fails unless packets to the address vanish at the interface: nothing
// comes back, and the interface counts them.
func (n *network) dropped(from *hosts.Host, address, at string) {
	n.t.Helper()
	before, err := n.firewall.Counters(n.ctx, at)
	n.must(err)
	ctx, cancel := context.WithCancel(n.ctx)
	failed := make(chan error, 1)
	go func() {
		conn, err := from.Dial(ctx, "tcp", address)
		if err == nil {
			_ = conn.Close() // should not be there
		}
		failed <- err
	}()
	for {
		now, err := n.firewall.Counters(n.ctx, at)
		n.must(err)
		if now.Dropped > before.Dropped {
			break
		}
		select {
		case err := <-failed:
			n.t.Fatalf("%s: %v, want a packet dropped at %s", address, err, at)
		case <-n.ctx.Done():
			n.t.Fatalf("%s: no packet was dropped at %s", address, at)
		case <-time.After(5 * time.Millisecond):
		}
	}
	cancel()
	if err := <-failed; err == nil {
		n.t.Errorf("%s: connected, want it dropped", address)
	}
}

// isolate makes a policy that lets web reach db at port 5432, and drops what
// else wants to db; ssh is refused.
func (n *network) isolate() {
	n.t.Helper()
	n.put(groups+"db", object{"expression": []any{object{"resource_type": "IPAddressExpression", "ip_addresses": []string{dbIP}}}})
	n.put(policies+"db", object{"category": "Application", "sequence_number": 10, "scope": []string{groups + "db"}})
	entry := func(ports ...string) []any {
		return []any{object{"resource_type": "L4PortSetServiceEntry", "id": "e", "l4_protocol": "TCP", "destination_ports": ports}}
	}
	n.put(policies+"db/rules/allow", object{
		"action": "ALLOW", "direction": "IN", "sequence_number": 10, "source_groups": []string{webIP},
		"destination_groups": []string{groups + "db"}, "service_entries": entry("5432"), "services": []string{"ANY"}, "scope": []string{"ANY"},
	})
	n.put(policies+"db/rules/ssh", object{
		"action": "REJECT", "direction": "IN", "sequence_number": 20, "source_groups": []string{"ANY"},
		"destination_groups": []string{groups + "db"}, "service_entries": entry("20-22"), "services": []string{"ANY"}, "scope": []string{"ANY"},
	})
	n.put(policies+"db/rules/drop", object{
		"action": "DROP", "direction": "IN", "sequence_number": 30, "source_groups": []string{"ANY"},
		"destination_groups": []string{groups + "db"}, "services": []string{"ANY"}, "scope": []string{"ANY"},
	})
	n.sync()
}

// TestIsolation has packets meet each verdict, follows a rule that opens a port
// and goes again, and what the counters say.
func TestIsolation(t *testing.T) {
	n := newNetwork(t)
	n.sync()
	n.passes(n.evil, "tcp", dbIP+":5432")
	n.passes(n.evil, "udp", dbIP+":53")
	n.isolate()
	n.passes(n.web, "tcp", dbIP+":5432")
	n.passes(n.db, "tcp", webIP+":80")
	n.refused(n.web, dbIP+":22", syscall.ECONNREFUSED)
	n.dropped(n.evil, dbIP+":5432", "db")
	n.dropped(n.web, dbIP+":5433", "db")
	n.put(policies+"open", object{"category": "Application", "sequence_number": 5})
	n.put(policies+"open/rules/evil", object{
		"action": "ALLOW", "direction": "IN_OUT", "source_groups": []string{evilIP}, "destination_groups": []string{dbIP},
		"services": []string{"ANY"}, "scope": []string{"ANY"},
	})
	n.sync()
	n.passes(n.evil, "tcp", dbIP+":5432")
	n.must(n.nsx.Remove(policies + "open/rules/evil"))
	n.sync()
	n.dropped(n.evil, dbIP+":5432", "db")
	got, err := n.firewall.Counters(n.ctx, "db")
	n.must(err)
	if got.Rules[policies+"db/rules/allow"] != 1 || got.Rules[policies+"db/rules/ssh"] != 1 || got.Rejected != 1 ||
		got.Rules[policies+"db/rules/drop"] != got.Dropped || got.Foreign != 0 {
		t.Errorf("counted %+v, want one packet allowed by its rule, one refused, and all drops by the last rule", got)
	}
}
