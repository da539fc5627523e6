// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

// Plan is pure: values in, a Plan out.

// What an import has in NSX.
const (
	nsxName            = "nsx" // as cluster of an ObjectRef
	nsxAPI             = "policy/api/v1"
	kindSecurityPolicy = "SecurityPolicy"
	kindGroup          = "Group"

	// firewallSequence is the place of the policies in the category Application:
	// before all of NCP's, which begin at top_section_priority, 10 unless an
	// administrator changed it. Whoever is to decide before it has the earlier
	// categories, and lower numbers.
	firewallSequence = 5

	// annotationFirewall stands on an import, from before its policy is made
	// until after it is gone, and is its path.
	annotationFirewall = markPrefix + "firewall"
)

// The scopes of the tags on what is Viaduct's in NSX.
const (
	tagManagedBy = markPrefix + "managed-by"
	tagID        = markPrefix + "id"
	tagCluster   = markPrefix + "cluster"
	tagNamespace = markPrefix + "namespace"
	tagName      = markPrefix + "name"
	tagExporter  = markPrefix + "exporter"
)

// nsxMark is what the tags on an object in NSX say.
type nsxMark struct {
	cluster string
	target  types.NamespacedName
	path    string
}

// id binds the tags to the object's path, so that a copy of them elsewhere does
// not make that object Viaduct's.
func (m nsxMark) id() string { return hash("firewall", m.cluster, m.target.String(), m.path) }

func (m nsxMark) tags() []any {
	return []any{
		tag(tagManagedBy, fieldManager), tag(tagID, m.id()),
		tag(tagCluster, m.cluster), tag(tagNamespace, m.target.Namespace), tag(tagName, m.target.Name),
	}
}

func tag(scope, value string) any { return map[string]any{"scope": scope, "tag": value} }

// tagsOf returns the values of the tags of a scope.
func tagsOf(o map[string]any, scope string) []string {
	list, _ := o["tags"].([]any)
	var found []string
	for _, item := range list {
		if t, ok := item.(map[string]any); ok && text(t, "scope") == scope {
			found = append(found, text(t, "tag"))
		}
	}
	return found
}

// readNSXMark returns the mark on an object, and whether it is a valid one.
func readNSXMark(o map[string]any) (nsxMark, bool) {
	one := func(scope string) string { return strings.Join(tagsOf(o, scope), ",") }
	m := nsxMark{one(tagCluster), types.NamespacedName{Namespace: one(tagNamespace), Name: one(tagName)}, text(o, "path")}
	return m, one(tagManagedBy) == fieldManager && one(tagID) == m.id()
}

// firewallPaths are those of the policy and the group of an import.
func firewallPaths(cluster string, target types.NamespacedName) (policy, group nsx.Path) {
	const domain = "/infra/domains/" + nsx.DefaultDomain
	id := fieldManager + "-" + hash(cluster, target.String())
	return nsx.Path(domain + "/security-policies/" + id), nsx.Path(domain + "/groups/" + id)
}

// flow is what one exporter's rule lets through.
type flow struct {
	addresses []netip.Addr
	ports     []Port
}

func (f flow) key() string {
	text := joinAddresses(sortedAddresses(f.addresses))
	ports := make([]string, 0, len(f.ports))
	for _, p := range f.ports {
		ports = append(ports, fmt.Sprintf("%s-%d", p.Protocol, p.Port))
	}
	slices.Sort(ports)
	return text + " " + strings.Join(slices.Compact(ports), ",")
}

// wantsFirewall reports whether an import has a policy, or is to get one if the
// firewall is closed.
func (o importObserved) wantsFirewall(target types.NamespacedName, opts *importOptions) bool {
	return opts.firewall || o.hasFirewall(target)
}

// hasFirewall reports whether an import is marked as having a policy.
func (o importObserved) hasFirewall(target types.NamespacedName) bool {
	if o.service.live == nil {
		return false
	}
	m, ours := readMark(o.service.live, target)
	return ours && m.role == RoleImport && o.service.Annotations[annotationFirewall] != ""
}

