// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/viaduct-sdk/viaduct"
)

// Adoption takes a user's Service over for an import and remembers what it was,
// so that it can be given back. It is plan: pure.

// annotationAdopted holds what an adopted Service was before.
const annotationAdopted = markPrefix + "adopted"

// adopted is what an import changes of a Service that it takes over.
type adopted struct {
	Type            corev1.ServiceType     `json:"type"`
	Selector        map[string]string      `json:"selector,omitempty"`
	Ports           []corev1.ServicePort   `json:"ports"`
	SessionAffinity corev1.ServiceAffinity `json:"sessionAffinity,omitempty"`
}

// adopting reports whether a Service is being taken over, or was before.
func (o importObserved) adopting(target types.NamespacedName, opts *importOptions) bool {
	if o.service.live == nil {
		return false
	}
	_, ours := readMark(o.service.live, target)
	return !ours && opts.adopt || ours && o.service.Annotations[annotationAdopted] != ""
}

// adoptable returns why a Service cannot be taken over.
func adoptable(e *Exported, s service, opts *importOptions) *refusal {
	switch {
	case s.Spec.Type == corev1.ServiceTypeExternalName:
		return &refusal{viaduct.ErrUnsupported, "a Service of type ExternalName cannot be adopted: it has no cluster IP", "delete it"}
	case s.Spec.ClusterIP == corev1.ClusterIPNone:
		return &refusal{viaduct.ErrUnsupported, "a headless Service cannot be adopted: it has no cluster IP", "delete it"}
	case len(s.OwnerReferences) > 0:
		return &refusal{viaduct.ErrNotOwned, fmt.Sprintf("the Service belongs to %s, which would take it back", owner(s.live)), "remove it there"}
	}
	ports := opts.servicePorts(e)
	for _, have := range s.Spec.Ports {
		if !slices.ContainsFunc(ports, func(p Port) bool { return p.Port == have.Port && p.Protocol == have.Protocol }) {
			return &refusal{viaduct.ErrInvalid, fmt.Sprintf("the Service has port %d/%s, which the exported one lacks", have.Port, have.Protocol), "export that port too"}
		}
	}
	return nil
}

// memory returns what is to be remembered of an adopted Service: what was noted
// when it was adopted, or what it is now.
func memory(s *corev1.Service) (string, error) {
	if noted := s.Annotations[annotationAdopted]; noted != "" {
		return noted, nil
	}
	data, err := json.Marshal(adopted{s.Spec.Type, s.Spec.Selector, s.Spec.Ports, s.Spec.SessionAffinity})
	return string(data), err
}

// giveUp removes the importing Service, or gives it back when it was adopted.
func giveUp(cluster string, target types.NamespacedName, s service, reason string) ([]Step, error) {
	noted := s.Annotations[annotationAdopted]
	if noted == "" {
		return remove(cluster, s.object, reason), nil
	}
	want, err := givenBack(target, noted)
	if err != nil {
		return nil, &Error{
			Op: "unimport", Cluster: cluster, Object: target, Err: fmt.Errorf("%w: %w", viaduct.ErrInvalid, err),
			Reason: "annotation " + annotationAdopted + " does not say what the Service was before", Hint: "correct the annotation",
		}
	}
	return converge(cluster, s.object, want, reason+" and is given back"), nil
}

// givenBack renders a Service as it was before it was adopted.
func givenBack(target types.NamespacedName, noted string) (*unstructured.Unstructured, error) {
	var was adopted
	if err := json.Unmarshal([]byte(noted), &was); err != nil {
		return nil, err
	}
	spec := applycorev1.ServiceSpec().WithType(was.Type).WithSelector(was.Selector).WithSessionAffinity(was.SessionAffinity)
	for _, p := range was.Ports {
		port := applycorev1.ServicePort().WithProtocol(p.Protocol).WithPort(p.Port).WithTargetPort(p.TargetPort)
		if p.Name != "" {
			port.WithName(p.Name)
		}
		if p.NodePort != 0 {
			port.WithNodePort(p.NodePort)
		}
		if p.AppProtocol != nil {
			port.WithAppProtocol(*p.AppProtocol)
		}
		spec.WithPorts(port)
	}
	return render(applycorev1.Service(target.Name, target.Namespace).WithSpec(spec))
}
