// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func testPod(name, address string, ready bool, change ...func(*corev1.Pod)) *corev1.Pod {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "acme-data", Name: name, Labels: map[string]string{"app": "redis"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name:  "redis",
			Ports: []corev1.ContainerPort{{Name: "redis", ContainerPort: 6379}, {Name: "gossip", ContainerPort: 7000, Protocol: corev1.ProtocolUDP}},
		}}},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: address,
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: status}},
		},
	}
	for _, f := range change {
		f(pod)
	}
	return pod
}

func TestPodMembers(t *testing.T) {
	t.Parallel()
	tcp := func(target intstr.IntOrString) corev1.ServicePort {
		return corev1.ServicePort{Port: 80, Protocol: corev1.ProtocolTCP, TargetPort: target}
	}
	cases := map[string]struct {
		reason string
		port   corev1.ServicePort
		pods   []*corev1.Pod
		want   []member
	}{
		"Numeric": {
			reason: "a number is the port of every pod, and members are in order of their addresses",
			port:   tcp(intstr.FromInt32(6379)),
			pods:   []*corev1.Pod{testPod("b", "10.244.0.19", true), testPod("a", "10.244.0.18", true)},
			want:   []member{{"a", "10.244.0.18", "6379", true}, {"b", "10.244.0.19", "6379", true}},
		},
		"Absent": {
			reason: "without target port it is the Service's port",
			port:   tcp(intstr.IntOrString{}),
			pods:   []*corev1.Pod{testPod("a", "10.244.0.18", true)},
			want:   []member{{"a", "10.244.0.18", "80", true}},
		},
		"Named": {
			reason: "a name is looked up in each pod, which may differ",
			port:   tcp(intstr.FromString("redis")),
			pods: []*corev1.Pod{
				testPod("a", "10.244.0.18", true),
				testPod("b", "10.244.0.19", true, func(p *corev1.Pod) { p.Spec.Containers[0].Ports[0].ContainerPort = 6380 }),
				testPod("c", "10.244.0.20", true, func(p *corev1.Pod) { p.Spec.Containers[0].Ports = nil }),
			},
			want: []member{{"a", "10.244.0.18", "6379", true}, {"b", "10.244.0.19", "6380", true}},
		},
		"NamedOfOtherProtocol": {
			reason: "a name counts only for its protocol",
			port:   tcp(intstr.FromString("gossip")),
			pods:   []*corev1.Pod{testPod("a", "10.244.0.18", true)},
		},
		"NamedUDP": {
			reason: "UDP has names too",
			port:   corev1.ServicePort{Port: 7000, Protocol: corev1.ProtocolUDP, TargetPort: intstr.FromString("gossip")},
			pods:   []*corev1.Pod{testPod("a", "10.244.0.18", true)},
			want:   []member{{"a", "10.244.0.18", "7000", true}},
		},
		"Sidecar": {
			reason: "an init container that stays may serve",
			port:   tcp(intstr.FromString("proxy")),
			pods: []*corev1.Pod{testPod("a", "10.244.0.18", true, func(p *corev1.Pod) {
				always := corev1.ContainerRestartPolicyAlways
				p.Spec.InitContainers = []corev1.Container{
					{Name: "setup", Ports: []corev1.ContainerPort{{Name: "proxy", ContainerPort: 1}}},
					{Name: "proxy", RestartPolicy: &always, Ports: []corev1.ContainerPort{{Name: "proxy", ContainerPort: 15001}}},
				}
			})},
			want: []member{{"a", "10.244.0.18", "15001", true}},
		},
		"NotReady": {
			reason: "a pod that is not ready is a member that is down",
			port:   tcp(intstr.FromInt32(6379)),
			pods:   []*corev1.Pod{testPod("a", "10.244.0.18", false)},
			want:   []member{{"a", "10.244.0.18", "6379", false}},
		},
		"NoMembers": {
			reason: "pods elsewhere, without address, ended, on their way out or of another app are none",
			port:   tcp(intstr.FromInt32(6379)),
			pods: []*corev1.Pod{
				testPod("a", "", true),
				testPod("b", "10.244.0.18", true, func(p *corev1.Pod) { p.Namespace = "acme-app" }),
				testPod("c", "10.244.0.19", true, func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }),
				testPod("d", "10.244.0.20", true, func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{} }),
				testPod("e", "10.244.0.21", true, func(p *corev1.Pod) { p.Labels = nil }),
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			svc := &corev1.Service{
				ObjectMeta: metav1.ObjectMeta{Namespace: "acme-data", Name: "cart-redis"},
				Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "redis"}},
			}
			got := podMembers(svc, tc.port, tc.pods)
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(member{})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestPublishNotReadyAddresses(t *testing.T) {
	t.Parallel()
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "acme-data"},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "redis"}, PublishNotReadyAddresses: true},
	}
	got := podMembers(svc, corev1.ServicePort{Port: 80}, []*corev1.Pod{testPod("a", "10.244.0.18", false)})
	if diff := cmp.Diff([]member{{"a", "10.244.0.18", "80", true}}, got, cmp.AllowUnexported(member{})); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}

func TestEndpointMembers(t *testing.T) {
	t.Parallel()
	endpoints := &corev1.Endpoints{Subsets: []corev1.EndpointSubset{{ //nolint:staticcheck // what vm-operator writes
		Addresses:         []corev1.EndpointAddress{{IP: "10.244.0.34"}},
		NotReadyAddresses: []corev1.EndpointAddress{{IP: "10.244.0.35"}},
		Ports:             []corev1.EndpointPort{{Name: "https", Port: 31443, Protocol: corev1.ProtocolTCP}, {Name: "dns", Port: 30053, Protocol: corev1.ProtocolUDP}},
	}}}
	got := endpointMembers(corev1.ServicePort{Name: "https", Port: 443}, endpoints)
	want := []member{{"10.244.0.34", "10.244.0.34", "31443", true}, {"10.244.0.35", "10.244.0.35", "31443", false}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(member{})); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	if got := endpointMembers(corev1.ServicePort{Name: "https"}, nil); got != nil {
		t.Errorf("members of absent Endpoints: %v", got)
	}
}
