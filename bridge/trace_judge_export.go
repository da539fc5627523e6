// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Judge is pure: facts in, hops out.

func (p pathFacts) name() types.NamespacedName {
	return types.NamespacedName{Namespace: p.source.Namespace, Name: p.source.Name}
}

// judgeAddress looks at the addresses that the import leads to.
func (p pathFacts) judgeAddress() Hop {
	if len(p.addresses) == 0 {
		return skipped(HopAddress, "the import holds no address")
	}
	for _, a := range p.addresses {
		if err := checkVIP(a); err != nil {
			return broken(HopAddress, fmt.Sprintf("the import leads to an address that is no virtual address: %v", err), "import again")
		}
	}
	have := joinAddresses(p.addresses)
	present := p.exporting.present()
	if len(present) == 0 {
		return okay(HopAddress, have+" is a possible virtual address", "what the exporter has now is not known here")
	}
	for _, a := range p.addresses {
		if !slices.Contains(present, a) {
			return broken(HopAddress,
				fmt.Sprintf("the import leads to %s, and Service %s has %s now", a, key(p.exporting.vipService.live), joinAddresses(present)),
				"export again and import the new document")
		}
	}
	return okay(HopAddress, fmt.Sprintf("%s is what Service %s has now", have, key(p.exporting.vipService.live)))
}

// exportUnknown says why nothing is known of the exporting cluster; nil when
// something is.
func (p pathFacts) exportUnknown(name HopName) *Hop {
	var h Hop
	switch {
	case !p.exporting.given:
		h = unknown(name, fmt.Sprintf("the exporting cluster %s was not given (TraceExporter)", p.source.Cluster))
	case p.exporting.err != nil:
		h = unknown(name, fmt.Sprintf("Service %s in cluster %s could not be read: %v", p.name(), p.source.Cluster, p.exporting.err))
	default:
		return nil
	}
	return &h
}

func (p pathFacts) judgeExport() Hop {
	if h := p.exportUnknown(HopExport); h != nil {
		return *h
	}
	e := p.exporting
	where := "in cluster " + p.source.Cluster
	const again = "export again, and import the document"
	fault := func(format string, args ...any) Hop { return broken(HopExport, fmt.Sprintf(format, args...), again) }
	switch {
	case e.namespaceMissing:
		return broken(HopExport, fmt.Sprintf("there is no namespace %s %s any more", p.source.Namespace, where), "unimport the Service")
	case e.service.live == nil:
		return broken(HopExport, fmt.Sprintf("there is no Service %s %s any more", p.name(), where),
			"create it and export it again, or unimport the Service")
	case e.service.DeletionTimestamp != nil:
		return broken(HopExport, fmt.Sprintf("Service %s %s is being deleted", p.name(), where), "unimport the Service")
	}
	companion := companionOf(p.name())
	if e.vipService.live == nil {
		if e.companion.live != nil {
			return broken(HopExport, fmt.Sprintf("the companion's name is taken by Service %s, which belongs to %s", companion, owner(e.companion.live)),
				"rename or delete that Service, and export again")
		}
		return fault("Service %s %s has no companion %s any more, and is no load balancer itself", p.name(), where, companion)
	}
	if e.vipService.DeletionTimestamp != nil {
		return fault("companion %s is being deleted", companion)
	}
	if key(e.vipService.live) != p.name() {
		if h := p.judgeCompanion(); h != nil {
			return *h
		}
	}
	served := portsOf(e.vipService.Service)
	for _, port := range p.ports {
		if !slices.ContainsFunc(served, func(s Port) bool { return s.Port == port.Port && s.Protocol == port.Protocol }) {
			return fault("the import leads to port %s, and Service %s has %s", port, key(e.vipService.live), describePorts(served))
		}
	}
	return okay(HopExport, fmt.Sprintf("Service %s %s is exported by Service %s", p.name(), where, e.vipService.Name))
}

// judgeCompanion compares the companion with the Service that it stands for; nil
// when they agree.
func (p pathFacts) judgeCompanion() *Hop {
	e := p.exporting
	fault := func(format string, args ...any) *Hop {
		h := broken(HopExport, fmt.Sprintf(format, args...), "export again")
		return &h
	}
	switch {
	case !maps.Equal(e.service.Spec.Selector, e.companion.Spec.Selector):
		return fault("companion %s selects %s, and the Service selects %s now", e.companion.Name,
			describeSelector(e.companion.Spec.Selector), describeSelector(e.service.Spec.Selector))
	case !samePorts(e.service.Service, e.companion.Service):
		return fault("companion %s serves %s, and the Service %s now, or on other target ports", e.companion.Name,
			describePorts(portsOf(e.companion.Service)), describePorts(portsOf(e.service.Service)))
	default:
		return nil
	}
}

func samePorts(a, b *corev1.Service) bool {
	return slices.EqualFunc(sortedPorts(a), sortedPorts(b), func(p, q corev1.ServicePort) bool {
		return p.Name == q.Name && p.Protocol == q.Protocol && p.Port == q.Port && p.TargetPort == q.TargetPort
	})
}

// prefixNCPError begins the annotations by which NCP reports errors.
const prefixNCPError = "ncp/error."

func (p pathFacts) judgeNCP() Hop {
	if h := p.exportUnknown(HopNCP); h != nil {
		return *h
	}
	s := p.exporting.vipService
	if s.live == nil {
		return skipped(HopNCP, "there is no Service of type LoadBalancer")
	}
	var errs []string
	for _, name := range slices.Sorted(maps.Keys(s.Annotations)) {
		if strings.HasPrefix(name, prefixNCPError) {
			errs = append(errs, name+": "+s.Annotations[name])
		}
	}
	if len(errs) > 0 {
		return broken(HopNCP, fmt.Sprintf("NCP reports on Service %s: %s", key(s.live), strings.Join(errs, ", ")),
			remedyOfNCP(s.Annotations[annotationLoadBalancerError]))
	}
	v, err := judgeStatus(s.Service)
	switch {
	case err != nil:
		return broken(HopNCP, err.Error(), "see who writes the status of Service "+key(s.live).String())
	case v.waiting != "":
		return broken(HopNCP, "nobody has given Service "+key(s.live).String()+" an address, and nobody says why",
			"see whether NCP runs and what its log says of the Service")
	default:
		return okay(HopNCP, fmt.Sprintf("no error on Service %s; it has %s", key(s.live), joinAddresses(v.addresses)))
	}
}

// remedyOfNCP says what helps against an error of NCP. The codes are an open
// set.
func remedyOfNCP(code string) string {
	switch code {
	case "IP_POOL_EXHAUSTED":
		return "free an address of the ingress range, or enlarge it"
	case "IP_POOL_NOT_FOUND":
		return "correct spec.loadBalancerIP: it names neither an address of the ingress range nor a pool"
	default:
		return "see NCP's log for the Service"
	}
}
