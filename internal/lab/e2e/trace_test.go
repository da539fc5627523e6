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
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/bridge"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/manager"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// breakage is one thing that goes wrong on the way of an import, and where a
// trace has to see it first.
type breakage struct {
	hop bridge.HopName
	// cause is a part of the cause that the hop names.
	cause string
	// service changes the exported Service before it is made; nil leaves it a
	// ClusterIP Service, which is exported by a companion.
	service func(*corev1.Service)
	// inject breaks it. It is called again while the trace does not see it yet,
	// because NCP may have mended it meanwhile, unless once is true.
	inject func(*scene)
	once   bool
	// mend takes back what would outlive the Service; nil when nothing does.
	mend func(*scene)
}

// unknowable is a server that is away. The hop is unknown, and nothing is
// broken.
type unknowable struct {
	hop                      bridge.HopName
	importer, exporter, nsxs func(http.RoundTripper) http.RoundTripper
}

// TestTrace breaks an import in every way, one at a time.
func TestTrace(t *testing.T) {
	t.Parallel()
	groups := map[string]map[string]breakage{
		"importing": importingBreakages(), "exporting": exportingBreakages(), "nsx": nsxBreakages(), "pods": podBreakages(),
	}
	var kinds atomic.Int32
	t.Cleanup(func() {
		t.Logf("%d kinds of breakage", kinds.Load())
		if kinds.Load() < 25 && !t.Failed() {
			t.Errorf("got %d kinds of breakage, want 25 at least", kinds.Load())
		}
	})
	for group, cases := range groups {
		t.Run(group, func(t *testing.T) {
			t.Parallel()
			ns := "acme-trace-" + group
			namespace(t, ns)
			letIn(t, ns)
			n := 0
			for kind, b := range cases {
				n++
				name := types.NamespacedName{Namespace: ns, Name: fmt.Sprintf("db-%d", n)}
				if t.Run(kind, func(t *testing.T) { b.run(t, name) }) {
					kinds.Add(1)
				}
			}
		})
	}
	t.Run("away", func(t *testing.T) {
		t.Parallel()
		const ns = "acme-trace-away"
		namespace(t, ns)
		letIn(t, ns)
		s := stage(t, types.NamespacedName{Namespace: ns, Name: "db"}, nil)
		for kind, u := range unknowables() {
			if t.Run(kind, func(t *testing.T) { u.run(t, s) }) {
				kinds.Add(1)
			}
		}
		checkWithLess(t, s)
	})
}

// checkWithLess traces what works with less to ask: nothing is broken, and what
// cannot be known is unknown.
func checkWithLess(t *testing.T, s *scene) {
	t.Helper()
	cases := map[string]struct {
		opts    []bridge.TraceOption
		unknown []bridge.HopName
	}{
		"the import alone": {nil, []bridge.HopName{
			bridge.HopExport, bridge.HopNCP, bridge.HopVirtualServer, bridge.HopLoadBalancer, bridge.HopTier1, bridge.HopPool,
			bridge.HopMembers, bridge.HopPods, bridge.HopClientFirewall, bridge.HopPodFirewall,
		}},
		"the exporter, which finds its virtual servers": {[]bridge.TraceOption{bridge.TraceExporter(exporter(t, nil))}, []bridge.HopName{
			bridge.HopLoadBalancer, bridge.HopTier1, bridge.HopClientFirewall, bridge.HopPodFirewall,
		}},
		"NSX": {[]bridge.TraceOption{bridge.TraceNSX(nsxClient(t, nil).Raw())}, []bridge.HopName{
			bridge.HopExport, bridge.HopNCP, bridge.HopPods, bridge.HopClientFirewall, bridge.HopPodFirewall,
		}},
	}
	for name, tc := range cases {
		traced, err := bridge.Trace(s.ctx, importer(t, nil), s.name, tc.opts...)
		if err != nil {
			t.Fatal(err)
		}
		var unknown []bridge.HopName
		for _, h := range traced.Hops {
			if h.State == bridge.HopUnknown {
				unknown = append(unknown, h.Name)
			} else if h.State != bridge.HopOK {
				t.Errorf("%s: got %s %s, want ok or unknown", name, h.Name, h.State)
			}
		}
		if diff := cmp.Diff(tc.unknown, unknown); diff != "" {
			t.Errorf("%s: unknown hops (-want +got):\n%s", name, diff)
		}
	}
}

