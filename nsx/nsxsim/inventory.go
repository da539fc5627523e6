// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"cmp"
	"encoding/json"
	"hash/fnv"
	"maps"
	"net/http"
	"slices"
	"strings"
)

const groupPath = policyBase + "/infra/domains/{domain}/groups/{group}"

func inventoryRoutes() []route {
	realized := policyBase + "/infra/realized-state"
	point := realized + "/enforcement-points/{enforcement-point}"
	members := groupPath + "/members"
	return []route{
		newRoute(http.MethodGet, realized+"/virtual-machines", listMachines),
		newRoute(http.MethodGet, point+"/virtual-machines", listMachines),
		newRoute(http.MethodGet, point+"/vifs", listInterfaces),
		newRoute(http.MethodGet, members+"/ip-addresses", memberAddresses),
		newRoute(http.MethodGet, members+"/virtual-machines", memberMachines),
		newRoute(http.MethodGet, members+"/vifs", memberInterfaces),
		newRoute(http.MethodGet, members+"/segments", memberObjects(func(g *groupMembers) set { return g.segments })),
		newRoute(http.MethodGet, members+"/segment-ports", memberObjects(func(g *groupMembers) set { return g.ports })),
	}
}

// describe is the virtual machine as the inventory lists it, realize as the
// members of a group do.
func (vm VirtualMachine) describe() *object {
	return plain(vm.ID, map[string]any{
		"resource_type": "VirtualMachine", "external_id": vm.ID, "display_name": vm.Name, "tags": vm.tagList(),
		"compute_ids": []any{"externalId:" + vm.ID}, "power_state": "VM_RUNNING", "type": "REGULAR",
		"guest_info": map[string]any{"os_name": vm.OSName, "computer_name": vm.ComputerName},
	})
}

func (vm VirtualMachine) tagList() []any {
	tags := []any{}
	for _, tag := range vm.Tags {
		tags = append(tags, map[string]any{"scope": tag.Scope, "tag": tag.Tag})
	}
	return tags
}

func (vm VirtualMachine) realize() *object {
	path := "/infra/realized-state/enforcement-points/default/virtual-machines/" + vm.ID
	return plain(path, map[string]any{
		"resource_type": "RealizedVirtualMachine", "id": vm.ID, "display_name": vm.Name, "path": path, "relative_path": vm.ID,
		"tags": vm.tagList(), "compute_ids": []any{"externalId:" + vm.ID}, "power_state": "VM_RUNNING", "state": stateRealized,
	})
}

func (i Interface) describe(vm VirtualMachine) *object {
	id := i.externalID(vm)
	addresses := []any{}
	for _, ip := range i.IPs {
		addresses = append(addresses, ip)
	}
	return plain(id, map[string]any{
		"resource_type": "VirtualNetworkInterface", "external_id": id, "display_name": id, "owner_vm_id": vm.ID,
		"owner_vm_type": "REGULAR", "mac_address": i.MAC, "lport_attachment_id": i.ID,
		"ip_address_info": []any{map[string]any{"source": "VM_TOOLS", "ip_addresses": addresses}},
	})
}

// machineList describes the virtual machines that are wanted, sorted.
func (s *Server) machineList(wanted func(VirtualMachine) bool, describe func(VirtualMachine) *object) []*object {
	var objects []*object
	for _, id := range slices.Sorted(maps.Keys(s.machines)) {
		if vm := s.machines[id]; wanted(vm) {
			objects = append(objects, describe(vm))
		}
	}
	return objects
}

func (s *Server) interfaceList(wanted func(id string) bool) []*object {
	var objects []*object
	for _, id := range slices.Sorted(maps.Keys(s.machines)) {
		vm := s.machines[id]
		for _, vif := range vm.Interfaces {
			if wanted(vif.externalID(vm)) {
				objects = append(objects, vif.describe(vm))
			}
		}
	}
	return objects
}

func listMachines(c *call) (any, error) {
	objects := c.s.machineList(func(VirtualMachine) bool { return true }, VirtualMachine.describe)
	if c.s.switches.UnstableVirtualMachines && c.query.Get("sort_by") == "" {
		c.shuffle(objects)
	}
	return c.page(objects, policyCursor{})
}

// shuffle orders the objects in a way that depends on the page.
func (c *call) shuffle(objects []*object) {
	rank := func(o *object) uint64 {
		hash := fnv.New64a()
		_, _ = hash.Write([]byte(c.query.Get("cursor") + o.path)) // never fails
		return hash.Sum64()
	}
	slices.SortFunc(objects, func(a, b *object) int { return cmp.Compare(rank(a), rank(b)) })
}

func listInterfaces(c *call) (any, error) {
	objects := c.s.interfaceList(func(string) bool { return true })
	if id := c.query.Get("lport_attachment_id"); id != "" {
		objects = slices.DeleteFunc(objects, func(o *object) bool { return o.text("lport_attachment_id") != id })
	}
	return c.page(objects, policyCursor{})
}

// members evaluates the group that the route names.
func (c *call) members() (*groupMembers, error) {
	path := c.url[len(policyBase):strings.LastIndex(c.url, "/members/")]
	if c.s.intent.objects[path] == nil {
		return nil, c.s.notFound(path)
	}
	return c.s.groupMembers(path, set{}), nil
}

func memberAddresses(c *call) (any, error) {
	found, err := c.members()
	if err != nil {
		return nil, err
	}
	var objects []*object
	for _, address := range found.addresses.sorted() {
		raw, _ := json.Marshal(address) // a string always encodes
		objects = append(objects, &object{path: address, raw: raw})
	}
	return c.page(objects, policyCursor{})
}

func memberMachines(c *call) (any, error) {
	found, err := c.members()
	if err != nil {
		return nil, err
	}
	return c.page(c.s.machineList(func(vm VirtualMachine) bool { return found.machines[vm.ID] }, VirtualMachine.realize), policyCursor{})
}

func memberInterfaces(c *call) (any, error) {
	found, err := c.members()
	if err != nil {
		return nil, err
	}
	return c.page(c.s.interfaceList(func(id string) bool { return found.vifs[id] }), policyCursor{})
}

// memberObjects lists members that have a policy path.
func memberObjects(choose func(*groupMembers) set) handler {
	return func(c *call) (any, error) {
		found, err := c.members()
		if err != nil {
			return nil, err
		}
		var objects []*object
		for _, path := range choose(found).sorted() {
			o := c.s.intent.objects[path]
			objects = append(objects, plain(path, map[string]any{"id": o.id(), "display_name": o.text("display_name"), "path": path}))
		}
		return c.page(objects, policyCursor{})
	}
}
