// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package dfw

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/firewall"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// isolated lets web, at 10.1.0.2, reach db, at 10.2.0.2, at a port, and drops
// what else wants there.
func isolated() firewall.Snapshot {
	const db = "/infra/domains/default/groups/db"
	return firewall.Snapshot{
		Groups: []firewall.Group{{
			Path:      db,
			Addresses: []firewall.Range{{From: netip.MustParseAddr("10.2.0.2"), To: netip.MustParseAddr("10.2.0.2")}},
		}},
		Policies: []firewall.Policy{{
			Path: "/p", Category: firewall.Application, Scope: []string{db},
			Rules: []firewall.Rule{
				{
					Path: "/p/allow", Sequence: 1, Action: firewall.Allow, Direction: firewall.In, Sources: []string{"10.1.0.2"},
					Destinations: []string{db}, Entries: []firewall.Entry{firewall.TCPEntry(firewall.Port(5432), firewall.Port(5433))},
				},
				{Path: "/p/drop", Sequence: 2, Action: firewall.Drop, Direction: firewall.In, Destinations: []string{db}},
			},
		}},
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	reject := isolated()
	reject.Policies[0].Rules[1].Action = firewall.Reject
	reject.Policies[0].Rules[1].Direction = firewall.Out
	reject.Policies[0].Rules[1].Destinations = []string{"10.3.0.0/16"}
	sourced := isolated()
	sourced.Policies[0].Rules[0].Entries[0].SourcePorts = []firewall.PortRange{{First: 1024, Last: 65535}}
	cases := map[string]struct {
		reason   string
		snapshot firewall.Snapshot
		own      []netip.Addr
		switches Switches
	}{
		"open":       {"no rule, no look-up", firewall.Snapshot{}, []netip.Addr{netip.MustParseAddr("10.2.0.2")}, Switches{}},
		"isolated":   {"ports that touch are one interval", isolated(), []netip.Addr{netip.MustParseAddr("10.2.0.2")}, Switches{}},
		"reject-out": {"what leaves is refused before it is translated", reject, []netip.Addr{netip.MustParseAddr("10.2.0.2")}, Switches{}},
		"sourced":    {"source ports are looked at when rules do", sourced, []netip.Addr{netip.MustParseAddr("10.2.0.2")}, Switches{}},
		"dual":       {"each family has its sheets", isolated(), []netip.Addr{netip.MustParseAddr("10.2.0.2"), netip.MustParseAddr("fd00::2")}, Switches{}},
		"revalidate": {"only answers pass unseen", isolated(), []netip.Addr{netip.MustParseAddr("10.2.0.2")}, Switches{Revalidate: true}},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			applyByAddress(&test.snapshot, []Interface{{Addresses: test.own}})
			rules, err := firewall.Compile(test.snapshot)
			if err != nil {
				t.Fatal(err)
			}
			at := firewall.Interface{Within: []string{addressMember(test.own[0])}}
			all, err := sheets(rules, cut(test.snapshot), test.own, at)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name, render("viaduct_dfw_eth0", "eth0", all, test.switches).Script(nil), test.reason)
		})
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

func TestAttachment(t *testing.T) {
	t.Parallel()
	segment := func(path nsx.Path, subnets ...string) nsx.Segment {
		s := nsx.Segment{Resource: nsx.Resource{Path: path}}
		for _, subnet := range subnets {
			s.Subnets = append(s.Subnets, nsx.SegmentSubnet{GatewayAddress: subnet})
		}
		return s
	}
	where := located{
		segments: []nsx.Segment{
			segment("/infra/segments/wide", "10.0.0.1/8"), segment("/infra/segments/db", "10.2.0.1/24", "10.2.1.1/24"),
			segment("/infra/segments/one", "172.16.0.1/24"), segment("/infra/segments/two", "172.16.0.1/24"),
		},
		ports: map[nsx.Path][]nsx.SegmentPort{"/infra/segments/db": {
			{Resource: nsx.Resource{Path: "/infra/segments/db/ports/a"}, AddressBindings: []nsx.AddressBinding{{IPAddress: "10.2.0.2"}}},
			{Resource: nsx.Resource{Path: "/infra/segments/db/ports/b"}, AddressBindings: []nsx.AddressBinding{{IPAddress: "10.2.0.3"}}},
		}},
	}
	cases := map[string]struct {
		reason string
		of     Interface
		want   firewall.Interface
	}{
		"port": {"the smallest subnet, and the port with the address", at("10.2.0.2"), firewall.Interface{
			ID: "/infra/segments/db/ports/a", Within: []string{"address 10.2.0.2", "/infra/segments/db"},
		}},
		"segment":   {"no port has the address", at("10.2.1.7"), firewall.Interface{Within: []string{"address 10.2.1.7", "/infra/segments/db"}}},
		"nowhere":   {"no segment has the address", at("192.0.2.1"), firewall.Interface{Within: []string{"address 192.0.2.1"}}},
		"ambiguous": {"no telling which", at("172.16.0.2"), firewall.Interface{Within: []string{"address 172.16.0.2"}}},
		"told": {
			"the caller knows better",
			Interface{Addresses: at("10.2.0.2").Addresses, Within: []string{"/infra/segments/other"}},
			firewall.Interface{Within: []string{"/infra/segments/other", "address 10.2.0.2"}},
		},
	}
	for name, test := range cases {
		if diff := cmp.Diff(test.want, where.attachment(test.of)); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", name, test.reason, diff)
		}
	}
}

func at(address string) Interface {
	return Interface{Addresses: []netip.Addr{netip.MustParseAddr(address)}}
}

// What an interface needs is checked when it is attached.
func TestAttachChecks(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	t.Cleanup(srv.Close)
	if _, err := New(Config{}); !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("New without NSX: %v", err)
	}
	f, err := New(Config{NSX: srv})
	if err != nil {
		t.Fatal(err)
	}
	good := Interface{Name: "a", Host: nobody{}, Device: "eth0", Addresses: at("10.0.0.1").Addresses}
	if err := f.Attach(good); err != nil {
		t.Error(err)
	}
	for lacks, spoil := range map[string]func(*Interface){
		"name": func(i *Interface) { i.Name = "" }, "host": func(i *Interface) { i.Host = nil },
		"device": func(i *Interface) { i.Device = "" }, "address": func(i *Interface) { i.Addresses = nil },
		"valid address": func(i *Interface) { i.Addresses = []netip.Addr{{}} },
	} {
		bad := good
		spoil(&bad)
		if err := f.Attach(bad); !errors.Is(err, viaduct.ErrInvalid) || !strings.Contains(err.Error(), lacks) {
			t.Errorf("without %s: %v, want an error that names it and matches ErrInvalid", lacks, err)
		}
	}
}

type nobody struct{ Host }
