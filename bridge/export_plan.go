// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/viaduct-sdk/viaduct"
)

// Plan is pure: values in, a Plan out.

// exportPlan is a plan and what it will have made.
type exportPlan struct {
	Plan
	source Source
	// vipService is the Service that gets the VIP.
	vipService types.NamespacedName
	ports      []Port
	affinity   corev1.ServiceAffinity
}

// withdrawal reports whether a step of an export takes away what served the
// Service before. Such steps come last, when the new virtual address is proved,
// unless that is the very address that they set free.
func withdrawal(s Step) bool { return s.Action == ActionDelete && !s.frees }

// removeCompanion returns the removal of the companion of a Service that is a load
// balancer itself now. It comes first where the Service wants its address.
func removeCompanion(cluster string, name types.NamespacedName, companion service, wanted string) []Step {
	steps := remove(cluster, companion.object, "Service "+name.String()+" is a load balancer itself now")
	for i := range steps {
		steps[i].frees = slices.ContainsFunc(companion.Status.LoadBalancer.Ingress, func(in corev1.LoadBalancerIngress) bool { return in.IP == wanted })
	}
	return steps
}

// companionOf names the LoadBalancer Service beside an exported one.
func companionOf(name types.NamespacedName) types.NamespacedName {
	const suffix = "-viaduct"
	if len(name.Name)+len(suffix) <= validation.DNS1035LabelMaxLength {
		name.Name += suffix
		return name
	}
	short := hash(name.Name)
	keep := validation.DNS1035LabelMaxLength - len(suffix) - len(short) - 1
	name.Name = name.Name[:keep] + "-" + short + suffix
	return name
}

// planExport makes the Service reachable from outside: as it is when it is a
// load balancer, through a companion otherwise.
func planExport(cluster string, name types.NamespacedName, o exportObserved, opts *exportOptions) (exportPlan, error) {
	refuse := func(err error, reason, hint string) (exportPlan, error) {
		return exportPlan{}, (&refusal{err, reason, hint}).of("export", cluster, name)
	}
	if r := exportable(name, o); r != nil {
		return exportPlan{}, r.of("export", cluster, name)
	}
	p := exportPlan{
		source:     Source{Cluster: cluster, Namespace: name.Namespace, Name: name.Name, UID: o.service.UID},
		vipService: name,
		ports:      portsOf(o.service.Service),
	}
	if o.service.Spec.SessionAffinity == corev1.ServiceAffinityClientIP {
		p.affinity = corev1.ServiceAffinityClientIP
	}
	if opts.convert && (o.service.Spec.Type != corev1.ServiceTypeLoadBalancer || converted(name, o.service)) {
		return planConversion(p, name, o, opts)
	}
	companion := companionOf(name)
	ours := ownCompanion(name, o.companion)
	if o.service.Spec.Type == corev1.ServiceTypeLoadBalancer {
		if opts.loadBalancerIP.IsValid() {
			return refuse(viaduct.ErrInvalid, "the Service is a load balancer itself, and is exported as it is", "set its own spec.loadBalancerIP")
		}
		if ours {
			p.Steps = removeCompanion(cluster, name, o.companion, o.service.Spec.LoadBalancerIP)
		}
		return p, nil
	}
	if o.companion.live != nil && !ours {
		return refuse(viaduct.ErrNotOwned,
			fmt.Sprintf("the companion's name is taken by Service %s, which belongs to %s", companion, owner(o.companion.live)),
			"rename or delete that Service")
	}
	if o.companion.live != nil && o.companion.DeletionTimestamp != nil {
		return refuse(viaduct.ErrConflict, fmt.Sprintf("its companion %s is being deleted", companion), "export again when it is gone")
	}
	p.vipService = companion
	want, err := companionService(p.source, companion, o.service.Service, opts)
	if err != nil {
		return refuse(viaduct.ErrInvalid, err.Error(), "")
	}
	p.Steps = converge(cluster, o.companion.object, want, "gives Service "+name.String()+" a virtual server")
	return p, nil
}

// exportable returns why a Service cannot be exported, nil when it can.
func exportable(name types.NamespacedName, o exportObserved) *refusal {
	if o.namespaceMissing {
		return &refusal{viaduct.ErrNotFound, "there is no such namespace", "check the cluster and the spelling"}
	}
	if o.service.live == nil {
		return &refusal{viaduct.ErrNotFound, "there is no such Service", "check the cluster and the spelling"}
	}
	switch m, ok := readMark(o.service.live, name); {
	case !ok || m.role == RoleConverted:
	case m.role == RoleImport:
		return &refusal{viaduct.ErrInvalid, "the Service is itself an import of " + m.source.String(), "export the original"}
	default:
		return &refusal{viaduct.ErrInvalid, "the Service is the companion of " + m.source.Name, "export that one"}
	}
	return servable(o.service)
}

