// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

const nodesSegment = nsx.Path("/infra/segments/nodes")

// nodesWith is the importing side's firewall with these policies for the nodes.
func nodesWith(t *testing.T, policies ...firewall.Policy) firewallObserved {
	t.Helper()
	snapshot := firewall.Snapshot{Policies: policies, Groups: []firewall.Group{{
		Path: "/infra/domains/default/groups/nodes", Members: []string{nodesSegment.String()}, Addresses: []firewall.Range{addressRange(t, "10.128.0.0/24")},
	}}}
	s := &firewallState{policies: map[string]firewall.Policy{}, segments: []nsx.Segment{
		{Resource: nsx.Resource{Path: nodesSegment}, Subnets: []nsx.SegmentSubnet{{Network: "10.128.0.0/24"}}},
	}}
	for i, p := range policies {
		if p.Path == "" {
			policies[i].Path = "/infra/domains/default/security-policies/p"
		}
		s.policies[policies[i].Path] = policies[i]
	}
	var err error
	if s.rules, err = firewall.Compile(snapshot); err != nil {
		t.Fatal(err)
	}
	s.sources = []firewallSource{{netip.MustParseAddr("10.128.0.7"), firewall.Interface{Within: []string{nodesSegment.String()}}}}
	return firewallObserved{given: true, state: s, from: []nsx.Path{nodesSegment}}
}

// outward is a policy of one rule for what leaves the nodes.
func outward(category firewall.Category, sequence int, rules ...firewall.Rule) firewall.Policy {
	p := firewall.Policy{Path: "/infra/domains/default/security-policies/p", Category: category, Sequence: sequence, Scope: []string{"/infra/domains/default/groups/nodes"}}
	for i, r := range rules {
		r.Path, r.Sequence, r.Direction = p.Path+"/rules/"+r.Name, i, firewall.Out
		p.Rules = append(p.Rules, r)
	}
	return p
}

// TestFirewallVerdict is what the firewall does without Viaduct's rule and with
// it. That it does so with the rule is checked against the evaluator.
func TestFirewallVerdict(t *testing.T) {
	t.Parallel()
	drop := firewall.Rule{Name: "drop", Action: firewall.Drop}
	cases := map[string]struct {
		reason        string
		policies      []firewall.Policy
		addresses     []string
		before, after firewall.Action
		says          string
	}{
		"nothing in the way":       {reason: "what no rule stops passes", before: firewall.Allow, after: firewall.Allow, says: "no rule"},
		"isolated":                 {reason: "Viaduct's rule comes before", policies: []firewall.Policy{outward(firewall.Application, 99, drop)}, before: firewall.Drop, after: firewall.Allow, says: "rule drop"},
		"right after":              {reason: "the next number is later", policies: []firewall.Policy{outward(firewall.Application, 6, drop)}, before: firewall.Drop, after: firewall.Allow},
		"the same place":           {reason: "equal numbers have no order", policies: []firewall.Policy{outward(firewall.Application, 5, drop)}, before: firewall.Drop, after: firewall.Drop},
		"before":                   {reason: "lower numbers decide first", policies: []firewall.Policy{outward(firewall.Application, 1, drop)}, before: firewall.Drop, after: firewall.Drop},
		"rejected in Environment":  {reason: "earlier categories decide first", policies: []firewall.Policy{outward(firewall.Environment, 99, firewall.Rule{Name: "no", Action: firewall.Reject})}, before: firewall.Reject, after: firewall.Reject, says: "REJECT by rule no"},
		"jumped over":              {reason: "a jump leads to Viaduct's rule", policies: []firewall.Policy{outward(firewall.Environment, 1, firewall.Rule{Name: "jump", Action: firewall.JumpToApplication}, drop)}, before: firewall.Allow, after: firewall.Allow},
		"no category":              {reason: "it comes after Application", policies: []firewall.Policy{outward("", 0, drop)}, before: firewall.Drop, after: firewall.Allow},
		"one of two addresses":     {reason: "the worst counts", policies: []firewall.Policy{outward(firewall.Application, 99, firewall.Rule{Name: "one", Action: firewall.Drop, Destinations: []string{"192.168.30.67"}})}, addresses: []string{"192.168.30.66", "192.168.30.67"}, before: firewall.Drop, after: firewall.Allow, says: "192.168.30.67:5432"},
		"another family":           {reason: "no source to judge by; a policy does no harm", addresses: []string{"2001:db8::66"}, before: firewall.Drop, after: firewall.Allow, says: "not judged"},
		"a rule with a condition":  {reason: "it is said and not judged", policies: []firewall.Policy{outward(firewall.Application, 1, firewall.Rule{Name: "l7", Action: firewall.Drop, Conditions: []string{"/infra/context-profiles/x"}})}, before: firewall.Allow, after: firewall.Allow, says: "unless the condition"},
		"default policy drops":     {reason: "it comes last of all", policies: []firewall.Policy{func() firewall.Policy { p := outward(firewall.Application, 0, drop); p.IsDefault = true; return p }()}, before: firewall.Drop, after: firewall.Allow},
		"a rule about other ports": {reason: "it does not match", policies: []firewall.Policy{outward(firewall.Application, 1, firewall.Rule{Name: "ssh", Action: firewall.Drop, Entries: []firewall.Entry{firewall.TCPEntry(firewall.Port(22))}})}, before: firewall.Allow, after: firewall.Allow},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := exportedPostgres()
			if tc.addresses != nil {
				e.Addresses = nil
				for _, a := range tc.addresses {
					e.Addresses = append(e.Addresses, netip.MustParseAddr(a))
				}
			}
			o := nodesWith(t, tc.policies...)
			v := o.judge(e)
			if v.before != tc.before || v.after != tc.after || !strings.Contains(v.reason, tc.says) {
				t.Errorf("%s: got %+v, want %s before and %s after, because of %q", tc.reason, v, tc.before, tc.after, tc.says)
			}
			ours := firewall.Policy{
				Path: "~", Category: firewall.Application, Sequence: firewallSequence,
				Rules: []firewall.Rule{{Name: "ours", Action: firewall.Allow, Direction: firewall.Out}},
			}
			with := nodesWith(t, append(slices.Clone(tc.policies), ours)...)
			if got := with.judge(e).before; got != tc.after && len(o.state.sources) > 0 && tc.says != "not judged" {
				t.Errorf("%s: with Viaduct's rule the evaluator says %s, want %s", tc.reason, got, tc.after)
			}
		})
	}
}