// firewallPolicy returns the path of the policy that the import is to have,
// empty when it needs none, or why it cannot be made.
func (o importObserved) firewallPolicy(cluster string, target types.NamespacedName, e *Exported, opts *importOptions) (nsx.Path, *refusal) {
	if !o.wantsFirewall(target, opts) {
		return "", nil
	}
	if !o.firewall.given {
		reason := "WithFirewall: it is not known where the cluster's nodes are"
		if o.hasFirewall(target) {
			reason = "the import has a security policy in NSX, " + o.service.Annotations[annotationFirewall]
		}
		return "", needsFirewall(reason)
	}
	policy, _ := firewallPaths(cluster, target)
	if r := o.firewall.foreign(); r != nil {
		return "", r
	}
	v := o.firewall.judge(e)
	switch {
	case v.after != firewall.Allow:
		return "", &refusal{viaduct.ErrInvalid, "the distributed firewall would stop it all the same: " + v.reason, "change that rule, or what it applies to"}
	case v.before == firewall.Allow && o.firewall.policy == nil && o.firewall.group == nil:
		return "", nil
	}
	return policy, nil
}

// foreign returns why the objects at the import's paths cannot be used: they are
// somebody else's.
func (f firewallObserved) foreign() *refusal {
	for _, o := range []map[string]any{f.policy, f.group} {
		if o == nil {
			continue
		}
		if _, ours := readNSXMark(o); !ours {
			return &refusal{
				viaduct.ErrNotOwned,
				fmt.Sprintf("%s %s of NSX belongs to %s", text(o, "resource_type"), text(o, "path"), cmp.Or(text(o, "_create_user"), "somebody else")),
				"rename or delete it",
			}
		}
	}
	return nil
}

// verdict is what the firewall does without Viaduct's rule and with it.
type verdict struct {
	before, after firewall.Action
	reason        string
}

// judge evaluates the connections from each known machine to each address and
// port. It reports the worst of them.
func (f firewallObserved) judge(e *Exported) verdict {
	v := verdict{before: firewall.Allow, after: firewall.Allow}
	judged := map[netip.Addr]bool{}
	for _, address := range sortedAddresses(e.Addresses) {
		for _, s := range f.state.sources {
			if s.address.BitLen() != address.BitLen() {
				continue
			}
			judged[address] = true
			for _, p := range e.sortedPorts() {
				v = v.worse(f.state.judge(s, address, p))
			}
		}
	}
	for _, address := range sortedAddresses(e.Addresses) {
		if !judged[address] {
			v.reason = join(v.reason, "not judged: the segments have no address of the family of "+address.String())
			v.before = cmp.Or(closed(v.before), firewall.Drop) // a policy does no harm
		}
	}
	for _, gap := range f.state.gaps {
		v.reason = join(v.reason, "not considered: "+gap)
	}
	return v
}

func closed(a firewall.Action) firewall.Action {
	if a == firewall.Allow {
		return ""
	}
	return a
}

// worse returns the verdict that stops more.
func (v verdict) worse(o verdict) verdict {
	badness := func(v verdict) int {
		switch {
		case v.after != firewall.Allow:
			return 2
		case v.before != firewall.Allow:
			return 1
		default:
			return 0
		}
	}
	if v.reason == "" || badness(o) > badness(v) {
		return o
	}
	return v
}

func join(clauses ...string) string {
	return strings.Join(slices.DeleteFunc(clauses, func(c string) bool { return c == "" }), "; ")
}

// judge evaluates one connection. The rule of Viaduct matches it by
// construction: it decides unless another does before it.
func (s *firewallState) judge(from firewallSource, to netip.Addr, port Port) verdict {
	f := firewall.Flow{
		Source: from.address, Destination: to, Protocol: firewall.TCP, DestinationPort: uint16(port.Port), //nolint:gosec // a port number
		Crosses: []firewall.Crossing{{Interface: from.at, Direction: firewall.Out}},
	}
	if port.Protocol == corev1.ProtocolUDP {
		f.Protocol = firewall.UDP
	}
	result, err := s.rules.Evaluate(f)
	if err != nil {
		return verdict{firewall.Drop, firewall.Allow, err.Error()}
	}
	d := result.Decisive()
	v := verdict{before: d.Action, after: firewall.Allow}
	if d.Action != firewall.Allow && s.before(d.By) {
		v.after = d.Action
	}
	v.reason = fmt.Sprintf("%s from %s to %s: %s by %s", port.Protocol, from.address, netip.AddrPortFrom(to, f.DestinationPort), d.Action, describe(d))
	for _, c := range d.Conditional {
		v.reason = join(v.reason, "unless the condition of rule "+c.Rule+" holds")
	}
	return v
}

