// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/viaduct-sdk/viaduct/bridge"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/manager"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// corner is a cluster of the matrix, as an exporter and as an importer.
type corner struct {
	cluster   *bridge.Cluster
	kube      kubernetes.Interface
	namespace string
	// ingress is where its virtual addresses are from.
	ingress netip.Prefix
	// serve makes the Service and whatever is to serve it; the result takes
	// away what Kubernetes does not.
	serve func(t *testing.T, name types.NamespacedName, spec corev1.ServiceSpec) (remove func())
}

type portsCase struct {
	ports    []corev1.ServicePort
	affinity corev1.ServiceAffinity
}

// direction is a row of the matrix.
type direction struct {
	from, into string
	also       string // a second exporter, merged
	asLB       bool   // the Service is a load balancer already
	opts       []bridge.ExportOption
	portsCase
}

// directions is the matrix.
func directions() map[string]direction {
	unnamed := portsCase{ports: []corev1.ServicePort{{Protocol: corev1.ProtocolTCP, Port: 5432}}}
	named := portsCase{ports: []corev1.ServicePort{{Name: "pg", Protocol: corev1.ProtocolTCP, Port: 5432}, {Name: "metrics", Protocol: corev1.ProtocolTCP, Port: 9187}}}
	both := portsCase{ports: []corev1.ServicePort{{Name: "dns-tcp", Protocol: corev1.ProtocolTCP, Port: 5353}, {Name: "dns-udp", Protocol: corev1.ProtocolUDP, Port: 5353}}}
	affinity := portsCase{ports: named.ports, affinity: corev1.ServiceAffinityClientIP}
	convert := []bridge.ExportOption{bridge.WithConversion()}
	const supervisor, tkA, tkB, tkgi = "supervisor", "tk-a", "tk-b", "tkgi"
	return map[string]direction{
		"supervisor to tk-a, companion":        {from: supervisor, into: tkA, portsCase: named},
		"supervisor to tk-a, converted":        {from: supervisor, into: tkA, opts: convert, portsCase: both},
		"supervisor to tk-b, as it is":         {from: supervisor, into: tkB, asLB: true, portsCase: unnamed},
		"supervisor to tk-b, affinity":         {from: supervisor, into: tkB, portsCase: affinity},
		"supervisor to tkgi, companion":        {from: supervisor, into: tkgi, portsCase: both},
		"tk-a to tk-b, companion":              {from: tkA, into: tkB, portsCase: named},
		"tk-a to tk-b, converted":              {from: tkA, into: tkB, opts: convert, portsCase: unnamed},
		"tk-b to tk-a, as it is":               {from: tkB, into: tkA, asLB: true, portsCase: both},
		"tk-a to supervisor, companion":        {from: tkA, into: supervisor, portsCase: unnamed},
		"tk-b to supervisor, converted":        {from: tkB, into: supervisor, opts: convert, portsCase: affinity},
		"tk-a to tkgi, as it is":               {from: tkA, into: tkgi, asLB: true, portsCase: named},
		"tkgi to tk-a, companion":              {from: tkgi, into: tkA, portsCase: both},
		"tkgi to tk-b, converted":              {from: tkgi, into: tkB, opts: convert, portsCase: named},
		"tkgi to supervisor, as it is":         {from: tkgi, into: supervisor, asLB: true, portsCase: unnamed},
		"supervisor and tk-a to tk-b, merged":  {from: supervisor, also: tkA, into: tkB, portsCase: named},
		"tk-b and tkgi to tk-a, merged":        {from: tkB, also: tkgi, into: tkA, portsCase: unnamed},
		"tk-a and tk-b to supervisor, merged":  {from: tkA, also: tkB, into: supervisor, portsCase: both},
		"tkgi and supervisor to tk-b, merged":  {from: tkgi, also: supervisor, into: tkB, portsCase: affinity},
		"supervisor and tk-b to tkgi, merged":  {from: supervisor, also: tkB, into: tkgi, portsCase: unnamed},
		"supervisor to tk-a, another affinity": {from: supervisor, into: tkA, opts: convert, portsCase: affinity},
	}
}

