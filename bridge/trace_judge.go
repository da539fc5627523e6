// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Judge is pure: facts in, hops out.

func judgeTrace(f traceFacts) *Traced {
	t := &Traced{Cluster: f.cluster, Namespace: f.target.Namespace, Name: f.target.Name}
	named := f.judgeName()
	t.Hops = append(t.Hops, named)
	if named.State != HopOK {
		why := "there is no Service to follow"
		if named.State == HopUnknown {
			why = "the Service could not be read"
		}
		for _, name := range hopNames()[1:] {
			t.Hops = append(t.Hops, skipped(name, why))
		}
		return t
	}
	t.Hops = append(t.Hops, f.judgeImport(), f.judgeSlice())
	for _, p := range f.paths {
		for _, h := range p.judge() {
			if len(f.paths) > 1 {
				h.Exporter = p.source.String()
			}
			t.Hops = append(t.Hops, h)
		}
	}
	return t
}

// judge returns the hops from the virtual address on.
func (p pathFacts) judge() []Hop {
	if p.source.Name == "" {
		var hops []Hop
		for _, name := range hopNames()[3:] {
			hops = append(hops, skipped(name, "nothing says where the import comes from"))
		}
		return hops
	}
	hops := []Hop{p.judgeAddress(), p.judgeExport(), p.judgeNCP()}
	hops = append(hops, p.judgeNSX()...)
	return append(hops, p.judgePods(), p.judgeClientFirewall(), p.judgePodFirewall())
}

func hopNames() []HopName {
	return []HopName{
		HopNamed, HopImport, HopSlice, HopAddress, HopExport, HopNCP, HopVirtualServer, HopLoadBalancer,
		HopTier1, HopPool, HopMembers, HopPods, HopClientFirewall, HopPodFirewall,
	}
}

func okay(name HopName, evidence ...string) Hop {
	return Hop{Name: name, State: HopOK, Evidence: evidence}
}

func unknown(name HopName, why ...string) Hop {
	return Hop{Name: name, State: HopUnknown, Evidence: why}
}

func skipped(name HopName, why string) Hop {
	return Hop{Name: name, State: HopSkipped, Evidence: []string{why}}
}

func broken(name HopName, cause, remedy string, evidence ...string) Hop {
	return Hop{Name: name, State: HopBroken, Evidence: evidence, Cause: cause, Remedy: remedy}
}

// joinHops makes one hop of what was found of several objects: the worst state
// counts, and of several causes the first.
func joinHops(name HopName, hops []Hop) Hop {
	joined := skipped(name, "there is nothing to look at")
	rank := func(s HopState) int { return slices.Index([]HopState{HopSkipped, HopOK, HopUnknown, HopBroken}, s) }
	for i, h := range hops {
		if i == 0 {
			joined.Evidence = nil
		}
		if i == 0 || rank(h.State) > rank(joined.State) {
			joined.State, joined.Cause, joined.Remedy = h.State, h.Cause, h.Remedy
		}
		for _, e := range h.Evidence {
			if !slices.Contains(joined.Evidence, e) {
				joined.Evidence = append(joined.Evidence, e)
			}
		}
	}
	return joined
}

func (f traceFacts) judgeName() Hop {
	i := f.importing
	where := "in cluster " + f.cluster
	switch {
	case i.err != nil:
		return unknown(HopNamed, fmt.Sprintf("Service %s %s could not be read: %v", f.target, where, i.err))
	case i.namespaceMissing:
		return broken(HopNamed, fmt.Sprintf("there is no namespace %s %s", f.target.Namespace, where),
			"check the cluster and the spelling, or import again with WithCreateNamespace")
	case i.service.live == nil:
		return broken(HopNamed, fmt.Sprintf("there is no Service %s %s", f.target, where), "check the spelling, or import again")
	case i.service.DeletionTimestamp != nil:
		return broken(HopNamed, fmt.Sprintf("Service %s is being deleted", f.target), "wait until it is gone, and import again")
	default:
		return okay(HopNamed, fmt.Sprintf("Service %s exists", f.target))
	}
}

func (f traceFacts) judgeImport() Hop {
	s := f.importing.service
	m, ours := readMark(s.live, f.target)
	switch {
	case !ours:
		return broken(HopImport, fmt.Sprintf("Service %s belongs to %s and is no import", f.target, owner(s.live)),
			"rename or delete that Service and import again, or take it over with WithAdopt")
	case m.role != RoleImport:
		return broken(HopImport, fmt.Sprintf("Service %s is no import but the %s of an export", f.target, m.role),
			"trace the name in the cluster that imports it")
	case s.Spec.Type == corev1.ServiceTypeExternalName:
		return broken(HopImport, "the Service has become an alias of "+s.Spec.ExternalName, "import again")
	case s.Spec.ClusterIP == "" || s.Spec.ClusterIP == corev1.ClusterIPNone:
		return broken(HopImport, "the Service has no cluster IP, so that ports are not translated and clients get the bare addresses",
			"delete it and import again")
	case len(s.Spec.Selector) > 0:
		return broken(HopImport,
			fmt.Sprintf("the Service selects pods (%s), so that Kubernetes adds those of its own cluster", describeSelector(s.Spec.Selector)),
			"import again, which removes the selector")
	}
	ports := make([]string, 0, len(s.Spec.Ports))
	for _, p := range portsOf(s.Service) {
		ports = append(ports, p.String())
	}
	return okay(HopImport, fmt.Sprintf("imported from %s; cluster IP %s; %s", m.source, s.Spec.ClusterIP, strings.Join(ports, ", ")))
}