// storedNSX is an object as NSX has it after a step: with more than was written.
func storedNSX(t *testing.T, step Step) map[string]any {
	t.Helper()
	data, err := json.Marshal(step.After.Object)
	if err != nil {
		t.Fatal(err)
	}
	o, err := decodeIntent(data)
	if err != nil {
		t.Fatal(err)
	}
	o["path"], o["_revision"], o["_create_user"], o["marked_for_delete"] = step.Object.Name, int64(0), "admin", false
	for i, r := range slicesOf(o, "rules") {
		r["path"], r["parent_path"], r["rule_id"], r["_revision"] = step.Object.Name+"/rules/"+text(r, "id"), step.Object.Name, int64(1000+i), int64(0)
		r["services"], r["ip_protocol"] = []any{"ANY"}, "IPV4_IPV6"
	}
	return o
}

// TestPlanFirewall plans an import with its policy, its move, another exporter
// beside it, and its end; each time planning again gives nothing.
func TestPlanFirewall(t *testing.T) {
	t.Parallel()
	o := importObserved{api: slicesV1, firewall: nodesWith(t, outward(firewall.Application, 99, firewall.Rule{Name: "drop", Action: firewall.Drop}))}
	opts := newImportOptions([]ImportOption{WithFirewall(), WithMerge()})
	plan := func(e *Exported) Plan {
		t.Helper()
		p, err := planImport("acme-fitness", e, o, opts)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	// carry does a plan's steps to what was observed.
	carry := func(p Plan) {
		t.Helper()
		for _, s := range p.Steps {
			switch s.Object.Kind {
			case kindSecurityPolicy:
				o.firewall.policy = storedNSX(t, s)
			case kindGroup:
				o.firewall.group = storedNSX(t, s)
			case kindService:
				o.service = observe(t, decoded[corev1.Service](t, s.After))
			case kindEndpointSlice:
				kept := slices.DeleteFunc(o.backends, func(b object) bool { return b.live.GetName() == s.Object.Name })
				managed := s.After.DeepCopy()
				owners := managed.GetOwnerReferences()
				owners[0].UID = "uid-import"
				managed.SetOwnerReferences(owners)
				o.backends = append(kept, object{live: managed, managed: managed})
			}
		}
	}
	summary := func(p Plan) []string {
		var lines []string
		for _, s := range p.Steps {
			line := []string{string(s.Action), s.Object.Kind}
			if s.After != nil {
				for _, r := range slicesOf(s.After.Object, "rules") {
					ports, _, _ := unstructured.NestedSlice(r, "service_entries")
					line = append(line, r["destination_groups"].([]any)[0].(string), text(ports[0].(map[string]any), "id")) //nolint:forcetypeassert // a panic is a failure
				}
			}
			lines = append(lines, strings.Join(line, " "))
		}
		return lines
	}
	check := func(what string, e *Exported, want ...string) {
		t.Helper()
		p := plan(e)
		if diff := cmp.Diff(want, summary(p)); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", what, diff)
		}
		carry(p)
		if p := plan(e); !p.Empty() {
			t.Fatalf("%s, again: got %v, want nothing to do", what, p)
		}
	}
	first := exportedPostgres()
	check("import", first, "create Service", "create Group", "create SecurityPolicy 192.168.30.66 TCP-5432", "create EndpointSlice")

	moved := exportedPostgres()
	moved.Addresses, moved.Ports[0].Port = []netip.Addr{netip.MustParseAddr("192.168.30.67")}, 5433
	check("move", moved, "update Service",
		"update SecurityPolicy 192.168.30.67 TCP-5433 192.168.30.66 TCP-5432", "update EndpointSlice", "update SecurityPolicy 192.168.30.67 TCP-5433")

	other := exportedPostgres()
	other.Source.Cluster, other.Source.UID = "elsewhere", "uid-elsewhere"
	other.Addresses = []netip.Addr{netip.MustParseAddr("192.168.40.9")}
	check("merge", other, "update SecurityPolicy 192.168.40.9 TCP-5432 192.168.30.67 TCP-5433", "create EndpointSlice")

	removed, err := planUnimport("acme-fitness", postgres, o, newImportOptions([]ImportOption{WithSource("elsewhere")}))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"delete EndpointSlice", "update SecurityPolicy 192.168.30.67 TCP-5433"}, summary(removed)); diff != "" {
		t.Errorf("unimport of one (-want +got):\n%s", diff)
	}
	removed, err = planUnimport("acme-fitness", postgres, o, newImportOptions(nil))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"delete EndpointSlice", "delete EndpointSlice", "delete SecurityPolicy", "delete Group", "delete Service"}
	if diff := cmp.Diff(want, summary(removed)); diff != "" {
		t.Errorf("unimport (-want +got):\n%s", diff)
	}
}