func describe(d firewall.Decision) string {
	switch {
	case d.Excluded:
		return "the exclusion list"
	case d.By.Policy == "":
		return "no rule"
	default:
		return strings.TrimSpace("rule " + d.By.Name + " " + cmp.Or(d.By.Rule, d.By.Policy))
	}
}

// before reports whether a rule may be evaluated before Viaduct's. The order of
// equal numbers is not determined.
func (s *firewallState) before(by firewall.Ref) bool {
	p := s.policies[by.Policy]
	switch {
	case p.IsDefault:
		return false
	case p.Category == firewall.Emergency, p.Category == firewall.Infrastructure, p.Category == firewall.Environment:
		return true
	default:
		return p.Category == firewall.Application && p.Sequence <= firewallSequence
	}
}

// planFirewall opens the firewall for an import: the group of the segments, the
// policy, and, when the import leads elsewhere now, the policy without the way
// to where it led before.
func planFirewall(cluster string, target types.NamespacedName, e *Exported, o importObserved) []Step {
	policyPath, groupPath := firewallPaths(cluster, target)
	group := firewallGroup(nsxMark{cluster, target, groupPath.String()}, o.firewall)
	reason := "the segments of the nodes that use " + target.String()
	steps := convergeNSX(groupPath, kindGroup, o.firewall.group, group, reason)

	m := nsxMark{cluster, target, policyPath.String()}
	now := flow{e.Addresses, e.Ports}
	final := o.firewallRules(target, e.Source, groupPath, now)
	reason = "lets the cluster's nodes reach " + joinAddresses(sortedAddresses(e.Addresses))
	was := o.leadsTo(target, e.Source)
	if o.firewall.policy == nil || was.key() == now.key() || len(was.addresses) == 0 {
		return append(steps, convergeNSX(policyPath, kindSecurityPolicy, o.firewall.policy, firewallDocument(m, groupPath, final), reason)...)
	}
	both := firewallDocument(m, groupPath, o.firewallRules(target, e.Source, groupPath, now, was))
	steps = append(steps, convergeNSX(policyPath, kindSecurityPolicy, o.firewall.policy, both, reason+" besides "+joinAddresses(was.addresses))...)
	narrow := convergeNSX(policyPath, kindSecurityPolicy, both, firewallDocument(m, groupPath, final), "nothing leads to "+was.key()+" any more")
	for i := range narrow {
		narrow[i].late, narrow[i].live = true, &unstructured.Unstructured{Object: o.firewall.policy}
	}
	return append(steps, narrow...)
}

// leadsTo returns where the endpoints of one exporter lead now.
func (o importObserved) leadsTo(target types.NamespacedName, source Source) flow {
	var f flow
	for _, b := range o.backends {
		if m, ours := readMark(b.live, target); !ours || !m.source.sameService(source) {
			continue
		}
		for _, subset := range append(items(b.live, "subsets"), b.live.Object) {
			for _, e := range append(slicesOf(subset, "endpoints"), slicesOf(subset, "addresses")...) {
				texts, _, _ := unstructured.NestedStringSlice(e, "addresses")
				for _, t := range append(texts, text(e, "ip")) {
					if address, err := netip.ParseAddr(t); err == nil {
						f.addresses = append(f.addresses, address)
					}
				}
			}
			for _, p := range slicesOf(subset, "ports") {
				number, _, _ := unstructured.NestedInt64(p, "port")
				f.ports = append(f.ports, Port{Protocol: corev1.Protocol(cmp.Or(text(p, "protocol"), "TCP")), Port: int32(number)}) //nolint:gosec // a port number
			}
		}
	}
	f.addresses = slices.Compact(sortedAddresses(f.addresses))
	return f
}

