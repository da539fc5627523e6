// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"errors"
	"flag"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

var update = flag.Bool("update", false, "rewrite the golden files")

type object = map[string]any

// pool is a pool of two members that is switched to automap.
func pool(more object) object {
	o := object{
		"members":          []any{node("10.0.0.1", nil), node("10.0.0.2", nil)},
		"snat_translation": object{"type": "LBSnatAutoMap"},
	}
	maps.Copy(o, more)
	return o
}

func node(ip string, more object) object {
	o := object{"ip_address": ip, "port": "5432"}
	maps.Copy(o, more)
	return o
}

func virtualServer(more object) object {
	o := object{
		"ip_address": "192.168.30.66", "ports": []string{"5432"}, "pool_path": "/infra/lb-pools/db",
		"lb_service_path": "/infra/lb-services/x", "application_profile_path": "/infra/lb-app-profiles/default-tcp-lb-app-profile",
	}
	maps.Copy(o, more)
	return o
}

const (
	dbPool   = "/infra/lb-pools/db"
	dbServer = "/infra/lb-virtual-servers/db"
)

// From what NSX has to the rules: each case has its golden file.
func TestRender(t *testing.T) {
	t.Parallel()
	members := func(all ...object) object { return pool(object{"members": all}) }
	cases := map[string]struct {
		reason   string
		objects  map[string]object
		change   func(srv *nsxsim.Server)
		down     []string // members that monitors find dead
		monitor  Monitor
		silent   bool
		problems []string
		pending  []string
	}{
		"round-robin": {reason: "two members take turns", objects: map[string]object{dbPool: pool(nil), dbServer: virtualServer(nil)}},
		"nothing":     {reason: "there is no virtual server"},
		"disabled": {reason: "a virtual server that is switched off has no address", objects: map[string]object{
			dbPool: pool(nil), dbServer: virtualServer(object{"enabled": false}),
		}},
		"unrealized": {
			reason:  "NSX has not realized it yet",
			objects: map[string]object{dbPool: pool(nil), dbServer: virtualServer(nil)},
			change:  func(srv *nsxsim.Server) { srv.SetRealization(dbServer, "UNREALIZED", "") },
		},
		"empty": {reason: "a pool without members refuses", objects: map[string]object{dbPool: members(), dbServer: virtualServer(nil)}},
		"silent": {reason: "a pool without members may say nothing", silent: true, objects: map[string]object{
			dbPool: members(), dbServer: virtualServer(nil),
		}},
		"weighted": {reason: "weights count for the weighted algorithm", objects: map[string]object{
			dbPool: pool(object{"algorithm": "WEIGHTED_ROUND_ROBIN", "members": []any{
				node("10.0.0.1", object{"weight": 3}), node("10.0.0.2", nil),
			}}), dbServer: virtualServer(nil),
		}},
		"weights-ignored": {reason: "weights do not count for others", objects: map[string]object{
			dbPool: members(node("10.0.0.1", object{"weight": 3}), node("10.0.0.2", nil)), dbServer: virtualServer(nil),
		}},
		"hash": {reason: "the client's address chooses", objects: map[string]object{
			dbPool: pool(object{"algorithm": "IP_HASH"}), dbServer: virtualServer(nil),
		}},
		"down": {
			reason: "a member that NSX takes for dead gets nothing", objects: map[string]object{dbPool: pool(nil), dbServer: virtualServer(nil)},
			change: func(srv *nsxsim.Server) { srv.SetMemberStatus(dbPool, "10.0.0.1", "DOWN") },
		},
		"found-dead": {
			reason: "nor does one that a monitor finds dead", objects: map[string]object{dbPool: pool(nil), dbServer: virtualServer(nil)},
			monitor: Monitor{Interval: time.Second, Timeout: time.Second, Fall: 1, Rise: 1}, down: []string{"10.0.0.2:5432"},
		},
		"switched-off": {reason: "known clients go on with a member that is drained, not with one that is off", objects: map[string]object{
			dbPool: members(
				node("10.0.0.1", object{"admin_state": "DISABLED"}),
				node("10.0.0.2", object{"admin_state": "GRACEFUL_DISABLED"}),
				node("10.0.0.3", nil),
			),
			dbServer: virtualServer(object{"lb_persistence_profile_path": "/infra/lb-persistence-profiles/default-source-ip-lb-persistence-profile"}),
		}},
		"backup": {
			reason: "backups take over when too few are alive", objects: map[string]object{
				dbPool: pool(object{"min_active_members": 2, "members": []any{
					node("10.0.0.1", nil), node("10.0.0.2", nil), node("10.0.0.9", object{"backup_member": true}),
				}}), dbServer: virtualServer(nil),
			},
			change: func(srv *nsxsim.Server) { srv.SetMemberStatus(dbPool, "10.0.0.1", "DOWN") },
		},
		"sorry": {reason: "the sorry pool takes what the pool can't", objects: map[string]object{
			dbPool: members(), "/infra/lb-pools/sorry": pool(object{"snat_translation": nil}),
			dbServer: virtualServer(object{"sorry_pool_path": "/infra/lb-pools/sorry"}),
		}},
		"ports": {reason: "members without port get that of the server, or where it came in", objects: map[string]object{
			dbPool: pool(object{"members": []any{object{"ip_address": "10.0.0.1"}}}),
			dbServer: virtualServer(object{
				"ports": []string{"80", "443", "8000-8010"}, "default_pool_member_ports": []string{"8080", "8443", "8000-8010"},
			}),
		}},
		"udp": {reason: "datagrams too", objects: map[string]object{
			dbPool: pool(nil), dbServer: virtualServer(object{
				"ports": []string{"53", "1000-2000"}, "application_profile_path": "/infra/lb-app-profiles/default-udp-lb-app-profile",
			}),
		}},
		"dual-stack": {reason: "members have the family of the virtual address", objects: map[string]object{
			dbPool:   pool(object{"snat_translation": nil, "members": []any{node("10.0.0.1", nil), node("fd00::1", nil)}}),
			dbServer: virtualServer(nil), "/infra/lb-virtual-servers/six": virtualServer(object{"ip_address": "fd00::66"}),
		}},
		"sources": {reason: "a list of addresses that members see", objects: map[string]object{
			dbPool: pool(object{"snat_translation": object{"type": "LBSnatIpPool", "ip_addresses": []any{
				object{"ip_address": "10.9.0.1"}, object{"ip_address": "10.9.0.4-10.9.0.6"},
			}}}),
			dbServer: virtualServer(nil), "/infra/lb-pools/net": pool(object{"snat_translation": object{"type": "LBSnatIpPool", "ip_addresses": []any{
				object{"ip_address": "10.8.0.0", "prefix_length": 30},
			}}}),
			"/infra/lb-virtual-servers/net": virtualServer(object{"ip_address": "192.168.30.67", "pool_path": "/infra/lb-pools/net"}),
		}},
		"conflict": {
			reason: "one place, one server", objects: map[string]object{
				dbPool: pool(nil), dbServer: virtualServer(nil), "/infra/lb-virtual-servers/late": virtualServer(object{"ports": []string{"5000-6000"}}),
			},
			problems: []string{"/infra/lb-virtual-servers/late: /infra/lb-virtual-servers/db is there already and listens at the same address and ports"},
		},
		"http": {
			reason: "layer 7 is not simulated", objects: map[string]object{
				dbPool: pool(nil), dbServer: virtualServer(object{"application_profile_path": "/infra/lb-app-profiles/default-http-lb-app-profile"}),
			},
			problems: []string{dbServer + ": layer 7 is not simulated"},
		},
		"unknown-source": {
			reason: "it is not known what members should see", objects: map[string]object{
				"/infra/tier-1s/other": {}, "/infra/lb-services/y": {"connectivity_path": "/infra/tier-1s/other"},
				dbPool: pool(nil), dbServer: virtualServer(object{"lb_service_path": "/infra/lb-services/y"}),
			},
			pending: []string{dbServer},
		},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBuilder(t, test.objects, test.change)
			b.fallback = test.monitor
			for _, m := range test.down {
				b.down[watched{pool: dbPool, member: netip.MustParseAddrPort(m)}] = true
			}
			got := render(b.build(), test.silent).Script(nil)
			if diff := cmp.Diff(test.problems, b.problems); diff != "" {
				t.Errorf("problems (-want +got):\n%s%s", diff, test.reason)
			}
			if diff := cmp.Diff(test.pending, b.pending); diff != "" {
				t.Errorf("pending (-want +got):\n%s%s", diff, test.reason)
			}
			golden(t, name, got, test.reason)
		})
	}
}