// TestDirections exports and imports in every mode and direction between a
// Supervisor, two TK clusters and one whose NCP writes the Manager API.
func TestDirections(t *testing.T) {
	t.Parallel()
	corners := directionCorners(t)
	for name, d := range directions() {
		t.Run(name, func(t *testing.T) {
			from, into := corners[d.from], corners[d.into]
			service := "svc-" + strings.Map(label, name)
			target := types.NamespacedName{Namespace: into.namespace, Name: service + "-i"}
			exporters := []*corner{from}
			if d.also != "" {
				exporters = append(exporters, corners[d.also])
			}
			var documents []*bridge.Exported
			for _, exporter := range exporters {
				documents = append(documents, exporter.export(t, types.NamespacedName{Namespace: exporter.namespace, Name: service}, d))
			}
			into.imports(t, target, documents)
			if plan, err := bridge.Unimport(testContext(t), into.cluster, target); err != nil || len(plan.Steps) != 1+len(documents) {
				t.Errorf("unimport: got %v, %v; want the Service and %d slices removed", plan, err, len(documents))
			}
		})
	}
}

// directionCorners makes the clusters of the matrix.
func directionCorners(t *testing.T) map[string]*corner {
	t.Helper()
	const ns, tkgiNS = "acme-directions", "acme-directions-tkgi"
	namespace(t, ns)
	namespace(t, tkgiNS)
	ingress := netip.MustParsePrefix("192.168.30.64/27")
	corners := map[string]*corner{"supervisor": {
		cluster: exporter(t, nil), kube: supervisor(t), namespace: ns, ingress: ingress,
		serve: func(t *testing.T, name types.NamespacedName, spec corev1.ServiceSpec) func() {
			t.Helper()
			workload(t, name, 0, func(s *corev1.Service) {
				spec.Selector = s.Spec.Selector
				s.Spec = spec
			})
			return func() {}
		},
	}}
	for _, guest := range []string{"tk-a", "tk-b"} {
		config := guestCluster(t, ns, guest)
		kube := client(t, config)
		eventually(t, func(ctx context.Context) string {
			if _, err := kube.CoreV1().Namespaces().Get(ctx, "default", metav1.GetOptions{}); err != nil {
				return err.Error() // its control plane takes a while
			}
			return ""
		})
		corners[guest] = &corner{
			cluster: guestEnd(t, guest, config, ns, guest), kube: kube, namespace: "default", ingress: ingress,
			serve: func(t *testing.T, name types.NamespacedName, spec corev1.ServiceSpec) func() {
				t.Helper()
				guestService(t, kube, name, spec)
				return func() {}
			},
		}
	}
	corners["tkgi"] = tkgiCorner(t, tkgiNS)
	return corners
}

// tkgiCorner is the TK cluster of the lab with an NCP that the test plays.
func tkgiCorner(t *testing.T, ns string) *corner {
	t.Helper()
	c, err := nsx.NewClient(world.NSX.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword), nsx.WithHTTPClient(world.NSX.Client()))
	if err != nil {
		t.Fatal(err)
	}
	s := &corner{
		cluster: end(t, "tkgi", world.TKCluster("acme-fitness").Config, nil, bridge.WithNSX(manager.NewFinder(c))),
		kube:    tkCluster(t), namespace: ns, ingress: netip.MustParsePrefix("198.51.100.0/24"),
	}
	vip := s.ingress.Addr()
	s.serve = func(t *testing.T, name types.NamespacedName, spec corev1.ServiceSpec) func() {
		t.Helper()
		vip = vip.Next()
		ctx, stop := context.WithCancel(testContext(t))
		served := make(chan *managerObjects, 1)
		go func() { served <- playNCP(t, ctx, ns, vip.String()) }()
		guestService(t, s.kube, name, spec)
		return func() {
			stop()
			(<-served).remove()
		}
	}
	return s
}