// slicesOf returns the objects of a list in an object.
func slicesOf(o map[string]any, field string) []map[string]any {
	list, _ := o[field].([]any)
	var found []map[string]any
	for _, item := range list {
		if m, ok := item.(map[string]any); ok {
			found = append(found, m)
		}
	}
	return found
}

// firewallGroup renders the group of the segments, of which the rules speak and
// to which they are applied.
func firewallGroup(m nsxMark, f firewallObserved) map[string]any {
	var paths, networks []any
	for _, s := range f.from {
		paths = append(paths, s.String())
	}
	for _, s := range f.state.segments {
		if !slices.Contains(f.from, s.Path) {
			continue
		}
		for _, prefix := range subnetsOf(s) {
			networks = append(networks, prefix.String())
		}
	}
	expression := []any{map[string]any{"resource_type": nsx.ExprPaths, "paths": paths}}
	if len(networks) > 0 {
		expression = append(expression,
			map[string]any{"resource_type": nsx.ExprConjunction, "conjunction_operator": "OR"},
			map[string]any{"resource_type": nsx.ExprIPAddresses, "ip_addresses": networks})
	}
	return map[string]any{
		"id": nsx.Path(m.path).ID(), "resource_type": kindGroup, "display_name": displayName(m),
		"tags": m.tags(), "expression": expression,
	}
}

func displayName(m nsxMark) string { return fieldManager + " " + m.cluster + " " + m.target.String() }

// firewallDocument renders the policy with its rules.
func firewallDocument(m nsxMark, group nsx.Path, rules []any) map[string]any {
	tags := m.tags()
	for _, r := range rules {
		for _, exporter := range tagsOf(r.(map[string]any), tagExporter) { //nolint:forcetypeassert // rendered here
			if t := tag(tagExporter, exporter); !slices.ContainsFunc(tags, func(have any) bool { return compareText(have, t) == 0 }) {
				tags = append(tags, t)
			}
		}
	}
	for i := range rules {
		rules[i].(map[string]any)["sequence_number"] = int64(10 * (i + 1)) //nolint:forcetypeassert // rendered here
	}
	return map[string]any{
		"id": nsx.Path(m.path).ID(), "resource_type": kindSecurityPolicy, "display_name": displayName(m),
		"category": string(nsx.CategoryApplication), "sequence_number": int64(firewallSequence),
		"scope": []any{group.String()}, "tags": tags, "rules": rules,
	}
}

// firewallRules renders the rules of one exporter, and keeps those of others that
// still stand behind the import.
func (o importObserved) firewallRules(target types.NamespacedName, source Source, group nsx.Path, flows ...flow) []any {
	rules := o.keptRules(target, source)
	for i, f := range flows {
		id := "from-" + hash(source.String())
		if i > 0 {
			id += "-before"
		}
		rules = append(rules, firewallRule(id, source, group, f))
	}
	slices.SortStableFunc(rules, func(a, b any) int {
		return cmp.Compare(text(a.(map[string]any), "id"), text(b.(map[string]any), "id")) //nolint:forcetypeassert // rendered here
	})
	return rules
}

// keptRules are the rules of other exporters whose endpoints are there.
func (o importObserved) keptRules(target types.NamespacedName, without Source) []any {
	var rules []any
	for _, r := range slicesOf(o.firewall.policy, "rules") {
		exporter := strings.Join(tagsOf(r, tagExporter), ",")
		stands := slices.ContainsFunc(o.backends, func(b object) bool {
			m, ours := readMark(b.live, target)
			return ours && m.source.String() == exporter
		})
		if exporter == without.String() || !stands {
			continue
		}
		kept := map[string]any{}
		for _, field := range []string{
			"id", "resource_type", "display_name", "action", "direction", "source_groups", "destination_groups",
			"service_entries", "scope", "tags",
		} {
			if v, ok := r[field]; ok {
				kept[field] = v
			}
		}
		rules = append(rules, kept)
	}
	return rules
}