func describeSelector(selector map[string]string) string {
	pairs := make([]string, 0, len(selector))
	for k, v := range selector {
		pairs = append(pairs, k+"="+v)
	}
	slices.Sort(pairs)
	return strings.Join(pairs, ",")
}

// mirroring is the value of Kubernetes' label on slices that it copied from
// Endpoints.
const mirroring = "endpointslicemirroring-controller.k8s.io"

func (f traceFacts) judgeSlice() Hop {
	i := f.importing
	if i.backendsErr != nil {
		return unknown(HopSlice, fmt.Sprintf("what stands behind the Service could not be read: %v", i.backendsErr))
	}
	if _, ours := readMark(i.service.live, f.target); !ours {
		return skipped(HopSlice, "the Service is no import")
	}
	var hops []Hop
	for _, b := range i.backends {
		if b.ours {
			hops = append(hops, f.judgeBackend(b))
		}
	}
	if len(hops) == 0 {
		hops = append(hops, noBackend(i.unlabelled))
	}
	if i.mirrored != nil && !slices.ContainsFunc(i.backends, func(b traceBackend) bool { return b.managedBy == mirroring }) {
		hops = append(hops, doubled(*i.mirrored))
	}
	for _, b := range i.backends {
		if !b.ours {
			hops = append(hops, doubled(b))
		}
	}
	return joinHops(HopSlice, hops)
}

func noBackend(unlabelled []string) Hop {
	if len(unlabelled) > 0 {
		return broken(HopSlice,
			fmt.Sprintf("EndpointSlice %s lacks the label kubernetes.io/service-name, by which kube-proxy finds it", strings.Join(unlabelled, ", ")),
			"import again")
	}
	return broken(HopSlice, "no EndpointSlice of Viaduct stands behind the Service: it leads nowhere", "import again")
}

// doubled is a backend beside ours: a part of the connections goes there.
func doubled(b traceBackend) Hop {
	texts := make([]string, len(b.addresses))
	for i, a := range b.addresses {
		texts[i] = a.text
	}
	what := fmt.Sprintf("%s %s, which belongs to %s", b.kind, b.name, b.belongs)
	remedy := "find out who writes it, and delete it"
	if b.managedBy == mirroring {
		what = fmt.Sprintf("EndpointSlice %s, which Kubernetes copied from the Endpoints of the Service", b.name)
		remedy = "delete the Endpoints of the Service's name; Kubernetes then removes the copy"
	} else if b.kind == kindEndpoints {
		what = fmt.Sprintf("Endpoints %s, of which Kubernetes makes an EndpointSlice", b.name)
		remedy = "delete these Endpoints"
	}
	return broken(HopSlice, fmt.Sprintf("%s stands behind the Service too: a part of the connections goes to %s", what, strings.Join(texts, ", ")), remedy)
}

// judgeBackend looks at a slice, or Endpoints, of ours.
func (f traceFacts) judgeBackend(b traceBackend) Hop {
	const again = "import again"
	s := f.importing.service
	what := b.kind + " " + b.name
	fault := func(format string, args ...any) Hop {
		return broken(HopSlice, what+" "+fmt.Sprintf(format, args...), again)
	}
	if b.owner != s.UID {
		return fault("does not belong to the Service that is there now: Kubernetes will remove it, or not remove it with the Service")
	}
	var ready, unready []string
	for _, a := range b.addresses {
		if a.ready {
			ready = append(ready, a.text)
		} else {
			unready = append(unready, a.text)
		}
	}
	switch {
	case len(b.addresses) == 0:
		return fault("holds no address")
	case len(ready) == 0:
		return fault("holds no ready address: kube-proxy passes over %s", strings.Join(unready, ", "))
	}
	for _, want := range portsOf(s.Service) {
		i := slices.IndexFunc(b.ports, func(p Port) bool { return p.Name == want.Name && p.Protocol == want.Protocol })
		switch {
		case i < 0:
			return fault("has no port named %q with protocol %s, which port %d of the Service leads to; it has %s",
				want.Name, want.Protocol, want.Port, describePorts(b.ports))
		case b.ports[i].Port == 0:
			return fault("has no number for port %q", want.Name)
		}
	}
	return okay(HopSlice, fmt.Sprintf("%s leads to %s, %s", what, strings.Join(ready, ", "), describePorts(b.ports)))
}

func describePorts(ports []Port) string {
	if len(ports) == 0 {
		return "no ports"
	}
	texts := make([]string, len(ports))
	for i, p := range ports {
		texts[i] = p.String()
	}
	return strings.Join(texts, ", ")
}
