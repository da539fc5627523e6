// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/lab"
	"github.com/viaduct-sdk/viaduct/supervisor/supervisorsim"
)

// TestNamespace follows one vSphere Namespace from its making to its end, with
// and without a kube-controller-manager that empties namespaces too.
func TestNamespace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Config{})
	before := w.nsx.Paths("/infra")
	ns := w.namespace("acme-data")
	uid := string(ns.UID)
	cluster := "domain-c8:" + w.vc.InstanceUUID()

	pattern := map[string]string{
		"ls_id-0":                     `[0-9a-f-]{36}`,
		"ncp/router_id":               `t1_` + uid + `_rtr`,
		"ncp/subnet-0":                `10\.244\.\d+\.\d+/28`,
		"ncp/snat_ip":                 `192\.168\.30\.\d+`,
		"ncp/extpoolid":               cluster + `-ippool-192-168-30-97-192-168-30-126`,
		"vmware-system-resource-pool": `resgroup-\d+`,
		"vmware-system-vm-folder":     `group-v\d+`,
	}
	for name, want := range pattern {
		if got := ns.Annotations[name]; !regexp.MustCompile("^" + want + "$").MatchString(got) {
			t.Errorf("annotation %s is %q, want %s", name, got, want)
		}
	}
	if got := ns.Labels["vSphereClusterID"]; got != "domain-c8" {
		t.Errorf("label vSphereClusterID is %q", got)
	}
	if got := w.tagged("/infra/tier-1s/t1_"+uid+"_rtr", "ncp/cluster", cluster); len(got) == 0 {
		t.Error("no tier-1 gateway with the id that the annotation has")
	}
	segments := w.tagged("/infra/segments/", "ncp/project_uid", uid)
	if len(segments) != 1 {
		t.Fatalf("%d segments, want 1", len(segments))
	}
	var segment struct {
		UniqueID string `json:"unique_id"`
	}
	if err := w.nsx.Read(segments[0].Path, &segment); err != nil || segment.UniqueID != ns.Annotations["ls_id-0"] {
		t.Errorf("segment has unique_id %q (%v), the annotation says %q", segment.UniqueID, err, ns.Annotations["ls_id-0"])
	}
	if got := len(w.tagged("/infra/domains/default/security-policies/", "ncp/project_uid", uid)); got < 2 {
		t.Errorf("%d policies and rules isolate the namespace", got)
	}

	if err := w.sim.CreateNamespace(t.Context(), "acme-data"); err != nil {
		t.Errorf("creating it again must complete it, not fail: %v", err)
	}
	w.pod("acme-data", "redis-0", nil)
	w.service("acme-data", "cart-redis")
	w.vip("acme-data", "cart-redis")
	if err := w.sim.DeleteNamespace(t.Context(), "acme-data"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.kube.CoreV1().Namespaces().Get(t.Context(), "acme-data", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the namespace is still there: %v", err)
	}
	if left := newPaths(before, w.nsx.Paths("/infra")); left != "" {
		t.Errorf("left in NSX:\n%s", left)
	}
	if err := w.sim.DeleteNamespace(t.Context(), "acme-data"); err != nil {
		t.Errorf("deleting what is gone: %v", err)
	}
}

func TestNamespaceRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Config{})
	if err := w.sim.CreateNamespace(t.Context(), "Not A Name"); !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("a name that can't be one: %v", err)
	}
	if err := w.sim.CreateNamespace(t.Context(), "kube-system"); !errors.Is(err, viaduct.ErrExists) {
		t.Errorf("a namespace of the system: %v", err)
	}
	if err := w.sim.DeleteNamespace(t.Context(), "kube-system"); !errors.Is(err, viaduct.ErrNotOwned) {
		t.Errorf("deleting a namespace of the system: %v", err)
	}
	if _, err := supervisorsim.Start(t.Context(), supervisorsim.Config{NSX: w.nsx}); !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("no API server: %v", err)
	}
}

// TestLoadBalancer checks what a Service gets, member by member, and that all
// of it goes.
func TestLoadBalancer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Config{})
	ns := w.namespace("acme-data")
	before := w.nsx.Paths("/infra")
	subnet := netip.MustParsePrefix(ns.Annotations["ncp/subnet-0"])
	w.pod("acme-data", "redis-0", nil)
	svc := w.service("acme-data", "cart-redis", func(s *corev1.Service) {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: "gossip", Port: 7000, Protocol: corev1.ProtocolUDP, TargetPort: intstr.FromInt32(7001)})
	})
	vip := w.vip("acme-data", "cart-redis")
	if !netip.MustParsePrefix("192.168.30.64/27").Contains(netip.MustParseAddr(vip)) {
		t.Errorf("address %s is not of the ingress pool", vip)
	}
	servers := w.tagged("/infra/lb-virtual-servers/", "ncp/service_uid", string(svc.UID))
	got := map[string]string{}
	for _, vs := range servers {
		got[strings.Join(vs.Ports, ",")] = strings.TrimPrefix(vs.Profile, "/infra/lb-app-profiles/")
		if vs.Address != vip {
			t.Errorf("virtual server at %s, want %s", vs.Address, vip)
		}
		for scope, want := range map[string]string{
			"ncp/cluster":     "domain-c8:" + w.vc.InstanceUUID(),
			"ncp/project":     "acme-data",
			"ncp/project_uid": string(ns.UID),
			"ncp/lb_vs_type":  "L4",
			"ncp/version":     supervisorsim.DefaultNCPVersion,
			"ncp/ip_pool_id":  "domain-c8:" + w.vc.InstanceUUID() + "-ippool-192-168-30-65-192-168-30-94",
		} {
			if vs.tag(scope) != want {
				t.Errorf("tag %s is %q, want %q", scope, vs.tag(scope), want)
			}
		}
	}
	want := map[string]string{"6379": "default-tcp-lb-app-profile", "7000": "default-udp-lb-app-profile"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("virtual servers (-want +got):\n%s", diff)
	}

	w.eventually("pod runs", func(ctx context.Context) string {
		pod, err := w.kube.CoreV1().Pods("acme-data").Get(ctx, "redis-0", metav1.GetOptions{})
		if err != nil || pod.Status.Phase != corev1.PodRunning {
			return fmt.Sprintf("phase %s, %v", pod.Status.Phase, err)
		}
		if !subnet.Contains(netip.MustParseAddr(pod.Status.PodIP)) {
			t.Errorf("address %s of the pod is not of %s", pod.Status.PodIP, subnet)
		}
		return ""
	})
	w.changeType("acme-data", "cart-redis", corev1.ServiceTypeClusterIP)
	w.eventually("everything is taken back", func(ctx context.Context) string {
		now := w.getService(ctx, "acme-data", "cart-redis")
		if len(now.Status.LoadBalancer.Ingress) > 0 || now.Annotations["ncp/internal_ip_for_policy"] != "" {
			return "the Service still says that it has an address"
		}
		return newPaths(before, w.nsx.Paths("/infra"))
	})
	w.changeType("acme-data", "cart-redis", corev1.ServiceTypeLoadBalancer)
	w.vip("acme-data", "cart-redis")
	if err := w.kube.CoreV1().Services("acme-data").Delete(t.Context(), "cart-redis", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.eventually("everything is gone", func(context.Context) string { return newPaths(before, w.nsx.Paths("/infra")) })
}

