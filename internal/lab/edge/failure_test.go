// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && e2etraffic

package edge_test

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/viaduct-sdk/viaduct/internal/lab/edge"
	"github.com/viaduct-sdk/viaduct/internal/lab/edge/echo"
	"github.com/viaduct-sdk/viaduct/internal/lab/edge/netfilter"
	"github.com/viaduct-sdk/viaduct/internal/lab/hosts"
)

const (
	m0, m1   = "10.3.0.2", "10.3.0.3"
	affinity = "/infra/lb-persistence-profiles/default-source-ip-lb-persistence-profile"
)

// pair starts two members, m0 and m1, that serve TCP and UDP at port 5432.
func (n *network) pair() {
	n.t.Helper()
	n.serve("m0", m0, "tcp/"+m0+":5432", "udp/"+m0+":5432")
	n.serve("m1", m1, "tcp/"+m1+":5432", "udp/"+m1+":5432")
}

func state(ip, admin string) object {
	o := member(ip, "5432")
	o["admin_state"] = admin
	return o
}

// open opens a connection and asks over it once.
func (n *network) open(address string) (conn net.Conn, name string) {
	n.t.Helper()
	conn, err := n.dial("tcp", address)
	n.must(err)
	n.t.Cleanup(func() { _ = conn.Close() }) // may be closed
	name, _, err = echo.Ask(conn, "hello")
	n.must(err)
	return conn, name
}

