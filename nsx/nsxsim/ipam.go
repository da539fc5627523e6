// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"fmt"
	"maps"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"time"
)

// The codes of the alarms that allocating addresses raises.
const (
	codeAllocation     = 8212
	codePoolExhausted  = 5109
	codeBlockExhausted = 5137
)

// addressRange is a range of addresses, both ends included.
type addressRange struct{ first, last netip.Addr }

func (r addressRange) contains(ip netip.Addr) bool {
	return r.first.Compare(ip) <= 0 && ip.Compare(r.last) <= 0
}

func (r addressRange) overlaps(other addressRange) bool {
	return r.first.Compare(other.last) <= 0 && other.first.Compare(r.last) <= 0
}

// size is the number of addresses, as far as an int64 goes.
func (r addressRange) size() int64 {
	a, b := r.first.As16(), r.last.As16()
	var n float64
	for i := range a {
		n = n*256 + float64(int(b[i])-int(a[i]))
	}
	return int64(min(n+1, math.MaxInt32))
}

func (r addressRange) String() string { return r.first.String() + "-" + r.last.String() }

// last returns the last address of the network.
func last(network netip.Prefix) netip.Addr {
	b := network.Masked().Addr().AsSlice()
	for i := network.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	ip, _ := netip.AddrFromSlice(b) // the length is that of an address
	return ip
}

func checkBlock(_ *txn, o *object) error {
	if _, err := netip.ParsePrefix(o.text("cidr")); err != nil {
		return invalidField("cidr %s is not a network", o.text("cidr"))
	}
	return nil
}

// checkSubnet checks a static subnet of a pool, or carves one out of its block.
func checkSubnet(t *txn, o *object) error {
	if o.text("resource_type") == "IpAddressPoolBlockSubnet" {
		return t.carve(o)
	}
	network, err := netip.ParsePrefix(o.text("cidr"))
	if err != nil {
		return invalidField("cidr %s is not a network", o.text("cidr"))
	}
	ranges, err := staticRanges(o)
	if err != nil {
		return err
	}
	for _, r := range ranges {
		if !network.Contains(r.first) || !network.Contains(r.last) {
			return invalidField("allocation range %s is not within %s", r, network)
		}
	}
	collection, _ := splitPath(o.path)
	for _, other := range t.s.intent.in(collection) {
		if other.path == o.path {
			continue
		}
		for _, taken := range t.s.subnetRanges(other) {
			for _, r := range ranges {
				if r.overlaps(taken) {
					return overlap(r.String(), taken.String(), other.path)
				}
			}
		}
	}
	return nil
}

func staticRanges(o *object) ([]addressRange, error) {
	var ranges []addressRange
	for _, sent := range asObjects(o.body["allocation_ranges"]) {
		start, _ := sent["start"].(string)
		end, _ := sent["end"].(string)
		first, err := netip.ParseAddr(start)
		if err != nil {
			return nil, invalidField("start %s is not an IP address", start)
		}
		until, err := netip.ParseAddr(orDefault(end, start))
		if err != nil || until.Less(first) {
			return nil, invalidField("end %s is not an IP address after %s", end, start)
		}
		ranges = append(ranges, addressRange{first: first, last: until})
	}
	if len(ranges) == 0 {
		return nil, invalidField("allocation_ranges is a required property of type IpAddressPoolStaticSubnet")
	}
	return ranges, nil
}

// subnetRanges returns the addresses that a stored subnet gives to its pool.
func (*Server) subnetRanges(o *object) []addressRange {
	if o.text("resource_type") == "IpAddressPoolStaticSubnet" {
		ranges, _ := staticRanges(o) // checked when it was written
		return ranges
	}
	network, err := netip.ParsePrefix(o.text("cidr"))
	if err != nil {
		return nil // not carved: its block is exhausted
	}
	r := addressRange{first: network.Addr().Next(), last: last(network).Prev()}
	if o.flag("auto_assign_gateway", true) {
		r.first = r.first.Next()
	}
	if r.last.Less(r.first) {
		return nil
	}
	return []addressRange{r}
}

// carve takes a network of the wanted size out of the block.
func (t *txn) carve(o *object) error {
	if old := t.s.intent.objects[o.path]; old != nil && old.text("cidr") != "" {
		o.body["cidr"] = old.text("cidr")
		return nil
	}
	block := t.s.intent.objects[o.text("ip_block_path")]
	if block == nil {
		return t.s.missingPath(o.text("ip_block_path"))
	}
	within, err := netip.ParsePrefix(block.text("cidr"))
	if err != nil {
		return invalidField("cidr %s is not a network", block.text("cidr"))
	}
	network, ok, err := firstFree(within, o.number("size"), t.s.carved(block.path))
	if err != nil {
		return err
	}
	if !ok {
		o.failure = &realization{
			state: stateError, code: codeBlockExhausted,
			message: fmt.Sprintf("IP block %s has no free subnet of size %d.", block.path, o.number("size")),
		}
		return nil
	}
	first := network.Addr().Next().String()
	o.body["cidr"], o.body["start_ip"] = network.String(), first
	if o.flag("auto_assign_gateway", true) {
		o.body["gateway_address"] = first
	}
	return nil
}