// TestTraceTKGI traces into a cluster whose NCP writes the Manager API. What the
// Policy API does not know is not missing.
func TestTraceTKGI(t *testing.T) {
	t.Parallel()
	const ns, vip = "acme-trace-tkgi", "198.51.100.8"
	name := types.NamespacedName{Namespace: ns, Name: "order-postgres"}
	ctx := testContext(t)
	namespace(t, ns)
	kube := tkCluster(t).CoreV1()
	pod, err := kube.Pods(ns).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "postgres-0", Labels: map[string]string{"app": "postgres"}},
		Spec:       corev1.PodSpec{NodeName: "node", Containers: []corev1.Container{{Name: "main", Image: "registry.example.com/postgres"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: "10.200.1.2", PodIPs: []corev1.PodIP{{IP: "10.200.1.2"}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	}
	if _, err := kube.Pods(ns).UpdateStatus(ctx, pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := kube.Services(ns).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name.Name},
		Spec:       corev1.ServiceSpec{Selector: pod.Labels, Ports: []corev1.ServicePort{{Name: "pg", Port: 5432}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	tkgi := end(t, "tkgi", world.TKCluster("acme-fitness").Config, nil, bridge.WithNSX(manager.NewFinder(nsxClient(t, nil))))
	served := make(chan *managerObjects, 1)
	go func() { served <- playNCP(t, ctx, ns, vip) }()
	exported, err := bridge.Export(ctx, tkgi, name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { (<-served).remove() }()
	if _, err := bridge.Import(ctx, exporter(t, nil), exported); err != nil {
		t.Fatal(err)
	}
	traced, err := bridge.Trace(ctx, exporter(t, nil), name, bridge.TraceExporter(tkgi), bridge.TraceNSX(nsxClient(t, nil).Raw()))
	if err != nil {
		t.Fatal(err)
	}
	unknown := []bridge.HopName{bridge.HopLoadBalancer, bridge.HopTier1, bridge.HopClientFirewall, bridge.HopPodFirewall}
	for _, h := range traced.Hops {
		want := bridge.HopOK
		if slices.Contains(unknown, h.Name) {
			want = bridge.HopUnknown
		}
		if h.State != want {
			t.Errorf("got %s %s, want %s\n%s", h.Name, h.State, want, traced)
		}
	}
}

// scene is an import that works, and what it stands on.
type scene struct {
	t        *testing.T
	ctx      context.Context
	name     types.NamespacedName
	exported *bridge.Exported
	// traced is the name that is traced, if it is not name.
	traced types.NamespacedName
	// server, pool, balancer and gateway are policy paths.
	server, pool, balancer, gateway string
	slice                           string
	pod                             string // its address
	client                          bridge.TraceClient
	// nsxs stands in the way to NSX when it is not nil.
	nsxs func(http.RoundTripper) http.RoundTripper
}

// stage exports and imports a Service, and checks that a trace of it is whole.
func stage(t *testing.T, name types.NamespacedName, change func(*corev1.Service)) *scene {
	t.Helper()
	s := &scene{t: t, ctx: testContext(t), name: name, client: bridge.TraceClient{Address: netip.MustParseAddr("10.128.0.7")}}
	workload(t, name, 5432, change)
	var err error
	if s.exported, err = bridge.Export(s.ctx, exporter(t, nil), name); err != nil {
		t.Fatal(err)
	}
	if _, err = bridge.Import(s.ctx, importer(t, nil), s.exported); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.clear)
	s.server = s.exported.Proof.VirtualServers[0].Path
	var server nsx.VirtualServer
	s.read(s.server, &server)
	s.pool, s.balancer = server.PoolPath.String(), server.LBServicePath.String()
	var balancer nsx.LBService
	s.read(s.balancer, &balancer)
	s.gateway = balancer.ConnectivityPath.String()
	var pool nsx.Pool
	s.read(s.pool, &pool)
	s.pod = pool.Members[0].IPAddress
	s.slice = s.slices()[0].Name
	eventually(t, func(context.Context) string {
		traced := s.trace()
		for _, h := range traced.Hops {
			if h.State != bridge.HopOK {
				return "not whole:\n" + traced.String()
			}
		}
		return ""
	})
	return s
}

// clear removes what the scene was made of, broken or not.
func (s *scene) clear() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), timeout)
	defer cancel()
	for _, err := range []error{
		tkCluster(s.t).CoreV1().Services(s.name.Namespace).Delete(ctx, s.name.Name, metav1.DeleteOptions{}),
		supervisor(s.t).CoreV1().Services(s.name.Namespace).Delete(ctx, s.name.Name, metav1.DeleteOptions{}),
		supervisor(s.t).CoreV1().Pods(s.name.Namespace).Delete(ctx, s.name.Name+"-0", metav1.DeleteOptions{}),
	} {
		if err != nil && !apierrors.IsNotFound(err) {
			s.t.Error(err)
		}
	}
}

func (s *scene) read(path string, into any) {
	s.t.Helper()
	if err := world.NSX.Read(path, into); err != nil {
		s.t.Fatal(err)
	}
}

// put changes an object in NSX behind NCP's back.
func (s *scene) put(path string, change func(map[string]any)) {
	s.t.Helper()
	var object map[string]any
	err := world.NSX.Read(path, &object)
	if errors.Is(err, viaduct.ErrNotFound) {
		return // the last injection, or NCP, removed it
	}
	if err != nil {
		s.t.Fatal(err)
	}
	change(object)
	if err := world.NSX.Put(path, object); err != nil {
		s.t.Fatal(err)
	}
}

// nsxClient reaches the lab's NSX, through wrap when it is not nil.
func nsxClient(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) *nsx.Client {
	t.Helper()
	httpClient := *world.NSX.Client()
	if wrap != nil {
		httpClient.Transport = wrap(httpClient.Transport)
	}
	c, err := nsx.NewClient(world.NSX.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword),
		nsx.WithHTTPClient(&httpClient), nsx.WithRetry(nsx.RetryPolicy{Attempts: 1}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *scene) trace() *bridge.Traced {
	s.t.Helper()
	traced, err := bridge.Trace(s.ctx, importer(s.t, nil), s.target(), bridge.TraceExporter(exporter(s.t, nil)),
		bridge.TraceNSX(nsxClient(s.t, s.nsxs).Raw()), bridge.TraceFrom(s.client))
	if err != nil {
		s.t.Fatal(err)
	}
	return traced
}

func (s *scene) target() types.NamespacedName {
	if s.traced.Name != "" {
		return s.traced
	}
	return s.name
}

func (b breakage) run(t *testing.T, name types.NamespacedName) {
	s := stage(t, name, b.service)
	if b.mend != nil {
		defer b.mend(s)
	}
	injected := false
	eventually(t, func(context.Context) string {
		if !injected || !b.once {
			b.inject(s)
			injected = true
		}
		traced := s.trace()
		hop, isBroken := traced.Broken()
		if !isBroken || hop.Name != b.hop || !strings.Contains(hop.Cause, b.cause) || hop.Remedy == "" {
			return fmt.Sprintf("not broken at %s with %q:\n%s", b.hop, b.cause, traced)
		}
		return ""
	})
}

func (u unknowable) run(t *testing.T, s *scene) {
	traced, err := bridge.Trace(s.ctx, importer(t, u.importer), s.name, bridge.TraceExporter(exporter(t, u.exporter)),
		bridge.TraceNSX(nsxClient(t, u.nsxs).Raw()), bridge.TraceFrom(s.client))
	if err != nil {
		t.Fatal(err)
	}
	if hop, isBroken := traced.Broken(); isBroken {
		t.Errorf("got %s broken: %s; want nothing broken\n%s", hop.Name, hop.Cause, traced)
	}
	for _, h := range traced.Hops {
		if h.Name == u.hop && h.State != bridge.HopUnknown {
			t.Errorf("got %s %s, want unknown\n%s", h.Name, h.State, traced)
		}
	}
}

func unknowables() map[string]unknowable {
	away := func(http.RoundTripper) http.RoundTripper {
		return roundTripper(func(*http.Request) (*http.Response, error) { return nil, errCut })
	}
	return map[string]unknowable{
		"importing API server away": {hop: bridge.HopNamed, importer: away},
		"exporting API server away": {hop: bridge.HopExport, exporter: away},
		"NSX away":                  {hop: bridge.HopVirtualServer, nsxs: away},
		"firewall cannot be read": {hop: bridge.HopPodFirewall, nsxs: answering(
			func(req *http.Request) bool { return strings.HasSuffix(req.URL.Path, "/search/query") }, http.StatusForbidden, `{}`)},
		"load balancer's status cannot be read": {hop: bridge.HopLoadBalancer, nsxs: answering(
			func(req *http.Request) bool {
				return strings.Contains(req.URL.Path, "/lb-services/") && strings.HasSuffix(req.URL.Path, "/detailed-status") &&
					!strings.Contains(req.URL.Path, "/lb-pools/")
			}, http.StatusForbidden, `{}`)},
	}
}

// answering answers the requests that match by itself.
func answering(match func(*http.Request) bool, status int, body string) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			if !match(req) {
				return next.RoundTrip(req)
			}
			return jsonResponse(req, status, body), nil
		})
	}
}

