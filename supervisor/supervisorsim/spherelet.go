// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// AnnotationHold on a pod keeps it from running or from being ready, for as
// long as it is there.
const AnnotationHold = "supervisorsim.viaduct-sdk.github.io/hold"

// The values of [AnnotationHold].
const (
	// HoldPending leaves the pod as it was created: without address.
	HoldPending = "pending"
	// HoldNotReady runs the pod and makes it not ready.
	HoldNotReady = "not-ready"
)

// What the Supervisor writes on a vSphere Pod (velero-plugin-for-vsphere).
const (
	annotationVMID   = "vmware-system-vm-moid"
	annotationVMUUID = "vmware-system-vm-uuid"
	annotationMAC    = "mac"

	reasonHeld = "Held"
)

// spherelet stands in for the Supervisor's scheduler and for the spherelets on
// its hosts: it makes pods without node run and be ready.
type spherelet struct {
	nets *networks
	view view
	kube kubernetes.Interface
	// grown is called with the namespace whose network has grown.
	grown func(namespace string)
}

// load takes the addresses that pods have already.
func (s *spherelet) load() {
	for _, pod := range s.view.podsIn(metav1.NamespaceAll) {
		network, err := s.view.networkOf(pod.Namespace)
		if addr, parseErr := netip.ParseAddr(pod.Status.PodIP); err == nil && parseErr == nil {
			// An address of no subnet of ours is somebody else's affair.
			_, _, _ = s.nets.takePod(network, string(pod.UID), addr)
		}
	}
}

func (s *spherelet) reconcile(ctx context.Context, key objectKey) error {
	pod := s.view.pod(key)
	if pod == nil {
		s.nets.releasePod(string(key.uid))
		return nil
	}
	hold := pod.Annotations[AnnotationHold]
	ready := hold != HoldNotReady
	switch {
	case pod.Spec.NodeName != "" || pod.DeletionTimestamp != nil || hold == HoldPending || len(pod.Spec.SchedulingGates) > 0:
		return nil
	case pod.Status.Phase == corev1.PodPending:
		return s.start(ctx, pod, ready)
	case pod.Status.Phase == corev1.PodRunning && (!ready && isReady(pod) || ready && isHeld(pod)):
		return s.write(ctx, pod, map[string]any{"conditions": conditions(pod, ready)}, "status")
	default:
		return nil
	}
}

// start gives the pod an address and makes it run.
func (s *spherelet) start(ctx context.Context, pod *corev1.Pod, ready bool) error {
	network, err := s.view.networkOf(pod.Namespace)
	if err != nil {
		return fmt.Errorf("supervisorsim: pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	addr, grew, err := s.nets.takePod(network, string(pod.UID), netip.Addr{})
	if err != nil {
		return fmt.Errorf("supervisorsim: address of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	if grew {
		s.grown(pod.Namespace)
	}
	vm := identify("vm", string(pod.UID))
	number := fnv.New32a()
	_, _ = number.Write([]byte(pod.UID))
	n := number.Sum32()
	annotations := map[string]string{
		annotationVMID:   fmt.Sprintf("vm-%d", 1000+n%90000),
		annotationVMUUID: vm,
		annotationMAC:    fmt.Sprintf("04:50:56:%02x:%02x:%02x", byte(n>>16), byte(n>>8), byte(n)),
	}
	if pod.Annotations[annotationVMUUID] != vm {
		if err := s.write(ctx, pod, map[string]any{"annotations": annotations}); err != nil {
			return err
		}
	}
	now := metav1.Now()
	return s.write(ctx, pod, map[string]any{
		"phase":             corev1.PodRunning,
		"podIP":             addr.String(),
		"podIPs":            []corev1.PodIP{{IP: addr.String()}},
		"startTime":         now,
		"conditions":        conditions(pod, ready),
		"containerStatuses": containerStatuses(pod, now, ready),
	}, "status")
}

// conditions are those of a running pod; a condition whose status stays keeps
// its time.
func conditions(pod *corev1.Pod, ready bool) []corev1.PodCondition {
	readiness, reason := corev1.ConditionTrue, ""
	if !ready {
		readiness, reason = corev1.ConditionFalse, reasonHeld
	}
	all := []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue},
		{Type: corev1.PodInitialized, Status: corev1.ConditionTrue},
		{Type: corev1.ContainersReady, Status: readiness, Reason: reason},
		{Type: corev1.PodReady, Status: readiness, Reason: reason},
	}
	for i := range all {
		all[i].LastTransitionTime = metav1.NewTime(time.Now())
		for _, old := range pod.Status.Conditions {
			if old.Type == all[i].Type && old.Status == all[i].Status {
				all[i].LastTransitionTime = old.LastTransitionTime
			}
		}
	}
	return all
}

// isHeld reports whether it was the annotation that made the pod not ready.
func isHeld(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status != corev1.ConditionTrue && c.Reason == reasonHeld
		}
	}
	return false
}

func containerStatuses(pod *corev1.Pod, started metav1.Time, ready bool) []corev1.ContainerStatus {
	all := make([]corev1.ContainerStatus, 0, len(pod.Spec.Containers))
	for _, c := range pod.Spec.Containers {
		running := true
		all = append(all, corev1.ContainerStatus{
			Name:    c.Name,
			Image:   c.Image,
			Ready:   ready,
			Started: &running,
			State:   corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}},
		})
	}
	return all
}

// write patches the pod's status, or else its metadata, if it is still the same
// pod.
func (s *spherelet) write(ctx context.Context, pod *corev1.Pod, change map[string]any, subresources ...string) error {
	metadata := map[string]any{"uid": pod.UID}
	patch := map[string]any{"metadata": metadata}
	if len(subresources) > 0 {
		patch["status"] = change
	} else {
		maps.Copy(metadata, change)
	}
	data, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	_, err = s.kube.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, data,
		metav1.PatchOptions{FieldManager: "spherelet"}, subresources...)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("supervisorsim: pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}
