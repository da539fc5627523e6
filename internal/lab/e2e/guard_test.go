// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/bridge"
	"github.com/viaduct-sdk/viaduct/nsx"
)

// A document that leads to the importing cluster's own addresses is refused, and
// nothing is written; the ranges are read once for many imports.
func TestGuard(t *testing.T) {
	t.Parallel()
	const ns = "acme-guard"
	ctx := testContext(t)
	namespace(t, ns)
	name := types.NamespacedName{Namespace: ns, Name: "order-postgres"}
	workload(t, name, 5432, nil)
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: ns},
		Spec:       corev1.NodeSpec{PodCIDR: "172.30.7.0/24", PodCIDRs: []string{"172.30.7.0/24"}},
	}
	node, err := tkCluster(t).CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), timeout)
		defer cancel()
		if err := tkCluster(t).CoreV1().Nodes().Delete(ctx, ns, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "172.31.7.7"}, {Type: corev1.NodeHostName, Address: ns}}
	if _, err := tkCluster(t).CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	own, err := tkCluster(t).CoreV1().Services(ns).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "own"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	own.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "203.0.113.9"}}
	if _, err := tkCluster(t).CoreV1().Services(ns).UpdateStatus(ctx, own, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	exported, err := bridge.Export(ctx, exporter(t, nil), name)
	if err != nil {
		t.Fatal(err)
	}

	var count counter
	var lists atomic.Int32
	target := importer(t, func(next http.RoundTripper) http.RoundTripper {
		counted := count.wrap(next)
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			switch strings.TrimPrefix(req.URL.Path, "/api/v1") {
			case "/nodes", "/services", "/apis/networking.k8s.io/v1/servicecidrs":
				lists.Add(1)
			}
			return counted.RoundTrip(req)
		})
	})
	if _, err := target.Guard(ctx); err != nil {
		t.Fatal(err)
	}
	for address, reason := range map[string]string{
		"172.30.7.1":                   "pods",
		"172.31.7.7":                   "nodes",
		"203.0.113.9":                  "virtual address of the importing cluster itself",
		own.Spec.ClusterIP:             "Services",
		"198.51.100.1":                 "none of the exporting cluster's pools",
		"169.254.169.254":              "metadata",
		"192.168.30.64":                "", // in the ingress pool
		exported.Addresses[0].String(): "",
	} {
		forged := *exported
		forged.Addresses = []netip.Addr{netip.MustParseAddr(address)}
		imported, err := bridge.Import(ctx, target, &forged, bridge.WithDryRun(),
			bridge.WithGuard(bridge.Guard{Pools: []netip.Prefix{netip.MustParsePrefix("192.168.30.64/27")}}))
		switch {
		case reason == "" && err != nil:
			t.Errorf("%s: got %v, want no error", address, err)
		case reason == "" && len(imported.Unguarded) > 0:
			t.Errorf("%s: got unguarded %q, want none", address, imported.Unguarded)
		case reason != "" && (!errors.Is(err, viaduct.ErrInvalid) || !strings.Contains(err.Error(), reason)):
			t.Errorf("%s: got %v, want an invalid address: %s", address, err, reason)
		}
	}
	if lists.Load() != 6 || len(count.writes) > 0 { // its own virtual address is looked at again
		t.Errorf("got %d lists and writes %v, want 6 and none", lists.Load(), count.writes)
	}
	if len(exported.Unguarded()) > 0 {
		t.Errorf("export: got unguarded %q, want none: NSX tells the ingress pool", exported.Unguarded())
	}
	_, err = bridge.Export(ctx, exporter(t, nil), name, bridge.WithGuard(bridge.Guard{Pools: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}))
	if !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("export from another pool: got %v, want invalid", err)
	}
	if _, err := bridge.Unexport(ctx, exporter(t, nil), name); err != nil {
		t.Fatal(err)
	}
}