// export makes a Service, exports it twice, and takes it back after the test.
func (s *corner) export(t *testing.T, name types.NamespacedName, d direction) *bridge.Exported {
	t.Helper()
	ctx := testContext(t)
	spec := corev1.ServiceSpec{Ports: d.ports, SessionAffinity: d.affinity}
	if d.asLB {
		spec.Type = corev1.ServiceTypeLoadBalancer
	}
	remove := s.serve(t, name, spec)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), timeout)
		defer cancel()
		remove()
		if d.asLB {
			if err := s.kube.CoreV1().Services(name.Namespace).Delete(ctx, name.Name, metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		}
		if plan, err := bridge.Unexport(ctx, s.cluster, name, d.opts...); err != nil || plan.Empty() != d.asLB {
			t.Errorf("unexport from %s: got %v, %v", s.cluster.Name(), plan, err)
		}
		if !d.asLB {
			if err := s.kube.CoreV1().Services(name.Namespace).Delete(ctx, name.Name, metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		}
	})
	exported, err := bridge.Export(ctx, s.cluster, name, d.opts...)
	if err != nil {
		t.Fatalf("export from %s: %v", s.cluster.Name(), err)
	}
	if got, want := len(exported.Plan().Steps), map[bool]int{false: 1, true: 0}[d.asLB]; got != want {
		t.Errorf("export from %s: got %d steps, want %d", s.cluster.Name(), got, want)
	}
	if exported.Proof.Source != bridge.ProofNSX || len(exported.Proof.VirtualServers) != len(d.ports) || exported.Proof.ServiceUID == "" {
		t.Errorf("export from %s: got proof %+v, want NSX's with %d virtual servers", s.cluster.Name(), exported.Proof, len(d.ports))
	}
	if len(exported.Addresses) != 1 || !s.ingress.Contains(exported.Addresses[0]) || exported.SessionAffinity != d.affinity {
		t.Errorf("export from %s: got %v, affinity %q; want one of %s and %q", s.cluster.Name(), exported.Addresses, exported.SessionAffinity, s.ingress, d.affinity)
	}
	again, err := bridge.Export(ctx, s.cluster, name, d.opts...)
	if err != nil || !again.Plan().Empty() {
		t.Errorf("export from %s again: got %v, %v; want nothing to do", s.cluster.Name(), again, err)
	}
	return exported
}

// imports imports the documents twice, and looks at what stands behind the name
// then.
func (s *corner) imports(t *testing.T, target types.NamespacedName, documents []*bridge.Exported) {
	t.Helper()
	ctx := testContext(t)
	for round := range 2 {
		for i, e := range documents {
			opts := []bridge.ImportOption{bridge.WithTarget(target)}
			if len(documents) > 1 {
				opts = append(opts, bridge.WithMerge())
			}
			imported, err := bridge.Import(ctx, s.cluster, shipped(t, e), opts...)
			if err != nil {
				t.Fatalf("import into %s: %v", s.cluster.Name(), err)
			}
			if round == 1 && !imported.Plan().Empty() {
				t.Errorf("import %d into %s again: got\n%s", i, s.cluster.Name(), imported.Plan())
			}
			if len(imported.ClusterIPs) != 1 {
				t.Errorf("import into %s: got cluster IPs %v, want one", s.cluster.Name(), imported.ClusterIPs)
			}
		}
	}
	service, err := s.kube.CoreV1().Services(target.Namespace).Get(ctx, target.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if want := documents[0].SessionAffinity; service.Spec.SessionAffinity != want && (want != "" || service.Spec.SessionAffinity != corev1.ServiceAffinityNone) {
		t.Errorf("in %s: got session affinity %s, want %s", s.cluster.Name(), service.Spec.SessionAffinity, want)
	}
	var want []string
	for _, e := range documents {
		for _, p := range e.Ports {
			want = append(want, fmt.Sprintf("%s %s", e.Addresses[0], p))
		}
	}
	if diff := cmp.Diff(sorted(want), s.behind(t, target)); diff != "" {
		t.Errorf("in %s behind %s (-want +got):\n%s", s.cluster.Name(), target, diff)
	}
}

// behind lists each address and port in the slices of a Service.
func (s *corner) behind(t *testing.T, target types.NamespacedName) []string {
	t.Helper()
	list, err := s.kube.DiscoveryV1().EndpointSlices(target.Namespace).List(testContext(t), metav1.ListOptions{
		LabelSelector: discoveryv1.LabelServiceName + "=" + target.Name,
	})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, slice := range list.Items {
		for _, endpoint := range slice.Endpoints {
			for _, p := range slice.Ports {
				found = append(found, fmt.Sprintf("%s %s", endpoint.Addresses[0], bridge.Port{Name: *p.Name, Protocol: *p.Protocol, Port: *p.Port}))
			}
		}
	}
	return sorted(found)
}

// label keeps what may stand in a name.
func label(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z', r == '-':
		return r
	case r == ' ':
		return '-'
	default:
		return -1
	}
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}
