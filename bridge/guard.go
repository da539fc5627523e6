// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"fmt"
	"net/netip"
)

// internalRange is where NCP takes the address from by which NSX reaches the
// pods behind a load balancer. Older NCP puts it into the Service's status
// beside the VIP.
func internalRange() netip.Prefix { return netip.MustParsePrefix("100.64.0.0/10") }

// checkVIP refuses addresses that cannot be virtual addresses of a load
// balancer, so that an exported document cannot point an import at the node
// itself or at its metadata service (the class of CVE-2021-25740).
func checkVIP(address netip.Addr) error {
	plain := address.Unmap()
	refuse := func(what string) error { return fmt.Errorf("address %s is %s", address, what) }
	switch {
	case !address.IsValid():
		return fmt.Errorf("an address is missing")
	case address.Zone() != "":
		return refuse("bound to a zone")
	case address.Is4In6():
		return refuse("an IPv4 address in IPv6 form")
	case plain.IsUnspecified():
		return refuse("unspecified")
	case plain.IsLoopback():
		return refuse("loopback")
	case plain.IsLinkLocalUnicast():
		return refuse("link-local, where metadata services live")
	case plain.IsMulticast():
		return refuse("multicast")
	case plain == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return refuse("broadcast")
	case plain == netip.MustParseAddr("fd00:ec2::254"):
		return refuse("a metadata service")
	case internalRange().Contains(plain):
		return refuse("internal to NCP")
	default:
		return nil
	}
}