// An address that is not from a pool of the cluster's load balancers is not
// handed out, whoever wrote it to the Service and to NSX. NCP leaves Services
// with a class alone, so that the test is their load balancer.
func TestGuardPools(t *testing.T) {
	t.Parallel()
	const ns, class = "acme-guard-pools", "example.com/by-hand"
	ctx := testContext(t)
	namespace(t, ns)
	ncpCluster := "domain-c8:" + world.VCenter.InstanceUUID()
	ingress := ncpCluster + "-ippool-192-168-30-65-192-168-30-94"
	for name, tc := range map[string]struct {
		address string
		tags    []string // more of the virtual server's
		unknown string
		err     string
	}{
		"ingress":   {address: "192.168.30.94", tags: []string{"ncp/cluster", ncpCluster, "ncp/ip_pool_id", ingress}},
		"egress":    {address: "192.168.30.126", tags: []string{"ncp/cluster", ncpCluster, "ncp/ip_pool_id", ingress}, err: "from which namespaces get the address"},
		"elsewhere": {address: "198.51.100.77", tags: []string{"ncp/cluster", ncpCluster, "ncp/ip_pool_id", ingress}, err: "none of the exporting cluster's pools"},
		"untagged":  {address: "192.168.30.93", tags: []string{"ncp/cluster", ncpCluster}, unknown: "is not known"},
		"anybody's": {address: "192.168.30.92", unknown: "no tag of a cluster"},
	} {
		key := types.NamespacedName{Namespace: ns, Name: "by-hand-" + strings.Map(letters, name)}
		s := workload(t, key, 5432, func(s *corev1.Service) {
			s.Spec.Type, s.Spec.LoadBalancerClass = corev1.ServiceTypeLoadBalancer, new(class)
		})
		serveByHand(t, s, tc.address, tc.tags)
		exported, err := bridge.Export(ctx, exporter(t, nil), key)
		switch {
		case tc.err != "" && (!errors.Is(err, viaduct.ErrInvalid) || !strings.Contains(err.Error(), tc.err)):
			t.Errorf("%s: got %v, want invalid: %s", name, err, tc.err)
		case tc.err != "":
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case (len(exported.Unguarded()) == 0) != (tc.unknown == "") || !strings.Contains(strings.Join(exported.Unguarded(), "; "), tc.unknown):
			t.Errorf("%s: got unguarded %q, want %q", name, exported.Unguarded(), tc.unknown)
		}
	}
}

func letters(r rune) rune {
	if r >= 'a' && r <= 'z' {
		return r
	}
	return -1
}

// serveByHand makes the virtual servers of a Service and its status.
func serveByHand(t *testing.T, s *corev1.Service, address string, more []string) {
	t.Helper()
	tags := nsx.Tags{{Scope: "ncp/service_uid", Tag: string(s.UID)}}
	for i := 0; i+1 < len(more); i += 2 {
		tags = append(tags, nsx.Tag{Scope: more[i], Tag: more[i+1]})
	}
	base := string(s.UID) + "-" + strings.NewReplacer(".", "-", ":", "-").Replace(address)
	put := func(path string, object any) {
		if err := world.NSX.Put(path, object); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := world.NSX.Remove(path); err != nil {
				t.Error(err)
			}
		})
	}
	put("/infra/lb-services/"+base, nsx.LBService{Size: nsx.LBServiceSmall})
	for _, port := range s.Spec.Ports {
		id := fmt.Sprintf("%s-%d-%s", base, port.Port, port.Protocol)
		number := strconv.Itoa(int(port.Port))
		put("/infra/lb-pools/"+id, nsx.Pool{
			Resource: nsx.Resource{Tags: tags}, Members: []nsx.PoolMember{{IPAddress: "10.244.15.7", Port: number}},
		})
		profile := nsx.DefaultTCPProfilePath
		if port.Protocol == corev1.ProtocolUDP {
			profile = nsx.DefaultUDPProfilePath
		}
		put("/infra/lb-virtual-servers/"+id, nsx.VirtualServer{
			Resource: nsx.Resource{Tags: tags}, IPAddress: address, Ports: []string{number},
			PoolPath: nsx.Path("/infra/lb-pools/" + id), LBServicePath: nsx.Path("/infra/lb-services/" + base),
			ApplicationProfilePath: profile,
		})
	}
	live, err := supervisor(t).CoreV1().Services(s.Namespace).Get(testContext(t), s.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	live.Status.LoadBalancer.Ingress = append(live.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: address})
	if _, err := supervisor(t).CoreV1().Services(s.Namespace).UpdateStatus(testContext(t), live, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}
