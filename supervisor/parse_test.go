// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisor_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/supervisor"
)

func sameAddress(a, b netip.Addr) bool  { return a == b }
func samePrefix(a, b netip.Prefix) bool { return a == b }

func diff(want, got any) string {
	return cmp.Diff(want, got, cmp.Comparer(sameAddress), cmp.Comparer(samePrefix), cmpopts.EquateEmpty())
}

func TestParseNamespace(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason      string
		labels      map[string]string
		annotations map[string]string
		want        supervisor.Namespace
	}{
		"Public": {
			reason: "kubectl describe of a namespace of a vSphere 8 Supervisor, as published",
			labels: map[string]string{"vSphereClusterID": "domain-c1006"},
			annotations: map[string]string{
				"ls_id-0":                     "e87463d0-f142-44f7-8c3b-e0d849b58fe9",
				"ncp/extpoolid":               "domain-c1006:19677842-d097-4df6-b428-bceb1cf631c9-ippool-192-168-30-65-192-168-30-94",
				"ncp/router_id":               "t1_a41909b9-ea00-4d86-b3f3-82594e15eb56_rtr",
				"ncp/snat_ip":                 "192.168.30.66",
				"ncp/subnet-0":                "10.244.0.16/28",
				"vmware-system-resource-pool": "resgroup-1042",
				"vmware-system-vm-folder":     "group-v1043",
			},
			want: supervisor.Namespace{
				ClusterID:   "domain-c1006",
				Tier1ID:     "t1_a41909b9-ea00-4d86-b3f3-82594e15eb56_rtr",
				Networks:    []supervisor.Network{{LogicalSwitchUUID: "e87463d0-f142-44f7-8c3b-e0d849b58fe9", Subnet: netip.MustParsePrefix("10.244.0.16/28")}},
				SNATAddress: netip.MustParseAddr("192.168.30.66"),
				ExternalPool: supervisor.ExternalPool{
					ID:          "domain-c1006:19677842-d097-4df6-b428-bceb1cf631c9-ippool-192-168-30-65-192-168-30-94",
					NCPCluster:  "domain-c1006:19677842-d097-4df6-b428-bceb1cf631c9",
					VCenterUUID: "19677842-d097-4df6-b428-bceb1cf631c9",
					First:       netip.MustParseAddr("192.168.30.65"), Last: netip.MustParseAddr("192.168.30.94"),
				},
				ResourcePool: "resgroup-1042", Folder: "group-v1043",
			},
		},
		"System": {reason: "a namespace of the system has nothing", want: supervisor.Namespace{}},
		"ManyNetworks": {
			reason: "networks are in the order of their numbers, not of their names",
			annotations: map[string]string{
				"ls_id-10": "k", "ncp/subnet-10": "10.244.0.160/28",
				"ls_id-2": "c", "ncp/subnet-2": "10.244.0.32/28",
				"ls_id-x": "no number",
			},
			want: supervisor.Namespace{Networks: []supervisor.Network{
				{LogicalSwitchUUID: "c", Subnet: netip.MustParsePrefix("10.244.0.32/28")},
				{LogicalSwitchUUID: "k", Subnet: netip.MustParsePrefix("10.244.0.160/28")},
			}},
		},
		"Broken": {
			reason:      "what makes no sense is named, and not guessed",
			annotations: map[string]string{"ncp/snat_ip": "here", "ncp/subnet-0": "10.244.0.16", "ncp/extpoolid": "shared-pool"},
			want: supervisor.Namespace{
				Networks:     []supervisor.Network{{}},
				ExternalPool: supervisor.ExternalPool{ID: "shared-pool"},
				Problems:     []string{`ncp/extpoolid: "shared-pool"`, `ncp/snat_ip: "here"`, `ncp/subnet-0: "10.244.0.16"`},
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := supervisor.ParseNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Labels: tc.labels, Annotations: tc.annotations}})
			got.Labels = nil
			if d := diff(tc.want, got); d != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, d)
			}
		})
	}
}

