// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import "strings"

// kind describes one kind of intent object. All that the Policy API does with
// objects of the kind follows from it.
type kind struct {
	path     string                          // of an object, with {names} where the ids stand
	types    []string                        // resource types; more than one when the kind is polymorphic
	refs     []string                        // dotted fields that hold policy paths of other objects
	required []string                        // fields without which NSX refuses the object
	defaults string                          // JSON of the fields that NSX fills in
	realized string                          // entity_type of the realized entity; empty when there is none
	spawns   []string                        // objects beneath it that NSX makes by itself: collection/id
	owns     bool                            // deleting it deletes its children; else children refuse it
	forced   bool                            // DELETE takes ?force=true
	single   bool                            // there is one, which can't be deleted
	readonly bool                            // NSX makes them; clients can only read
	child    string                          // what the hierarchical API calls it after Child; its only type when empty
	inline   bool                            // it carries the rules beneath it
	check    func(*txn, *object) error       // before it is written
	users    func(*Server, *object) []string // objects that need it without a reference
	dropped  func(*txn, *object)             // when it is deleted
}

// childName is what follows Child in the hierarchical API.
func (k *kind) childName() string { return orDefault(k.child, k.types[0]) }

// typ returns the resource type of objects that do not name theirs.
func (k *kind) typ() string { return k.types[0] }

// kinds is the registry of the Policy API's objects.
func kinds() []*kind {
	all := []*kind{{path: "/infra", types: []string{"Infra"}, owns: true, readonly: true}}
	all = append(all, networkKinds()...)
	all = append(all, loadBalancerKinds()...)
	all = append(all, addressKinds()...)
	return append(all, securityKinds()...)
}

func networkKinds() []*kind {
	all := []*kind{
		{
			path: "/infra/segments/{segment}", types: []string{"Segment"},
			refs: []string{"connectivity_path"}, realized: "RealizedLogicalSwitch", check: checkSegment, forced: true,
			defaults: `{"type":"DISCONNECTED","admin_state":"UP","replication_mode":"MTEP"}`,
		},
		{
			path: "/infra/segments/{segment}/ports/{port}", types: []string{"SegmentPort"},
			realized: "RealizedLogicalPort", defaults: `{"admin_state":"UP"}`,
		},
		{
			path: "/infra/tier-1s/{tier-1}/segments/{segment}", types: []string{"Segment"},
			realized: "RealizedLogicalSwitch", check: checkSegment,
			defaults: `{"type":"ROUTED","admin_state":"UP","replication_mode":"MTEP"}`,
		},
		{
			path: "/infra/tier-1s/{tier-1}/segments/{segment}/ports/{port}", types: []string{"SegmentPort"},
			realized: "RealizedLogicalPort", defaults: `{"admin_state":"UP"}`,
		},
		{
			path: "/infra/tier-0s/{tier-0}", types: []string{"Tier0"}, realized: "RealizedLogicalRouter",
			spawns:   []string{"nat/USER", "nat/INTERNAL", "nat/DEFAULT"},
			defaults: `{"ha_mode":"ACTIVE_ACTIVE","failover_mode":"NON_PREEMPTIVE","transit_subnets":["100.64.0.0/16"],"internal_transit_subnets":["169.254.0.0/24"]}`,
		},
		{
			path: "/infra/tier-1s/{tier-1}", types: []string{"Tier1"}, refs: []string{"tier0_path"},
			realized: "RealizedLogicalRouter", spawns: []string{"nat/USER", "nat/INTERNAL", "nat/DEFAULT"},
			defaults: `{"failover_mode":"NON_PREEMPTIVE","enable_standby_relocation":false,"pool_allocation":"ROUTING","type":"ROUTED"}`,
		},
	}
	for _, gateway := range []string{"/infra/tier-0s/{tier-0}", "/infra/tier-1s/{tier-1}"} {
		all = append(all, gatewayKinds(gateway)...)
	}
	return append(all, &kind{
		path: "/infra/tier-0s/{tier-0}/prefix-lists/{prefix-list}", types: []string{"PrefixList"},
		required: []string{"prefixes"},
	})
}