// letIn has NCP let everybody in to the pods of a namespace, which its baseline
// policy isolates.
func letIn(t *testing.T, ns string) {
	t.Helper()
	policy := &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "open"},
		Spec: networkingv1.NetworkPolicySpec{
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress:     []networkingv1.NetworkPolicyIngressRule{{}},
		},
	}
	_, err := supervisor(t).NetworkingV1().NetworkPolicies(ns).Create(testContext(t), policy, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// slices are those of the import.
func (s *scene) slices() []discoveryv1.EndpointSlice {
	s.t.Helper()
	found, err := tkCluster(s.t).DiscoveryV1().EndpointSlices(s.name.Namespace).List(s.ctx, metav1.ListOptions{
		LabelSelector: discoveryv1.LabelServiceName + "=" + s.name.Name,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return found.Items
}

// must fails the test on an error other than that something is gone, or there
// already: injections are repeated.
func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsAlreadyExists(err) {
		s.t.Fatal(err)
	}
}

func (s *scene) patchService(c kubernetes.Interface, name, patch string, kind types.PatchType) {
	s.t.Helper()
	_, err := c.CoreV1().Services(s.name.Namespace).Patch(s.ctx, name, kind, []byte(patch), metav1.PatchOptions{})
	s.must(err)
}

func (s *scene) patchSlice(patch string) {
	s.t.Helper()
	_, err := tkCluster(s.t).DiscoveryV1().EndpointSlices(s.name.Namespace).Patch(s.ctx, s.slice, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	s.must(err)
}