func TestParseService(t *testing.T) {
	t.Parallel()
	vip, internal := netip.MustParseAddr("10.114.19.74"), netip.MustParseAddr("100.64.112.13")
	cases := map[string]struct {
		reason      string
		annotations map[string]string
		ingress     []corev1.LoadBalancerIngress
		want        supervisor.Service
	}{
		"Newer": {
			reason:      "the internal address is in the annotation alone",
			annotations: map[string]string{"ncp/internal_ip_for_policy": "100.64.112.13"},
			ingress:     []corev1.LoadBalancerIngress{{IP: "10.114.19.74"}},
			want:        supervisor.Service{VIPs: []netip.Addr{vip}, InternalAddress: internal},
		},
		"Older": {
			reason:      "the internal address is among the addresses too",
			annotations: map[string]string{"ncp/internal_ip_for_policy": "100.64.112.13"},
			ingress:     []corev1.LoadBalancerIngress{{IP: "10.114.19.74"}, {IP: "100.64.112.13"}},
			want:        supervisor.Service{VIPs: []netip.Addr{vip}, InternalAddress: internal},
		},
		"Oldest": {
			reason:  "the internal address is among the addresses alone",
			ingress: []corev1.LoadBalancerIngress{{IP: "100.64.112.13"}, {IP: "10.114.19.74"}},
			want:    supervisor.Service{VIPs: []netip.Addr{vip}, InternalAddress: internal},
		},
		"InternalElsewhere": {
			reason:      "an internal address outside of 100.64.0.0/10 has been seen",
			annotations: map[string]string{"ncp/internal_ip_for_policy": "100.164.144.3"},
			ingress:     []corev1.LoadBalancerIngress{{IP: "10.114.19.74"}, {IP: "100.164.144.3"}},
			want:        supervisor.Service{VIPs: []netip.Addr{vip}, InternalAddress: netip.MustParseAddr("100.164.144.3")},
		},
		"Errors": {
			reason:      "every kind of error, sorted",
			annotations: map[string]string{"ncp/error.snat": "IP_POOL_EXHAUSTED", "ncp/error.loadbalancer": "IP_POOL_NOT_FOUND"},
			want: supervisor.Service{Errors: []supervisor.NCPError{
				{Kind: "loadbalancer", Code: "IP_POOL_NOT_FOUND"}, {Kind: "snat", Code: "IP_POOL_EXHAUSTED"},
			}},
		},
		"Hostname": {
			reason:  "a name is no address",
			ingress: []corev1.LoadBalancerIngress{{Hostname: "lb.example.com"}},
			want:    supervisor.Service{Hostnames: []string{"lb.example.com"}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Annotations: tc.annotations}}
			svc.Status.LoadBalancer.Ingress = tc.ingress
			if d := diff(tc.want, supervisor.ParseService(svc)); d != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, d)
			}
		})
	}
}

func TestParsePod(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "acme-data", Name: "redis-0",
			Annotations: map[string]string{"vmware-system-vm-moid": "vm-1042:19677842-d097-4df6-b428-bceb1cf631c9", "vmware-system-vm-uuid": "u", "mac": "04:50:56:00:00:01"},
		},
		Spec: corev1.PodSpec{NodeName: "esxi-1"},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: "10.244.0.18",
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		},
	}
	want := supervisor.Pod{
		Namespace: "acme-data", Name: "redis-0", Phase: corev1.PodRunning, Ready: true,
		Address: netip.MustParseAddr("10.244.0.18"), Host: "esxi-1",
		VMID: "vm-1042", VMUUID: "u", MAC: "04:50:56:00:00:01",
	}
	if d := diff(want, supervisor.ParsePod(pod)); d != "" {
		t.Errorf("pod (-want +got):\n%s", d)
	}
}

func TestParseVirtualMachineService(t *testing.T) {
	t.Parallel()
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "vmoperator.vmware.com/v1alpha2", "kind": "VirtualMachineService",
		"metadata": map[string]any{
			"namespace": "acme-app", "name": "acme-fitness-98a1f5a1f0d6f3e4c5b6a",
			"labels": map[string]any{
				"run.tanzu.vmware.com/cluster.name":      "acme-fitness",
				"run.tanzu.vmware.com/service.name":      "frontend",
				"run.tanzu.vmware.com/service.namespace": "shop",
			},
		},
		"spec": map[string]any{
			"type":     "LoadBalancer",
			"selector": map[string]any{"capv.vmware.com/cluster.name": "acme-fitness"},
			"ports":    []any{map[string]any{"name": "http", "protocol": "TCP", "port": int64(80), "targetPort": int64(31234)}},
		},
		"status": map[string]any{"loadBalancer": map[string]any{"ingress": []any{map[string]any{"ip": "192.168.30.70"}, map[string]any{"ip": "100.64.0.3"}}}},
	}}
	got, err := supervisor.ParseVirtualMachineService(u)
	if err != nil {
		t.Fatal(err)
	}
	want := supervisor.VirtualMachineService{
		Namespace: "acme-app", Name: "acme-fitness-98a1f5a1f0d6f3e4c5b6a", Labels: u.GetLabels(),
		Type: "LoadBalancer", Selector: map[string]string{"capv.vmware.com/cluster.name": "acme-fitness"},
		Ports:        []supervisor.VirtualMachineServicePort{{Name: "http", Protocol: "TCP", Port: 80, TargetPort: 31234}},
		VIPs:         []netip.Addr{netip.MustParseAddr("192.168.30.70")},
		GuestCluster: "acme-fitness", GuestService: types.NamespacedName{Namespace: "shop", Name: "frontend"},
	}
	if d := diff(want, got); d != "" {
		t.Errorf("virtual machine service (-want +got):\n%s", d)
	}
	u.Object["spec"] = "nonsense"
	if _, err := supervisor.ParseVirtualMachineService(u); !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("a damaged object: %v", err)
	}
}
