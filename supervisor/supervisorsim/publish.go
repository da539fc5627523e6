// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// What NCP writes on Kubernetes objects (kubectl output in public, nsx-operator
// pkg/nsx/services/inventory).
const (
	annotationInternalAddress = "ncp/internal_ip_for_policy"
	annotationLBError         = "ncp/error.loadbalancer"
	annotationPortError       = "ncp/error.loadbalancer.unrealized_ports"

	fieldManager = "nsx-ncp"
)

// outcome is what NCP has to say on a Service. The zero value takes everything
// back.
type outcome struct {
	ingress     []string
	annotations map[string]string
}

// outcome is what to write on a Service that got an address, or did not for a
// reason.
func (b *balancer) outcome(svc *corev1.Service, network string, vip netip.Addr, reason string) outcome {
	if reason != "" {
		return outcome{annotations: map[string]string{annotationLBError: reason}}
	}
	o := outcome{ingress: []string{vip.String()}, annotations: map[string]string{}}
	internal := internalAddress(network).String()
	if !b.cfg.Switches.NoInternalAddress {
		o.annotations[annotationInternalAddress] = internal
	}
	if b.cfg.Switches.DoubleIngress {
		o.ingress = append(o.ingress, internal)
	}
	var unrealized []string
	for _, port := range svc.Spec.Ports {
		if !balances(port) {
			unrealized = append(unrealized, fmt.Sprintf("%d/%s", port.Port, port.Protocol))
		}
	}
	if len(unrealized) > 0 {
		o.annotations[annotationPortError] = strings.Join(unrealized, ",")
	}
	return o
}

// internalAddress is the address from which the load balancer of a network
// reaches its members: one of 100.64.0.0/10, between the network's tier-1
// gateway and the tier-0 gateway.
func internalAddress(network string) netip.Addr {
	h := fnv.New32a()
	_, _ = h.Write([]byte(network))
	n := h.Sum32() & 0x3fffff
	return netip.AddrFrom4([4]byte{100, 64 | byte(n>>16), byte(n >> 8), byte(n) | 1})
}

// publisher writes on Services, with the precondition that they are still the
// same.
type publisher struct{ kube kubernetes.Interface }

// ownAnnotations reports whether NCP has written on the Service.
func ownAnnotations(svc *corev1.Service) bool {
	for _, name := range ncpAnnotations() {
		if _, ok := svc.Annotations[name]; ok {
			return true
		}
	}
	return false
}

func ncpAnnotations() []string {
	return []string{annotationInternalAddress, annotationLBError, annotationPortError}
}

// publish makes the Service say what the outcome is: annotations first, so that
// whoever sees the address sees them too. It writes only what differs, and
// nothing on a Service that is gone.
func (p publisher) publish(ctx context.Context, svc *corev1.Service, o outcome) error {
	if patch := annotationPatch(svc.Annotations, o.annotations); len(patch) > 0 {
		if err := p.patch(ctx, svc, map[string]any{"metadata": map[string]any{"annotations": patch}}); err != nil {
			return err
		}
	}
	if slices.Equal(ingressAddresses(svc), o.ingress) {
		return nil
	}
	ingress := make([]map[string]string, 0, len(o.ingress))
	for _, ip := range o.ingress {
		ingress = append(ingress, map[string]string{"ip": ip})
	}
	status := map[string]any{"loadBalancer": map[string]any{"ingress": ingress}}
	return p.patch(ctx, svc, map[string]any{"status": status}, "status")
}

// annotationPatch sets NCP's annotations to what they should be and removes
// those that should not be. It is empty when all are right.
func annotationPatch(have, want map[string]string) map[string]any {
	patch := map[string]any{}
	for _, name := range ncpAnnotations() {
		old, has := have[name]
		switch value, wanted := want[name]; {
		case wanted && (!has || old != value):
			patch[name] = value
		case has && !wanted:
			patch[name] = nil
		}
	}
	return patch
}

func (p publisher) patch(ctx context.Context, svc *corev1.Service, change map[string]any, subresources ...string) error {
	metadata, _ := change["metadata"].(map[string]any)
	if metadata == nil {
		metadata = map[string]any{}
		change["metadata"] = metadata
	}
	metadata["uid"] = svc.UID
	data, err := json.Marshal(change)
	if err != nil {
		return err
	}
	_, err = p.kube.CoreV1().Services(svc.Namespace).Patch(ctx, svc.Name, types.MergePatchType, data,
		metav1.PatchOptions{FieldManager: fieldManager}, subresources...)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		// The Service is gone, or another has its name: it has a key of its own.
		return nil
	}
	if err != nil {
		return fmt.Errorf("supervisorsim: service %s/%s: %w", svc.Namespace, svc.Name, err)
	}
	return nil
}

func ingressAddresses(svc *corev1.Service) []string {
	var all []string
	for _, i := range svc.Status.LoadBalancer.Ingress {
		all = append(all, i.IP)
	}
	return all
}