// newBuilder reads what a simulator with the objects says.
func newBuilder(t *testing.T, objects map[string]object, change func(*nsxsim.Server)) *builder {
	t.Helper()
	now := time.Unix(1_700_000_000, 0)
	srv := nsxsim.NewServer(nsxsim.WithClock(func() time.Time { now = now.Add(time.Second); return now }))
	t.Cleanup(srv.Close)
	put := func(path string, o object) {
		if err := srv.Put(path, o); err != nil {
			t.Fatal(err)
		}
	}
	put("/infra/tier-1s/x", object{})
	put("/infra/lb-services/x", object{"connectivity_path": "/infra/tier-1s/x"})
	for _, kind := range []string{"/infra/tier-1s/", "/infra/lb-services/", "/infra/lb-monitor-profiles/", "/infra/lb-persistence-profiles/", "/infra/lb-pools/", dbServer, "/infra/lb-virtual-servers/"} {
		for path, o := range objects {
			if strings.HasPrefix(path, kind) && (kind != "/infra/lb-virtual-servers/" || path != dbServer) {
				put(path, o)
			}
		}
	}
	if change != nil {
		change(srv)
	}
	client, err := newClient(srv)
	if err != nil {
		t.Fatal(err)
	}
	v, err := read(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	return &builder{
		view: v, down: map[watched]bool{}, told: map[watched]bool{},
		internal: func(tier1 string, _ netip.Addr) netip.Addr {
			if tier1 != "/infra/tier-1s/x" {
				return netip.Addr{}
			}
			return netip.MustParseAddr("100.64.0.1")
		},
	}
}

func golden(t *testing.T, name, got, reason string) {
	t.Helper()
	path := filepath.Join("testdata", name+".nft")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", reason, diff)
	}
}

