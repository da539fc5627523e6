// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

func staticSubnet(first, last string) object {
	return object{
		"resource_type": "IpAddressPoolStaticSubnet", "cidr": "192.168.30.64/27",
		"allocation_ranges": []any{object{"start": first, "end": last}},
	}
}

// allocatedIP returns the address that realizing the allocation found.
func (c *caller) allocatedIP(path string) any {
	c.t.Helper()
	found := c.entities(path)
	if len(found) != 1 || found[0]["state"] != "REALIZED" {
		return nil
	}
	attribute := found[0]["extended_attributes"].([]any)[0].(object)
	if attribute["key"] != "allocation_ip" {
		c.t.Errorf("attribute: %v", attribute)
	}
	return attribute["values"].([]any)[0]
}

func TestAllocation(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	c := newCaller(t, srv)
	pool := "/infra/ip-pools/ingress"
	c.must(http.MethodPatch, policy+pool, object{})
	c.must(http.MethodPatch, policy+pool+"/ip-subnets/s", staticSubnet("192.168.30.66", "192.168.30.68"))
	at := func(id string) string { return pool + "/ip-allocations/" + id }

	c.must(http.MethodPatch, policy+at("a"), object{})
	c.must(http.MethodPatch, policy+at("b"), object{"allocation_ip": "192.168.30.67"})
	c.must(http.MethodPatch, policy+at("c"), object{})
	for id, want := range map[string]string{"a": "192.168.30.66", "b": "192.168.30.67", "c": "192.168.30.68"} {
		if got := c.allocatedIP(at(id)); got != want {
			t.Errorf("%s: %v, want %s", id, got, want)
		}
	}
	c.must(http.MethodPatch, policy+at("a"), object{"description": "again"})
	if got := c.allocatedIP(at("a")); got != "192.168.30.66" {
		t.Errorf("written again: %v", got)
	}
	c.must(http.MethodPatch, policy+at("d"), object{})
	c.must(http.MethodPatch, policy+at("e"), object{"allocation_ip": "10.0.0.1"})
	for id, code := range map[string]float64{"d": 5109, "e": 8212} {
		entity := c.entities(at(id))[0]
		details := entity["alarms"].([]any)[0].(object)["error_details"].(object)
		if entity["state"] != "ERROR" || details["error_code"] != code {
			t.Errorf("%s: %v", id, entity)
		}
	}
	usage := c.must(http.MethodGet, policy+pool, nil)["pool_usage"]
	want := object{"total_ips": 3.0, "available_ips": 0.0, "allocated_ip_allocations": 3.0, "requested_ip_allocations": 5.0}
	if diff := cmp.Diff(any(want), usage); diff != "" {
		t.Error(diff)
	}
	c.must(http.MethodDelete, policy+at("a"), nil)
	c.must(http.MethodPatch, policy+at("d"), object{})
	if got := c.allocatedIP(at("d")); got != "192.168.30.66" {
		t.Errorf("after a release: %v", got)
	}
	if status, _ := c.do(http.MethodDelete, policy+pool, nil); status != http.StatusBadRequest {
		t.Errorf("deleting a pool in use: %d", status)
	}
	status, body := c.do(http.MethodPatch, policy+pool+"/ip-subnets/t", staticSubnet("192.168.30.68", "192.168.30.70"))
	if status != http.StatusBadRequest || body["error_code"] != 500105.0 {
		t.Errorf("overlapping subnets: %d %v", status, body)
	}
}

func TestAllocationSwitches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := nsxsim.NewServer(nsxsim.WithSwitches(nsxsim.Switches{HideAllocatedIP: true, AddressReleaseDelay: 2 * time.Minute}))
		c := newCaller(t, srv)
		pool := "/infra/ip-pools/p"
		c.must(http.MethodPatch, policy+pool, object{})
		c.must(http.MethodPatch, policy+pool+"/ip-subnets/s", staticSubnet("192.168.30.66", "192.168.30.66"))
		one := pool + "/ip-allocations/one"
		c.must(http.MethodPatch, policy+one, object{})
		if got := c.must(http.MethodGet, policy+one, nil)["allocation_ip"]; got != nil {
			t.Errorf("GET shows %v", got)
		}
		if got := c.allocatedIP(one); got != "192.168.30.66" {
			t.Errorf("the entity shows %v", got)
		}
		c.must(http.MethodDelete, policy+one, nil)
		c.must(http.MethodPatch, policy+one, object{})
		if got := c.allocatedIP(one); got != nil {
			t.Errorf("released too soon: %v", got)
		}
		time.Sleep(2 * time.Minute)
		c.must(http.MethodPatch, policy+one, object{})
		if got := c.allocatedIP(one); got != "192.168.30.66" {
			t.Errorf("not released: %v", got)
		}
	})
}

