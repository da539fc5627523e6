// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && e2etraffic

package dfw_test

import (
	"errors"
	"maps"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/lab/dfw"
	"github.com/viaduct-sdk/viaduct/internal/lab/edge/echo"
	"github.com/viaduct-sdk/viaduct/internal/lab/edge/netfilter"
	"github.com/viaduct-sdk/viaduct/internal/lab/hosts"
)

// rule makes a policy of one rule, applied to scope.
func (n *network) rule(name string, sequence int, scope string, r object) {
	n.t.Helper()
	n.put(policies+name, object{"category": "Application", "sequence_number": sequence, "scope": []string{scope}})
	o := object{"services": []string{"ANY"}, "scope": []string{"ANY"}, "source_groups": []string{"ANY"}, "destination_groups": []string{"ANY"}}
	maps.Copy(o, r)
	n.put(policies+name+"/rules/r", o)
	n.sync()
}

func ports(protocol string, all ...string) []any {
	return []any{object{"resource_type": "L4PortSetServiceEntry", "id": "e", "l4_protocol": protocol, "destination_ports": all}}
}

// TestRefuseLeaving has a rule refuse what leaves: of the host itself, and of a
// pod behind it whose packets get the host's address on their way out.
func TestRefuseLeaving(t *testing.T) {
	n := newNetwork(t)
	pod := n.pod(n.web, "10.200.0.2")
	n.rule("out", 10, "ANY", object{
		"action": "REJECT", "direction": "OUT", "source_groups": []string{webIP}, "destination_groups": []string{dbIP},
		"service_entries": ports("TCP", "22"),
	})
	for _, from := range []*hosts.Host{n.web, pod} {
		n.refused(from, dbIP+":22", syscall.ECONNREFUSED)
		n.passes(from, "tcp", dbIP+":5432")
	}
	n.passes(n.evil, "tcp", dbIP+":22")
	got, err := n.firewall.Counters(n.ctx, "web")
	n.must(err)
	if got.Rejected != 2 || got.Rules[policies+"out/rules/r"] != 2 {
		t.Errorf("counted %+v, want two refused by the rule", got)
	}
}

// pod makes a host behind another one, which translates what it sends.
func (n *network) pod(node *hosts.Host, address string) *hosts.Host {
	n.t.Helper()
	pod := n.newHost("pod")
	n.must(world.Link(n.ctx, hosts.Link{
		Host: pod, Address: netip.MustParseAddr(address),
		Router: node, RouterInterface: "pod0", Gateway: netip.MustParseAddr("169.254.2.1"),
	}))
	n.must(netfilter.Apply(n.ctx, node, `table ip pods {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "eth0" masquerade
	}
}
`))
	return pod
}

// TestNode has a pod behind a node judged by the node's address, which is what is
// on the wire, and pods of one node reach each other and the node as they like.
func TestNode(t *testing.T) {
	n := newNetwork(t)
	pod := n.pod(n.web, "10.200.0.2")
	n.isolate()
	n.passes(pod, "tcp", dbIP+":5432")
	n.dropped(pod, dbIP+":5433", "db")
	n.rule("own", 1, "ANY", object{"action": "DROP", "source_groups": []string{"10.200.0.0/16"}})
	n.passes(pod, "tcp", dbIP+":5432")
	n.passes(pod, "tcp", webIP+":80")
	n.rule("out", 2, "ANY", object{"action": "DROP", "direction": "OUT", "source_groups": []string{webIP}})
	n.dropped(pod, dbIP+":5432", "web")
	n.passes(pod, "tcp", webIP+":80")
}

