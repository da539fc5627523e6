// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/bridge"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/firewall"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// enclosure is an importing cluster's side of an NSX of its own, where a policy lets
// nothing out of the nodes' segment.
type enclosure struct {
	t   *testing.T
	srv *nsxsim.Server
	ns  string
}

const (
	nodes      = nsx.Path("/infra/segments/nodes")
	everything = "/infra/domains/default/groups/nodes"
	nothingOut = "/infra/domains/default/security-policies/nothing-out"
)

// newEnclosure makes a enclosure and a namespace in the TK cluster.
func newEnclosure(t *testing.T, ns string, opts ...nsxsim.Option) enclosure {
	t.Helper()
	s := enclosure{t, nsxsim.NewServer(opts...), ns}
	t.Cleanup(s.srv.Close)
	s.put(nodes.String(), map[string]any{"subnets": []any{map[string]any{"gateway_address": "10.129.0.1/24"}}})
	s.put(everything, map[string]any{"expression": []any{
		map[string]any{"resource_type": "PathExpression", "paths": []any{nodes.String()}},
		map[string]any{"resource_type": "ConjunctionOperator", "conjunction_operator": "OR"},
		map[string]any{"resource_type": "IPAddressExpression", "ip_addresses": []any{"10.129.0.0/24"}},
	}})
	s.stop(nothingOut, "Application", 99)
	if _, err := tkCluster(t).CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s enclosure) put(path string, object map[string]any) {
	s.t.Helper()
	if err := s.srv.Put(path, object); err != nil {
		s.t.Fatal(err)
	}
}

// stop makes a policy that lets nothing out of the segment.
func (s enclosure) stop(path, category string, sequence int) {
	s.t.Helper()
	s.put(path, map[string]any{
		"category": category, "sequence_number": sequence, "scope": []any{everything},
		"rules": []any{map[string]any{"id": "drop", "display_name": "drop", "action": "DROP", "direction": "OUT", "source_groups": []any{everything}}},
	})
}

func (s enclosure) client(wrap wrapper) *nsx.Client {
	s.t.Helper()
	transport := s.srv.Client().Transport
	if wrap != nil {
		transport = wrap(transport)
	}
	c, err := nsx.NewClient(s.srv.URL(), nsx.BasicAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword),
		nsx.WithHTTPClient(&http.Client{Transport: transport}),
		nsx.WithRetry(nsx.RetryPolicy{Attempts: 2, MinWait: time.Millisecond, MaxWait: time.Millisecond}))
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// cluster is the importing cluster of the enclosure, under the enclosure's own name.
func (s enclosure) cluster(wrap wrapper) *bridge.Cluster {
	s.t.Helper()
	return end(s.t, s.ns, world.TKCluster("acme-fitness").Config, wrap, bridge.WithDistributedFirewall(s.client(wrap), nodes))
}

