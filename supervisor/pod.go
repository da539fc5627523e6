// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"iter"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// What the Supervisor writes on a vSphere Pod (velero-plugin-for-vsphere).
const (
	annotationVMID   = "vmware-system-vm-moid"
	annotationVMUUID = "vmware-system-vm-uuid"
	annotationMAC    = "mac"
)

// Pod is a vSphere Pod: a pod that is a virtual machine of its own.
type Pod struct {
	Namespace, Name string
	UID             string
	Labels          map[string]string

	Phase   corev1.PodPhase
	Ready   bool
	Address netip.Addr
	// Host is the name of the ESXi host that it runs on.
	Host string

	// VMID is the id of its VM in vCenter: vm-1042.
	VMID   string
	VMUUID string
	MAC    string
}

// ParsePod reads what the Supervisor wrote on a pod.
func ParsePod(pod *corev1.Pod) Pod {
	p := Pod{
		Namespace: pod.Namespace,
		Name:      pod.Name,
		UID:       string(pod.UID),
		Labels:    pod.Labels,
		Phase:     pod.Status.Phase,
		Host:      pod.Spec.NodeName,
		VMUUID:    pod.Annotations[annotationVMUUID],
		MAC:       pod.Annotations[annotationMAC],
	}
	// Some versions append vCenter's instance UUID.
	p.VMID, _, _ = strings.Cut(pod.Annotations[annotationVMID], ":")
	if addr, err := netip.ParseAddr(pod.Status.PodIP); err == nil {
		p.Address = addr
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			p.Ready = c.Status == corev1.ConditionTrue
		}
	}
	return p
}

// Pods reads the vSphere Pods of a namespace.
type Pods struct {
	c         *Client
	namespace string
}

// Pods returns a handle for the vSphere Pods of a namespace, or of all
// namespaces when it is empty.
func (c *Client) Pods(namespace string) Pods { return Pods{c, namespace} }

// Get returns a pod. The error matches [viaduct.ErrNotFound] when it does not
// exist.
func (p Pods) Get(ctx context.Context, name string) (Pod, error) {
	pod, err := p.c.kube.CoreV1().Pods(p.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return Pod{}, kubeError("get pod", types.NamespacedName{Namespace: p.namespace, Name: name}.String(), err)
	}
	return ParsePod(pod), nil
}

// List returns one page of pods.
func (p Pods) List(ctx context.Context, opts ListOptions) (Page[Pod], error) {
	return p.listing().page(ctx, opts)
}

// All iterates over every pod, fetching pages as the loop advances. An error is
// yielded once, last.
func (p Pods) All(ctx context.Context, opts ListOptions) iter.Seq2[Pod, error] {
	return p.listing().all(ctx, opts)
}

func (p Pods) listing() listing[Pod] {
	return listOf("list pods", p.namespace, p.c.kube.CoreV1().Pods(p.namespace).List,
		func(l *corev1.PodList) []corev1.Pod { return l.Items },
		func(pod *corev1.Pod) (Pod, bool) { return ParsePod(pod), true })
}
