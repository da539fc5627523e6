// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package firewall_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

const (
	webPort = "/infra/segments/acme/ports/web"
	dbPort  = "/infra/segments/acme/ports/db"
	groups  = "/infra/domains/default/groups/"
)

// shop is a snapshot with web and db, and no policy yet.
func shop(policies ...firewall.Policy) firewall.Snapshot {
	return firewall.Snapshot{
		Policies: policies,
		Groups: []firewall.Group{
			{Path: groups + "web", Addresses: ranges("10.0.0.1"), Members: []string{webPort}},
			{Path: groups + "db", Addresses: ranges("10.0.0.2"), Members: []string{dbPort}},
			{Path: groups + "none"},
		},
		Services: []firewall.Service{
			{Path: "/infra/services/postgres", Entries: []firewall.Entry{firewall.TCPEntry(firewall.Port(5432))}},
			{Path: "/infra/services/all-db", Entries: []firewall.Entry{
				{Kind: firewall.NestedServiceEntry, Nested: "/infra/services/postgres"},
				firewall.TCPEntry(firewall.PortRange{First: 27017, Last: 27019}),
			}},
		},
	}
}

func ranges(texts ...string) []firewall.Range {
	var rs []firewall.Range
	for _, text := range texts {
		r, err := firewall.ParseRange(text)
		if err != nil {
			panic(err)
		}
		rs = append(rs, r)
	}
	return rs
}

// webToDB is the flow that most tests ask about, through both interfaces.
func webToDB() firewall.Flow {
	return firewall.Flow{
		Source: netip.MustParseAddr("10.0.0.1"), Destination: netip.MustParseAddr("10.0.0.2"),
		Protocol: firewall.TCP, SourcePort: 40000, DestinationPort: 5432,
		Crosses: []firewall.Crossing{
			{Interface: firewall.Interface{ID: webPort, Within: []string{"/infra/segments/acme"}}, Direction: firewall.Out},
			{Interface: firewall.Interface{ID: dbPort, Within: []string{"/infra/segments/acme"}}, Direction: firewall.In},
		},
	}
}

func rule(path string, action firewall.Action, edit func(*firewall.Rule)) firewall.Rule {
	r := firewall.Rule{Path: path, Action: action}
	if edit != nil {
		edit(&r)
	}
	return r
}

func policy(path string, category firewall.Category, rules ...firewall.Rule) firewall.Policy {
	return firewall.Policy{Path: path, Category: category, Rules: rules}
}