// out is the verdict for a connection from a node.
func (s enclosure) out(to string, port uint16) firewall.Action {
	s.t.Helper()
	snapshot, err := firewall.Load(context.WithoutCancel(s.t.Context()), s.client(nil).Raw())
	if err != nil {
		s.t.Fatal(err)
	}
	rules, err := firewall.Compile(snapshot)
	if err != nil {
		s.t.Fatal(err)
	}
	v, err := rules.Evaluate(firewall.Flow{
		Source: netip.MustParseAddr("10.129.0.7"), Destination: netip.MustParseAddr(to), Protocol: firewall.TCP, DestinationPort: port,
		Crosses: []firewall.Crossing{{Interface: firewall.Interface{Within: []string{nodes.String()}}, Direction: firewall.Out}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return v.Action
}

// own is what is in NSX beside what the enclosure began with, less its revisions.
func (s enclosure) own() []string {
	s.t.Helper()
	var found []string
	for _, prefix := range []string{"/infra/domains/default/groups/", "/infra/domains/default/security-policies/"} {
		for _, path := range s.srv.Paths(prefix) {
			if path == everything || strings.HasPrefix(path, nothingOut) || strings.Contains(path, "/default-") {
				continue
			}
			if strings.Contains(path, "/rules/") {
				var r nsx.Rule
				if err := s.srv.Read(path, &r); err == nil {
					var ports []string
					for _, e := range r.ServiceEntries {
						ports = append(ports, e.DestinationPorts...)
					}
					found = append(found, fmt.Sprint(path, r.DestinationGroups, ports, r.Action, r.Direction))
				}
				continue
			}
			found = append(found, path)
		}
	}
	return found
}

// state is all that an import writes.
func (s enclosure) state() string {
	name := types.NamespacedName{Namespace: s.ns, Name: "order-postgres"}
	text := fmt.Sprint(s.own(), backing(s.t, s.ns, "EndpointSlice"))
	service, err := tkCluster(s.t).CoreV1().Services(s.ns).Get(context.WithoutCancel(s.t.Context()), name.Name, metav1.GetOptions{})
	if err != nil {
		return absentName(err) + text
	}
	return fmt.Sprint(service.Spec.Ports, service.Labels, service.Annotations, text)
}

// TestSweepFirewall sweeps what opens the importing side: every request to the
// API server and to NSX.
func TestSweepFirewall(t *testing.T) {
	t.Parallel()
	s := newEnclosure(t, "sweep-firewall")
	name := types.NamespacedName{Namespace: s.ns, Name: "order-postgres"}
	document, moved := documentFor(s.ns, "supervisor", "192.168.30.66"), documentFor(s.ns, "supervisor", "192.168.30.67")
	moved.Ports[0].Port = 5433
	importing := func(e *bridge.Exported) func(context.Context, wrapper) error {
		return func(ctx context.Context, wrap wrapper) error {
			_, err := bridge.Import(ctx, s.cluster(wrap), e, bridge.WithFirewall())
			return err
		}
	}
	unimporting := func(ctx context.Context, wrap wrapper) error {
		_, err := bridge.Unimport(ctx, s.cluster(wrap), name)
		return err
	}
	without := func(run func(context.Context, wrapper) error) func(context.Context) error {
		return func(ctx context.Context) error { return run(ctx, nil) }
	}
	cases := 0
	for _, v := range []verb{
		{"import", importing(document), without(unimporting), s.state},
		{"switch", importing(moved), without(importing(document)), s.state},
		{"unimport", unimporting, without(importing(document)), s.state},
	} {
		cases += v.sweep(t)
	}
	t.Logf("%d cases", cases)
	if cases < 500 {
		t.Errorf("swept %d cases, want at least 500", cases)
	}
	if err := unimporting(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if left := s.own(); len(left) > 0 {
		t.Errorf("at the end NSX has %v", left)
	}
}

// TestFirewallSwitch moves an import to another address, port by port open all
// the time, and then only to the new one.
func TestFirewallSwitch(t *testing.T) {
	t.Parallel()
	s := newEnclosure(t, "acme-firewall-switch")
	ctx := testContext(t)
	document, moved := documentFor(s.ns, "supervisor", "192.168.30.66"), documentFor(s.ns, "supervisor", "192.168.30.67")
	moved.Ports[0].Port = 5433
	if _, err := bridge.Import(ctx, s.cluster(nil), document, bridge.WithFirewall()); err != nil {
		t.Fatal(err)
	}
	was, is := document.Ports[0].Port, moved.Ports[0].Port
	verdicts := func() []firewall.Action {
		return []firewall.Action{s.out("192.168.30.66", uint16(was)), s.out("192.168.30.67", uint16(is)), s.out("192.168.30.66", uint16(is)), s.out("192.168.30.67", uint16(was))}
	}
	switched := false
	watch := func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			if req.Method != http.MethodGet && strings.Contains(req.URL.Path, "/endpointslices/") {
				switched = true
				if diff := cmp.Diff([]firewall.Action{firewall.Allow, firewall.Allow, firewall.Drop, firewall.Drop}, verdicts()); diff != "" {
					t.Errorf("when the slice is written (-want +got):\n%s", diff)
				}
			}
			return next.RoundTrip(req)
		})
	}
	// An import that has a policy keeps it, without the option too.
	imported, err := bridge.Import(ctx, s.cluster(watch), moved)
	if err != nil {
		t.Fatal(err)
	}
	if !switched || imported.Firewall == nil || imported.Firewall.Policy == "" {
		t.Errorf("got slice written %t and firewall %+v, want both", switched, imported.Firewall)
	}
	if diff := cmp.Diff([]firewall.Action{firewall.Drop, firewall.Allow, firewall.Drop, firewall.Drop}, verdicts()); diff != "" {
		t.Errorf("afterwards (-want +got):\n%s", diff)
	}
	if imported, err = bridge.Import(ctx, s.cluster(nil), moved, bridge.WithPort(moved.Ports[0].Name, 15432)); err != nil || len(imported.Plan().Steps) != 1 {
		t.Errorf("another port in the importing cluster: got %v, %v; want the Service changed alone", imported, err)
	}
}

// TestFirewallMerge opens the way to two exporters and closes one.
func TestFirewallMerge(t *testing.T) {
	t.Parallel()
	s := newEnclosure(t, "acme-firewall-merge")
	ctx := testContext(t)
	name := types.NamespacedName{Namespace: s.ns, Name: "order-postgres"}
	one, other := documentFor(s.ns, "supervisor", "192.168.30.66"), documentFor(s.ns, "elsewhere", "192.168.40.66")
	port := uint16(one.Ports[0].Port)
	verdicts := func() []firewall.Action {
		return []firewall.Action{s.out("192.168.30.66", port), s.out("192.168.40.66", port)}
	}
	if _, err := bridge.Import(ctx, s.cluster(nil), one); err != nil {
		t.Fatal(err)
	}
	for _, e := range []*bridge.Exported{other, one, other} {
		if _, err := bridge.Import(ctx, s.cluster(nil), e, bridge.WithMerge(), bridge.WithFirewall()); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]firewall.Action{firewall.Allow, firewall.Allow}, verdicts()); diff != "" {
		t.Errorf("both (-want +got):\n%s", diff)
	}
	for _, e := range []*bridge.Exported{one, other} {
		if plan, err := bridge.PlanImport(ctx, s.cluster(nil), e, bridge.WithMerge(), bridge.WithFirewall()); err != nil || !plan.Empty() {
			t.Errorf("again: got %v, %v; want nothing to do", plan, err)
		}
	}
	if _, err := bridge.Unimport(ctx, importer(t, nil), name, bridge.WithSource("elsewhere")); !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("unimport of one without the option: got %v, want an error that matches ErrInvalid", err)
	}
	if _, err := bridge.Unimport(ctx, s.cluster(nil), name, bridge.WithSource("elsewhere")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]firewall.Action{firewall.Allow, firewall.Drop}, verdicts()); diff != "" {
		t.Errorf("one of them gone (-want +got):\n%s", diff)
	}
	if _, err := bridge.Unimport(ctx, s.cluster(nil), name); err != nil {
		t.Fatal(err)
	}
	if left := s.own(); len(left) > 0 {
		t.Errorf("at the end NSX has %v", left)
	}
}