func firewallRule(id string, source Source, group nsx.Path, f flow) map[string]any {
	var destinations, entries []any
	for _, a := range sortedAddresses(f.addresses) {
		destinations = append(destinations, a.String())
	}
	for _, protocol := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP} {
		var numbers []int32
		for _, p := range f.ports {
			if p.Protocol == protocol {
				numbers = append(numbers, p.Port)
			}
		}
		slices.Sort(numbers)
		for _, number := range slices.Compact(numbers) {
			name := fmt.Sprintf("%s-%d", protocol, number)
			entries = append(entries, map[string]any{
				"resource_type": nsx.ServiceL4, "id": name, "display_name": name,
				"l4_protocol": string(protocol), "destination_ports": []any{strconv.Itoa(int(number))},
			})
		}
	}
	return map[string]any{
		"id": id, "resource_type": "Rule", "display_name": source.String(),
		"action": string(nsx.RuleAllow), "direction": string(nsx.RuleOut),
		"source_groups": []any{group.String()}, "destination_groups": destinations, "service_entries": entries,
		"scope": []any{group.String()}, "tags": []any{tag(tagExporter, source.String())},
	}
}

// sortRules orders rules as they are evaluated.
func sortRules(rules []any) {
	number := func(r any) int64 {
		m, _ := r.(map[string]any)
		n, _, _ := unstructured.NestedInt64(m, "sequence_number")
		return n
	}
	slices.SortStableFunc(rules, func(a, b any) int { return cmp.Compare(number(a), number(b)) })
}

// planFirewallRemoval takes away what an import has in NSX, or of it what came
// from exporters that do not stand behind it any more.
func planFirewallRemoval(cluster string, target types.NamespacedName, o importObserved, wholly bool, reason string) []Step {
	_, groupPath := firewallPaths(cluster, target)
	policy, group := o.firewall.policy, o.firewall.group
	if !wholly && policy != nil {
		policyPath, _ := firewallPaths(cluster, target)
		if rules := o.keptRules(target, Source{}); len(rules) > 0 {
			want := firewallDocument(nsxMark{cluster, target, policyPath.String()}, groupPath, rules)
			steps := convergeNSX(policyPath, kindSecurityPolicy, policy, want, reason)
			for i := range steps {
				steps[i].late = true
			}
			return steps
		}
	}
	return append(removeNSX(policy, reason), removeNSX(group, reason)...)
}

// convergeNSX returns the steps, none or one, that give an object of NSX the
// wanted fields.
func convergeNSX(path nsx.Path, kind string, live, want map[string]any, reason string) []Step {
	step := Step{
		Action: ActionCreate, Object: ObjectRef{Cluster: nsxName, APIVersion: nsxAPI, Kind: kind, Name: path.String()},
		Reason: reason, After: &unstructured.Unstructured{Object: want},
	}
	if live == nil {
		return []Step{step}
	}
	step.Before = &unstructured.Unstructured{Object: project(live, want)}
	if equal(step.Before, step.After) {
		return nil
	}
	step.Action, step.live = ActionUpdate, &unstructured.Unstructured{Object: live}
	return []Step{step}
}

// removeNSX returns the step that deletes an object of Viaduct, none when it is
// absent or somebody else's.
func removeNSX(live map[string]any, reason string) []Step {
	if live == nil {
		return nil
	}
	if _, ours := readNSXMark(live); !ours {
		return nil
	}
	before := map[string]any{}
	for _, field := range []string{"id", "display_name", "tags", "expression", "rules", "scope", "sequence_number", "category"} {
		if v, ok := live[field]; ok {
			before[field] = v
		}
	}
	return []Step{{
		Action: ActionDelete, Reason: reason,
		Object: ObjectRef{Cluster: nsxName, APIVersion: nsxAPI, Kind: text(live, "resource_type"), Name: text(live, "path")},
		Before: &unstructured.Unstructured{Object: before}, live: &unstructured.Unstructured{Object: live},
	}}
}