func TestEvaluate(t *testing.T) {
	t.Parallel()
	deny := policy("/default", firewall.Application, rule("/default/deny", firewall.Drop, nil))
	deny.IsDefault = true
	tests := map[string]struct {
		reason   string
		snapshot firewall.Snapshot
		flow     func(*firewall.Flow)
		want     firewall.Action
		by       []string // the deciding rule of each crossing
	}{
		"nothing": {
			reason: "with no rule at all the default of NSX applies",
			want:   firewall.Allow, by: []string{"", ""},
		},
		"default policy last": {
			reason:   "the default policy decides only when no other rule does, whatever its numbers",
			snapshot: shop(deny, policy("/a", "", rule("/a/1", firewall.Allow, nil))),
			want:     firewall.Allow, by: []string{"/a/1", "/a/1"},
		},
		"category before sequence": {
			reason: "Emergency goes before Application even with the greater number",
			snapshot: shop(
				firewall.Policy{Path: "/app", Category: firewall.Application, Rules: []firewall.Rule{rule("/app/1", firewall.Allow, nil)}},
				firewall.Policy{Path: "/emergency", Category: firewall.Emergency, Sequence: 99, Rules: []firewall.Rule{rule("/emergency/1", firewall.Reject, nil)}},
			),
			want: firewall.Reject, by: []string{"/emergency/1", "/emergency/1"},
		},
		"ethernet": {
			reason:   "layer-2 policies say nothing of IP",
			snapshot: shop(policy("/l2", firewall.Ethernet, rule("/l2/1", firewall.Drop, nil))),
			want:     firewall.Allow, by: []string{"", ""},
		},
		"direction": {
			reason: "a rule for incoming traffic is met at the destination's interface only",
			snapshot: shop(policy("/a", firewall.Application,
				rule("/a/in", firewall.Drop, func(r *firewall.Rule) { r.Direction = firewall.In }))),
			want: firewall.Drop, by: []string{"", "/a/in"},
		},
		"policy scope over rule scope": {
			reason: "a policy's scope wins over the rule's",
			snapshot: shop(firewall.Policy{
				Path: "/a", Scope: []string{groups + "db"},
				Rules: []firewall.Rule{rule("/a/1", firewall.Drop, func(r *firewall.Rule) { r.Scope = []string{groups + "web"} })},
			}),
			want: firewall.Drop, by: []string{"", "/a/1"},
		},
		"policy scope any": {
			reason: "a policy applied to everything leaves the choice to its rules",
			snapshot: shop(firewall.Policy{
				Path: "/a", Scope: []string{"ANY"},
				Rules: []firewall.Rule{rule("/a/1", firewall.Drop, func(r *firewall.Rule) { r.Scope = []string{groups + "web"} })},
			}),
			want: firewall.Drop, by: []string{"/a/1", ""},
		},
		"scope segment": {
			reason: "an interface is in scope through the segment that it is part of",
			snapshot: shop(policy("/a", "", rule("/a/1", firewall.Drop,
				func(r *firewall.Rule) { r.Scope = []string{"/infra/segments/acme"} }))),
			want: firewall.Drop, by: []string{"/a/1", "/a/1"},
		},
		"group without members": {
			reason: "an empty group is nobody: not a source, and as a scope nowhere",
			snapshot: shop(policy("/a", "",
				rule("/a/1", firewall.Drop, func(r *firewall.Rule) { r.Sources = []string{groups + "none"} }),
				rule("/a/2", firewall.Drop, func(r *firewall.Rule) { r.Scope = []string{groups + "none"} }),
				rule("/a/3", firewall.Reject, func(r *firewall.Rule) {
					r.Sources, r.SourcesExcluded = []string{groups + "none"}, true
				}))),
			want: firewall.Reject, by: []string{"/a/3", "/a/3"},
		},
		"nested service": {
			reason: "a service holds what the services in it hold",
			snapshot: shop(policy("/a", "", rule("/a/1", firewall.Drop,
				func(r *firewall.Rule) { r.Services = []string{"/infra/services/all-db"} }))),
			want: firewall.Drop, by: []string{"/a/1", "/a/1"},
		},
		"any beside entries": {
			reason: "ANY beside service entries means the entries: nsx-operator writes both",
			snapshot: shop(policy("/a", "", rule("/a/1", firewall.Drop, func(r *firewall.Rule) {
				r.Services, r.Entries = []string{"ANY"}, []firewall.Entry{firewall.TCPEntry(firewall.Port(80))}
			}))),
			want: firewall.Allow, by: []string{"", ""},
		},
		"source port": {
			reason: "an entry may ask for the port that the flow comes from",
			snapshot: shop(policy("/a", "", rule("/a/1", firewall.Drop, func(r *firewall.Rule) {
				r.Entries = []firewall.Entry{{Kind: firewall.L4PortSetEntry, L4Protocol: "TCP", SourcePorts: []firewall.PortRange{{First: 39999, Last: 40001}}}}
			}))),
			want: firewall.Drop, by: []string{"/a/1", "/a/1"},
		},
		"source port unknown": {
			reason: "a port that is not known does not match one that is asked for",
			snapshot: shop(policy("/a", "", rule("/a/1", firewall.Drop, func(r *firewall.Rule) {
				r.Entries = []firewall.Entry{{Kind: firewall.L4PortSetEntry, L4Protocol: "TCP", SourcePorts: []firewall.PortRange{{First: 1, Last: 65535}}}}
			}))),
			flow: func(f *firewall.Flow) { f.SourcePort = 0 },
			want: firewall.Allow, by: []string{"", ""},
		},
		"icmp": {
			reason: "an ICMP entry without a code matches every code of its type",
			snapshot: shop(policy("/a", "", rule("/a/1", firewall.Drop, func(r *firewall.Rule) {
				r.Entries = []firewall.Entry{{Kind: firewall.ICMPEntry, ICMPProtocol: "ICMPv4", ICMPType: new(8)}}
			}))),
			flow: func(f *firewall.Flow) { f.Protocol, f.ICMPType, f.ICMPCode = firewall.ICMP, 8, 3 },
			want: firewall.Drop, by: []string{"/a/1", "/a/1"},
		},
		"mapped address": {
			reason: "an IPv4 address mapped into IPv6 is the IPv4 address",
			snapshot: shop(policy("/a", "", rule("/a/1", firewall.Drop, func(r *firewall.Rule) {
				r.IPVersion, r.Sources = firewall.IPv4, []string{"::ffff:10.0.0.1"}
			}))),
			flow: func(f *firewall.Flow) { f.Source = netip.MustParseAddr("::ffff:10.0.0.1") },
			want: firewall.Drop, by: []string{"/a/1", "/a/1"},
		},
		"excluded": {
			reason:   "an interface on the exclusion list has no firewall",
			snapshot: func() firewall.Snapshot { s := shop(deny); s.Excluded = []string{groups + "web"}; return s }(),
			want:     firewall.Drop, by: []string{"", "/default/deny"},
		},
		"connectivity preference": {
			reason: "its rule comes after the policy's own and holds for the policy's scope",
			snapshot: shop(firewall.Policy{
				Path: "/a", Scope: []string{groups + "db"}, Fallback: firewall.Drop,
				Rules: []firewall.Rule{rule("/a/1", firewall.Allow, func(r *firewall.Rule) { r.Sequence, r.Disabled = 5, true })},
			}),
			want: firewall.Drop, by: []string{"", ""},
		},
		"no crossing": {
			reason:   "where no firewall stands no rule decides",
			snapshot: shop(deny),
			flow:     func(f *firewall.Flow) { f.Crosses = nil },
			want:     firewall.Allow,
		},
		"unknown interface": {
			reason: "of an interface that is not known only rules applied to everything count",
			snapshot: shop(policy("/a", "",
				rule("/a/1", firewall.Drop, func(r *firewall.Rule) { r.Scope = []string{groups + "web"} }),
				rule("/a/2", firewall.Reject, nil))),
			flow: func(f *firewall.Flow) { f.Crosses = []firewall.Crossing{{Direction: firewall.Out}} },
			want: firewall.Reject, by: []string{"/a/2"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rules, err := firewall.Compile(tc.snapshot)
			if err != nil {
				t.Fatalf("Compile: %v", err)
			}
			flow := webToDB()
			if tc.flow != nil {
				tc.flow(&flow)
			}
			verdict, err := rules.Evaluate(flow)
			if err != nil {
				t.Fatalf("Evaluate: %v", err)
			}
			if verdict.Action != tc.want {
				t.Errorf("%s: action %s, want %s", tc.reason, verdict.Action, tc.want)
			}
			var by []string
			for _, d := range verdict.Decisions {
				by = append(by, d.By.Rule)
			}
			if diff := cmp.Diff(tc.by, by); diff != "" {
				t.Errorf("%s: deciding rules (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestPassed(t *testing.T) {
	t.Parallel()
	rules, err := firewall.Compile(shop(
		policy("/env", firewall.Environment,
			rule("/env/1", firewall.Drop, func(r *firewall.Rule) { r.Conditions = []string{"/infra/context-profiles/tls"} }),
			rule("/env/2", firewall.JumpToApplication, nil),
			rule("/env/3", firewall.Drop, nil),
		),
		policy("/app", firewall.Application,
			rule("/app/1", firewall.Drop, func(r *firewall.Rule) { r.Disabled = true }),
			rule("/app/2", firewall.Drop, func(r *firewall.Rule) { r.Entries = []firewall.Entry{firewall.UDPEntry()} }),
			rule("/app/3", firewall.Reject, func(r *firewall.Rule) { r.Scope = []string{groups + "db"} }),
			rule("/app/4", firewall.Allow, nil),
		),
	))
	if err != nil {
		t.Fatal(err)
	}
	verdict, err := rules.Evaluate(webToDB())
	if err != nil {
		t.Fatal(err)
	}
	out, in := plain(verdict.Decisions[0]), plain(verdict.Decisions[1])
	passed := []refPassed{
		{"/env/1", firewall.Conditioned},
		{"/env/2", firewall.Jumped},
		{"/env/3", firewall.Skipped},
		{"/app/1", firewall.Disabled},
		{"/app/2", firewall.OtherService},
	}
	condition := []string{"/env/1"}
	wantIn := refDecision{Action: firewall.Reject, Rule: "/app/3", Conditional: condition, Passed: passed}
	if diff := cmp.Diff(wantIn, in); diff != "" {
		t.Errorf("in at the destination (-want +got):\n%s", diff)
	}
	wantOut := refDecision{
		Action: firewall.Allow, Rule: "/app/4", Conditional: condition,
		Passed: append(passed[:5:5], refPassed{"/app/3", firewall.NotApplied}),
	}
	if diff := cmp.Diff(wantOut, out); diff != "" {
		t.Errorf("out of the source (-want +got):\n%s", diff)
	}
	if got := verdict.Decisive().By.Rule; got != "/app/3" {
		t.Errorf("decisive rule %q, want that of the crossing that stops the flow", got)
	}
	for p := range verdict.Decisions[0].Passed() {
		if p.Ref.Rule != "/env/1" {
			t.Errorf("passed %q after break", p.Ref.Rule)
		}
		break
	}
}

func TestDecisive(t *testing.T) {
	t.Parallel()
	rules, err := firewall.Compile(shop(policy("/a", "", rule("/a/1", firewall.Allow, nil))))
	if err != nil {
		t.Fatal(err)
	}
	verdict, err := rules.Evaluate(webToDB())
	if err != nil {
		t.Fatal(err)
	}
	if got := verdict.Decisive().Crossing.Interface.ID; got != dbPort {
		t.Errorf("of a flow that passes the last crossing is decisive; got %q", got)
	}
	if got := (firewall.Verdict{}).Decisive().Action; got != "" {
		t.Errorf("without crossings there is no decision; got %q", got)
	}
}

func TestCompileInvalid(t *testing.T) {
	t.Parallel()
	edit := func(edit func(*firewall.Rule)) firewall.Snapshot {
		return shop(policy("/a", "", rule("/a/1", firewall.Allow, edit)))
	}
	entry := func(e firewall.Entry) firewall.Snapshot {
		return edit(func(r *firewall.Rule) { r.Entries = []firewall.Entry{e} })
	}
	with := func(change func(*firewall.Snapshot)) firewall.Snapshot {
		s := shop(policy("/a", "", rule("/a/1", firewall.Allow, nil)))
		change(&s)
		return s
	}
	tests := map[string]firewall.Snapshot{
		"category":           shop(policy("/a", "Gateway")),
		"action":             shop(policy("/a", "", rule("/a/1", "DETECT", nil))),
		"jump elsewhere":     shop(policy("/a", firewall.Application, rule("/a/1", firewall.JumpToApplication, nil))),
		"direction":          edit(func(r *firewall.Rule) { r.Direction = "SIDEWAYS" }),
		"ip version":         edit(func(r *firewall.Rule) { r.IPVersion = "IPV5" }),
		"missing source":     edit(func(r *firewall.Rule) { r.Sources = []string{groups + "gone"} }),
		"any and more":       edit(func(r *firewall.Rule) { r.Destinations = []string{"ANY", groups + "web"} }),
		"missing scope":      edit(func(r *firewall.Rule) { r.Scope = []string{groups + "gone"} }),
		"missing service":    edit(func(r *firewall.Rule) { r.Services = []string{"/infra/services/gone"} }),
		"bad address":        edit(func(r *firewall.Rule) { r.Sources = []string{"10.0.0.256"} }),
		"entry kind":         entry(firewall.Entry{Kind: "SCTPServiceEntry"}),
		"entry protocol":     entry(firewall.Entry{Kind: firewall.L4PortSetEntry, L4Protocol: "SCTP"}),
		"entry ports":        entry(firewall.TCPEntry(firewall.PortRange{First: 2, Last: 1})),
		"entry gateway":      entry(firewall.Entry{Kind: firewall.ALGEntry, ALG: "SIP"}),
		"entry icmp":         entry(firewall.Entry{Kind: firewall.ICMPEntry, ICMPProtocol: "ICMP"}),
		"entry icmp type":    entry(firewall.Entry{Kind: firewall.ICMPEntry, ICMPProtocol: "ICMPv4", ICMPType: new(256)}),
		"entry icmp code":    entry(firewall.Entry{Kind: firewall.ICMPEntry, ICMPProtocol: "ICMPv6", ICMPCode: new(-1)}),
		"entry number":       entry(firewall.Entry{Kind: firewall.IPProtocolEntry}),
		"entry number range": entry(firewall.Entry{Kind: firewall.IPProtocolEntry, Number: new(256)}),
		"group twice":        with(func(s *firewall.Snapshot) { s.Groups = append(s.Groups, s.Groups[0]) }),
		"service twice":      with(func(s *firewall.Snapshot) { s.Services = append(s.Services, s.Services[0]) }),
		"default action":     with(func(s *firewall.Snapshot) { s.Default = "MAYBE" }),
		"excluded group":     with(func(s *firewall.Snapshot) { s.Excluded = []string{groups + "gone"} }),
		"empty range": with(func(s *firewall.Snapshot) {
			s.Groups[0].Addresses = []firewall.Range{{}}
			s.Policies[0].Rules[0].Sources = []string{groups + "web"}
		}),
		"service circle": with(func(s *firewall.Snapshot) {
			s.Services[0].Entries = []firewall.Entry{{Kind: firewall.NestedServiceEntry, Nested: "/infra/services/all-db"}}
			s.Policies[0].Rules[0].Services = []string{"/infra/services/all-db"}
		}),
	}
	for name, snapshot := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rules, err := firewall.Compile(snapshot)
			if !errors.Is(err, viaduct.ErrInvalid) || rules != nil {
				t.Errorf("Compile = %v, %v; want an error that matches ErrInvalid", rules, err)
			}
		})
	}
}

func TestEvaluateInvalid(t *testing.T) {
	t.Parallel()
	rules, err := firewall.Compile(shop())
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]func(*firewall.Flow){
		"no source":      func(f *firewall.Flow) { f.Source = netip.Addr{} },
		"no destination": func(f *firewall.Flow) { f.Destination = netip.Addr{} },
		"zone":           func(f *firewall.Flow) { f.Source = netip.MustParseAddr("fe80::1%eth0") },
		"families":       func(f *firewall.Flow) { f.Source = netip.MustParseAddr("fd00::1") },
		"no protocol":    func(f *firewall.Flow) { f.Protocol = 0 },
		"no direction":   func(f *firewall.Flow) { f.Crosses[0].Direction = "" },
		"both ways":      func(f *firewall.Flow) { f.Crosses[0].Direction = firewall.InOut },
	}
	for name, edit := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flow := webToDB()
			edit(&flow)
			if _, err := rules.Evaluate(flow); !errors.Is(err, viaduct.ErrInvalid) {
				t.Errorf("error %v, want one that matches ErrInvalid", err)
			}
		})
	}
}