// TestFirewallRefuses is why an import is not opened. Nothing is written then.
func TestFirewallRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason string
		set    func(enclosure)
		wrap   wrapper
		want   error
		says   string
	}{
		"a rule of an earlier category": {
			reason: "an administrator's veto counts", want: viaduct.ErrInvalid, says: "/security-policies/veto/rules/drop",
			set: func(s enclosure) { s.stop("/infra/domains/default/security-policies/veto", "Infrastructure", 500) },
		},
		"a rule before it": {
			reason: "so does one with a lower number", want: viaduct.ErrInvalid, says: "/security-policies/veto/rules/drop",
			set: func(s enclosure) { s.stop("/infra/domains/default/security-policies/veto", "Application", 4) },
		},
		"a rule beside it": {
			reason: "the order of equal numbers is not determined", want: viaduct.ErrInvalid, says: "/security-policies/zzz/rules/drop",
			set: func(s enclosure) { s.stop("/infra/domains/default/security-policies/zzz", "Application", 5) },
		},
		"a foreign policy of its name": {
			reason: "what is not Viaduct's stays", want: viaduct.ErrNotOwned, says: "SecurityPolicy /infra/domains/default/security-policies/viaduct-",
			set: func(s enclosure) {
				s.put(s.policyPath(), map[string]any{"category": "Application", "sequence_number": 7})
			},
		},
		"may not read": {
			reason: "what is missing is named", want: viaduct.ErrForbidden, says: "needs a role",
			wrap: answering(func(req *http.Request) bool { return strings.HasSuffix(req.URL.Path, "/search/query") }, http.StatusForbidden, `{"httpStatus":"FORBIDDEN","error_code":289,"error_message":"no"}`),
		},
		"segment is gone": {
			reason: "the nodes are not where they were said to be", want: viaduct.ErrNotFound, says: nodes.String(),
			set: func(s enclosure) {
				for _, path := range []string{nothingOut, everything, nodes.String()} {
					if err := s.srv.Remove(path); err != nil {
						s.t.Fatal(err)
					}
				}
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newEnclosure(t, "refuse-"+strings.ReplaceAll(name, " ", "-"))
			if tc.set != nil {
				tc.set(s)
			}
			before := s.state()
			_, err := bridge.Import(testContext(t), s.cluster(tc.wrap), documentFor(s.ns, "supervisor", "192.168.30.66"), bridge.WithFirewall())
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%s: got %v, want an error that matches %v and says %q", tc.reason, err, tc.want, tc.says)
			}
			if diff := cmp.Diff(before, s.state()); diff != "" {
				t.Errorf("something was written (-before +after):\n%s", diff)
			}
		})
	}
}

