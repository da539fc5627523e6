// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"fmt"
	"net/netip"
	"strings"
)

const ipPoolsPath = "/infra/ip-pools/"

// poolID is the name that NCP gives the IP pool of a network: the cluster, and
// the first and the last address with dashes in place of dots.
func poolID(cluster string, network netip.Prefix) string {
	p := newAddressPool(network)
	dashed := func(a netip.Addr) string { return strings.ReplaceAll(a.String(), ".", "-") }
	return fmt.Sprintf("%s-ippool-%s-%s", cluster, dashed(p.first), dashed(p.last))
}

func ipPoolPath(id string) string { return ipPoolsPath + id }

// allocationPath is where the address that owner holds is written down.
func allocationPath(pool string, owner ...string) string {
	return ipPoolPath(pool) + "/ip-allocations/" + identify(owner...)
}

// ensurePool makes the IP pool of a network.
func (m *manager) ensurePool(network netip.Prefix) error {
	id := poolID(m.cluster, network)
	err := m.ensure(ipPoolPath(id), ipPool{m.describe("IpAddressPool", id, tag{tagExternal, "true"})})
	if err != nil {
		return fmt.Errorf("supervisorsim: ip pool of %s: %w", network, err)
	}
	p := newAddressPool(network)
	err = m.ensure(ipPoolPath(id)+"/ip-subnets/"+identify("subnet", network.String()), ipPoolSubnet{
		intent: m.describe("IpAddressPoolStaticSubnet", network.String()),
		CIDR:   network.Masked().String(),
		Ranges: []ipRange{{Start: p.first.String(), End: p.last.String()}},
	})
	if err != nil {
		return fmt.Errorf("supervisorsim: ip pool of %s: %w", network, err)
	}
	return nil
}

// loadPool gives each owner, whom the tags name, the address that NSX says it
// holds.
func (m *manager) loadPool(id string, pool *addressPool, ownerOf func(tags map[string]string) string) error {
	allocations, err := m.list(ipPoolPath(id) + "/ip-allocations/")
	if err != nil {
		return err
	}
	for _, o := range allocations {
		owner := ownerOf(o.tags)
		if owner == "" {
			continue
		}
		var a ipAllocation
		if err := m.nsx.Read(o.path, &a); err != nil {
			return err
		}
		addr, err := netip.ParseAddr(a.Address)
		if err != nil {
			return fmt.Errorf("supervisorsim: allocation %s: %w", o.path, err)
		}
		if _, err := pool.take(owner, addr); err != nil {
			return fmt.Errorf("supervisorsim: allocation %s of %s: %w", o.path, addr, err)
		}
	}
	return nil
}
