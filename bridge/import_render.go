// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applydiscoveryv1 "k8s.io/client-go/applyconfigurations/discovery/v1"
)

// What an import writes, rendered. It is plan: pure.

// sliceManager is the value of the label by which Kubernetes tells whose a
// slice is.
const sliceManager = "viaduct-sdk.github.io"

// endpointsAPI is the API in which a cluster's kube-proxy reads endpoints. An
// import writes exactly one of them.
type endpointsAPI string

const (
	slicesV1        endpointsAPI = "discovery.k8s.io/v1"
	slicesV1beta1   endpointsAPI = "discovery.k8s.io/v1beta1"
	endpointsOfCore endpointsAPI = "v1"
)

// importService renders the Service that carries the name. It has no selector,
// so that nobody but Viaduct makes slices for it.
func importService(target types.NamespacedName, e *Exported, o importObserved, opts *importOptions) (*unstructured.Unstructured, error) {
	m := mark{role: RoleImport, source: e.Source, target: target, name: target.Name}
	spec := applycorev1.ServiceSpec().WithType(corev1.ServiceTypeClusterIP)
	if e.SessionAffinity != "" {
		spec.WithSessionAffinity(e.SessionAffinity)
	}
	for _, p := range opts.servicePorts(e) {
		port := applycorev1.ServicePort().WithProtocol(p.Protocol).WithPort(p.Port)
		if p.Name != "" {
			port.WithName(p.Name)
		}
		if p.AppProtocol != "" {
			port.WithAppProtocol(p.AppProtocol)
		}
		spec.WithPorts(port)
	}
	s := applycorev1.Service(target.Name, target.Namespace).
		WithLabels(m.labels()).
		WithAnnotations(m.annotations()).
		WithSpec(spec)
	if !o.adopting(target, opts) {
		return render(s)
	}
	was, err := memory(o.service.Service)
	if err != nil {
		return nil, err
	}
	want, err := render(s.WithAnnotations(map[string]string{annotationAdopted: was}))
	if err != nil {
		return nil, err
	}
	// An empty selector takes the place of the one that it had.
	return want, unstructured.SetNestedMap(want.Object, map[string]any{}, "spec", "selector")
}

// servicePorts returns the ports as the importing Service has them.
func (o *importOptions) servicePorts(e *Exported) []Port {
	ports := e.sortedPorts()
	for i, p := range ports {
		if number, ok := o.ports[p.Name]; ok {
			ports[i].Port = number
		}
	}
	return ports
}

// importBackends renders what holds the addresses: a slice for each family, or
// Endpoints where there are no slices. The Service owns them, so that Kubernetes
// collects them even if Viaduct never runs again.
func importBackends(target types.NamespacedName, e *Exported, o importObserved) ([]*unstructured.Unstructured, error) {
	if o.api == endpointsOfCore {
		want, err := importEndpoints(target, e, o.serviceUID())
		return []*unstructured.Unstructured{want}, err
	}
	var all []*unstructured.Unstructured
	for _, family := range []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6} {
		addresses := e.family(family)
		if len(addresses) == 0 {
			continue
		}
		want, err := importSlice(target, e, family, o)
		if err != nil {
			return nil, err
		}
		all = append(all, want)
	}
	return all, nil
}

func importSlice(target types.NamespacedName, e *Exported, family discoveryv1.AddressType, o importObserved) (*unstructured.Unstructured, error) {
	name := sliceName(target, e.Source, family)
	m := mark{role: RoleImport, source: e.Source, target: target, name: name}
	conditions := applydiscoveryv1.EndpointConditions().WithReady(true)
	if o.api == slicesV1 {
		conditions.WithServing(true).WithTerminating(false) // since 1.20
	}
	s := applydiscoveryv1.EndpointSlice(name, target.Namespace).
		WithAPIVersion(string(o.api)).
		WithLabels(m.labels()).
		WithLabels(map[string]string{discoveryv1.LabelServiceName: target.Name, discoveryv1.LabelManagedBy: sliceManager}).
		WithAnnotations(m.annotations()).
		WithOwnerReferences(ownedBy(target.Name, o.serviceUID())).
		WithAddressType(family)
	for _, address := range e.family(family) {
		s.WithEndpoints(applydiscoveryv1.Endpoint().WithAddresses(address.String()).WithConditions(conditions))
	}
	for _, p := range e.sortedPorts() {
		port := applydiscoveryv1.EndpointPort().WithName(p.Name).WithProtocol(p.Protocol).WithPort(p.Port)
		if p.AppProtocol != "" {
			port.WithAppProtocol(p.AppProtocol)
		}
		s.WithPorts(port)
	}
	return render(s)
}

// importEndpoints renders the Endpoints of old clusters. Should slices come with
// an upgrade, Kubernetes must not mirror them: the next import writes its own.
func importEndpoints(target types.NamespacedName, e *Exported, service types.UID) (*unstructured.Unstructured, error) {
	m := mark{role: RoleImport, source: e.Source, target: target, name: target.Name}
	subset := applycorev1.EndpointSubset()
	for _, address := range sortedAddresses(e.Addresses) {
		subset.WithAddresses(applycorev1.EndpointAddress().WithIP(address.String()))
	}
	for _, p := range e.sortedPorts() {
		port := applycorev1.EndpointPort().WithProtocol(p.Protocol).WithPort(p.Port)
		if p.Name != "" {
			port.WithName(p.Name)
		}
		subset.WithPorts(port)
	}
	return render(applycorev1.Endpoints(target.Name, target.Namespace).
		WithLabels(m.labels()).
		WithLabels(map[string]string{discoveryv1.LabelSkipMirror: "true"}).
		WithAnnotations(m.annotations()).
		WithOwnerReferences(ownedBy(target.Name, service)).
		WithSubsets(subset))
}

// sliceName is one per importing Service, exporter and family. The name of a
// Service leaves room for the suffix: objects' names may have 253 characters.
func sliceName(target types.NamespacedName, source Source, family discoveryv1.AddressType) string {
	return target.Name + "-viaduct-" + hash(source.String(), string(family))
}

// family returns the addresses of one family, in order.
func (e *Exported) family(family discoveryv1.AddressType) []netip.Addr {
	var found []netip.Addr
	for _, a := range sortedAddresses(e.Addresses) {
		if a.Is4() == (family == discoveryv1.AddressTypeIPv4) {
			found = append(found, a)
		}
	}
	return found
}