// decoded returns a planned object as a server gives it back.
func decoded[T any](t *testing.T, planned *unstructured.Unstructured) *T {
	t.Helper()
	planned = planned.DeepCopy()
	planned.SetUID("uid-import")
	planned.SetResourceVersion("8")
	var typed T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(planned.Object, &typed); err != nil {
		t.Fatal(err)
	}
	return &typed
}

// TestNSXMarks are copied, changed or torn, and make nothing Viaduct's then.
func TestNSXMarks(t *testing.T) {
	t.Parallel()
	policy, _ := firewallPaths("acme-fitness", postgres)
	m := nsxMark{"acme-fitness", postgres, policy.String()}
	good := func() map[string]any { return map[string]any{"path": policy.String(), "tags": m.tags()} }
	if got, ours := readNSXMark(good()); !ours || got != m {
		t.Errorf("got %+v, %t; want %+v", got, ours, m)
	}
	for name, change := range map[string]func(map[string]any){
		"at another path": func(o map[string]any) { o["path"] = policy.String() + "-copy" },
		"without one":     func(o map[string]any) { o["tags"] = m.tags()[1:] },
		"of another name": func(o map[string]any) {
			tags := m.tags()
			tags[4] = tag(tagName, "other")
			o["tags"] = tags
		},
		"twice":       func(o map[string]any) { o["tags"] = append(m.tags(), tag(tagName, "other")) },
		"with no tag": func(o map[string]any) { delete(o, "tags") },
	} {
		o := maps.Clone(good())
		change(o)
		if got, ours := readNSXMark(o); ours {
			t.Errorf("%s: got %+v as Viaduct's", name, got)
		}
	}
}