// TestSegment applies a rule to a segment, which the interfaces with its
// addresses are found to be in.
func TestSegment(t *testing.T) {
	n := newNetwork(t)
	n.put("/infra/segments/db", object{"subnets": []any{object{"gateway_address": "10.2.0.1/24"}}})
	n.put(groups+"segment", object{"expression": []any{object{"resource_type": "PathExpression", "paths": []string{"/infra/segments/db"}}}})
	n.rule("segment", 10, groups+"segment", object{"action": "DROP"})
	n.dropped(n.evil, dbIP+":5432", "db")
	n.passes(n.evil, "tcp", webIP+":80")
	n.dropped(n.db, webIP+":80", "db")
}

// TestDatagrams has UDP decided apart from TCP: it is dropped at the server, and
// passes there when only TCP is not wanted.
func TestDatagrams(t *testing.T) {
	n := newNetwork(t)
	n.rule("udp", 10, "ANY", object{"action": "REJECT", "direction": "IN", "destination_groups": []string{dbIP}, "service_entries": ports("UDP", "53")})
	conn, err := n.dial(n.web, "udp", dbIP+":53")
	n.must(err)
	defer func() { _ = conn.Close() }() // was only asked
	if _, _, err := echo.Ask(conn, "hello"); !isAny(err, syscall.EHOSTUNREACH, syscall.ECONNREFUSED, syscall.EACCES) {
		t.Errorf("%v, want it refused", err)
	}
	n.passes(n.web, "tcp", dbIP+":5432")
	n.rule("udp", 10, "ANY", object{"action": "DROP", "direction": "IN", "destination_groups": []string{dbIP}, "service_entries": ports("TCP", "5432")})
	n.passes(n.web, "udp", dbIP+":53")
	n.dropped(n.web, dbIP+":5432", "db")
}

func isAny(err error, targets ...error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// TestOpenConnections has a connection stay that a new rule would not let begin,
// or end it, as the switch says.
func TestOpenConnections(t *testing.T) {
	for name, revalidate := range map[string]bool{"stay": false, "end": true} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t, func(c *dfw.Config) { c.Switches.Revalidate = revalidate })
			n.sync()
			conn, err := n.dial(n.web, "tcp", dbIP+":5432")
			n.must(err)
			defer func() { _ = conn.Close() }() // was only asked
			_, _, err = echo.Ask(conn, "hello")
			n.must(err)
			n.rule("closed", 10, "ANY", object{"action": "REJECT", "direction": "IN", "destination_groups": []string{dbIP}})
			_, _, err = echo.Ask(conn, "again")
			if !revalidate && err != nil || revalidate && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the open connection: %v", err)
			}
			n.refused(n.web, dbIP+":5432", syscall.ECONNREFUSED)
		})
	}
}

// TestForeign drops what comes from an address that is not the interface's.
func TestForeign(t *testing.T) {
	n := newNetwork(t)
	n.sync()
	n.must(n.evil.IP(n.ctx, "address add 10.3.0.99/32 dev eth0", "route replace "+dbIP+"/32 via 169.254.1.1 dev eth0 onlink src 10.3.0.99"))
	conn, err := n.dial(n.evil, "udp", dbIP+":53")
	n.must(err)
	defer func() { _ = conn.Close() }() // was only asked
	if got, _, _ := net.SplitHostPort(conn.LocalAddr().String()); got != "10.3.0.99" {
		t.Fatalf("the client is %s", got)
	}
	if err := conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, seen, err := echo.Ask(conn, "hello"); err == nil {
		t.Errorf("the server answered %s", seen)
	}
	got, err := n.firewall.Counters(n.ctx, "evil")
	n.must(err)
	if got.Foreign == 0 {
		t.Errorf("counted %+v, want a packet of a foreign address", got)
	}
}