// TestFirewallRereads changes what refused an import. The same Cluster sees it,
// although it keeps what it read.
func TestFirewallRereads(t *testing.T) {
	t.Parallel()
	const veto = "/infra/domains/default/security-policies/veto"
	s := newEnclosure(t, "acme-firewall-rereads")
	s.stop(veto, "Emergency", 1)
	ctx, c, document := testContext(t), s.cluster(nil), documentFor(s.ns, "supervisor", "192.168.30.66")
	if _, err := bridge.Import(ctx, c, document, bridge.WithFirewall()); !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("got %v, want an error that matches ErrInvalid", err)
	}
	if err := s.srv.Remove(veto); err != nil {
		t.Fatal(err)
	}
	if _, err := bridge.Import(ctx, c, document, bridge.WithFirewall()); err != nil {
		t.Errorf("after the veto: %v", err)
	}
}

// TestFirewallReadOnly imports with a user of NSX who may only read: nothing
// leads anywhere, and with more rights the same call carries on.
func TestFirewallReadOnly(t *testing.T) {
	t.Parallel()
	s := newEnclosure(t, "acme-firewall-read-only")
	ctx, document := testContext(t), documentFor(s.ns, "supervisor", "192.168.30.66")
	readOnly := answering(func(req *http.Request) bool {
		return strings.HasPrefix(req.URL.Path, "/policy/") && req.Method != http.MethodGet
	},
		http.StatusForbidden, `{"httpStatus":"FORBIDDEN","error_code":289,"error_message":"no"}`)
	_, err := bridge.Import(ctx, s.cluster(readOnly), document, bridge.WithFirewall())
	if !errors.Is(err, viaduct.ErrForbidden) || !strings.Contains(err.Error(), "needs a role") || bridge.Retryable(err) {
		t.Errorf("got %v, want an error that matches ErrForbidden and says what is missing", err)
	}
	if got := backing(t, s.ns, "EndpointSlice"); len(got) > 0 {
		t.Errorf("got endpoints %v, want none before the way is open", got)
	}
	if _, err := bridge.Import(ctx, s.cluster(nil), document, bridge.WithFirewall()); err != nil {
		t.Error(err)
	}
}

