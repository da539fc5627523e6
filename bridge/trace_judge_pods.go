// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/viaduct-sdk/viaduct/nsx"
)

// Judge is pure: facts in, hops out.

// judgePods looks for ready pods behind the members.
func (p pathFacts) judgePods() Hop {
	if h := p.exportUnknown(HopPods); h != nil {
		return *h
	}
	e := p.exporting
	switch {
	case e.vipService.live == nil:
		return skipped(HopPods, "there is no Service of type LoadBalancer")
	case e.podsErr != nil:
		return unknown(HopPods, fmt.Sprintf("the pods of cluster %s could not be read: %v", p.source.Cluster, e.podsErr))
	}
	selector := describeSelector(e.vipService.Spec.Selector)
	ready, faults := p.readyPods()
	if len(ready) == 0 {
		_, remedy := p.whyNoMembers()
		if len(faults) == 0 {
			return broken(HopPods, fmt.Sprintf("no pod in namespace %s matches the selector %s", p.source.Namespace, selector), remedy)
		}
		return broken(HopPods, "no pod behind the Service is ready: "+strings.Join(faults, ", "), remedy)
	}
	evidence := []string{fmt.Sprintf("%d of %d pods with %s are ready", len(ready), len(ready)+len(faults), selector)}
	evidence = append(evidence, faults...)
	members := p.upMembers()
	if len(members) == 0 || p.onNodes(members) {
		return okay(HopPods, evidence...)
	}
	var strangers []string
	matched := false
	for _, m := range members {
		i := slices.IndexFunc(ready, func(pod corev1.Pod) bool { return hasAddress(pod, m.IPAddress) })
		if i < 0 {
			strangers = append(strangers, m.IPAddress)
			continue
		}
		matched = true
	}
	if !matched {
		return broken(HopPods, fmt.Sprintf("no ready pod of the Service has the address of a member (%s)", strings.Join(strangers, ", ")),
			"see whether NCP runs: it keeps the members of pools up to date", evidence...)
	}
	if len(strangers) > 0 {
		evidence = append(evidence, "members without a ready pod: "+strings.Join(strangers, ", "))
	}
	return okay(HopPods, evidence...)
}

// upMembers are the members that get connections, as far as is known.
func (p pathFacts) upMembers() []nsx.MemberStatus {
	servers, _ := p.nsx.serving(p.vips(), p.vipPorts())
	var all []nsx.MemberStatus
	for _, s := range servers {
		for _, m := range p.nsx.pools[s.pool].members {
			if m.Status == nsx.LBUp || m.Status == nsx.LBUnknown || m.Status == nsx.LBUnused || m.Status == "" {
				all = append(all, m)
			}
		}
	}
	return all
}

// onNodes reports whether the members are nodes, which pass connections on from
// a node port, and not pods: so it is for a TK cluster.
func (p pathFacts) onNodes(members []nsx.MemberStatus) bool {
	for _, port := range p.exporting.vipService.Spec.Ports {
		number := strconv.Itoa(int(port.NodePort))
		if port.NodePort != 0 && slices.ContainsFunc(members, func(m nsx.MemberStatus) bool { return m.Port == number }) {
			return true
		}
	}
	return false
}

// readyPods are the pods that may get connections, and why the others do not.
func (p pathFacts) readyPods() (ready []corev1.Pod, faults []string) {
	for _, pod := range p.exporting.pods {
		fault := podFault(pod)
		anyway := p.exporting.vipService.Spec.PublishNotReadyAddresses && pod.Status.PodIP != "" && pod.DeletionTimestamp == nil
		if fault != "" && !anyway {
			faults = append(faults, fault)
			continue
		}
		ready = append(ready, pod)
	}
	return ready, faults
}

// podFault says why a pod gets no connections; empty when it does.
func podFault(pod corev1.Pod) string {
	what := "pod " + pod.Name + " "
	switch {
	case pod.DeletionTimestamp != nil:
		return what + "is being deleted"
	case pod.Status.Phase != corev1.PodRunning:
		return what + "is " + cmp.Or(string(pod.Status.Phase), "not running") + waiting(pod)
	case pod.Status.PodIP == "":
		return what + "has no address"
	}
	for _, c := range pod.Status.Conditions {
		if c.Type != corev1.PodReady {
			continue
		}
		if c.Status == corev1.ConditionTrue {
			return ""
		}
		if why := strings.TrimSpace(c.Reason + " " + c.Message); why != "" {
			return what + "is not ready: " + why + waiting(pod)
		}
		break
	}
	return what + "is not ready" + waiting(pod)
}

// waiting says what the containers of a pod wait for.
func waiting(pod corev1.Pod) string {
	var reasons []string
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if s.State.Waiting != nil && s.State.Waiting.Reason != "" {
			reasons = append(reasons, s.Name+" "+s.State.Waiting.Reason)
		}
	}
	if len(reasons) == 0 {
		return ""
	}
	return " (" + strings.Join(reasons, ", ") + ")"
}

func hasAddress(pod corev1.Pod, address string) bool {
	return pod.Status.PodIP == address || slices.ContainsFunc(pod.Status.PodIPs, func(ip corev1.PodIP) bool { return ip.IP == address })
}

// whyNoMembers says why a pool has no members, from the pods.
func (p pathFacts) whyNoMembers() (cause, remedy string) {
	remedy = "see whether the Service's selector fits the pods, and whether they run"
	e := p.exporting
	if e.vipService.live == nil || e.podsErr != nil {
		return "", remedy
	}
	ready, faults := p.readyPods()
	switch {
	case len(ready) > 0:
		return "", "see whether NCP runs, and whether the pods have the Service's target port by name"
	case len(faults) > 0:
		return ": " + strings.Join(faults, ", "), "see the events of the pods"
	default:
		return fmt.Sprintf(": no pod in namespace %s matches the selector %s", p.source.Namespace, describeSelector(e.vipService.Spec.Selector)),
			"start the pods, or correct the selector of the Service"
	}
}

// whyDown says what the pod behind a member tells of itself.
func (p pathFacts) whyDown(address string) string {
	for _, pod := range p.exporting.pods {
		if !hasAddress(pod, address) {
			continue
		}
		if fault := podFault(pod); fault != "" {
			return " (" + fault + ")"
		}
		return " (pod " + pod.Name + " is ready)"
	}
	return ""
}