// What NSX says of a member that it has from a monitor is no news.
func TestMemberComesBack(t *testing.T) {
	t.Parallel()
	key := watched{pool: dbPool, member: netip.MustParseAddrPort("10.0.0.1:5432")}
	cases := map[string]struct {
		reason     string
		told, down bool
		status     string
		want       int
	}{
		"alive":            {"nobody finds it dead", false, false, "UP", 2},
		"dead":             {"a monitor does", false, true, "UP", 1},
		"dead and told":    {"a monitor does, and NSX has that from it", true, true, "DOWN", 1},
		"back, NSX behind": {"NSX only repeats what the monitor no longer says", true, false, "DOWN", 2},
		"reported dead":    {"NSX has that from somebody else", false, false, "DOWN", 1},
		"unknown":          {"NSX does not know", false, false, "UNKNOWN", 1},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBuilder(t, map[string]object{dbPool: pool(nil), dbServer: virtualServer(nil)}, func(srv *nsxsim.Server) {
				srv.SetMemberStatus(dbPool, "10.0.0.1", test.status)
			})
			b.fallback = Monitor{Interval: time.Second, Timeout: time.Second, Fall: 1, Rise: 1}
			b.told[key], b.down[key] = test.told, test.down
			if got := len(b.build().servers[0].members); got != test.want {
				t.Errorf("%d members, want %d: %s", got, test.want, test.reason)
			}
		})
	}
}

