// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
)

func healthyServer(change func(*ncp.VirtualServer)) []ncp.VirtualServer {
	s := ncp.VirtualServer{
		Path: "/infra/lb-virtual-servers/vs-1", IP: "192.168.30.66", Ports: []string{"5432"}, Protocol: "TCP", Status: "UP",
		Realization: ncp.Realization{State: "REALIZED"},
		Members:     []ncp.Member{{IP: "10.244.0.34", Port: "5432", Status: "UP"}, {IP: "10.244.0.35", Port: "5432", Status: "UP"}},
	}
	if change != nil {
		change(&s)
	}
	return []ncp.VirtualServer{s}
}

func TestJudgeHealth(t *testing.T) {
	t.Parallel()
	member := func(i int, status, cause string) func(*ncp.VirtualServer) {
		return func(s *ncp.VirtualServer) { s.Members[i].Status, s.Members[i].FailureCause = status, cause }
	}
	status := func(status string) func(*ncp.VirtualServer) { return func(s *ncp.VirtualServer) { s.Status = status } }
	realization := func(state, message string) func(*ncp.VirtualServer) {
		return func(s *ncp.VirtualServer) { s.Realization = ncp.Realization{State: state, Message: message} }
	}
	all := func(changes ...func(*ncp.VirtualServer)) func(*ncp.VirtualServer) {
		return func(s *ncp.VirtualServer) {
			for _, change := range changes {
				change(s)
			}
		}
	}
	cases := map[string]struct {
		change func(*ncp.VirtualServer)
		want   HealthState
		up     int
		reason string
	}{
		"healthy":               {nil, HealthUp, 2, ""},
		"one member down":       {all(member(1, "DOWN", "Connect to Peer Failure"), status("PARTIALLY_UP")), HealthDegraded, 1, "not up: 10.244.0.35:5432 DOWN Connect to Peer Failure"},
		"one member unknown":    {member(1, "UNKNOWN", ""), HealthDegraded, 1, "not up: 10.244.0.35:5432 unknown"},
		"one member disabled":   {member(0, "DISABLED", ""), HealthDegraded, 1, "10.244.0.34:5432 DISABLED"},
		"all members down":      {all(member(0, "DOWN", ""), member(1, "DOWN", "")), HealthDown, 0, "no member is up: 10.244.0.34:5432 DOWN, 10.244.0.35:5432 DOWN"},
		"all members unknown":   {all(member(0, "", ""), member(1, "UNKNOWN", "")), HealthUnknown, 0, "does not say how 10.244.0.34:5432, 10.244.0.35:5432 are"},
		"one down, one unknown": {all(member(0, "DOWN", ""), member(1, "", "")), HealthUnknown, 0, "does not say how 10.244.0.35:5432 are"},
		"no members":            {func(s *ncp.VirtualServer) { s.Members = nil }, HealthDown, 0, "no members"},
		"server down":           {status("DOWN"), HealthDown, 2, "NSX says DOWN"},
		"server down, why":      {all(status("DOWN"), member(0, "DOWN", "timeout"), member(1, "DOWN", "timeout")), HealthDown, 0, "NSX says DOWN, 10.244.0.34:5432 DOWN timeout"},
		"switched off":          {status("DISABLED"), HealthDown, 2, "NSX says DISABLED"},
		"no load balancer":      {status("DETACHED"), HealthDown, 2, "NSX says DETACHED"},
		"status unknown":        {status("UNKNOWN"), HealthUnknown, 2, "does not say how the virtual server is"},
		"no status":             {status(""), HealthUnknown, 2, "does not say how the virtual server is"},
		"primary down":          {status("PRIMARY_DOWN"), HealthDegraded, 2, "NSX says PRIMARY_DOWN"},
		"a word of the future":  {status("DRAINING"), HealthDegraded, 2, "NSX says DRAINING"},
		"not realized":          {realization("UNREALIZED", ""), HealthUnknown, 2, "not said that it is realized"},
		"nothing realized":      {realization("", ""), HealthUnknown, 2, "not said that it is realized"},
		"failed":                {realization("ERROR", "edge cluster is full"), HealthDown, 2, "edge cluster is full"},
		"failed, no reason":     {realization("ERROR", ""), HealthDown, 2, "no reason given"},
		"another's address":     {func(s *ncp.VirtualServer) { s.IP = "192.168.30.67" }, HealthDown, 0, "no virtual server for it"},
		"another port":          {func(s *ncp.VirtualServer) { s.Ports = []string{"5433"} }, HealthDown, 0, "no virtual server for it"},
		"another protocol":      {func(s *ncp.VirtualServer) { s.Protocol = "UDP" }, HealthDown, 0, "no virtual server for it"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := judgeHealth(exportedPostgres(), "uid", healthyServer(tc.change))
			if len(r.Servers) != 1 || r.State != r.Servers[0].State {
				t.Fatalf("got %+v, want one server and its state", r)
			}
			s := r.Servers[0]
			if s.State != tc.want || s.MembersUp != tc.up || (s.Reason == "") != (tc.want == HealthUp) || !strings.Contains(s.Reason, tc.reason) {
				t.Errorf("got %s, want %s with %d up: %s", r, tc.want, tc.up, tc.reason)
			}
		})
	}
}

