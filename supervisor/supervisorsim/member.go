// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"cmp"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// member is a member that a pool should have.
type member struct {
	name    string
	address string
	port    string
	ready   bool
}

// selects reports whether the pod is behind the Service.
func selects(svc *corev1.Service, pod *corev1.Pod) bool {
	return len(svc.Spec.Selector) > 0 && svc.Namespace == pod.Namespace &&
		labels.SelectorFromSet(svc.Spec.Selector).Matches(labels.Set(pod.Labels))
}

// podMembers returns the members that pods are for one port of a Service, by
// address. A pod that has no address, is on its way out, has ended, or lacks
// the named target port is none.
func podMembers(svc *corev1.Service, port corev1.ServicePort, pods []*corev1.Pod) []member {
	var members []member
	for _, pod := range pods {
		if !selects(svc, pod) || !serves(pod) {
			continue
		}
		target, ok := targetPort(port, pod)
		if !ok {
			continue
		}
		members = append(members, member{
			name:    pod.Name,
			address: pod.Status.PodIP,
			port:    strconv.Itoa(int(target)),
			ready:   svc.Spec.PublishNotReadyAddresses || isReady(pod),
		})
	}
	return sortMembers(members)
}

// endpointMembers returns the members that the Endpoints of a Service without
// selector hold for one of its ports.
func endpointMembers(port corev1.ServicePort, endpoints *corev1.Endpoints) []member { //nolint:staticcheck // vm-operator writes Endpoints, and NSX components read them
	if endpoints == nil {
		return nil
	}
	var members []member
	for _, subset := range endpoints.Subsets {
		for _, p := range subset.Ports {
			if p.Name != port.Name || protocolOf(p.Protocol) != protocolOf(port.Protocol) {
				continue
			}
			number := strconv.Itoa(int(p.Port))
			for _, a := range subset.Addresses {
				members = append(members, member{name: a.IP, address: a.IP, port: number, ready: true})
			}
			for _, a := range subset.NotReadyAddresses {
				members = append(members, member{name: a.IP, address: a.IP, port: number})
			}
		}
	}
	return sortMembers(members)
}

func sortMembers(members []member) []member {
	slices.SortFunc(members, func(a, b member) int {
		return cmp.Or(cmp.Compare(a.address, b.address), cmp.Compare(a.port, b.port), cmp.Compare(a.name, b.name))
	})
	return members
}

// serves reports whether the pod has an address and may get traffic.
func serves(pod *corev1.Pod) bool {
	return pod.Status.PodIP != "" && pod.DeletionTimestamp == nil &&
		pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}

// targetPort is the number of the pod's port that a Service port leads to; a
// named one is looked up among the pod's containers.
func targetPort(port corev1.ServicePort, pod *corev1.Pod) (int32, bool) {
	if port.TargetPort.Type == intstr.Int {
		return cmp.Or(port.TargetPort.IntVal, port.Port), true
	}
	return namedPort(port.TargetPort.StrVal, port.Protocol, pod)
}

func namedPort(name string, protocol corev1.Protocol, pod *corev1.Pod) (int32, bool) {
	for _, c := range containers(pod) {
		for _, p := range c.Ports {
			if p.Name == name && protocolOf(p.Protocol) == protocolOf(protocol) {
				return p.ContainerPort, true
			}
		}
	}
	return 0, false
}

// containers are those that may serve: the pod's own, and init containers that
// stay as sidecars.
func containers(pod *corev1.Pod) []corev1.Container {
	all := slices.Clone(pod.Spec.Containers)
	for _, c := range pod.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			all = append(all, c)
		}
	}
	return all
}

func protocolOf(p corev1.Protocol) corev1.Protocol {
	return cmp.Or(p, corev1.ProtocolTCP)
}

func isReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
