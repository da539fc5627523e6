// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"maps"
	"net/http"
	"net/netip"
	"slices"
)

const (
	mpPools   = "/pools/ip-pools"
	mpSubnets = "/pools/ip-subnets"
)

func mpPoolRoutes() []route {
	pool := managerBase + mpPools + "/{id}"
	return []route{
		newRoute(http.MethodGet, pool, readManagerPool),
		newRoute(http.MethodPost, pool, allocateFrom(mpPools)),
		newRoute(http.MethodPost, managerBase+mpSubnets+"/{id}", allocateFrom(mpSubnets)),
		newRoute(http.MethodDelete, pool, deleteManagerPool),
		newRoute(http.MethodGet, pool+"/allocations", listAllocations),
	}
}

// managerRanges returns the addresses of a pool's subnets, or those of the
// subnet of a block.
func managerRanges(pool *object) ([]addressRange, error) {
	if network, err := netip.ParsePrefix(pool.text("cidr")); err == nil {
		return []addressRange{{first: network.Addr().Next(), last: last(network).Prev()}}, nil
	}
	var ranges []addressRange
	for _, subnet := range asObjects(pool.body["subnets"]) {
		found, err := staticRanges(&object{body: subnet})
		if err != nil {
			return nil, err
		}
		for _, r := range found {
			for _, taken := range ranges {
				if r.overlaps(taken) {
					return nil, overlap(r.String(), taken.String(), pool.path)
				}
			}
			ranges = append(ranges, r)
		}
	}
	return ranges, nil
}

func checkManagerPool(_ *Server, pool *object) error {
	delete(pool.body, "pool_usage")
	_, err := managerRanges(pool)
	return err
}

// carveManagerSubnet takes the subnet out of its block.
func carveManagerSubnet(s *Server, o *object) error {
	block := s.manager.objects["/pools/ip-blocks/"+o.text("block_id")]
	within, err := netip.ParsePrefix(block.text("cidr"))
	if err != nil {
		return invalidField("cidr %s is not a network", block.text("cidr"))
	}
	var taken []netip.Prefix
	for _, path := range s.manager.referring(block.path) {
		if network, err := netip.ParsePrefix(s.manager.objects[path].text("cidr")); err == nil && path != o.path {
			taken = append(taken, network)
		}
	}
	network, ok, err := firstFree(within, o.number("size"), taken)
	if err != nil {
		return err
	}
	if !ok {
		return exhausted(codeBlockExhausted, "IP block", block.id())
	}
	o.body["cidr"] = network.String()
	return nil
}

func exhausted(code int, what, id string) error {
	return &apiError{
		status: http.StatusConflict, code: code, module: "id-allocation",
		message: what + " " + id + " is exhausted.",
	}
}

// allocations returns the addresses given out from the pool.
func (s *Server) allocations(pool *object) map[netip.Addr]bool {
	if s.given[pool.path] == nil {
		s.given[pool.path] = map[netip.Addr]bool{}
	}
	return s.given[pool.path]
}

func readManagerPool(c *call) (any, error) {
	pool, err := c.managerObject(mpPools)
	if err != nil {
		return nil, err
	}
	var total int64
	ranges, err := managerRanges(pool)
	if err != nil {
		return nil, err
	}
	for _, r := range ranges {
		total += r.size()
	}
	used := int64(len(c.s.allocations(pool)))
	body := maps.Clone(pool.body)
	body["pool_usage"] = map[string]any{"total_ids": total, "allocated_ids": used, "free_ids": total - used}
	return body, nil
}

// allocateFrom answers requests for the addresses of a collection's objects.
func allocateFrom(collection string) handler {
	return func(c *call) (any, error) {
		pool, err := c.managerObject(collection)
		if err != nil {
			return nil, err
		}
		return c.allocateOrRelease(pool)
	}
}

// allocateOrRelease gives out an address, the one asked for or any, or takes
// one back.
func (c *call) allocateOrRelease(pool *object) (any, error) {
	sent, err := c.object()
	if err != nil {
		return nil, err
	}
	if err := c.s.schema.check("mp.AllocationIpAddress", sent); err != nil {
		return nil, err
	}
	text, _ := sent["allocation_id"].(string)
	ip, err := netip.ParseAddr(text)
	if err != nil && text != "" {
		return nil, invalidField("allocation_id %s is not an IP address", text)
	}
	switch c.query.Get("action") {
	case "ALLOCATE":
		return c.s.allocate(pool, ip)
	case "RELEASE":
		if !c.s.allocations(pool)[ip] {
			return nil, badRequest(codeAllocation, "id-allocation", "IP address %s is not allocated from the pool %s.", text, pool.id())
		}
		delete(c.s.allocations(pool), ip)
		return map[string]any{"allocation_id": text}, nil
	default:
		return nil, c.unsimulated()
	}
}

func (s *Server) allocate(pool *object, wanted netip.Addr) (any, error) {
	used := s.allocations(pool)
	ranges, err := managerRanges(pool)
	if err != nil {
		return nil, err
	}
	if !wanted.IsValid() {
		ip, ok := freeIn(ranges, used)
		if !ok {
			return nil, exhausted(codePoolExhausted, "IP pool", pool.id())
		}
		wanted = ip
	}
	inPool := slices.ContainsFunc(ranges, func(r addressRange) bool { return r.contains(wanted) })
	if !inPool || used[wanted] {
		return nil, badRequest(codeAllocation, "id-allocation", "IP address %s can not be allocated from the pool %s.", wanted, pool.id())
	}
	used[wanted] = true
	return map[string]any{"allocation_id": wanted.String()}, nil
}

func deleteManagerPool(c *call) (any, error) {
	pool, err := c.managerObject(mpPools)
	if err != nil {
		return nil, err
	}
	if used := c.s.allocations(pool); len(used) > 0 && !c.flag("force") {
		return nil, badRequest(codeInUseManager, "id-allocation", "IP pool %s has %d allocated addresses.", pool.id(), len(used))
	}
	if err := c.managerDelete(pool, c.flag("force")); err != nil {
		return nil, err
	}
	delete(c.s.given, pool.path)
	return nil, nil //nolint:nilnil // an empty body
}

func listAllocations(c *call) (any, error) {
	pool, err := c.managerObject(mpPools)
	if err != nil {
		return nil, err
	}
	used := slices.SortedFunc(maps.Keys(c.s.allocations(pool)), netip.Addr.Compare)
	results := []any{}
	for _, ip := range used {
		results = append(results, map[string]any{"allocation_id": ip.String()})
	}
	return map[string]any{"results": results, "result_count": len(results)}, nil
}