// until waits for what must come about, whenever it does.
func (n *network) until(what string, done func() bool) {
	n.t.Helper()
	for !done() {
		select {
		case <-n.ctx.Done():
			n.t.Fatalf("gave up waiting until %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// status is the status of a pool's members by their addresses.
func (n *network) status() map[string]string {
	n.t.Helper()
	status, err := n.manager().LBServices().Status(n.ctx, "x")
	n.must(err)
	all := map[string]string{}
	for _, p := range status.Pools {
		for _, m := range p.Members {
			all[m.IPAddress] = string(m.Status)
		}
	}
	return all
}

// TestDraining switches the member off that has an open connection.
func TestDraining(t *testing.T) {
	n := newNetwork(t, nil)
	n.pair()
	n.twoMembers()
	conn, name := n.open(vip + ":5432")
	for _, admin := range []string{"DISABLED", "GRACEFUL_DISABLED"} {
		off, on := m0, m1
		if name == "m1" {
			off, on = m1, m0
		}
		n.pool(nil, state(off, admin), member(on, "5432"))
		n.sync()
		if got, _, err := echo.Ask(conn, "again"); err != nil || got != name {
			t.Errorf("%s: the open connection: %q, %v, want %s", admin, got, err, name)
		}
		if got := n.answers("tcp", vip+":5432", 4); got[name] != 0 {
			t.Errorf("%s: answers %v, want none of %s", admin, got, name)
		}
	}
}

// twoMembers makes the pool x of both members and a TCP server at the VIP.
func (n *network) twoMembers() {
	n.t.Helper()
	n.pool(nil, member(m0, "5432"), member(m1, "5432"))
	n.server("tcp", vip, "tcp", nil, "5432")
	n.sync()
}

// TestPersistence has a client stay with its member, unless that is switched
// off for good.
func TestPersistence(t *testing.T) {
	n := newNetwork(t, nil)
	n.pair()
	n.pool(nil, member(m0, "5432"), member(m1, "5432"))
	n.server("tcp", vip, "tcp", object{"lb_persistence_profile_path": affinity}, "5432")
	n.sync()
	name, _, err := n.ask("tcp", vip+":5432")
	n.must(err)
	known, stranger := m0, m1
	if name == "m1" {
		known, stranger = m1, m0
	}
	if got := n.answers("tcp", vip+":5432", 6); got[name] != 6 {
		t.Errorf("answers %v, want all of %s", got, name)
	}
	n.pool(nil, state(known, "GRACEFUL_DISABLED"), member(stranger, "5432"))
	n.sync()
	if got := n.answers("tcp", vip+":5432", 6); got[name] != 6 {
		t.Errorf("drained: answers %v, want all of %s, whom the client knows", got, name)
	}
	n.pool(nil, state(known, "DISABLED"), member(stranger, "5432"))
	n.sync()
	if got := n.answers("tcp", vip+":5432", 6); got[name] != 0 {
		t.Errorf("switched off: answers %v, want none of %s", got, name)
	}
	n.pool(nil, member(known, "5432"), member(stranger, "5432"))
	n.sync()
	if got := n.answers("tcp", vip+":5432", 6); got[name] != 0 {
		t.Errorf("on again: answers %v, want all of the other one, whom the client knows by now", got)
	}
}

// TestWeights has one member take three turns of four.
func TestWeights(t *testing.T) {
	n := newNetwork(t, nil)
	n.pair()
	heavy := member(m0, "5432")
	heavy["weight"] = 3
	n.pool(object{"algorithm": "WEIGHTED_ROUND_ROBIN"}, heavy, member(m1, "5432"))
	n.server("tcp", vip, "tcp", nil, "5432")
	n.sync()
	if got := n.answers("tcp", vip+":5432", 12); got["m0"] != 9 || got["m1"] != 3 {
		t.Errorf("answers %v, want 9 and 3", got)
	}
}

func watching(c *edge.Config) {
	c.Monitor = edge.Monitor{Interval: 50 * time.Millisecond, Timeout: 2 * time.Second, Fall: 2, Rise: 2}
}

// TestMemberDies pulls a member's cable: open connections to it are refused, new
// ones go to the other one, also when NSX Manager is gone, and it takes part
// again when it is back.
func TestMemberDies(t *testing.T) {
	n := newNetwork(t, watching)
	members := map[string]*hosts.Host{
		"m0": n.serve("m0", m0, "tcp/"+m0+":5432"), "m1": n.serve("m1", m1, "tcp/"+m1+":5432"),
	}
	n.twoMembers()
	conn, name := n.open(vip + ":5432")
	dead, alive := m0, "m1"
	if name == "m1" {
		dead, alive = m1, "m0"
	}
	n.nft(members[name], pulled)
	n.until("the member is down", func() bool { return n.status()[dead] == "DOWN" })
	n.sync()
	if got := n.answers("tcp", vip+":5432", 4); got[alive] != 4 {
		t.Errorf("answers %v, want all of %s", got, alive)
	}
	if _, _, err := echo.Ask(conn, "again"); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the open connection: %v, want it reset", err)
	}
	for _, m := range n.nsx.Managers() {
		m.Stop()
	}
	n.nft(members[name], "delete table inet cable")
	n.until("the member is back, although NSX Manager is gone", func() bool {
		got, _, err := n.ask("tcp", vip+":5432")
		return err == nil && got == name
	})
	if err := n.edge.Sync(n.ctx); err == nil {
		t.Error("Sync has no error, although NSX Manager is gone")
	}
	for _, m := range n.nsx.Managers() {
		n.must(m.Start())
	}
	n.until("NSX says so", func() bool { return n.status()[dead] == "UP" })
}

// nft has a host's kernel take a script.
func (n *network) nft(h *hosts.Host, script string) {
	n.t.Helper()
	n.must(netfilter.Apply(n.ctx, h, script))
}

// TestMonitorSource has members see monitors come from where clients do: one by
// UDP takes a member for alive only when that has seen it so.
func TestMonitorSource(t *testing.T) {
	n := newNetwork(t, nil)
	there := n.serve("m0", m0, "udp/"+m0+":5432")
	n.nft(there, pulled)
	const profile = "/infra/lb-monitor-profiles/udp"
	n.put(profile, object{
		"resource_type": "LBUdpMonitorProfile", "interval": 1, "timeout": 2, "fall_count": 1, "rise_count": 1,
		// The echo tells whom it saw.
		"send": "hello\n", "receive": " " + internalIP + ":",
	})
	n.pool(object{"active_monitor_paths": []string{profile}}, member(m0, "5432"), member("10.3.0.9", "5432"))
	n.server("udp", vip, "udp", nil, "53")
	n.sync()
	n.until("both members are down", func() bool {
		got := n.status()
		return got["10.3.0.9"] == "DOWN" && got[m0] == "DOWN"
	})
	n.nft(there, "delete table inet cable")
	n.until("the one that is there is up", func() bool { return n.status()[m0] == "UP" })
	n.sync()
	if got := n.answers("udp", vip+":53", 4); got["m0"] != 4 {
		t.Errorf("answers %v", got)
	}
}

// pulled is a host whose cable is pulled.
const pulled = `table inet cable {
	chain pulled {
		type filter hook prerouting priority raw; policy drop;
	}
}
`

// TestServerMoves gives a service another address: the new one first, then the
// old one goes, with its connections. The host's addresses follow.
func TestServerMoves(t *testing.T) {
	n := newNetwork(t, nil)
	n.pair()
	n.twoMembers()
	old, _ := n.open(vip + ":5432")
	n.server("new", otherVIP, "tcp", nil, "5432")
	n.sync()
	fresh, name := n.open(otherVIP + ":5432")
	if _, _, err := echo.Ask(old, "again"); err != nil {
		t.Errorf("the open connection, while both are there: %v", err)
	}
	n.must(n.nsx.Remove("/infra/lb-virtual-servers/tcp"))
	n.sync()
	if got, _, err := echo.Ask(fresh, "again"); err != nil || got != name {
		t.Errorf("the new address: %q, %v", got, err)
	}
	out, err := n.host.Command(n.ctx, "ip", "-brief", "address", "show", "dev", "lo").Output()
	n.must(err)
	if got := string(out); strings.Contains(got, vip+"/") || !strings.Contains(got, otherVIP+"/") || !strings.Contains(got, internalIP+"/") {
		t.Errorf("addresses %s, want the new one and the internal one", got)
	}
	n.must(n.nsx.Remove("/infra/lb-virtual-servers/new"))
	n.sync()
	left, err := n.host.Command(n.ctx, "conntrack", "-L").Output()
	n.must(err)
	if len(bytes.TrimSpace(left)) > 0 {
		t.Errorf("connections are left:\n%s", left)
	}
}

// TestKeepConnections leaves a connection alone whose member has left.
func TestKeepConnections(t *testing.T) {
	for _, keep := range []bool{true, false} {
		t.Run(map[bool]string{true: "keep", false: "forget"}[keep], func(t *testing.T) {
			n := newNetwork(t, func(c *edge.Config) { c.Switches.KeepConnections = keep })
			n.pair()
			n.twoMembers()
			conn, name := n.open(vip + ":5432")
			n.pool(nil, member(map[string]string{"m0": m1, "m1": m0}[name], "5432"))
			n.sync()
			_, _, err := echo.Ask(conn, "again")
			if keep && err != nil || !keep && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the open connection: %v", err)
			}
		})
	}
}

// TestNobodyThere refuses connections to a pool without members.
func TestNobodyThere(t *testing.T) {
	n := newNetwork(t, nil)
	n.pool(nil)
	n.server("tcp", vip, "tcp", nil, "5432")
	n.server("udp", vip, "udp", nil, "53")
	n.sync()
	for _, at := range []struct{ network, address string }{{"tcp", vip + ":5432"}, {"udp", vip + ":53"}} {
		if _, _, err := n.ask(at.network, at.address); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s %s: %v, want refused", at.network, at.address, err)
		}
	}
}

// TestOutlives has the host go on when the edge ends, and another edge take over
// what it finds.
func TestOutlives(t *testing.T) {
	n := newNetwork(t, nil)
	n.pair()
	n.twoMembers()
	conn, name := n.open(vip + ":5432")
	n.stop()
	n.answers("tcp", vip+":5432", 2)
	n.server("new", otherVIP, "tcp", nil, "5432")
	n.must(n.nsx.Remove("/infra/lb-virtual-servers/tcp"))
	n.server("tcp", vip, "tcp", nil, "5433")
	n.start(n.config)
	n.sync()
	if got := n.answers("tcp", otherVIP+":5432", 4); got["m0"] != 2 || got["m1"] != 2 {
		t.Errorf("answers %v", got)
	}
	if _, _, err := n.ask("tcp", vip+":5432"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the old port: %v, want refused", err)
	}
	if got, _, err := echo.Ask(conn, "again"); err != nil || got != name {
		t.Errorf("the open connection: %q, %v", got, err)
	}
}

// TestGoldensLoad has the kernel check all golden files.
func TestGoldensLoad(t *testing.T) {
	n := newNetwork(t, nil)
	files, err := filepath.Glob("testdata/*.nft")
	n.must(err)
	if len(files) < 10 || !slices.Contains(files, "testdata/round-robin.nft") {
		t.Fatalf("found %q", files)
	}
	for _, f := range files {
		if out, err := n.client.Command(n.ctx, "nft", "-c", "-f", f).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", f, err, out)
		}
	}
}

