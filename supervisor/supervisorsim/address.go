// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"errors"
	"net/netip"
	"sync"
)

// Why a pool gives no address.
var (
	errExhausted = errors.New("pool is exhausted")
	errTaken     = errors.New("address is taken")
	errOutside   = errors.New("address is outside of the pool")
)

// addressPool hands out the addresses from first to last, one for each owner,
// the lowest free one first. It is safe for concurrent use.
type addressPool struct {
	first, last netip.Addr

	mu      sync.Mutex
	owners  map[netip.Addr]string
	holding map[string]netip.Addr
}

// newAddressPool returns the pool of the addresses of a network without the
// lowest and the highest, and without those that skip names.
func newAddressPool(network netip.Prefix, skip ...netip.Addr) *addressPool {
	p := &addressPool{
		first:   network.Masked().Addr().Next(),
		last:    lastAddress(network).Prev(),
		owners:  map[netip.Addr]string{},
		holding: map[string]netip.Addr{},
	}
	for _, a := range skip {
		p.owners[a] = "reserved"
	}
	return p
}

// take returns the address that owner holds, or gives it one: want when that is
// valid, else the lowest free one. An owner that holds another address than it
// wants gets the wanted one and gives the other back.
func (p *addressPool) take(owner string, want netip.Addr) (netip.Addr, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	held, holds := p.holding[owner]
	if holds && (!want.IsValid() || want == held) {
		return held, nil
	}
	addr, err := p.free(want)
	if err != nil {
		return netip.Addr{}, err
	}
	if holds {
		delete(p.owners, held)
	}
	p.owners[addr] = owner
	p.holding[owner] = addr
	return addr, nil
}

func (p *addressPool) free(want netip.Addr) (netip.Addr, error) {
	if want.IsValid() {
		switch _, taken := p.owners[want]; {
		case !p.contains(want):
			return want, errOutside
		case taken:
			return want, errTaken
		default:
			return want, nil
		}
	}
	for a := p.first; p.contains(a); a = a.Next() {
		if _, taken := p.owners[a]; !taken {
			return a, nil
		}
	}
	return netip.Addr{}, errExhausted
}

// held returns the address that owner holds; invalid when it holds none.
func (p *addressPool) held(owner string) netip.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.holding[owner]
}

// all returns the owners of the addresses that are taken, in no order.
func (p *addressPool) all() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	owners := make([]string, 0, len(p.holding))
	for owner := range p.holding {
		owners = append(owners, owner)
	}
	return owners
}

// release gives back what owner holds and reports whether it held anything.
func (p *addressPool) release(owner string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	addr, ok := p.holding[owner]
	if ok {
		delete(p.owners, addr)
		delete(p.holding, owner)
	}
	return ok
}

func (p *addressPool) contains(a netip.Addr) bool {
	return a.BitLen() == p.first.BitLen() && !a.Less(p.first) && !p.last.Less(a)
}

// subnetPool cuts networks into subnets of equal size and hands them out, the
// lowest free one first. It is not safe for concurrent use.
type subnetPool struct {
	networks []netip.Prefix
	bits     int
	taken    map[netip.Prefix]bool
}

func newSubnetPool(networks []netip.Prefix, bits int) *subnetPool {
	return &subnetPool{networks: networks, bits: bits, taken: map[netip.Prefix]bool{}}
}

func (p *subnetPool) take() (netip.Prefix, error) {
	for _, n := range p.networks {
		for a := n.Masked().Addr(); n.Contains(a); a = lastAddress(netip.PrefixFrom(a, p.bits)).Next() {
			if s := netip.PrefixFrom(a, p.bits); !p.taken[s] {
				p.taken[s] = true
				return s, nil
			}
		}
	}
	return netip.Prefix{}, errExhausted
}

// hold marks a subnet as taken, as read back from NSX.
func (p *subnetPool) hold(s netip.Prefix) { p.taken[s.Masked()] = true }

func (p *subnetPool) release(s netip.Prefix) { delete(p.taken, s.Masked()) }

// lastAddress is the highest address of an IPv4 or IPv6 network.
func lastAddress(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