func gatewayKinds(gateway string) []*kind {
	return []*kind{
		{path: gateway + "/locale-services/{locale-service}", types: []string{"LocaleServices"}, owns: true},
		{path: gateway + "/nat/{nat}", types: []string{"PolicyNat"}, readonly: true},
		{
			path: gateway + "/nat/{nat}/nat-rules/{nat-rule}", types: []string{"PolicyNatRule"},
			required: []string{"action"}, realized: "RealizedNatRule", check: checkNATRule,
			defaults: `{"enabled":true,"logging":false,"sequence_number":0,"firewall_match":"MATCH_INTERNAL_ADDRESS"}`,
		},
		{
			path: gateway + "/static-routes/{static-route}", types: []string{"StaticRoutes"},
			required: []string{"network", "next_hops"}, realized: "RealizedStaticRoute",
		},
	}
}

func loadBalancerKinds() []*kind {
	return []*kind{
		{
			path: "/infra/lb-services/{lb-service}", types: []string{"LBService"},
			refs: []string{"connectivity_path"}, realized: "LbServiceDto", forced: true,
			defaults: `{"enabled":true,"size":"SMALL","error_log_level":"INFO","relax_scale_validation":false}`,
		},
		{
			path: "/infra/lb-virtual-servers/{lb-virtual-server}", types: []string{"LBVirtualServer"},
			refs: []string{
				"pool_path", "sorry_pool_path", "application_profile_path", "lb_service_path",
				"lb_persistence_profile_path", "rules.actions.pool_path",
				"client_ssl_profile_binding.ssl_profile_path", "server_ssl_profile_binding.ssl_profile_path",
				"access_list_control.group_path",
			},
			required: []string{"application_profile_path", "ip_address", "ports"},
			realized: "LbVirtualServerDto", forced: true, check: checkVirtualServer,
			defaults: `{"enabled":true,"access_log_enabled":false,"log_significant_event_only":false}`,
		},
		{
			path: "/infra/lb-pools/{lb-pool}", types: []string{"LBPool"},
			refs:     []string{"active_monitor_paths", "passive_monitor_path", "member_group.group_path"},
			realized: "LbPoolDto", forced: true, check: checkPool,
			defaults: `{"algorithm":"ROUND_ROBIN","min_active_members":1,"tcp_multiplexing_enabled":false,"tcp_multiplexing_number":6,"snat_translation":{"type":"LBSnatAutoMap"}}`,
		},
		{
			path:  "/infra/lb-app-profiles/{lb-app-profile}",
			types: []string{"LBFastTcpProfile", "LBFastUdpProfile", "LBHttpProfile"}, child: "LBAppProfile", realized: "LbApplicationProfileDto", forced: true,
		},
		{
			path: "/infra/lb-monitor-profiles/{lb-monitor-profile}",
			types: []string{
				"LBTcpMonitorProfile", "LBUdpMonitorProfile", "LBHttpMonitorProfile", "LBHttpsMonitorProfile",
				"LBIcmpMonitorProfile", "LBPassiveMonitorProfile",
			},
			child: "LBMonitorProfile", realized: "LbMonitorDto", forced: true,
		},
		{
			path: "/infra/lb-persistence-profiles/{lb-persistence-profile}",
			types: []string{
				"LBSourceIpPersistenceProfile", "LBCookiePersistenceProfile", "LBGenericPersistenceProfile",
			},
			child: "LBPersistenceProfile", realized: "LbPersistenceProfileDto", forced: true, defaults: `{"persistence_shared":false}`,
		},
		{path: "/infra/lb-client-ssl-profiles/{lb-client-ssl-profile}", types: []string{"LBClientSslProfile"}, forced: true},
		{path: "/infra/lb-server-ssl-profiles/{lb-server-ssl-profile}", types: []string{"LBServerSslProfile"}, forced: true},
	}
}

