// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/viaduct-sdk/viaduct"
)

// Guard is what is known of addresses that no exported document may lead to.
// It is a value, and its Check is pure. The zero Guard refuses what cannot be a
// virtual address anywhere.
type Guard struct {
	// Pods, Services and Nodes are the ranges of the importing cluster: behind
	// them are its own pods, its own Services and its own machines.
	Pods     []netip.Prefix
	Services []netip.Prefix
	Nodes    []netip.Prefix
	// Virtual are virtual addresses of the importing cluster's own load
	// balancers. Its nodes answer to them themselves, so that a connection
	// would come back instead of leaving.
	Virtual []netip.Addr
	// Pools are where the exporting cluster's virtual addresses come from.
	// Unless empty, an address elsewhere is refused.
	Pools []netip.Prefix
	// Unknown says what could not be read, and so is not guarded, in clauses
	// for people.
	Unknown []string
}

// Check returns why an address is not accepted as a virtual address, nil when it
// is. Errors match [viaduct.ErrInvalid].
func (g Guard) Check(address netip.Addr) error {
	if err := g.check(address); err != nil {
		return fmt.Errorf("bridge: %w: %w", err, viaduct.ErrInvalid)
	}
	return nil
}

func (g Guard) check(address netip.Addr) error {
	if err := checkVIP(address); err != nil {
		return err
	}
	for _, within := range []struct {
		ranges []netip.Prefix
		what   string
	}{
		{g.Pods, "the importing cluster's pods"},
		{g.Services, "the importing cluster's Services"},
		{g.Nodes, "the importing cluster's nodes"},
	} {
		for _, r := range within.ranges {
			if r.Contains(address) {
				return fmt.Errorf("address %s is in %s, where %s are", address, r.Masked(), within.what)
			}
		}
	}
	if slices.Contains(g.Virtual, address) {
		return fmt.Errorf("address %s is a virtual address of the importing cluster itself", address)
	}
	return g.checkPool(address)
}

// checkPool is the part of the guard that an export can check.
func (g Guard) checkPool(address netip.Addr) error {
	if len(g.Pools) == 0 || slices.ContainsFunc(g.Pools, func(r netip.Prefix) bool { return r.Contains(address) }) {
		return nil
	}
	return fmt.Errorf("address %s is in none of the exporting cluster's pools %v", address, g.Pools)
}

// checkAll returns why the first address that is not accepted is not.
func (g Guard) checkAll(addresses []netip.Addr) *refusal {
	for _, address := range sortedAddresses(addresses) {
		if err := g.check(address); err != nil {
			return &refusal{viaduct.ErrInvalid, err.Error(), "export the service anew, and find out who changed the document if that gives another address"}
		}
	}
	return nil
}

// and returns a guard that refuses what either refuses. An address must be in a
// pool of both together.
func (g Guard) and(o Guard) Guard {
	return Guard{
		Pods:     slices.Concat(g.Pods, o.Pods),
		Services: slices.Concat(g.Services, o.Services),
		Nodes:    slices.Concat(g.Nodes, o.Nodes),
		Virtual:  slices.Concat(g.Virtual, o.Virtual),
		Pools:    slices.Concat(g.Pools, o.Pools),
		Unknown:  slices.Concat(g.Unknown, o.Unknown),
	}
}

// guardOption is WithGuard on either side.
type guardOption Guard

func (g guardOption) applyExport(o *exportOptions) { o.guard = o.guard.and(Guard(g)) }
func (g guardOption) applyImport(o *importOptions) { o.guard = o.guard.and(Guard(g)) }

// WithGuard adds ranges that the bridge cannot know to what [Import] refuses; it
// adds what it reads from the importing cluster itself, see [Cluster.Guard].
// [Export] heeds the pools alone: it refuses to hand out a virtual address from
// elsewhere, with [viaduct.ErrInvalid]. Given several times, it adds up.
func WithGuard(g Guard) interface {
	ExportOption
	ImportOption
} {
	return guardOption(g)
}

// checkPools refuses to hand out a virtual address from outside the pools.
func (o *exportOptions) checkPools(addresses []netip.Addr) error {
	for _, address := range addresses {
		if err := o.guard.checkPool(address); err != nil {
			return fmt.Errorf("%w: %w", err, viaduct.ErrInvalid)
		}
	}
	return nil
}

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