// A compiled rule set keeps nothing of the snapshot and may be shared: the race
// detector watches.
func TestRulesetIsImmutable(t *testing.T) {
	t.Parallel()
	snapshot := shop(policy("/a", "",
		rule("/a/1", firewall.Drop, func(r *firewall.Rule) {
			r.Sources, r.Entries = []string{groups + "web"}, []firewall.Entry{firewall.TCPEntry(firewall.Port(5432))}
		}),
		rule("/a/2", firewall.Allow, nil)))
	rules, err := firewall.Compile(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				verdict, err := rules.Evaluate(webToDB())
				if err != nil || verdict.Action != firewall.Drop {
					t.Errorf("Evaluate = %v, %v; want DROP", verdict.Action, err)
				}
			}
		})
	}
	snapshot.Policies[0].Rules[0].Entries[0].DestinationPorts[0] = firewall.Port(1)
	snapshot.Policies[0].Rules[0].Sources[0] = "changed"
	snapshot.Groups[0].Addresses[0] = firewall.Range{}
	wg.Wait()
}

// The values bear NSX's own field names, so that its JSON decodes into them.
func TestRuleFromJSON(t *testing.T) {
	t.Parallel()
	const body = `{
		"path": "/infra/domains/default/security-policies/shop/rules/db", "display_name": "db",
		"sequence_number": 10, "action": "ALLOW", "direction": "IN", "ip_protocol": "IPV4",
		"source_groups": ["10.0.0.0/24"], "sources_excluded": true, "destination_groups": ["ANY"],
		"services": ["ANY"], "scope": ["ANY"], "disabled": false,
		"service_entries": [
			{"resource_type": "L4PortSetServiceEntry", "l4_protocol": "TCP", "destination_ports": ["5432", "8000-8010"]},
			{"resource_type": "ICMPTypeServiceEntry", "protocol": "ICMPv4", "icmp_type": 8}
		]}`
	var got firewall.Rule
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	want := firewall.Rule{
		Path: "/infra/domains/default/security-policies/shop/rules/db", Name: "db",
		Sequence: 10, Action: firewall.Allow, Direction: firewall.In, IPVersion: firewall.IPv4,
		Sources: []string{"10.0.0.0/24"}, SourcesExcluded: true, Destinations: []string{"ANY"},
		Services: []string{"ANY"}, Scope: []string{"ANY"},
		Entries: []firewall.Entry{
			firewall.TCPEntry(firewall.Port(5432), firewall.PortRange{First: 8000, Last: 8010}),
			{Kind: firewall.ICMPEntry, ICMPProtocol: "ICMPv4", ICMPType: new(8)},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestProtocolString(t *testing.T) {
	t.Parallel()
	for protocol, want := range map[firewall.Protocol]string{
		firewall.ICMP: "ICMPv4", firewall.IGMP: "IGMP", firewall.TCP: "TCP", firewall.UDP: "UDP", firewall.ICMPv6: "ICMPv6", 47: "47",
	} {
		if got := protocol.String(); got != want {
			t.Errorf("Protocol(%d) = %q, want %q", uint8(protocol), got, want)
		}
	}
}
