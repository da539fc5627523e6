// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"fmt"
	"net/netip"
	"strconv"

	"github.com/viaduct-sdk/viaduct"
)

// Protocol is the number of an IP protocol.
type Protocol uint8

// The protocols that have a name here. Any other number may be evaluated.
const (
	ICMP   Protocol = 1
	IGMP   Protocol = 2
	TCP    Protocol = 6
	UDP    Protocol = 17
	ICMPv6 Protocol = 58
)

// String returns the name, or the number of a protocol without a name.
func (p Protocol) String() string {
	switch p {
	case ICMP:
		return "ICMPv4"
	case IGMP:
		return "IGMP"
	case TCP:
		return "TCP"
	case UDP:
		return "UDP"
	case ICMPv6:
		return "ICMPv6"
	default:
		return strconv.Itoa(int(p))
	}
}

// Flow is the first packet of a connection and the interfaces that it crosses.
type Flow struct {
	Source      netip.Addr
	Destination netip.Addr
	Protocol    Protocol

	// SourcePort and DestinationPort count for TCP and UDP. A source port of 0
	// stands for one not known: entries that ask for a source port don't match,
	// unless they ask for 0.
	SourcePort      uint16
	DestinationPort uint16

	// ICMPType and ICMPCode count for ICMP and ICMPv6.
	ICMPType, ICMPCode uint8

	// Crosses are the interfaces with a firewall, in the order of the packet's
	// way. Of two virtual machines these are the source's, going out, and the
	// destination's, going in. Without any, no rule can stop the flow.
	Crosses []Crossing
}

// Crossing is the passage of a flow through one interface.
type Crossing struct {
	Interface Interface

	// Direction is [Out] when the flow leaves the machine behind the interface
	// and [In] when it arrives there.
	Direction Direction
}

// Interface is an interface of a machine, which is where the firewall stands.
// The zero Interface is one of which nothing is known: rules that are applied to
// everything count for it, others don't.
type Interface struct {
	// ID is the path of the segment port, or whatever else groups and scopes of
	// the snapshot name it by.
	ID string

	// Within names what the interface belongs to, such as its segment's path or
	// its virtual machine's id. A group that has one of them as a member
	// contains the interface.
	Within []string
}

// normalize returns the flow with IPv4 addresses unmapped, or an error that
// matches ErrInvalid.
func (f Flow) normalize() (Flow, error) {
	f.Source, f.Destination = f.Source.Unmap(), f.Destination.Unmap()
	switch {
	case !f.Source.IsValid() || !f.Destination.IsValid():
		return f, fmt.Errorf("firewall: flow without source or destination address: %w", viaduct.ErrInvalid)
	case f.Source.Zone() != "" || f.Destination.Zone() != "":
		return f, fmt.Errorf("firewall: flow from %s to %s: address with a zone: %w", f.Source, f.Destination, viaduct.ErrInvalid)
	case f.Source.BitLen() != f.Destination.BitLen():
		return f, fmt.Errorf("firewall: flow from %s to %s: different IP versions: %w", f.Source, f.Destination, viaduct.ErrInvalid)
	case f.Protocol == 0:
		return f, fmt.Errorf("firewall: flow from %s to %s: no protocol: %w", f.Source, f.Destination, viaduct.ErrInvalid)
	}
	for _, c := range f.Crosses {
		if c.Direction != In && c.Direction != Out {
			return f, fmt.Errorf("firewall: flow across %q: direction %q: %w", c.Interface.ID, c.Direction, viaduct.ErrInvalid)
		}
	}
	return f, nil
}
