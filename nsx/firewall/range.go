// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/viaduct-sdk/viaduct"
)

// Range is a range of addresses of one family, both ends included. In text and
// JSON it is an address, a prefix, or two addresses joined by a hyphen.
type Range struct { //nolint:recvcheck // only UnmarshalText changes its receiver
	From, To netip.Addr
}

// ParseRange reads an address ("10.0.0.1"), a prefix ("10.0.0.0/24", whose host
// bits are ignored) or a range ("10.0.0.1-10.0.0.9"). IPv4 addresses mapped
// into IPv6 are read as IPv4.
//
// Errors match [viaduct.ErrInvalid].
func ParseRange(s string) (Range, error) {
	s = strings.TrimSpace(s)
	if first, last, ok := strings.Cut(s, "-"); ok {
		from, err := parseAddr(first)
		if err != nil {
			return Range{}, invalidText("address range", s)
		}
		to, err := parseAddr(last)
		if err != nil || from.BitLen() != to.BitLen() || to.Less(from) {
			return Range{}, invalidText("address range", s)
		}
		return Range{From: from, To: to}, nil
	}
	if strings.Contains(s, "/") {
		prefix, err := netip.ParsePrefix(s)
		if err != nil || prefix.Addr().Is4In6() {
			return Range{}, invalidText("address prefix", s)
		}
		return prefixRange(prefix), nil
	}
	addr, err := parseAddr(s)
	if err != nil {
		return Range{}, invalidText("address", s)
	}
	return Range{From: addr, To: addr}, nil
}

// prefixRange returns the range that a prefix covers; the zero Range when the
// prefix is not valid.
func prefixRange(prefix netip.Prefix) Range {
	if !prefix.IsValid() {
		return Range{}
	}
	prefix = prefix.Masked()
	last := prefix.Addr().AsSlice()
	for bit := prefix.Bits(); bit < prefix.Addr().BitLen(); bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	to, _ := netip.AddrFromSlice(last)
	return Range{From: prefix.Addr(), To: to}
}

// Contains reports whether the address lies in the range.
func (r Range) Contains(addr netip.Addr) bool {
	return r.valid() && addr.BitLen() == r.From.BitLen() && !addr.Less(r.From) && !r.To.Less(addr)
}

// String returns the range as [ParseRange] reads it: as an address when it
// holds one, else as a range, never as a prefix.
func (r Range) String() string {
	if r.From == r.To {
		return r.From.String()
	}
	return r.From.String() + "-" + r.To.String()
}

// MarshalText returns String.
func (r Range) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText sets the range to what [ParseRange] makes of the text.
func (r *Range) UnmarshalText(text []byte) error {
	parsed, err := ParseRange(string(text))
	if err != nil {
		return err
	}
	*r = parsed
	return nil
}

func (r Range) valid() bool {
	return r.From.IsValid() && r.To.IsValid() && r.From.BitLen() == r.To.BitLen() &&
		r.From.Zone() == "" && r.To.Zone() == "" && !r.To.Less(r.From)
}

// PortRange is a range of ports, both ends included. In text and JSON it is a
// port ("80") or two joined by a hyphen ("8000-8010").
type PortRange struct { //nolint:recvcheck // only UnmarshalText changes its receiver
	First, Last uint16
}

// Port returns the range that holds one port.
func Port(port uint16) PortRange { return PortRange{First: port, Last: port} }

// ParsePortRange reads a port or a range of ports.
//
// Errors match [viaduct.ErrInvalid].
func ParsePortRange(s string) (PortRange, error) {
	first, last, ranged := strings.Cut(strings.TrimSpace(s), "-")
	from, err := parsePort(first)
	if err != nil {
		return PortRange{}, invalidText("port", s)
	}
	if !ranged {
		return Port(from), nil
	}
	to, err := parsePort(last)
	if err != nil || to < from {
		return PortRange{}, invalidText("port range", s)
	}
	return PortRange{First: from, Last: to}, nil
}

// Contains reports whether the port lies in the range.
func (p PortRange) Contains(port uint16) bool { return p.First <= port && port <= p.Last }

// String returns the range as [ParsePortRange] reads it.
func (p PortRange) String() string {
	if p.First == p.Last {
		return strconv.Itoa(int(p.First))
	}
	return strconv.Itoa(int(p.First)) + "-" + strconv.Itoa(int(p.Last))
}

// MarshalText returns String.
func (p PortRange) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText sets the range to what [ParsePortRange] makes of the text.
func (p *PortRange) UnmarshalText(text []byte) error {
	parsed, err := ParsePortRange(string(text))
	if err != nil {
		return err
	}
	*p = parsed
	return nil
}

func parseAddr(s string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(strings.TrimSpace(s))
	if err != nil {
		return netip.Addr{}, err
	}
	if addr.Zone() != "" {
		return netip.Addr{}, viaduct.ErrInvalid
	}
	return addr.Unmap(), nil
}

func parsePort(s string) (uint16, error) {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "+") {
		return 0, viaduct.ErrInvalid
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err
}

func invalidText(what, text string) error {
	return fmt.Errorf("firewall: %s %q: %w", what, text, viaduct.ErrInvalid)
}
