// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAddressPool(t *testing.T) {
	t.Parallel()
	p := newAddressPool(netip.MustParsePrefix("192.168.30.64/29"), netip.MustParseAddr("192.168.30.65"))
	steps := []struct {
		reason, owner, want, got string
		err                      error
	}{
		{"the lowest free address, the gateway left out", "a", "", "192.168.30.66", nil},
		{"an owner keeps what it has", "a", "", "192.168.30.66", nil},
		{"an address can be asked for", "b", "192.168.30.69", "192.168.30.69", nil},
		{"an address of another is refused", "c", "192.168.30.66", "", errTaken},
		{"a reserved address is refused", "c", "192.168.30.65", "", errTaken},
		{"the broadcast address is outside", "c", "192.168.30.71", "", errOutside},
		{"the network's own address is outside", "c", "192.168.30.64", "", errOutside},
		{"an owner that asks for another address moves", "b", "192.168.30.70", "192.168.30.70", nil},
		{"what it left is free", "c", "192.168.30.69", "192.168.30.69", nil},
		{"the next free one", "d", "", "192.168.30.67", nil},
		{"the last one", "e", "", "192.168.30.68", nil},
		{"nothing is left", "f", "", "", errExhausted},
	}
	for _, s := range steps {
		var want netip.Addr
		if s.want != "" {
			want = netip.MustParseAddr(s.want)
		}
		got, err := p.take(s.owner, want)
		if !errors.Is(err, s.err) || (err == nil && got.String() != s.got) {
			t.Errorf("%s: take(%s, %q) = %v, %v; want %s, %v", s.reason, s.owner, s.want, got, err, s.got, s.err)
		}
	}
	if !p.release("d") || p.release("d") {
		t.Error("release must report whether the owner held an address")
	}
	if got, err := p.take("f", netip.Addr{}); err != nil || got.String() != "192.168.30.67" {
		t.Errorf("after a release: %v, %v; want the released address", got, err)
	}
}

func TestPoolID(t *testing.T) {
	t.Parallel()
	// The public example: kubectl describe of a namespace of a Supervisor whose
	// egress CIDR is 192.168.30.64/27.
	got := poolID("domain-c1006:19677842-d097-4df6-b428-bceb1cf631c9", netip.MustParsePrefix("192.168.30.64/27"))
	want := "domain-c1006:19677842-d097-4df6-b428-bceb1cf631c9-ippool-192-168-30-65-192-168-30-94"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSubnetPool(t *testing.T) {
	t.Parallel()
	p := newSubnetPool([]netip.Prefix{netip.MustParsePrefix("10.244.0.0/27"), netip.MustParsePrefix("10.245.0.0/28")}, 28)
	p.hold(netip.MustParsePrefix("10.244.0.0/28"))
	var got []string
	for {
		s, err := p.take()
		if err != nil {
			break
		}
		got = append(got, s.String())
	}
	if diff := cmp.Diff([]string{"10.244.0.16/28", "10.245.0.0/28"}, got); diff != "" {
		t.Errorf("subnets (-want +got):\n%s", diff)
	}
	p.release(netip.MustParsePrefix("10.244.0.16/28"))
	if s, err := p.take(); err != nil || s.String() != "10.244.0.16/28" {
		t.Errorf("after a release: %v, %v", s, err)
	}
}

func TestInternalAddress(t *testing.T) {
	t.Parallel()
	within := netip.MustParsePrefix("100.64.0.0/10")
	for _, network := range []string{"", "a", "b", "c4e2b1f0-0000-4000-8000-000000000000", "domain-c8:x"} {
		if a := internalAddress(network); !within.Contains(a) {
			t.Errorf("network %q: %s is outside of %s", network, a, within)
		}
	}
}
