// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
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

// planFirewallRemoval takes away what an import has in NSX, or of it what came
// from exporters that do not stand behind it any more.
func planFirewallRemoval(cluster string, target types.NamespacedName, o importObserved, wholly bool, reason string) []Step {
	_, groupPath := firewallPaths(cluster, target)
	policy, group := o.firewall.policy, o.firewall.group
	if _, ours := readNSXMark(policy); ours && !wholly {
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
