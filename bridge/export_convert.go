// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/viaduct-sdk/viaduct"
)

// Conversion changes a Service to type LoadBalancer, as the vSphere
// documentation tells people to do by hand, and remembers the way back. It is
// plan: pure.

// annotationConvertedFrom remembers the type of a converted Service.
const annotationConvertedFrom = markPrefix + "converted-from"

// planConversion exports a Service by changing its type.
func planConversion(p exportPlan, name types.NamespacedName, o exportObserved, opts *exportOptions) (exportPlan, error) {
	from := string(o.service.Spec.Type)
	if converted(name, o.service) {
		from = o.service.Annotations[annotationConvertedFrom]
	}
	m := mark{role: RoleConverted, source: p.source, target: name, name: name.Name}
	spec := applycorev1.ServiceSpec().WithType(corev1.ServiceTypeLoadBalancer)
	if opts.loadBalancerIP.IsValid() {
		spec.WithLoadBalancerIP(opts.loadBalancerIP.String())
	}
	want, err := render(applycorev1.Service(name.Name, name.Namespace).
		WithLabels(m.labels()).
		WithAnnotations(m.annotations()).
		WithAnnotations(map[string]string{annotationConvertedFrom: from}).
		WithSpec(spec))
	if err != nil {
		return exportPlan{}, err
	}
	p.vipService = name
	p.Steps = converge(p.source.Cluster, o.service.object, want, "becomes a load balancer; as "+from+" it has no virtual address")
	if ownCompanion(name, o.companion) {
		p.Steps = append(p.Steps, removeCompanion(p.source.Cluster, name, o.companion, opts.loadBalancerIP.String())...)
	}
	return p, nil
}

// planReversion gives a converted Service its type back. What Viaduct no longer
// applies, the API server removes; ClusterIP is then what it defaults to.
func planReversion(cluster string, name types.NamespacedName, s service) (Plan, error) {
	from := corev1.ServiceType(s.Annotations[annotationConvertedFrom])
	want := applycorev1.Service(name.Name, name.Namespace)
	switch from {
	case corev1.ServiceTypeClusterIP:
	case corev1.ServiceTypeNodePort:
		want.WithSpec(applycorev1.ServiceSpec().WithType(from))
	default:
		return Plan{}, &Error{
			Op: "unexport", Cluster: cluster, Object: name, Err: viaduct.ErrInvalid,
			Reason: fmt.Sprintf("annotation %s is %q, and the Service was ClusterIP or NodePort before", annotationConvertedFrom, from),
			Hint:   "correct the annotation",
		}
	}
	after, err := render(want)
	if err != nil {
		return Plan{}, err
	}
	return Plan{Steps: converge(cluster, s.object, after, "becomes "+string(from)+" again")}, nil
}

// converted reports whether Viaduct changed the type of an observed Service.
func converted(name types.NamespacedName, s service) bool {
	if s.live == nil {
		return false
	}
	m, ok := readMark(s.live, name)
	return ok && m.role == RoleConverted
}