func (w *world) changeType(namespace, name string, to corev1.ServiceType) {
	w.t.Helper()
	patch := fmt.Sprintf(`{"spec":{"type":%q}}`, to)
	_, err := w.kube.CoreV1().Services(namespace).Patch(w.t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestMembersFollowPods(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Config{})
	ns := w.namespace("acme-data")
	first := netip.MustParsePrefix(ns.Annotations["ncp/subnet-0"]).Addr().Next().Next()
	a, b := first.String()+":6379", first.Next().String()+":6379"
	svc := w.service("acme-data", "cart-redis")
	w.members(svc)
	w.pod("acme-data", "redis-0", nil)
	w.members(svc, a)
	w.pod("acme-data", "redis-1", map[string]string{supervisorsim.AnnotationHold: supervisorsim.HoldPending})
	w.pod("acme-data", "redis-2", map[string]string{supervisorsim.AnnotationHold: supervisorsim.HoldNotReady})
	w.members(svc, a, b)
	if status := w.memberStatus(svc, first.Next().String()); status != "DOWN" {
		t.Errorf("the pod that is not ready is %s in NSX", status)
	}
	_, err := w.kube.CoreV1().Pods("acme-data").Patch(t.Context(), "redis-2", types.MergePatchType,
		[]byte(`{"metadata":{"annotations":{"`+supervisorsim.AnnotationHold+`":null}}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.eventually("the pod becomes ready", func(context.Context) string {
		if status := w.memberStatus(svc, first.Next().String()); status != "UP" {
			return "member is " + status
		}
		return ""
	})
	if err := w.kube.CoreV1().Pods("acme-data").Delete(t.Context(), "redis-0", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.members(svc, b)
}

func TestSubnetsGrow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Config{}, func(c *supervisorsim.Config) { c.SubnetBits = 29 })
	w.namespace("acme-data")
	for i := range 8 { // a /29 has five addresses for pods
		w.pod("acme-data", fmt.Sprintf("redis-%d", i), nil)
	}
	w.eventually("pods run and the namespace says where", func(ctx context.Context) string {
		pods, err := w.kube.CoreV1().Pods("acme-data").List(ctx, metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		addresses := map[string]bool{}
		for _, p := range pods.Items {
			if p.Status.PodIP != "" {
				addresses[p.Status.PodIP] = true
			}
		}
		ns, err := w.kube.CoreV1().Namespaces().Get(ctx, "acme-data", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if len(addresses) != 8 || ns.Annotations["ncp/subnet-1"] == "" || ns.Annotations["ls_id-1"] == "" {
			return fmt.Sprintf("%d addresses, annotations %v", len(addresses), ns.Annotations)
		}
		return ""
	})
	if err := w.sim.DeleteNamespace(t.Context(), "acme-data"); err != nil {
		t.Fatal(err)
	}
}

func TestNetworkPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Config{})
	w.namespace("acme-data")
	w.pod("acme-data", "redis-0", nil)
	before := w.nsx.Paths("/infra/domains")
	port := intstr.FromString("redis")
	policy, err := w.kube.NetworkingV1().NetworkPolicies("acme-data").Create(t.Context(), &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "open"},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "redis"}},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress:     []networkingv1.NetworkPolicyIngressRule{{Ports: []networkingv1.NetworkPolicyPort{{Port: &port}}}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.eventually("rules", func(context.Context) string {
		var names []string
		for _, o := range w.tagged("/infra/domains/default/security-policies/", "ncp/network_policy", string(policy.UID)) {
			if _, name, ok := strings.Cut(o.Path, "/rules/"); ok {
				names = append(names, name)
			}
		}
		if len(names) != 2 {
			return fmt.Sprintf("rules %v, want in-0 and drop-in", names)
		}
		return ""
	})
	if err := w.kube.NetworkingV1().NetworkPolicies("acme-data").Delete(t.Context(), "open", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.eventually("the policy is taken back", func(context.Context) string { return newPaths(before, w.nsx.Paths("/infra/domains")) })
}
