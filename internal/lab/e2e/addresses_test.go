// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/bridge"
	"github.com/viaduct-sdk/viaduct/internal/lab"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
	"github.com/viaduct-sdk/viaduct/supervisor/supervisorsim"
)

// scarce is a Supervisor with two virtual addresses, 192.168.30.65 and .66, and
// an older NCP, which writes its own address beside them.
type scarce struct {
	*lab.Lab
	finder  *ncp.Finder
	cluster *bridge.Cluster
}

func newScarce(t *testing.T, ns string) scarce {
	t.Helper()
	ctx := testContext(t)
	l, err := lab.Start(t.Context(), lab.Config{SupervisorSim: supervisorsim.Config{
		IngressCIDR: netip.MustParsePrefix("192.168.30.64/30"),
		Switches:    supervisorsim.Switches{DoubleIngress: true},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := l.SupervisorSim.CreateNamespace(ctx, ns); err != nil {
		t.Fatal(err)
	}
	c, err := nsx.NewClient(l.NSX.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword), nsx.WithHTTPClient(l.NSX.Client()))
	if err != nil {
		t.Fatal(err)
	}
	s := scarce{Lab: l, finder: ncp.NewFinder(c)}
	s.cluster = end(t, "supervisor", l.Supervisor.Config, nil, bridge.WithNSX(s.finder))
	labels := map[string]string{"app": "redis"}
	kube := client(t, l.Supervisor.Config).CoreV1()
	if _, err := kube.Pods(ns).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "redis-0", Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "registry.example.com/redis"}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "c"} {
		if _, err := kube.Services(ns).Create(ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Port: 6379, TargetPort: intstr.FromInt32(6379)}}},
		}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestScarceAddresses exports until there is no address left, asks for one that
