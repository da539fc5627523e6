// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"fmt"
	"maps"
	"net/http"
	"net/netip"
)

// checkSegment computes the networks of a segment's subnets and refuses those
// that overlap another segment's on the same gateway.
func checkSegment(t *txn, o *object) error {
	subnets := asObjects(o.body["subnets"])
	completed := make([]any, len(subnets))
	for i, subnet := range subnets {
		gateway, _ := subnet["gateway_address"].(string)
		prefix, err := netip.ParsePrefix(gateway)
		if err != nil {
			return invalidField("gateway_address %s is not an address with a prefix length", gateway)
		}
		subnet = maps.Clone(subnet)
		subnet["network"] = prefix.Masked().String()
		completed[i] = subnet
		if err := t.disjoint(o, prefix.Masked()); err != nil {
			return err
		}
	}
	if len(completed) > 0 {
		o.body["subnets"] = completed
	}
	if gateway(o) != "" {
		o.body["type"] = "ROUTED"
	}
	return nil
}

// gateway returns the path of the gateway that the segment is connected to.
func gateway(segment *object) string {
	if path := segment.text("connectivity_path"); path != "" {
		return path
	}
	if parent := parentPath(segment.path); parent != "/infra" {
		return parent
	}
	return ""
}

func (t *txn) disjoint(o *object, network netip.Prefix) error {
	via := gateway(o)
	if via == "" {
		return nil
	}
	others := append(t.s.intent.in("/infra/segments"), t.s.intent.in(via+"/segments")...)
	for _, other := range others {
		if other.path == o.path || gateway(other) != via {
			continue
		}
		for _, subnet := range asObjects(other.body["subnets"]) {
			text, _ := subnet["network"].(string)
			if taken, err := netip.ParsePrefix(text); err == nil && taken.Overlaps(network) {
				return overlap(network.String(), text, other.path)
			}
		}
	}
	return nil
}

func overlap(wanted, taken, path string) error {
	return badRequest(codeOverlap, modulePolicy, "The address %s overlaps with %s of the object path=[%s].", wanted, taken, path)
}

// attached refuses the deletion of a segment that still has ports in use.
func (t *txn) attached(path string, children []string) error {
	used := 0
	for _, child := range children {
		if o := t.s.intent.objects[child]; o.text("resource_type") == "SegmentPort" && o.body["attachment"] != nil {
			used++
		}
	}
	if used == 0 {
		return nil
	}
	return badRequest(codeSegmentHasVIFs, modulePolicy,
		"Segment %s has %d VMs or VIFs attached. Disconnect all VMs and VIFs before deleting a segment.", path, used)
}

func checkNATRule(_ *txn, o *object) error {
	action := o.text("action")
	needs := map[string][]string{
		"SNAT":      {"translated_network"},
		"DNAT":      {"destination_network", "translated_network"},
		"REFLEXIVE": {"source_network", "translated_network"},
		"NO_DNAT":   {"destination_network"},
		"NAT64":     {"destination_network", "translated_network"},
	}
	for _, name := range needs[action] {
		if o.text(name) == "" {
			return invalidField("%s is a required property of a %s rule", name, action)
		}
	}
	return nil
}

func networkRoutes() []route {
	infra := policyBase + "/infra"
	return []route{
		newRoute(http.MethodGet, infra+"/segments/{segment}/state", segmentState),
		newRoute(http.MethodGet, infra+"/segments/{segment}/ports/{port}/state", portState),
		newRoute(http.MethodGet, infra+"/tier-1s/{tier-1}/segments/{segment}/ports/{port}/state", portState),
		newRoute(http.MethodGet, infra+"/tier-1s/{tier-1}/state", gatewayState("tier1")),
		newRoute(http.MethodGet, infra+"/tier-0s/{tier-0}/state", gatewayState("tier0")),
	}
}

// owner returns the object that the status is asked of.
func (c *call) owner() (*object, error) {
	url, _ := splitPath(c.url)
	path := url[len(policyBase):]
	o := c.s.intent.objects[path]
	if o == nil {
		return nil, c.s.notFound(path)
	}
	return o, nil
}

func (s *Server) configuration(o *object) map[string]any {
	r := s.realization(o)
	state := map[string]any{"state": "in_progress", "details": []any{}}
	switch r.state {
	case stateRealized:
		state["state"] = "success"
	case stateError:
		state["state"] = "failed"
		state["failure_code"], state["failure_message"] = orDefault(r.code, 500042), r.message
	}
	return state
}

func segmentState(c *call) (any, error) {
	segment, err := c.owner()
	if err != nil {
		return nil, err
	}
	state := c.s.configuration(segment)
	state["segment_path"] = segment.path
	return state, nil
}

// portState tells what is attached to a segment port, and the addresses that
// are bound to it.
func portState(c *call) (any, error) {
	port, err := c.owner()
	if err != nil {
		return nil, err
	}
	attachment := map[string]any{"state": "FREE"}
	if used, ok := port.body["attachment"].(map[string]any); ok {
		attachment = map[string]any{"state": "ATTACHED", "id": used["id"]}
	}
	var bindings []any
	for _, binding := range asObjects(port.body["address_bindings"]) {
		bindings = append(bindings, map[string]any{"source": "USER_CONFIG", "binding": binding})
	}
	return map[string]any{
		"attachment":          attachment,
		"realized_bindings":   append([]any{}, bindings...),
		"discovered_bindings": []any{},
	}, nil
}

func gatewayState(tier string) handler {
	return func(c *call) (any, error) {
		gateway, err := c.owner()
		if err != nil {
			return nil, err
		}
		state := c.s.configuration(gateway)
		delete(state, "details")
		return map[string]any{
			"enforcement_point_path": enforcementPoint,
			tier + "_state":          state,
			tier + "_status": map[string]any{
				"logical_router_id":     gateway.text("realization_id"),
				"last_update_timestamp": c.s.now().UnixMilli(),
				"per_node_status":       []any{},
			},
			"ipv6_status": []any{},
		}, nil
	}
}

// Tag is a tag of an object that has no intent, such as a virtual machine.
type Tag struct{ Scope, Tag string }

// VirtualMachine is a virtual machine that NSX knows from vCenter.
type VirtualMachine struct {
	ID           string // external_id
	Name         string
	OSName       string
	ComputerName string
	Tags         []Tag
	Interfaces   []Interface
}

// Interface is a network interface of a virtual machine. It is connected to
// the segment port of which the attachment has the interface's ID.
type Interface struct {
	ID  string // lport_attachment_id
	MAC string
	IPs []string
}

// SetVirtualMachine adds a virtual machine to the inventory, or replaces the
// one with its ID.
func (s *Server) SetVirtualMachine(vm VirtualMachine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.machines[vm.ID] = vm
	s.notify()
}

// RemoveVirtualMachine takes a virtual machine out of the inventory, if it is
// there.
func (s *Server) RemoveVirtualMachine(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.machines, id)
	s.notify()
}

// externalID names an interface in NSX's inventory.
func (i Interface) externalID(vm VirtualMachine) string { return fmt.Sprintf("%s-%s", vm.ID, i.MAC) }