// policyPath is where the policy of the enclosure's import is.
func (s enclosure) policyPath() string {
	s.t.Helper()
	plan, err := bridge.PlanImport(s.t.Context(), s.cluster(nil), documentFor(s.ns, "supervisor", "192.168.30.66"), bridge.WithFirewall())
	if err != nil {
		s.t.Fatal(err)
	}
	i := slices.IndexFunc(plan.Steps, func(step bridge.Step) bool { return step.Object.Kind == "SecurityPolicy" })
	if i < 0 {
		s.t.Fatalf("got plan %v, want a security policy", plan)
	}
	return plan.Steps[i].Object.Name
}

// TestFirewallOpen imports where nothing is in the way: nothing is made.
func TestFirewallOpen(t *testing.T) {
	t.Parallel()
	s := newEnclosure(t, "acme-firewall-open")
	if err := s.srv.Remove(nothingOut); err != nil {
		t.Fatal(err)
	}
	ctx := testContext(t)
	imported, err := bridge.Import(ctx, s.cluster(nil), documentFor(s.ns, "supervisor", "192.168.30.66"), bridge.WithFirewall())
	if err != nil {
		t.Fatal(err)
	}
	if f := imported.Firewall; f.Before != firewall.Allow || f.After != firewall.Allow || f.Policy != "" {
		t.Errorf("got %+v, want it open before and after, without a policy", f)
	}
	if left := s.own(); len(left) > 0 {
		t.Errorf("NSX has %v", left)
	}
	// Nothing in NSX belongs to it, so that any cluster may remove it.
	if _, err := bridge.Unimport(ctx, importer(t, nil), types.NamespacedName{Namespace: s.ns, Name: "order-postgres"}); err != nil {
		t.Error(err)
	}
}

// TestFirewallPurge imports again while NSX has not purged what was removed.
func TestFirewallPurge(t *testing.T) {
	t.Parallel()
	s := newEnclosure(t, "acme-firewall-purge", nsxsim.WithPurgeDelay(time.Second))
	ctx := testContext(t)
	name := types.NamespacedName{Namespace: s.ns, Name: "order-postgres"}
	document := documentFor(s.ns, "supervisor", "192.168.30.66")
	for range 2 {
		if _, err := bridge.Import(ctx, s.cluster(nil), document, bridge.WithFirewall()); err != nil {
			t.Fatal(err)
		}
		if got := s.out("192.168.30.66", uint16(document.Ports[0].Port)); got != firewall.Allow {
			t.Errorf("got %s, want it open", got)
		}
		if _, err := bridge.Unimport(ctx, s.cluster(nil), name); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFirewallOfMany imports many at the price of one reading of the firewall.
func TestFirewallOfMany(t *testing.T) {
	t.Parallel()
	s := newEnclosure(t, "acme-firewall-many")
	ctx := testContext(t)
	documents := make([]*bridge.Exported, 30)
	for i := range documents {
		documents[i] = documentFor(s.ns, "supervisor", fmt.Sprintf("192.168.30.%d", 66+i))
		documents[i].Source.Name = fmt.Sprintf("db-%d", i)
	}
	var requests tally
	run := func(documents []*bridge.Exported) map[string]int {
		t.Helper()
		requests.seen = map[string]int{}
		c := end(t, s.ns, world.TKCluster("acme-fitness").Config, nil, bridge.WithDistributedFirewall(s.client(requests.wrap), nodes))
		report, err := bridge.ImportAll(ctx, c, documents, bridge.WithFirewall())
		if err != nil || report.Err() != nil {
			t.Fatal(err, report.Err())
		}
		first := requests.seen
		requests.seen = map[string]int{}
		if report, err = bridge.ImportAll(ctx, c, documents, bridge.WithFirewall()); err != nil || report.Err() != nil {
			t.Fatal(err, report.Err())
		}
		if len(requests.seen) > 0 {
			t.Errorf("%d imports, the second time with one Cluster: got requests %v, want none", len(documents), requests.seen)
		}
		return first
	}
	if got := run(documents); got[http.MethodPut] != 2*len(documents) {
		t.Errorf("got requests %v, want %d PUTs", got, 2*len(documents))
	}
	few, many := run(documents[:5]), run(documents)
	if diff := cmp.Diff(few, many); diff != "" || many[http.MethodPut] > 0 || many[http.MethodGet] > 10 {
		t.Errorf("a second time 5 imports and %d differ (-few +many):\n%s", len(documents), diff)
	}
	t.Logf("requests for %d imports again: %v", len(documents), many)
}

// tally counts requests by method.
type tally struct {
	mu   sync.Mutex
	seen map[string]int
}

func (c *tally) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		c.mu.Lock()
		c.seen[req.Method]++
		c.mu.Unlock()
		return next.RoundTrip(req)
	})
}