// TestSettingsChange has nft take a set whose timeout is another now.
func TestSettingsChange(t *testing.T) {
	n := newNetwork(t, nil)
	n.pair()
	const profile = "/infra/lb-persistence-profiles/own"
	for _, timeout := range []int{60, 120} {
		n.put(profile, object{"resource_type": "LBSourceIpPersistenceProfile", "timeout": timeout})
		n.pool(nil, member(m0, "5432"), member(m1, "5432"))
		n.server("tcp", vip, "tcp", object{"lb_persistence_profile_path": profile}, "5432")
		n.sync()
		n.answers("tcp", vip+":5432", 2)
	}
	got, err := n.edge.Counters(n.ctx)
	n.must(err)
	if c := got["/infra/lb-virtual-servers/tcp"]; c.Connections != 4 {
		t.Errorf("counted %+v, want 4 connections: counters go on with new rules", c)
	}
}

// TestInternalAddressComes has a virtual server wait until it is known what
// members should see, though NSX does not change.
func TestInternalAddressComes(t *testing.T) {
	var known atomic.Bool
	n := newNetwork(t, func(c *edge.Config) {
		c.Resync = time.Hour
		c.Internal = func(string, netip.Addr) netip.Addr {
			if !known.Load() {
				return netip.Addr{}
			}
			return netip.MustParseAddr(internalIP)
		}
	})
	n.pair()
	n.twoMembers()
	if _, _, err := n.ask("tcp", vip+":5432"); err == nil {
		t.Error("somebody answered, although nobody knows where connections should come from")
	}
	known.Store(true)
	n.until("the server forwards", func() bool {
		_, seen, err := n.ask("tcp", vip+":5432")
		return err == nil && strings.HasPrefix(seen, internalIP+":")
	})
}

// TestInheritsDeath has an edge find a member alive that an earlier edge left as
// dead.
func TestInheritsDeath(t *testing.T) {
	n := newNetwork(t, watching)
	there := n.serve("m0", m0, "tcp/"+m0+":5432")
	n.nft(there, pulled)
	n.pool(nil, member(m0, "5432"))
	n.server("tcp", vip, "tcp", nil, "5432")
	n.until("the member is down", func() bool { return n.status()[m0] == "DOWN" })
	n.stop()
	n.nft(there, "delete table inet cable")
	n.start(n.config)
	n.until("the member is up", func() bool { return n.status()[m0] == "UP" })
	n.sync()
	if got := n.answers("tcp", vip+":5432", 2); got["m0"] != 2 {
		t.Errorf("answers %v", got)
	}
}
