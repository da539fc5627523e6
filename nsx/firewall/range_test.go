// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package firewall_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

func TestParseRange(t *testing.T) {
	t.Parallel()
	addr := netip.MustParseAddr
	tests := map[string]struct {
		want firewall.Range
		text string
		bad  bool
	}{
		"10.0.0.1":                 {want: firewall.Range{From: addr("10.0.0.1"), To: addr("10.0.0.1")}, text: "10.0.0.1"},
		" 10.0.0.1 - 10.0.0.9 ":    {want: firewall.Range{From: addr("10.0.0.1"), To: addr("10.0.0.9")}, text: "10.0.0.1-10.0.0.9"},
		"10.0.0.7/30":              {want: firewall.Range{From: addr("10.0.0.4"), To: addr("10.0.0.7")}, text: "10.0.0.4-10.0.0.7"},
		"0.0.0.0/0":                {want: firewall.Range{From: addr("0.0.0.0"), To: addr("255.255.255.255")}, text: "0.0.0.0-255.255.255.255"},
		"10.0.0.1/32":              {want: firewall.Range{From: addr("10.0.0.1"), To: addr("10.0.0.1")}, text: "10.0.0.1"},
		"fd00::/126":               {want: firewall.Range{From: addr("fd00::"), To: addr("fd00::3")}, text: "fd00::-fd00::3"},
		"::ffff:10.0.0.1":          {want: firewall.Range{From: addr("10.0.0.1"), To: addr("10.0.0.1")}, text: "10.0.0.1"},
		"":                         {bad: true},
		"10.0.0.9-10.0.0.1":        {bad: true},
		"10.0.0.1-fd00::1":         {bad: true},
		"10.0.0.1-":                {bad: true},
		"-10.0.0.1":                {bad: true},
		"10.0.0.0/33":              {bad: true},
		"::ffff:10.0.0.0/104":      {bad: true},
		"fe80::1%eth0":             {bad: true},
		"10.0.0.0/24-10.0.1.0/24":  {bad: true},
		"/infra/domains/x/groups/": {bad: true},
	}
	for in, tc := range tests {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			got, err := firewall.ParseRange(in)
			if tc.bad {
				if !errors.Is(err, viaduct.ErrInvalid) {
					t.Errorf("ParseRange(%q) = %v, %v; want an error that matches ErrInvalid", in, got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.String() != tc.text {
				t.Errorf("String() = %q, want %q", got.String(), tc.text)
			}
		})
	}
}

func TestParsePortRange(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		want firewall.PortRange
		bad  bool
	}{
		"80":           {want: firewall.Port(80)},
		"8000-8010":    {want: firewall.PortRange{First: 8000, Last: 8010}},
		" 80 - 81 ":    {want: firewall.PortRange{First: 80, Last: 81}},
		"0-65535":      {want: firewall.PortRange{First: 0, Last: 65535}},
		"65536":        {bad: true},
		"81-80":        {bad: true},
		"-80":          {bad: true},
		"80-":          {bad: true},
		"+80":          {bad: true},
		"http":         {bad: true},
		"1-2-3":        {bad: true},
		"":             {bad: true},
		"0x50":         {bad: true},
		"8_0":          {bad: true},
		"80,443":       {bad: true},
		"80 443":       {bad: true},
		"80-70000":     {bad: true},
		"\u0668\u0660": {bad: true},
	}
	for in, tc := range tests {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			got, err := firewall.ParsePortRange(in)
			if bad := errors.Is(err, viaduct.ErrInvalid); bad != tc.bad || (err != nil) != tc.bad {
				t.Fatalf("ParsePortRange(%q) = %v, %v", in, got, err)
			}
			if got != tc.want {
				t.Errorf("ParsePortRange(%q) = %v, want %v", in, got, tc.want)
			}
		})
	}
}

func FuzzParseRange(f *testing.F) {
	for _, s := range []string{
		"10.0.0.1", "10.0.0.0/24", "10.0.0.1-10.0.0.9", "fd00::/64", "fd00::1-fd00::2", "::ffff:10.0.0.1",
		"0.0.0.0/0", "::/0", "fe80::1%a-fe80::2%a", "10.0.0.0/-1", "-", "/", "1.2.3.4-::1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := firewall.ParseRange(s)
		if err != nil {
			if !errors.Is(err, viaduct.ErrInvalid) {
				t.Fatalf("ParseRange(%q): %v does not match ErrInvalid", s, err)
			}
			return
		}
		if !r.Contains(r.From) || !r.Contains(r.To) {
			t.Fatalf("ParseRange(%q) = %v, which lacks its own ends", s, r)
		}
		if r.From.Zone() != "" || r.To.Zone() != "" || r.From.Is4In6() || r.To.Is4In6() {
			t.Fatalf("ParseRange(%q) = %v: zone or mapped address", s, r)
		}
		again, err := firewall.ParseRange(r.String())
		if err != nil || again != r {
			t.Fatalf("ParseRange(%q) = %v; of its text %v, %v", s, r, again, err)
		}
		// A single rule with this source decides as the range contains.
		probe := r.To.Next()
		if !probe.IsValid() {
			return
		}
		rules, err := firewall.Compile(firewall.Snapshot{Policies: []firewall.Policy{{
			Path: "/p", Rules: []firewall.Rule{{Path: "/p/r", Action: firewall.Drop, Sources: []string{s}}},
		}}})
		if err != nil {
			t.Fatalf("ParseRange took %q, Compile did not: %v", s, err)
		}
		for addr, want := range map[netip.Addr]firewall.Action{r.From: firewall.Drop, r.To: firewall.Drop, probe: firewall.Allow} {
			v, err := rules.Evaluate(firewall.Flow{
				Source: addr, Destination: addr, Protocol: firewall.TCP, Crosses: []firewall.Crossing{{Direction: firewall.In}},
			})
			if err != nil || v.Action != want {
				t.Fatalf("source %q, flow from %s: %s, %v; want %s", s, addr, v.Action, err, want)
			}
		}
	})
}

func FuzzParsePortRange(f *testing.F) {
	for _, s := range []string{"80", "8000-8010", "0-65535", "65536", "1-", "-1", "+1", " 1 - 2 ", "1-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := firewall.ParsePortRange(s)
		if err != nil {
			if !errors.Is(err, viaduct.ErrInvalid) {
				t.Fatalf("ParsePortRange(%q): %v does not match ErrInvalid", s, err)
			}
			return
		}
		if !r.Contains(r.First) || !r.Contains(r.Last) {
			t.Fatalf("ParsePortRange(%q) = %v, which lacks its own ends", s, r)
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var again firewall.PortRange
		if err := json.Unmarshal(text, &again); err != nil || again != r {
			t.Fatalf("ParsePortRange(%q) = %v; of its JSON %s: %v, %v", s, r, text, again, err)
		}
	})
}