// TestFirewallAudit finds policies whose imports are gone, and no others.
func TestFirewallAudit(t *testing.T) {
	t.Parallel()
	s := newEnclosure(t, "acme-firewall-audit")
	ctx := testContext(t)
	for i, name := range []string{"kept-a", "kept-b", "gone"} {
		document := documentFor(s.ns, "supervisor", fmt.Sprintf("192.168.30.%d", 66+i))
		document.Source.Name = name
		if _, err := bridge.Import(ctx, s.cluster(nil), document, bridge.WithFirewall()); err != nil {
			t.Fatal(err)
		}
	}
	c := func(wrap wrapper) *bridge.Cluster {
		return end(t, s.ns, world.TKCluster("acme-fitness").Config, only(s.ns), bridge.WithDistributedFirewall(s.client(wrap), nodes))
	}
	report, err := bridge.Audit(ctx, []*bridge.Cluster{c(nil)})
	if err != nil || len(report.Findings)+len(report.Holes) > 0 || report.Owned != 12 {
		t.Fatalf("all in order: got %+v, %v; want no findings and 12 objects", report, err)
	}
	kept := len(s.own())
	if err := tkCluster(t).CoreV1().Services(s.ns).Delete(ctx, "gone", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(context.Context) string {
		report, err = bridge.Audit(ctx, []*bridge.Cluster{c(nil)})
		if err != nil || len(report.Holes) > 0 {
			t.Fatal(err, report.Holes)
		}
		var found []string
		for _, f := range report.Findings {
			found = append(found, fmt.Sprint(f.Kind, " ", f.Object.Kind))
		}
		return cmp.Diff([]string{"stale-firewall SecurityPolicy", "stale-firewall Group"}, found) // and no slice, once Kubernetes collected it
	})
	if plan, err := report.Apply(ctx); err != nil || len(plan.Steps) != 2 {
		t.Errorf("got %v, %v; want the policy and its group removed", plan, err)
	}
	if got := len(s.own()); got != kept-3 {
		t.Errorf("NSX has %v, want two of each kind", s.own())
	}
	away := c(func(http.RoundTripper) http.RoundTripper {
		return roundTripper(func(*http.Request) (*http.Response, error) { return nil, errCut })
	})
	if report, err = bridge.Audit(ctx, []*bridge.Cluster{away}); err != nil || len(report.Holes) != 1 || len(report.Findings) > 0 {
		t.Errorf("NSX away: got %+v, %v; want a hole and no findings", report, err)
	}
}