// servable returns why a virtual address cannot stand for a Service.
func servable(s service) *refusal {
	spec := s.Spec
	switch {
	case s.DeletionTimestamp != nil:
		return &refusal{viaduct.ErrConflict, "the Service is being deleted", ""}
	case spec.Type == corev1.ServiceTypeExternalName:
		return &refusal{viaduct.ErrUnsupported, "the Service is of type ExternalName: it is a DNS alias and has nothing behind it", "export what it points at"}
	case spec.ClusterIP == corev1.ClusterIPNone:
		return &refusal{viaduct.ErrUnsupported, "the Service is headless: its clients want each pod's own address, and a virtual address cannot give that", "export a Service with a cluster IP"}
	case len(spec.Ports) == 0:
		return &refusal{viaduct.ErrInvalid, "the Service has no ports", "add the ports to be served"}
	case len(spec.Selector) == 0:
		return &refusal{viaduct.ErrUnsupported, "the Service has no selector: its endpoints are kept by hand, and NSX would have no pool members", "add a selector, or import it from where its pods run"}
	}
	for _, p := range spec.Ports {
		if p.Protocol != corev1.ProtocolTCP && p.Protocol != corev1.ProtocolUDP && p.Protocol != "" {
			return &refusal{viaduct.ErrUnsupported, fmt.Sprintf("port %d is %s, and NSX virtual servers carry TCP and UDP", p.Port, p.Protocol), ""}
		}
	}
	return nil
}

// planUnexport removes the companion, if there is one of ours, and gives a
// converted Service its type back.
func planUnexport(cluster string, name types.NamespacedName, o exportObserved) (Plan, error) {
	var p Plan
	if converted(name, o.service) {
		var err error
		if p, err = planReversion(cluster, name, o.service); err != nil {
			return Plan{}, err
		}
	}
	if ownCompanion(name, o.companion) {
		p.Steps = append(p.Steps, remove(cluster, o.companion.object, "Service "+name.String()+" is no longer exported")...)
	}
	return p.sorted(), nil
}

// ownCompanion reports whether an observed Service is the companion that
// Viaduct made for name.
func ownCompanion(name types.NamespacedName, companion service) bool {
	if companion.live == nil {
		return false
	}
	m, ok := readMark(companion.live, companionOf(name))
	return ok && m.role == RoleCompanion && m.source.Namespace == name.Namespace && m.source.Name == name.Name
}

// companionService renders the LoadBalancer Service with the original's
// selector and ports. The original owns it, so that Kubernetes collects it, and
// NCP its virtual servers, when the original goes.
func companionService(source Source, companion types.NamespacedName, original *corev1.Service, opts *exportOptions) (*unstructured.Unstructured, error) {
	m := mark{role: RoleCompanion, source: source, target: companion, name: companion.Name}
	spec := applycorev1.ServiceSpec().
		WithType(corev1.ServiceTypeLoadBalancer).
		WithSelector(original.Spec.Selector)
	for _, p := range sortedPorts(original) {
		port := applycorev1.ServicePort().
			WithProtocol(cmp.Or(p.Protocol, corev1.ProtocolTCP)).
			WithPort(p.Port).
			WithTargetPort(p.TargetPort)
		if p.Name != "" {
			port.WithName(p.Name)
		}
		if p.AppProtocol != nil {
			port.WithAppProtocol(*p.AppProtocol)
		}
		spec.WithPorts(port)
	}
	if original.Spec.IPFamilyPolicy != nil {
		spec.WithIPFamilyPolicy(*original.Spec.IPFamilyPolicy).WithIPFamilies(original.Spec.IPFamilies...)
	}
	if opts.loadBalancerIP.IsValid() {
		spec.WithLoadBalancerIP(opts.loadBalancerIP.String())
	}
	if original.Spec.SessionAffinity == corev1.ServiceAffinityClientIP {
		spec.WithSessionAffinity(corev1.ServiceAffinityClientIP)
		if c := original.Spec.SessionAffinityConfig; c != nil && c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil {
			spec.WithSessionAffinityConfig(applycorev1.SessionAffinityConfig().
				WithClientIP(applycorev1.ClientIPConfig().WithTimeoutSeconds(*c.ClientIP.TimeoutSeconds)))
		}
	}
	if original.Spec.PublishNotReadyAddresses {
		spec.WithPublishNotReadyAddresses(true)
	}
	return render(applycorev1.Service(companion.Name, companion.Namespace).
		WithLabels(m.labels()).
		WithAnnotations(m.annotations()).
		WithOwnerReferences(ownedBy(original.Name, original.UID)).
		WithSpec(spec))
}

// ownedBy refers to a Service as the owner of what Viaduct makes for it.
func ownedBy(name string, uid types.UID) *applymetav1.OwnerReferenceApplyConfiguration {
	return applymetav1.OwnerReference().
		WithAPIVersion("v1").
		WithKind(kindService).
		WithName(name).
		WithUID(uid).
		WithController(true).
		WithBlockOwnerDeletion(false)
}

// portsOf returns the ports of a Service as an exported document holds them.
func portsOf(s *corev1.Service) []Port {
	ports := make([]Port, 0, len(s.Spec.Ports))
	for _, p := range sortedPorts(s) {
		port := Port{Name: p.Name, Protocol: cmp.Or(p.Protocol, corev1.ProtocolTCP), Port: p.Port}
		if p.AppProtocol != nil {
			port.AppProtocol = *p.AppProtocol
		}
		ports = append(ports, port)
	}
	return ports
}

func sortedPorts(s *corev1.Service) []corev1.ServicePort {
	ports := slices.Clone(s.Spec.Ports)
	slices.SortFunc(ports, func(a, b corev1.ServicePort) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
	})
	return ports
}
