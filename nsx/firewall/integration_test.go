// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package firewall_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/firewall"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

var _ firewall.Source = nsx.Raw{}

// isolated writes what NCP makes of a NetworkPolicy: pods of the namespace
// acme-data take connections from web to port 5432 and no others.
func isolated(srv *nsxsim.Server) error {
	const domain = "/infra/domains/default"
	pod := nsx.Tags{{Scope: "ncp/project", Tag: "acme-data"}}
	for _, object := range []struct {
		path string
		body any
	}{
		{"/infra/segments/acme-data", nsx.Segment{}},
		{"/infra/segments/acme-data/ports/db", nsx.SegmentPort{
			Resource:        nsx.Resource{Tags: pod},
			AddressBindings: []nsx.AddressBinding{{IPAddress: "10.244.0.35"}},
		}},
		{domain + "/groups/acme-data", nsx.Group{Expression: []nsx.Expression{nsx.HasTag("SegmentPort", "ncp/project", "acme-data")}}},
		{domain + "/groups/web", nsx.Group{Expression: []nsx.Expression{nsx.IPAddresses("10.244.0.18")}}},
		{domain + "/security-policies/np-allow", nsx.SecurityPolicy{
			Category: nsx.CategoryApplication, SequenceNumber: 2010, Scope: []nsx.Path{domain + "/groups/acme-data"},
		}},
		{domain + "/security-policies/np-allow/rules/web", nsx.Rule{
			Action: nsx.RuleAllow, Direction: nsx.RuleIn, SourceGroups: []nsx.Path{domain + "/groups/web"},
			DestinationGroups: []nsx.Path{domain + "/groups/acme-data"}, Services: []nsx.Path{nsx.Any},
			ServiceEntries: []nsx.ServiceEntry{{
				Resource: nsx.Resource{ID: "postgres", ResourceType: "L4PortSetServiceEntry"}, L4Protocol: "TCP", DestinationPorts: []string{"5432"},
			}},
		}},
		{domain + "/security-policies/np-isolate", nsx.SecurityPolicy{
			Category: nsx.CategoryApplication, SequenceNumber: 2090, Scope: []nsx.Path{domain + "/groups/acme-data"},
		}},
		{domain + "/security-policies/np-isolate/rules/all", nsx.Rule{Action: nsx.RuleDrop, Direction: nsx.RuleIn}},
	} {
		if err := srv.Put(object.path, object.body); err != nil {
			return err
		}
	}
	return nil
}

func TestLoadFromManager(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	t.Cleanup(srv.Close)
	if err := isolated(srv); err != nil {
		t.Fatal(err)
	}
	client, err := nsx.NewClient(srv.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword), nsx.WithHTTPClient(srv.Client()))
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := firewall.Load(t.Context(), client.Raw())
	if err != nil {
		t.Fatal(err)
	}
	if len(snapshot.Gaps) > 0 {
		t.Errorf("gaps: %q", snapshot.Gaps)
	}
	rules, err := firewall.Compile(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	const base = "/infra/domains/default/security-policies/"
	tests := map[string]struct {
		reason string
		source string
		port   uint16
		want   firewall.Action
		by     string
	}{
		"allowed":      {"web may reach the database", "10.244.0.18", 5432, firewall.Allow, base + "np-allow/rules/web"},
		"other port":   {"nothing else of it", "10.244.0.18", 22, firewall.Drop, base + "np-isolate/rules/all"},
		"other source": {"nobody else may", "10.244.0.19", 5432, firewall.Drop, base + "np-isolate/rules/all"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			verdict, err := rules.Evaluate(toDB(tc.source, tc.port))
			if err != nil {
				t.Fatal(err)
			}
			if d := verdict.Decisive(); d.Action != tc.want || d.By.Rule != tc.by {
				t.Errorf("%s: %s by %q, want %s by %q", tc.reason, d.Action, d.By.Rule, tc.want, tc.by)
			}
		})
	}
	elsewhere := toDB("10.244.0.19", 22)
	elsewhere.Crosses[0].Interface.ID = "/infra/segments/acme-app/ports/web"
	verdict, err := rules.Evaluate(elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	if by := verdict.Decisive().By.Rule; verdict.Action != firewall.Allow || by != base+"default-layer3-section/rules/default-layer3-rule" {
		t.Errorf("at another interface: %s by %q, want ALLOW by the default rule", verdict.Action, by)
	}
	if diff := cmp.Diff([]string(nil), append([]string(nil), srv.Unsimulated()...)); diff != "" {
		t.Errorf("not simulated:\n%s", diff)
	}
}

// toDB is a flow to the database's port.
func toDB(source string, port uint16) firewall.Flow {
	return firewall.Flow{
		Source: netip.MustParseAddr(source), Destination: netip.MustParseAddr("10.244.0.35"),
		Protocol: firewall.TCP, DestinationPort: port,
		Crosses: []firewall.Crossing{{Interface: firewall.Interface{ID: "/infra/segments/acme-data/ports/db"}, Direction: firewall.In}},
	}
}

func ExampleLoad() {
	srv := nsxsim.NewServer()
	defer srv.Close()
	if err := isolated(srv); err != nil {
		fmt.Println(err)
		return
	}
	client, err := nsx.NewClient(srv.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword), nsx.WithHTTPClient(srv.Client()))
	if err != nil {
		fmt.Println(err)
		return
	}
	snapshot, err := firewall.Load(context.Background(), client.Raw())
	if err != nil {
		fmt.Println(err)
		return
	}
	rules, err := firewall.Compile(snapshot)
	if err != nil {
		fmt.Println(err)
		return
	}
	verdict, err := rules.Evaluate(toDB("10.244.0.19", 5432))
	fmt.Println(verdict.Action, "by", verdict.Decisive().By.Rule, err)
	// Output:
	// DROP by /infra/domains/default/security-policies/np-isolate/rules/all <nil>
}