// A report has the worst state of its parts, and a line for each.
func TestHealthOfSeveral(t *testing.T) {
	t.Parallel()
	e := exportedPostgres()
	e.Addresses = []netip.Addr{netip.MustParseAddr("2001:db8::41"), netip.MustParseAddr("192.168.30.66")}
	e.Ports = append(e.Ports, Port{Name: "udp", Protocol: corev1.ProtocolUDP, Port: 5432})
	servers := healthyServer(nil)
	servers = append(servers, healthyServer(func(s *ncp.VirtualServer) { s.IP = "2001:db8::41" })...)
	servers = append(servers, healthyServer(func(s *ncp.VirtualServer) { s.Protocol, s.Status = "UDP", "UNKNOWN" })...)
	servers = append(servers, healthyServer(func(s *ncp.VirtualServer) { s.IP, s.Protocol, s.Members[0].Status = "2001:db8::41", "UDP", "DOWN" })...)
	r := judgeHealth(e, "uid", servers)
	want := `postgres 5432/TCP on 192.168.30.66: up, 2 of 2 members up
postgres 5432/TCP on 2001:db8::41: up, 2 of 2 members up
udp 5432/UDP on 192.168.30.66: unknown, 2 of 2 members up (NSX does not say how the virtual server is)
udp 5432/UDP on 2001:db8::41: degraded, 1 of 2 members up (not up: 10.244.0.34:5432 DOWN)`
	if diff := cmp.Diff(want, r.String()); diff != "" || r.State != HealthUnknown {
		t.Errorf("state %s, (-want +got):\n%s", r.State, diff)
	}
}

func TestHealthIsAskedByUID(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*Exported)
		asked  string
		state  HealthState
		reason string
	}{
		"a document that says by which": {func(e *Exported) { e.Proof.ServiceUID = "on-the-supervisor" }, "on-the-supervisor", HealthDown, "export again"},
		"one that does not":             {func(e *Exported) { e.Proof.ServiceUID = "" }, string(exportedPostgres().VIPService.UID), HealthUnknown, "does not say by which UID"},
		"one that was made without NSX": {func(e *Exported) { e.Proof = Proof{Source: ProofServiceStatus} }, string(exportedPostgres().VIPService.UID), HealthUnknown, "with NSX attached"},
	} {
		e := exportedPostgres()
		tc.change(e)
		lb := &askedBalancers{}
		r, err := Health(t.Context(), lb, e)
		if err != nil {
			t.Fatal(err)
		}
		if lb.uid != tc.asked || r.State != tc.state || !strings.Contains(r.Servers[0].Reason, tc.reason) {
			t.Errorf("%s: asked for %q, got %s (%s); want %q, %s: %s", name, lb.uid, r.State, r, tc.asked, tc.state, tc.reason)
		}
	}
}

type askedBalancers struct {
	uid string
	err error
}

func (a *askedBalancers) VirtualServers(_ context.Context, uid string) ([]ncp.VirtualServer, error) {
	a.uid = uid
	return nil, a.err
}

func TestHealthRefuses(t *testing.T) {
	t.Parallel()
	damaged := exportedPostgres()
	damaged.Addresses = nil
	for name, tc := range map[string]struct {
		lb   LoadBalancers
		e    *Exported
		want error
	}{
		"no NSX":      {nil, exportedPostgres(), viaduct.ErrInvalid},
		"no document": {&askedBalancers{}, nil, viaduct.ErrInvalid},
		"a dry run's": {&askedBalancers{}, damaged, viaduct.ErrInvalid},
		"NSX away":    {&askedBalancers{err: viaduct.ErrUnavailable}, exportedPostgres(), viaduct.ErrUnavailable},
		"not allowed": {&askedBalancers{err: viaduct.ErrForbidden}, exportedPostgres(), viaduct.ErrForbidden},
	} {
		if r, err := Health(t.Context(), tc.lb, tc.e); !errors.Is(err, tc.want) || r != nil {
			t.Errorf("%s: got %v, %v; want %v", name, r, err, tc.want)
		}
	}
}