func addressKinds() []*kind {
	return []*kind{
		{
			path: "/infra/ip-blocks/{ip-block}", types: []string{"IpAddressBlock"},
			required: []string{"cidr"}, realized: "IpBlock", check: checkBlock,
		},
		{path: "/infra/ip-pools/{ip-pool}", types: []string{"IpAddressPool"}, realized: "IpPool"},
		{
			path:  "/infra/ip-pools/{ip-pool}/ip-subnets/{ip-subnet}",
			types: []string{"IpAddressPoolStaticSubnet", "IpAddressPoolBlockSubnet"},
			child: "IpAddressPoolSubnet", refs: []string{"ip_block_path"}, realized: "IpBlockSubnet",
			check: checkSubnet, users: subnetUsers,
		},
		{
			path: "/infra/ip-pools/{ip-pool}/ip-allocations/{ip-allocation}", types: []string{"IpAddressAllocation"},
			realized: "AllocationIpAddress", check: checkAllocation, dropped: releaseAllocation,
		},
	}
}

func securityKinds() []*kind {
	return []*kind{
		{path: "/infra/domains/{domain}", types: []string{"Domain"}},
		{
			path: "/infra/domains/{domain}/groups/{group}", types: []string{"Group"},
			refs:     []string{"expression.paths", "expression.expressions.paths"},
			realized: "RealizedGroup", check: checkGroup, forced: true,
		},
		{
			path: "/infra/domains/{domain}/security-policies/{security-policy}", types: []string{"SecurityPolicy"},
			refs: []string{"scope"}, realized: "RealizedFirewallSection", owns: true, inline: true, check: checkPolicy,
			defaults: `{"category":"Application","stateful":true,"tcp_strict":false,"locked":false,"sequence_number":0}`,
		},
		{
			path: "/infra/domains/{domain}/security-policies/{security-policy}/rules/{rule}", types: []string{"Rule"},
			refs:     []string{"scope", "source_groups", "destination_groups", "services"},
			realized: "RealizedFirewallRule", check: checkRule,
			defaults: `{"action":"ALLOW","direction":"IN_OUT","disabled":false,"logged":false,"ip_protocol":"IPV4_IPV6","source_groups":["ANY"],"destination_groups":["ANY"],"services":["ANY"],"profiles":["ANY"],"scope":["ANY"],"sources_excluded":false,"destinations_excluded":false,"sequence_number":0}`,
		},
		{
			path: "/infra/settings/firewall/security/exclude-list", types: []string{"PolicyExcludeList"},
			refs: []string{"members"}, single: true, defaults: `{"members":[]}`,
		},
		{path: "/infra/services/{service}", types: []string{"Service"}, realized: "RealizedService"},
	}
}

// pathTree finds the kind of a policy path.
type pathTree struct {
	children map[string]*pathTree
	any      *pathTree // for an id
	kind     *kind
}

func newPathTree(all []*kind) *pathTree {
	root := &pathTree{}
	for _, k := range all {
		node := root
		for part := range strings.SplitSeq(strings.TrimPrefix(k.path, "/"), "/") {
			node = node.grow(part)
		}
		node.kind = k
	}
	return root
}

func (t *pathTree) grow(part string) *pathTree {
	if strings.HasPrefix(part, "{") {
		if t.any == nil {
			t.any = &pathTree{}
		}
		return t.any
	}
	if t.children == nil {
		t.children = map[string]*pathTree{}
	}
	if t.children[part] == nil {
		t.children[part] = &pathTree{}
	}
	return t.children[part]
}

// find returns the kind of the object at path, or nil.
func (t *pathTree) find(path string) *kind {
	if node := t.walk(path); node != nil {
		return node.kind
	}
	return nil
}

// collection returns the kind of the objects that path lists, or nil.
func (t *pathTree) collection(path string) *kind {
	if node := t.walk(path); node != nil && node.any != nil {
		return node.any.kind
	}
	return nil
}

func (t *pathTree) walk(path string) *pathTree {
	node := t
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		next := node.children[part]
		if next == nil && part != "" {
			next = node.any
		}
		if next == nil {
			return nil
		}
		node = next
	}
	return node
}

// splitPath returns the collection that holds the object and the object's id.
func splitPath(path string) (collection, id string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}

// parentPath returns the path of the object beneath which the object at path
// lies: two parts shorter, and /infra for the objects at the top and settings.
func parentPath(path string) string {
	if strings.HasPrefix(path, "/infra/settings/") {
		return "/infra"
	}
	collection, _ := splitPath(path)
	parent, _ := splitPath(collection)
	return parent
}