// another has and for one that is not there, and gets NCP's reason each time.
func TestScarceAddresses(t *testing.T) {
	t.Parallel()
	const ns = "acme-scarce"
	ctx := testContext(t)
	s := newScarce(t, ns)
	named := func(name string) types.NamespacedName { return types.NamespacedName{Namespace: ns, Name: name} }
	refused := func(name, code string, opts ...bridge.ExportOption) {
		t.Helper()
		exported, err := bridge.Export(ctx, s.cluster, named(name), opts...)
		if exported != nil || !errors.Is(err, viaduct.ErrUnavailable) || !strings.Contains(err.Error(), code) || !bridge.Retryable(err) {
			t.Errorf("%s: got %v, %v; want NCP's %s, worth another try", name, exported, err, code)
		}
	}

	a, err := bridge.Export(ctx, s.cluster, named("a"))
	if err != nil {
		t.Fatal(err)
	}
	live, err := client(t, s.Supervisor.Config).CoreV1().Services(ns).Get(ctx, a.VIPService.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(live.Status.LoadBalancer.Ingress); n != 2 || len(a.Addresses) != 1 || a.Addresses[0] != netip.MustParseAddr("192.168.30.65") || len(a.Unguarded()) > 0 {
		t.Errorf("got %v of %d addresses in the status, unguarded %q; want the VIP of two", a.Addresses, n, a.Unguarded())
	}

	refused("b", "LB_VIP_CONFLICT", bridge.WithLoadBalancerIP(a.Addresses[0]))
	if _, err := bridge.Unexport(ctx, s.cluster, named("b")); err != nil {
		t.Fatal(err)
	}
	refused("b", "IP_POOL_NOT_FOUND", bridge.WithLoadBalancerIP(netip.MustParseAddr("192.168.30.98")))
	// Asked for one that is there, the same companion gets it.
	b := eventuallyExported(t, s.cluster, named("b"), bridge.WithLoadBalancerIP(netip.MustParseAddr("192.168.30.66")))

	refused("c", "IP_POOL_EXHAUSTED")
	if _, err := bridge.Unexport(ctx, s.cluster, named("b")); err != nil {
		t.Fatal(err)
	}
	c := eventuallyExported(t, s.cluster, named("c"))
	if diff := cmp.Diff(b.Addresses[0].String(), c.Addresses[0].String()); diff != "" {
		t.Errorf("the address that came free (-want +got):\n%s", diff)
	}
	// The address of before is another Service's now: the old document is told so.
	r, err := bridge.Health(ctx, s.finder, b)
	if err != nil || r.State != bridge.HealthDown {
		t.Errorf("health of what has lost its address: got %v, %v; want it down", r, err)
	}
	if r, err := bridge.Health(ctx, s.finder, c); err != nil || r.State != bridge.HealthUp {
		t.Errorf("health of what has it: got %v, %v; want it up", r, err)
	}
	for _, name := range []string{"a", "c"} {
		if _, err := bridge.Unexport(ctx, s.cluster, named(name)); err != nil {
			t.Error(err)
		}
	}
	for _, path := range s.NSX.Paths("/infra/lb-virtual-servers/") {
		t.Errorf("NSX still has %s", path)
	}
}

// eventuallyExported exports as somebody does who is told to try again: NCP takes
// its error back when it gets round to it.
func eventuallyExported(t *testing.T, c *bridge.Cluster, name types.NamespacedName, opts ...bridge.ExportOption) *bridge.Exported {
	t.Helper()
	var exported *bridge.Exported
	eventually(t, func(ctx context.Context) string {
		var err error
		if exported, err = bridge.Export(ctx, c, name, opts...); err != nil {
			return err.Error()
		}
		return ""
	})
	return exported
}

// TestSeveralAddresses exports a Service with addresses of both families and
// with several of one: all are proved, and each family has a slice. NCP of
// vSphere 7 gives a Service one address, so that the test is the load balancer.
func TestSeveralAddresses(t *testing.T) {
	t.Parallel()
	const ns, class = "acme-several", "example.com/by-hand"
	ctx := testContext(t)
	namespace(t, ns)
	ncpCluster := "domain-c8:" + world.VCenter.InstanceUUID()
	six := "/infra/ip-pools/" + ns + "-six"
	for _, object := range []struct {
		path   string
		object any
	}{
		{six, nsx.IPPool{Resource: nsx.Resource{Tags: nsx.Tags{{Scope: "ncp/cluster", Tag: ncpCluster}, {Scope: "ncp/external", Tag: "true"}}}}},
		{six + "/ip-subnets/s", nsx.IPSubnet{
			Resource: nsx.Resource{ResourceType: nsx.IPStaticSubnet}, CIDR: "2001:db8:30::/64",
			AllocationRanges: []nsx.IPRange{{Start: "2001:db8:30::40", End: "2001:db8:30::7f"}},
		}},
	} {
		if err := world.NSX.Put(object.path, object.object); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := world.NSX.Remove(object.path); err != nil {
				t.Error(err)
			}
		})
	}
	ingress := ncpCluster + "-ippool-192-168-30-65-192-168-30-94"
	for name, addresses := range map[string][]string{
		"dual-stack": {"192.168.30.89", "2001:db8:30::41"},
		"two":        {"192.168.30.87", "192.168.30.88"},
		"four":       {"192.168.30.85", "192.168.30.86", "2001:db8:30::42", "2001:db8:30::43"},
	} {
		key := types.NamespacedName{Namespace: ns, Name: name}
		s := workload(t, key, 5432, func(s *corev1.Service) {
			s.Spec.Type, s.Spec.LoadBalancerClass = corev1.ServiceTypeLoadBalancer, new(class)
			s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: "udp", Protocol: corev1.ProtocolUDP, Port: 5432, TargetPort: intstr.FromInt32(5432)})
		})
		for _, address := range addresses {
			pool := ingress
			if strings.Contains(address, ":") {
				pool = ns + "-six"
			}
			serveByHand(t, s, address, []string{"ncp/cluster", ncpCluster, "ncp/ip_pool_id", pool})
		}
		exported, err := bridge.Export(ctx, exporter(t, nil), key)
		if err != nil {
			t.Fatal(err)
		}
		if len(exported.Proof.VirtualServers) != 2*len(addresses) || len(exported.Unguarded()) > 0 {
			t.Errorf("%s: got proof %+v, unguarded %q; want %d virtual servers", name, exported.Proof, exported.Unguarded(), 2*len(addresses))
		}
		document := shipped(t, exported)
		if _, err := bridge.Import(ctx, importer(t, nil), document); err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, address := range addresses {
			want = append(want, address+" main 5432/TCP", address+" udp 5432/UDP")
		}
		into := corner{kube: tkCluster(t)}
		if diff := cmp.Diff(sorted(want), into.behind(t, key)); diff != "" {
			t.Errorf("%s: behind it (-want +got):\n%s", name, diff)
		}
		r, err := bridge.Health(ctx, finder(t), document)
		if err != nil || r.State != bridge.HealthUp || len(r.Servers) != 2*len(addresses) {
			t.Errorf("%s: got health %v, %v; want %d servers up", name, r, err, 2*len(addresses))
		}
		if plan, err := bridge.Unimport(ctx, importer(t, nil), key); err != nil || len(plan.Steps) < 2 {
			t.Errorf("%s: unimport: got %v, %v", name, plan, err)
		}
	}
}
