// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applydiscoveryv1 "k8s.io/client-go/applyconfigurations/discovery/v1"

	"github.com/viaduct-sdk/viaduct"
)

// Plan is pure: values in, a Plan out.

// sliceManager is the value of the label by which Kubernetes tells whose a
// slice is.
const sliceManager = "viaduct-sdk.github.io"

// planImport gives the exported service its name in the importing cluster: a
// Service without a selector, and one slice per address family that holds the
// VIP.
func planImport(cluster string, e *Exported, o importObserved, opts *importOptions) (Plan, error) {
	target := opts.targetOf(e)
	if reason, hint, err := importable(target, e, o, opts); err != nil {
		return Plan{}, &Error{Op: "import", Cluster: cluster, Object: target, Reason: reason, Hint: hint, Err: err}
	}
	m := mark{role: RoleImport, source: e.Source, target: target}
	service, err := importService(m, e, opts)
	if err != nil {
		return Plan{}, err
	}
	var p Plan
	if o.namespaceMissing {
		p.Steps = append(p.Steps, createNamespace(cluster, target.Namespace))
	}
	p.Steps = append(p.Steps, converge(cluster, o.service.object, service, "gives the name to "+e.Source.String())...)
	wanted := map[string]bool{}
	for _, family := range []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6} {
		want, err := importSlice(m, e, family, o.serviceUID())
		if err != nil {
			return Plan{}, err
		}
		if want == nil {
			continue
		}
		wanted[want.GetName()] = true
		p.Steps = append(p.Steps, converge(cluster, o.slice(want.GetName()), want, "leads to "+joinAddresses(e.family(family)))...)
	}
	for _, s := range o.slices {
		if !wanted[s.Name] {
			p.Steps = append(p.Steps, remove(cluster, s.object, "leads to no address of "+e.Source.String())...)
		}
	}
	return p.sorted(), nil
}

// targetOf names the importing Service: as the exported one unless asked for
// otherwise.
func (o *importOptions) targetOf(e *Exported) types.NamespacedName {
	return types.NamespacedName{
		Namespace: cmp.Or(o.target.Namespace, e.Source.Namespace),
		Name:      cmp.Or(o.target.Name, e.Source.Name),
	}
}

// createNamespace is the step that makes a missing namespace. It gets no marks:
// it is not Viaduct's to remove.
func createNamespace(cluster, name string) Step {
	namespace := &unstructured.Unstructured{}
	namespace.SetAPIVersion("v1")
	namespace.SetKind(kindNamespace)
	namespace.SetName(name)
	return Step{Action: ActionCreate, Object: refOf(cluster, namespace), Reason: "holds the import", After: namespace}
}

const (
	reasonSameCluster = "this is the cluster that exported it, where the name works already"
	hintSameCluster   = "import into another cluster"
)

// importable returns why a document cannot be imported here, what to do, and an
// error when it cannot.
func importable(target types.NamespacedName, e *Exported, o importObserved, opts *importOptions) (reason, hint string, err error) {
	if o.namespaceMissing && !opts.createNamespace {
		return "there is no such namespace", "create it first, or import with WithCreateNamespace", viaduct.ErrNotFound
	}
	if o.original == e.Source.UID {
		return reasonSameCluster, hintSameCluster, viaduct.ErrInvalid
	}
	for name, number := range opts.ports {
		if !slices.ContainsFunc(e.Ports, func(p Port) bool { return p.Name == name }) {
			return fmt.Sprintf("port %q is to be %d, and the exported service has no port of that name", name, number), "", viaduct.ErrInvalid
		}
		if len(validation.IsValidPortNum(int(number))) > 0 {
			return fmt.Sprintf("port %q is to be %d, which is out of range", name, number), "", viaduct.ErrInvalid
		}
	}
	if o.service.live != nil {
		switch o.service.UID {
		case e.Source.UID, e.VIPService.UID:
			return reasonSameCluster, hintSameCluster, viaduct.ErrInvalid
		}
		m, ours := readMark(o.service.live, target)
		switch {
		case !ours || m.role != RoleImport:
			return fmt.Sprintf("the name is taken by Service %s, which belongs to %s", target, owner(o.service.live)),
				"rename or delete that Service", viaduct.ErrNotOwned
		case !m.source.sameService(e.Source):
			return "the name is an import of " + m.source.String() + " already", "unimport that first", viaduct.ErrExists
		case o.service.DeletionTimestamp != nil:
			return "the Service is being deleted", "import again when it is gone", viaduct.ErrConflict
		}
	}
	for _, s := range o.slices {
		if m, ours := readMark(s.live, target); !ours || m.role != RoleImport {
			return fmt.Sprintf("EndpointSlice %s, which belongs to %s, answers to the name", key(s.live), owner(s.live)),
				"delete it, or the Endpoints it mirrors", viaduct.ErrNotOwned
		}
	}
	return "", "", nil
}

// planUnimport removes an import. What is not one is left alone.
func planUnimport(cluster string, target types.NamespacedName, o importObserved) Plan {
	var p Plan
	reason := "Service " + target.String() + " is no longer imported"
	if o.service.live != nil {
		if m, ours := readMark(o.service.live, target); ours && m.role == RoleImport {
			p.Steps = remove(cluster, o.service.object, reason)
		}
	}
	for _, s := range o.slices {
		if m, ours := readMark(s.live, target); ours && m.role == RoleImport {
			p.Steps = append(p.Steps, remove(cluster, s.object, reason)...)
		}
	}
	return p.sorted()
}

// serviceUID returns the UID that owns the slices, empty while there is none.
func (o importObserved) serviceUID() types.UID {
	if o.service.live == nil {
		return ""
	}
	return o.service.UID
}

func (o importObserved) slice(name string) object {
	for _, s := range o.slices {
		if s.Name == name {
			return s.object
		}
	}
	return object{}
}

// importService renders the Service that carries the name. It has no selector,
// so that nobody but Viaduct makes slices for it.
func importService(m mark, e *Exported, opts *importOptions) (*unstructured.Unstructured, error) {
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
	return render(applycorev1.Service(m.target.Name, m.target.Namespace).
		WithLabels(m.labels()).
		WithAnnotations(m.annotations()).
		WithSpec(spec))
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

// importSlice renders the slice that holds the addresses of one family, nil
// when there are none. The Service owns it, so that Kubernetes collects it even
// if Viaduct never runs again.
func importSlice(m mark, e *Exported, family discoveryv1.AddressType, service types.UID) (*unstructured.Unstructured, error) {
	found := e.family(family)
	if len(found) == 0 {
		return nil, nil //nolint:nilnil // no slice is wanted, and that is no error
	}
	labels := m.labels()
	labels[discoveryv1.LabelServiceName] = m.target.Name
	labels[discoveryv1.LabelManagedBy] = sliceManager
	s := applydiscoveryv1.EndpointSlice(sliceName(m, family), m.target.Namespace).
		WithLabels(labels).
		WithAnnotations(m.annotations()).
		WithOwnerReferences(ownedBy(m.target.Name, service)).
		WithAddressType(family)
	for _, address := range found {
		s.WithEndpoints(applydiscoveryv1.Endpoint().
			WithAddresses(address.String()).
			WithConditions(applydiscoveryv1.EndpointConditions().WithReady(true).WithServing(true).WithTerminating(false)))
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

// sliceName is one per importing Service, exporter and family. The name of a
// Service leaves room for the suffix: objects' names may have 253 characters.
func sliceName(m mark, family discoveryv1.AddressType) string {
	return m.target.Name + "-viaduct-" + hash(m.id(), string(family))
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