// firstFree returns the first network of the size within a larger one that
// overlaps none of those taken.
func firstFree(within netip.Prefix, size int64, taken []netip.Prefix) (netip.Prefix, bool, error) {
	if size < 2 || bits.OnesCount64(uint64(size)) != 1 {
		return netip.Prefix{}, false, invalidField("size %d is not a power of two", size)
	}
	length := within.Addr().BitLen() - bits.TrailingZeros64(uint64(size))
	for at := within.Masked().Addr(); within.Contains(at) && length >= within.Bits(); {
		network := netip.PrefixFrom(at, length)
		if !slices.ContainsFunc(taken, network.Overlaps) {
			return network, true, nil
		}
		at = last(network).Next()
	}
	return netip.Prefix{}, false, nil
}

// carved returns the networks that pools have taken out of the block.
func (s *Server) carved(blockPath string) []netip.Prefix {
	var taken []netip.Prefix
	for _, path := range s.intent.referring(blockPath) {
		if network, err := netip.ParsePrefix(s.intent.objects[path].text("cidr")); err == nil {
			taken = append(taken, network)
		}
	}
	return taken
}

// checkAllocation gives the allocation the address that it asks for, or one
// that is free.
func checkAllocation(t *txn, o *object) error {
	old := t.s.intent.objects[o.path]
	wanted := o.text("allocation_ip")
	if old != nil && old.failure == nil && (wanted == "" || wanted == old.text("allocation_ip")) {
		o.body["allocation_ip"], o.chosen = old.text("allocation_ip"), old.chosen
		return nil
	}
	pool := parentPath(o.path)
	used := t.s.allocated(pool, o.path)
	if wanted != "" {
		ip, err := netip.ParseAddr(wanted)
		if err != nil {
			return invalidField("allocation_ip %s is not an IP address", wanted)
		}
		if used[ip] || !t.s.poolHas(pool, ip) {
			o.failure = &realization{
				state: stateError, code: codeAllocation,
				message: fmt.Sprintf("IP address %s can not be allocated from the pool %s.", ip, pool),
			}
		}
		return nil
	}
	ip, ok := freeIn(t.s.poolRanges(pool), used)
	if !ok {
		o.failure = &realization{
			state: stateError, code: codePoolExhausted,
			message: fmt.Sprintf("IP pool %s is exhausted.", pool),
		}
		return nil
	}
	o.body["allocation_ip"], o.chosen = ip.String(), true
	return nil
}

// allocated returns the addresses of the pool that are in use, but for those
// of the allocation at path.
func (s *Server) allocated(pool, path string) map[netip.Addr]bool {
	used := map[netip.Addr]bool{}
	for _, o := range s.intent.in(pool + "/ip-allocations") {
		if ip, err := netip.ParseAddr(o.text("allocation_ip")); err == nil && o.path != path && o.failure == nil {
			used[ip] = true
		}
	}
	for ip, until := range s.released[pool] {
		if s.now().Before(until) {
			used[ip] = true
		}
	}
	for _, subnet := range s.intent.in(pool + "/ip-subnets") {
		if ip, err := netip.ParseAddr(subnet.text("gateway_ip")); err == nil {
			used[ip] = true
		}
	}
	return used
}

func (s *Server) poolRanges(pool string) []addressRange {
	var ranges []addressRange
	for _, subnet := range s.intent.in(pool + "/ip-subnets") {
		ranges = append(ranges, s.subnetRanges(subnet)...)
	}
	return ranges
}

func (s *Server) poolHas(pool string, ip netip.Addr) bool {
	return slices.ContainsFunc(s.poolRanges(pool), func(r addressRange) bool { return r.contains(ip) })
}

// freeIn returns the first address of the ranges that is not used.
func freeIn(ranges []addressRange, used map[netip.Addr]bool) (netip.Addr, bool) {
	for _, r := range ranges {
		for ip := r.first; r.contains(ip); ip = ip.Next() {
			if !used[ip] {
				return ip, true
			}
		}
	}
	return netip.Addr{}, false
}

// usage is the pool_usage of a pool.
func (s *Server) usage(pool *object) map[string]any {
	var total int64
	ranges := s.poolRanges(pool.path)
	for _, r := range ranges {
		total += r.size()
	}
	requested := len(s.intent.list(pool.path + "/ip-allocations"))
	allocated := 0
	for ip := range maps.Keys(s.allocated(pool.path, "")) {
		if slices.ContainsFunc(ranges, func(r addressRange) bool { return r.contains(ip) }) {
			allocated++
		}
	}
	return map[string]any{
		"total_ips": total, "available_ips": total - int64(allocated),
		"allocated_ip_allocations": allocated, "requested_ip_allocations": requested,
	}
}

// releaseAllocation keeps the address of a deleted allocation from being used
// at once.
func releaseAllocation(t *txn, o *object) {
	delay := t.s.switches.AddressReleaseDelay
	ip, err := netip.ParseAddr(o.text("allocation_ip"))
	if delay <= 0 || err != nil || o.failure != nil {
		return
	}
	pool := parentPath(o.path)
	if t.s.released[pool] == nil {
		t.s.released[pool] = map[netip.Addr]time.Time{}
	}
	t.s.released[pool][ip] = t.now.Add(delay)
	t.undo = append(t.undo, func() { delete(t.s.released[pool], ip) })
}

// subnetUsers returns the allocations that have addresses of the subnet.
func subnetUsers(s *Server, o *object) []string {
	ranges := s.subnetRanges(o)
	var users []string
	for _, allocation := range s.intent.in(parentPath(o.path) + "/ip-allocations") {
		ip, err := netip.ParseAddr(allocation.text("allocation_ip"))
		if err == nil && slices.ContainsFunc(ranges, func(r addressRange) bool { return r.contains(ip) }) {
			users = append(users, allocation.path)
		}
	}
	return users
}