func TestBlockSubnets(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	c := newCaller(t, srv)
	c.must(http.MethodPatch, policy+"/infra/ip-blocks/b", object{"cidr": "10.244.0.0/27"})
	c.must(http.MethodPatch, policy+"/infra/ip-pools/p", object{})
	subnet := object{"resource_type": "IpAddressPoolBlockSubnet", "ip_block_path": "/infra/ip-blocks/b", "size": 16}
	for id, want := range map[string]string{"s1": "10.244.0.0/28", "s2": "10.244.0.16/28"} {
		path := "/infra/ip-pools/p/ip-subnets/" + id
		if id == "s2" {
			c.must(http.MethodPatch, policy+"/infra/ip-pools/p/ip-subnets/s1", subnet)
		}
		c.must(http.MethodPatch, policy+path, subnet)
		if got := c.must(http.MethodGet, policy+path, nil)["cidr"]; got != want {
			t.Errorf("%s: %v, want %s", id, got, want)
		}
	}
	c.must(http.MethodPatch, policy+"/infra/ip-pools/p/ip-subnets/s3", subnet)
	if got := c.publishStatus("/infra/ip-pools/p/ip-subnets/s3"); got != "ERROR" {
		t.Errorf("an exhausted block: %v", got)
	}
	c.must(http.MethodPatch, policy+"/infra/ip-pools/p/ip-allocations/a", object{})
	if got := c.allocatedIP("/infra/ip-pools/p/ip-allocations/a"); got != "10.244.0.2" {
		t.Errorf("the first address after the gateway: %v", got)
	}
	if status, body := c.do(http.MethodDelete, policy+"/infra/ip-blocks/b", nil); status != http.StatusBadRequest || body["error_code"] != 500030.0 {
		t.Errorf("deleting a block in use: %d %v", status, body)
	}
}

func TestSegmentSubnetsOverlap(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	c := newCaller(t, srv)
	for _, gateway := range []string{"t1", "t2"} {
		c.must(http.MethodPatch, policy+"/infra/tier-1s/"+gateway, object{})
	}
	segment := func(gateway, address string) object {
		return object{"connectivity_path": "/infra/tier-1s/" + gateway, "subnets": []any{object{"gateway_address": address}}}
	}
	c.must(http.MethodPatch, policy+"/infra/segments/a", segment("t1", "10.244.0.17/28"))
	got := c.must(http.MethodGet, policy+"/infra/segments/a", nil)
	if network := got["subnets"].([]any)[0].(object)["network"]; network != "10.244.0.16/28" {
		t.Errorf("network: %v", network)
	}
	status, body := c.do(http.MethodPatch, policy+"/infra/segments/b", segment("t1", "10.244.0.1/24"))
	if status != http.StatusBadRequest || body["error_code"] != 500105.0 {
		t.Errorf("the same gateway: %d %v", status, body)
	}
	c.must(http.MethodPatch, policy+"/infra/segments/b", segment("t2", "10.244.0.1/24"))
}

func TestSubnetInUse(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	c := newCaller(t, srv)
	pool := "/infra/ip-pools/p"
	c.must(http.MethodPatch, policy+pool, object{})
	c.must(http.MethodPatch, policy+pool+"/ip-subnets/s", staticSubnet("192.168.30.66", "192.168.30.68"))
	c.must(http.MethodPatch, policy+pool+"/ip-allocations/a", object{})
	status, body := c.do(http.MethodDelete, policy+pool+"/ip-subnets/s", nil)
	if status != http.StatusBadRequest || body["error_code"] != 500030.0 {
		t.Errorf("a subnet with allocations: %d %v", status, body)
	}
	gone := func(typ, child, id string) object {
		return object{"resource_type": "Child" + child, "marked_for_delete": true, child: object{"id": id, "resource_type": typ}}
	}
	c.must(http.MethodPatch, policy+"/infra", object{"resource_type": "Infra", "children": []any{
		object{"resource_type": "ChildIpAddressPool", "marked_for_delete": true, "IpAddressPool": object{"id": "p", "children": []any{
			gone("IpAddressPoolStaticSubnet", "IpAddressPoolSubnet", "s"), gone("IpAddressAllocation", "IpAddressAllocation", "a"),
		}}},
	}})
	if diff := cmp.Diff([]string(nil), srv.Paths("")); diff != "" {
		t.Error(diff)
	}
}

func TestForcedSegmentDelete(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	c := newCaller(t, srv)
	c.must(http.MethodPatch, policy+"/infra/segments/s", object{})
	c.must(http.MethodPatch, policy+"/infra/segments/s/ports/p", object{"attachment": object{"id": "vif"}})
	if status, _ := c.do(http.MethodDelete, policy+"/infra/segments/s?force=true", nil); status != http.StatusBadRequest {
		t.Errorf("force without cascade: %d", status)
	}
	c.must(http.MethodDelete, policy+"/infra/segments/s?force=true&cascade=true", nil)
	if diff := cmp.Diff([]string(nil), srv.Paths("")); diff != "" {
		t.Error(diff)
	}
}
