// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/viaduct-sdk/viaduct"
)

// Plan is pure: values in, a Plan out.

// planImport gives the exported service its name in the importing cluster: a
// Service without a selector, and what holds the VIP behind it.
func planImport(cluster string, e *Exported, o importObserved, opts *importOptions) (Plan, error) {
	target := opts.targetOf(e)
	r := importable(target, e, o, opts)
	if r == nil {
		r = o.guard.checkAll(e.Addresses)
	}
	if r != nil {
		return Plan{}, r.of("import", cluster, target)
	}
	policy, r := o.firewallPolicy(cluster, target, e, opts)
	if r != nil {
		return Plan{}, r.of("import", cluster, target)
	}
	var p Plan
	if o.namespaceMissing {
		p.Steps = append(p.Steps, createNamespace(cluster, target.Namespace))
	}
	want, reason, err := o.importingService(target, e, opts)
	if err != nil {
		return Plan{}, err
	}
	if policy != "" {
		annotate(want, annotationFirewall, policy.String())
		p.Steps = append(p.Steps, planFirewall(cluster, target, e, o)...)
	}
	p.Steps = append(p.Steps, converge(cluster, o.service.object, want, reason)...)
	wanted := map[string]bool{}
	backends, err := importBackends(target, e, o)
	if err != nil {
		return Plan{}, err
	}
	for _, want := range backends {
		wanted[want.GetName()] = true
		p.Steps = append(p.Steps, converge(cluster, o.backend(want.GetName()), want, "leads to "+joinAddresses(sortedAddresses(e.Addresses)))...)
	}
	for _, b := range o.backends {
		m, ours := readMark(b.live, target)
		switch {
		case wanted[b.live.GetName()], ours && !m.source.sameService(e.Source):
		case ours:
			p.Steps = append(p.Steps, remove(cluster, b, "leads to no address of "+e.Source.String())...)
		default:
			p.Steps = append(p.Steps, remove(cluster, b, "leads to what the adopted Service selected")...)
		}
	}
	p.Steps = append(p.Steps, remove(cluster, o.endpoints, "leads to what the adopted Service selected")...)
	return p.sorted(), nil
}

// importingService renders the Service of the import; that of another exporter,
// beside which this one is merged, as it is.
func (o importObserved) importingService(target types.NamespacedName, e *Exported, opts *importOptions) (want *unstructured.Unstructured, reason string, err error) {
	if o.shared(target, e.Source) {
		want = o.service.managed
		if len(o.service.live.GetManagedFields()) == 0 {
			want = marksOf(o.service.live)
			want.SetAnnotations(maps.Clone(o.service.live.GetAnnotations()))
		}
		return want.DeepCopy(), "remembers its security policy", nil
	}
	want, err = importService(target, e, o, opts)
	return want, "gives the name to " + e.Source.String(), err
}