func TestWatches(t *testing.T) {
	t.Parallel()
	fallback := Monitor{Interval: time.Second, Timeout: 2 * time.Second, Fall: 4, Rise: 5}
	own := Monitor{Interval: 7 * time.Second, Timeout: 8 * time.Second, Fall: 2, Rise: 1}
	monitor := func(typ string, more object) object {
		o := object{"resource_type": typ, "interval": 7, "timeout": 8, "fall_count": 2, "rise_count": 1}
		maps.Copy(o, more)
		return o
	}
	const path = "/infra/lb-monitor-profiles/own"
	at := func(protocol, where string) place { return place{protocol, netip.MustParseAddrPort(where)} }
	cases := map[string]struct {
		reason   string
		pool     object
		monitor  object
		server   object
		fallback Monitor
		want     []probe
		problems int
	}{
		"none":     {reason: "nobody asked for it", pool: pool(nil)},
		"fallback": {reason: "the pool has no monitor", pool: pool(nil), fallback: fallback, want: []probe{{place: at("tcp", "10.0.0.1:5432"), monitor: fallback}}},
		"udp": {
			reason: "nobody answers a datagram that says nothing", pool: pool(nil), fallback: fallback,
			server: object{"application_profile_path": "/infra/lb-app-profiles/default-udp-lb-app-profile"},
		},
		"own": {
			reason: "the pool's monitor counts", pool: pool(object{"active_monitor_paths": []string{path}}), fallback: fallback,
			monitor: monitor("LBTcpMonitorProfile", object{"monitor_port": 99, "send": "ping", "receive": "pong"}),
			want:    []probe{{place: at("tcp", "10.0.0.1:99"), port: 99, monitor: own, send: "ping", receive: "pong"}},
		},
		"own udp": {
			reason: "so does that by datagrams", pool: pool(object{"active_monitor_paths": []string{path}}),
			monitor: monitor("LBUdpMonitorProfile", object{"send": "ping", "receive": "pong"}),
			want:    []probe{{place: at("udp", "10.0.0.1:5432"), monitor: own, send: "ping", receive: "pong"}},
		},
		"icmp": {
			reason: "not simulated, and said so", pool: pool(object{"active_monitor_paths": []string{path}}), fallback: fallback,
			monitor: monitor("LBIcmpMonitorProfile", nil), problems: 1,
		},
		"off": {
			reason: "who is switched off is not watched", fallback: fallback,
			pool: pool(object{"members": []any{node("10.0.0.1", object{"admin_state": "DISABLED"})}}),
		},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := map[string]object{dbPool: test.pool, dbServer: virtualServer(test.server)}
			if test.monitor != nil {
				objects[path] = test.monitor
			}
			b := newBuilder(t, objects, nil)
			b.fallback = test.fallback
			b.build()
			got := b.watches[watched{pool: nsx.Path(dbPool), member: netip.MustParseAddrPort("10.0.0.1:5432")}]
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(probe{}, place{}), cmp.Comparer(func(x, y netip.AddrPort) bool { return x == y })); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.reason, diff)
			}
			if len(b.problems) != test.problems {
				t.Errorf("problems %q, want %d", b.problems, test.problems)
			}
		})
	}
}

func TestListeners(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason         string
		ports, targets []string
		want           []listener
		fails          bool
	}{
		"as they come":   {reason: "nothing is translated", ports: []string{"80", "90-99"}, want: []listener{{ports: ports{80, 80}}, {ports: ports{90, 99}}}},
		"one for all":    {reason: "one target for all", ports: []string{"80", "90-99"}, targets: []string{"8080"}, want: []listener{{ports{80, 80}, 8080}, {ports{90, 99}, 8080}}},
		"one for each":   {reason: "by their places", ports: []string{"80", "443"}, targets: []string{"8080", "443"}, want: []listener{{ports{80, 80}, 8080}, {ports{443, 443}, 0}}},
		"too few":        {reason: "no telling which belongs to which", ports: []string{"80", "81", "82"}, targets: []string{"8080", "8081"}, fails: true},
		"range to range": {reason: "the kernel would choose any port of it", ports: []string{"80-89"}, targets: []string{"8080-8089"}, fails: true},
		"nonsense":       {reason: "not a port", ports: []string{"http"}, fails: true},
		"no target":      {reason: "not a port either", ports: []string{"80"}, targets: []string{"http"}, fails: true},
	}
	for name, test := range cases {
		got, err := listeners(nsx.VirtualServer{Ports: test.ports, DefaultPoolMemberPorts: test.targets})
		if (err != nil) != test.fails {
			t.Errorf("%s: error %v: %s", name, err, test.reason)
		}
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(listener{}, ports{})); err == nil && diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", name, test.reason, diff)
		}
	}
}

// Marks are the servers' own, whatever comes and goes beside them.
func TestMarks(t *testing.T) {
	t.Parallel()
	alone, among := []server{{path: "/b"}}, []server{{path: "/a"}, {path: "/b"}, {path: "/c"}}
	number(alone)
	number(among)
	if alone[0].mark != among[1].mark || among[0].mark == among[1].mark || alone[0].mark == 0 {
		t.Errorf("marks %d alone, %d, %d, %d among others", alone[0].mark, among[0].mark, among[1].mark, among[2].mark)
	}
}

// What an edge needs is checked before it does anything.
func TestConfig(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	t.Cleanup(srv.Close)
	internal := func(string, netip.Addr) netip.Addr { return netip.Addr{} }
	for name, c := range map[string]Config{
		"NSX": {Host: nobody{}, Internal: internal}, "Host": {NSX: srv, Internal: internal}, "Internal": {NSX: srv, Host: nobody{}},
	} {
		if _, err := New(c); !errors.Is(err, viaduct.ErrInvalid) || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v, want an error that names it and matches ErrInvalid", name, err)
		}
	}
}

type nobody struct{ Host }
