// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/viaduct-sdk/viaduct/nsx"
)

// openFirewall makes what bridge makes in NSX for an import: a policy and a
// group of the segments that the cluster's nodes are on.
func (w *world) openFirewall(c *clusterSeen, service string) nsx.Path {
	id := "viaduct-" + uid("firewall", c.name, service)[:8]
	tags := nsx.Tags{
		{Scope: "viaduct-sdk.github.io/managed-by", Tag: "viaduct"},
		{Scope: "viaduct-sdk.github.io/id", Tag: "0"},
		{Scope: "viaduct-sdk.github.io/cluster", Tag: c.name},
		{Scope: "viaduct-sdk.github.io/namespace", Tag: testNS},
		{Scope: "viaduct-sdk.github.io/name", Tag: service},
	}
	group := nsx.Path("/infra/domains/default/groups/" + id)
	path := nsx.Path("/infra/domains/default/security-policies/" + id)
	display := "viaduct " + c.name + " " + testNS + "/" + service
	segments := []nsx.Path{"/infra/segments/vnet_" + nsx.Path(uid("segment", "acme-app"))}
	w.nsx.groups = append(w.nsx.groups, nsx.Group{
		Resource: nsx.Resource{ID: id, Path: group, DisplayName: display, Tags: tags}, Expression: []nsx.Expression{{Paths: segments}},
	})
	w.nsx.policies = append(w.nsx.policies, nsx.SecurityPolicy{
		Resource: nsx.Resource{ID: id, Path: path, DisplayName: display, Tags: tags}, Category: "Application", Scope: []nsx.Path{group},
	})
	i := slices.IndexFunc(c.backends, func(b backend) bool { return string(b.service) == uid("import", c.name, testNS, service) })
	r := nsx.Rule{Action: nsx.RuleAllow, SourceGroups: []nsx.Path{group}, DestinationGroups: []nsx.Path{nsx.Path(c.backends[i].addresses[0])}}
	r.ParentPath = path
	w.nsx.rules = append(w.nsx.rules, r)
	for k := range c.services {
		if c.services[k].Name == service {
			c.services[k].Annotations["viaduct-sdk.github.io/firewall"] = path.String()
		}
	}
	return path
}

func TestJoinFirewallOfImport(t *testing.T) {
	t.Parallel()
	const guards = "firewall-policy/cart-redis guards "
	all := []string{
		guards + "acme-fitness/import/cart-redis", guards + "segment/vnet-acme-app-0", guards + "virtual-server/192.168.0.4:6379",
	}
	cases := map[string]struct {
		reason string
		change func(w *world)
		want   []string
		state  State
		says   string
	}{
		"of its import": {
			reason: "the tags name the import, and the import the policy's path",
			change: func(*world) {},
			want:   all,
		},
		"copied": {
			reason: "tags can be copied to another policy, the import knows its own",
			change: func(w *world) {
				w.nsx.policies[len(w.nsx.policies)-1].Path = "/infra/domains/default/security-policies/copy"
				w.nsx.rules[len(w.nsx.rules)-1].ParentPath = "/infra/domains/default/security-policies/copy"
			},
			want: all[1:], state: StateDegraded, says: "the import that it is for has another, or none",
		},
		"for nothing": {
			reason: "what is left of an import is worth knowing",
			change: func(w *world) {
				w.clusters[1].services = slices.DeleteFunc(w.clusters[1].services, byName("cart-redis"))
			},
			want: all[1:], state: StateDegraded, says: "the import that it is for is gone",
		},
		"for nothing, and about nothing": {
			reason: "it stays in the graph also when nothing else leads to it",
			change: func(w *world) {
				w.clusters[1].services = slices.DeleteFunc(w.clusters[1].services, byName("cart-redis"))
				w.nsx.rules = w.nsx.rules[:len(w.nsx.rules)-1]
				w.nsx.groups = w.nsx.groups[:len(w.nsx.groups)-1]
			},
			state: StateDegraded, says: "the import that it is for is gone",
		},
		"of a cluster that was not asked": {
			reason: "what was not read is not gone",
			change: func(w *world) { w.clusters = w.clusters[:1] },
			want:   all[1:],
		},
		"of a cluster that refused": {
			reason: "what may not be read is not gone",
			change: func(w *world) {
				w.clusters[1].services = nil
				w.clusters[1].note(t.Context(), objectServices, errors.New("no"))
			},
			want: all[1:],
		},
		"made by somebody else": {
			reason: "without the mark of Viaduct the tags are somebody's own",
			change: func(w *world) {
				p := &w.nsx.policies[len(w.nsx.policies)-1]
				p.Tags, p.DisplayName = p.Tags.Without("viaduct-sdk.github.io/managed-by"), "cart-redis"
			},
			want: all[1:],
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := shop()
			before := relationsByName(join(w.observed), EdgeGuards)
			w.openFirewall(&w.clusters[1], "cart-redis")
			tc.change(w)
			g := join(w.observed)
			var got []string
			for _, relation := range relationsByName(g, EdgeGuards) {
				if !slices.Contains(before, relation) {
					got = append(got, relation)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got)\n%s", tc.reason, diff)
			}
			if n := find(t, g, KindFirewallPolicy, "cart-redis"); n.State != tc.state || n.Reason != tc.says {
				t.Errorf("%s: it is %q: %s", tc.reason, n.State, n.Reason)
			}
		})
	}
}

// TestFocusLeavesOtherPolicies: two imports have policies that are applied to the
// same segment; who looks at one is not shown the other.
func TestFocusLeavesOtherPolicies(t *testing.T) {
	t.Parallel()
	w := shop()
	w.openFirewall(&w.clusters[1], "cart-redis")
	w.openFirewall(&w.clusters[1], "users-redis")
	g := join(w.observed)
	focused := Focus(g, find(t, g, KindImport, "cart-redis").ID)
	find(t, focused, KindFirewallPolicy, "cart-redis")
	find(t, focused, KindSegment, "vnet-acme-app-0")
	for _, n := range focused.Nodes {
		if n.Label == "users-redis" {
			t.Errorf("it has %s", name(focused, n.ID))
		}
	}
	want := []string{"firewall-policy/cart-redis guards acme-fitness/import/cart-redis", "firewall-policy/cart-redis guards virtual-server/192.168.0.4:6379"}
	var got []string
	for _, relation := range relationsByName(Simplify(focused), EdgeGuards) {
		if !slices.Contains(relationsByName(Simplify(join(shop().observed)), EdgeGuards), relation) {
			got = append(got, relation)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a picture shows (-want +got)\n%s", diff)
	}
}

func byName(name string) func(corev1.Service) bool {
	return func(s corev1.Service) bool { return s.Name == name }
}