func annotate(o *unstructured.Unstructured, name, value string) {
	annotations := o.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[name] = value
	o.SetAnnotations(annotations)
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

// importable returns why a document cannot be imported here, nil when it can.
func importable(target types.NamespacedName, e *Exported, o importObserved, opts *importOptions) *refusal {
	if o.namespaceMissing && !opts.createNamespace {
		return &refusal{viaduct.ErrNotFound, "there is no such namespace", "create it first, or import with WithCreateNamespace"}
	}
	if o.isExporter(e) {
		return &refusal{viaduct.ErrInvalid, "this is the cluster that exported it, where the name works already", "import into another cluster"}
	}
	for name, number := range opts.ports {
		if !slices.ContainsFunc(e.Ports, func(p Port) bool { return p.Name == name }) {
			return &refusal{viaduct.ErrInvalid, fmt.Sprintf("port %q is to be %d, and the exported service has no port of that name", name, number), ""}
		}
		if len(validation.IsValidPortNum(int(number))) > 0 {
			return &refusal{viaduct.ErrInvalid, fmt.Sprintf("port %q is to be %d, which is out of range", name, number), ""}
		}
	}
	if o.service.live != nil {
		if r := takeable(target, e, o, opts); r != nil {
			return r
		}
	}
	for _, b := range o.backends {
		m, ours := readMark(b.live, target)
		switch {
		case !ours && !o.adopting(target, opts):
			return &refusal{
				viaduct.ErrNotOwned,
				fmt.Sprintf("%s %s, which belongs to %s, answers to the name", b.live.GetKind(), key(b.live), owner(b.live)),
				"delete it, or the Endpoints it mirrors",
			}
		case ours && o.api == endpointsOfCore && !m.source.sameService(e.Source):
			return &refusal{viaduct.ErrUnsupported, "this cluster has no EndpointSlices, and Endpoints hold one exporter, now " + m.source.String(), "unimport that first"}
		}
	}
	return nil
}

// takeable returns why the Service that has the name cannot become the import.
func takeable(target types.NamespacedName, e *Exported, o importObserved, opts *importOptions) *refusal {
	m, ours := readMark(o.service.live, target)
	switch {
	case o.service.DeletionTimestamp != nil:
		return &refusal{viaduct.ErrConflict, "the Service is being deleted", "import again when it is gone"}
	case ours && m.role == RoleImport && m.source.sameService(e.Source):
		return nil
	case ours && m.role == RoleImport && !opts.merge:
		return &refusal{viaduct.ErrExists, "the name is an import of " + m.source.String() + " already", "unimport that first, or import with WithMerge to serve from both"}
	case ours && m.role == RoleImport:
		return mergeable(target, e, o, opts)
	case !opts.adopt || ours:
		return &refusal{
			viaduct.ErrNotOwned,
			fmt.Sprintf("the name is taken by Service %s, which belongs to %s", target, owner(o.service.live)),
			"rename or delete that Service, or import with WithAdopt to take it over",
		}
	default:
		return adoptable(e, o.service, opts)
	}
}

// mergeable returns why a second exporter cannot stand behind the import: its
// ports must be the same by name and protocol.
func mergeable(target types.NamespacedName, e *Exported, o importObserved, opts *importOptions) *refusal {
	if !o.shared(target, e.Source) {
		return nil // nothing of the other exporter is left
	}
	var have, want []string
	for _, p := range o.service.Spec.Ports {
		have = append(have, fmt.Sprintf("%s %s", p.Name, p.Protocol))
	}
	for _, p := range opts.servicePorts(e) {
		want = append(want, fmt.Sprintf("%s %s", p.Name, p.Protocol))
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		return &refusal{viaduct.ErrInvalid, fmt.Sprintf("the import has the ports %q, and this exporter has %q", have, want), "export the same ports from both"}
	}
	return nil
}

// planUnimport removes an import, or the part of it that came from one exporting
// cluster. What is not an import is left alone; what was adopted is given back.
func planUnimport(cluster string, target types.NamespacedName, o importObserved, opts *importOptions) (Plan, error) {
	reason := "Service " + target.String() + " is no longer imported"
	p, left := o.planWithdrawal(cluster, target, reason, opts)
	m, ours := mark{}, false
	if o.service.live != nil {
		m, ours = readMark(o.service.live, target)
	}
	gone := unimported{
		reason: reason,
		wholly: left == 0 && (opts.source == "" || len(p.Steps) > 0 || ours && m.source.Cluster == opts.source),
		partly: len(p.Steps) > 0,
	}
	closing, r := o.planClosing(cluster, target, gone, opts)
	if r != nil {
		return Plan{}, r.of("unimport", cluster, target)
	}
	if ours && m.role == RoleImport && gone.wholly {
		steps, err := giveUp(cluster, target, o.service, reason)
		if err != nil {
			return Plan{}, err
		}
		closing = append(closing, steps...)
	}
	p.Steps = append(p.Steps, closing...)
	return p.sorted(), nil
}

// planWithdrawal removes the endpoints that are to go, and counts those that stay.
func (o importObserved) planWithdrawal(cluster string, target types.NamespacedName, reason string, opts *importOptions) (p Plan, left int) {
	for _, b := range o.backends {
		m, ours := readMark(b.live, target)
		switch {
		case !ours || m.role != RoleImport:
		case opts.source != "" && m.source.Cluster != opts.source:
			left++
		default:
			p.Steps = append(p.Steps, remove(cluster, b, reason)...)
		}
	}
	return p, left
}

// unimported is how much of an import goes, and why.
type unimported struct {
	wholly, partly bool
	reason         string
}

// planClosing takes back what an import has in NSX, or of it what came from the
// exporters that go.
func (o importObserved) planClosing(cluster string, target types.NamespacedName, gone unimported, opts *importOptions) ([]Step, *refusal) {
	switch {
	case !gone.wholly && !gone.partly:
		return nil, nil
	case o.firewall.given:
		return planFirewallRemoval(cluster, target, o.remaining(target, opts.source), gone.wholly, gone.reason), nil
	case o.hasFirewall(target):
		return nil, needsFirewall("the import has a security policy in NSX, " + o.service.Annotations[annotationFirewall])
	default:
		return nil, nil
	}
}

// remaining is what was observed without what came from one exporting cluster.
func (o importObserved) remaining(target types.NamespacedName, without string) importObserved {
	o.backends = slices.DeleteFunc(slices.Clone(o.backends), func(b object) bool {
		m, _ := readMark(b.live, target)
		return without == "" || m.source.Cluster == without
	})
	return o
}

// mayHaveFirewall reports whether an import may have something in NSX: it is
// marked from before its policy is made until after it is gone, so that only the
// policy of an import that is gone itself can be unknown.
func (o importObserved) mayHaveFirewall(target types.NamespacedName) bool {
	if o.service.live == nil {
		return true
	}
	_, ours := readMark(o.service.live, target)
	return !ours || o.hasFirewall(target)
}

// shared reports whether the importing Service serves another exporter, whose
// endpoints stand behind it.
func (o importObserved) shared(target types.NamespacedName, source Source) bool {
	if o.service.live == nil {
		return false
	}
	serving, ours := readMark(o.service.live, target)
	return ours && !serving.source.sameService(source) && slices.ContainsFunc(o.backends, func(b object) bool {
		m, ours := readMark(b.live, target)
		return ours && m.source.sameService(serving.source)
	})
}

// isExporter reports whether the cluster holds the exported Service itself.
func (o importObserved) isExporter(e *Exported) bool {
	here := []types.UID{o.original}
	if o.service.live != nil {
		here = append(here, o.service.UID)
	}
	return slices.Contains(here, e.Source.UID) || slices.Contains(here, e.VIPService.UID)
}

// serviceUID returns the UID that owns the backends, empty while there is none.
func (o importObserved) serviceUID() types.UID {
	if o.service.live == nil {
		return ""
	}
	return o.service.UID
}

func (o importObserved) backend(name string) object {
	for _, b := range o.backends {
		if b.live.GetName() == name {
			return b
		}
	}
	return object{}
}