// TestManagerGone keeps the rules when NSX Manager is gone, and when the firewall
// has ended; another one takes over.
func TestManagerGone(t *testing.T) {
	n := newNetwork(t)
	n.isolate()
	for _, m := range n.nsx.Managers() {
		m.Stop()
	}
	if err := n.firewall.Sync(n.ctx); err == nil {
		t.Error("Sync has no error, although NSX Manager is gone")
	}
	n.passes(n.web, "tcp", dbIP+":5432")
	n.dropped(n.evil, dbIP+":5432", "db")
	n.stop()
	n.passes(n.web, "tcp", dbIP+":5432")
	n.dropped(n.evil, dbIP+":5432", "db")
	for _, m := range n.nsx.Managers() {
		n.must(m.Start())
	}
	n.must(n.nsx.Remove(policies + "db"))
	n.start(dfw.Config{NSX: n.nsx})
	n.sync()
	n.passes(n.evil, "tcp", dbIP+":5432")
}

// TestDetach leaves an interface to what it has, and a host that is gone is no
// obstacle to others.
func TestDetach(t *testing.T) {
	n := newNetwork(t)
	n.isolate()
	n.firewall.Detach("db")
	n.must(n.nsx.Remove(policies + "db"))
	n.sync()
	if _, err := n.firewall.Counters(n.ctx, "db"); !errors.Is(err, viaduct.ErrNotFound) {
		t.Errorf("counters of an interface that is not attached: %v", err)
	}
	n.refused(n.evil, dbIP+":22", syscall.ECONNREFUSED)
	n.attach("db", n.db, dbIP)
	n.sync()
	n.passes(n.evil, "tcp", dbIP+":22")
	n.must(n.evil.Remove(n.ctx))
	n.put(policies+"more", object{"category": "Application", "sequence_number": 10})
	n.put(policies+"more/rules/r", object{"action": "REJECT", "services": []string{"ANY"}, "source_groups": []string{"ANY"}, "destination_groups": []string{dbIP}, "scope": []string{"ANY"}})
	if err := n.firewall.Sync(n.ctx); err == nil {
		t.Error("Sync has no error, although a host is gone")
	}
	n.refused(n.web, dbIP+":5432", syscall.ECONNREFUSED)
	n.firewall.Detach("evil")
	n.sync()
}

// TestKernelTakesAll loads the rules of random worlds: the kernel refuses what
// overlaps or is not understood.
func TestKernelTakesAll(t *testing.T) {
	n := newNetwork(t)
	n.stop()
	for seed := range uint64(60) {
		script, err := dfw.RandomScript(seed)
		n.must(err)
		if err := netfilter.Apply(n.ctx, n.db, script); err != nil {
			t.Errorf("seed %d: %v\n%s", seed, err, script)
		}
	}
}

// TestIPv6 has rules hold for the family that they are for, and neighbours find
// each other.
func TestIPv6(t *testing.T) {
	n := newNetwork(t)
	n.sixth(n.web, webIP, "fd00:1::2")
	n.sixth(n.db, dbIP, "fd00:2::2")
	n.serve("six", n.db, "tcp/[fd00:2::2]:5432")
	for name, h := range map[string]*hosts.Host{"web": n.web, "db": n.db} {
		n.must(n.firewall.Attach(dfw.Interface{Name: name, Host: h, Device: "eth0", Addresses: map[string][]netip.Addr{
			"web": {netip.MustParseAddr(webIP), netip.MustParseAddr("fd00:1::2")},
			"db":  {netip.MustParseAddr(dbIP), netip.MustParseAddr("fd00:2::2")},
		}[name]}))
	}
	n.sync()
	n.passes(n.web, "tcp", "[fd00:2::2]:5432")
	n.rule("four", 10, "ANY", object{"action": "DROP", "ip_protocol": "IPV4"})
	n.passes(n.web, "tcp", "[fd00:2::2]:5432")
	n.dropped(n.web, dbIP+":5432", "web")
	n.rule("six", 5, "ANY", object{"action": "REJECT", "direction": "OUT", "destination_groups": []string{"fd00:2::/64"}, "service_entries": ports("TCP", "5432")})
	n.refused(n.web, "[fd00:2::2]:5432", syscall.ECONNREFUSED)
}
