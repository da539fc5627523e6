// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// Observe reads and never writes. What cannot be read is noted beside the fact
// that it would have been.

const kindPod = "Pod"

// observeTrace collects all facts of a trace.
func (c *Cluster) observeTrace(ctx context.Context, target types.NamespacedName, o *traceOptions) traceFacts {
	f := traceFacts{cluster: c.name, target: target, importing: c.observeImporting(ctx, target)}
	f.paths = f.importing.paths(target)
	for i := range f.paths {
		p := &f.paths[i]
		p.firewall.given, p.firewall.client = o.nsx != nil, o.client
		if p.source.Name == "" {
			continue
		}
		j := slices.IndexFunc(o.exporters, func(c *Cluster) bool { return c.name == p.source.Cluster })
		if j >= 0 {
			p.exporting = o.exporters[j].observeExporting(ctx, p.source)
			p.nsx = o.exporters[j].observeOwned(ctx, p.exporting.vipService)
		}
		if o.nsx != nil {
			observeNSX(ctx, traceReader{o.nsx}, p)
		}
	}
	return f
}

// share bounds what one server may take of the time that is left.
func share(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/2)
}

func (c *Cluster) observeImporting(ctx context.Context, target types.NamespacedName) importingFacts {
	ctx, cancel := share(ctx)
	defer cancel()
	var f importingFacts
	if f.service, f.err = c.getService(ctx, target); f.err != nil {
		return f
	}
	if f.service.live == nil {
		f.namespaceMissing, f.err = c.namespaceMissing(ctx, target.Namespace)
		return f
	}
	api, err := c.apis.endpoints(ctx)
	if err != nil {
		f.backendsErr = err
		return f
	}
	f.backends, f.backendsErr = c.traceBackends(ctx, target, api)
	if f.backendsErr != nil || api == endpointsOfCore {
		return f
	}
	endpoints, err := c.traceBackends(ctx, target, endpointsOfCore)
	if err == nil && len(endpoints) > 0 && endpoints[0].mirrorable() {
		f.mirrored = &endpoints[0]
	}
	f.unlabelled = c.unlabelled(ctx, target, api, f)
	return f
}

// traceBackends are what holds endpoints under the name.
func (c *Cluster) traceBackends(ctx context.Context, target types.NamespacedName, api endpointsAPI) ([]traceBackend, error) {
	objects, err := c.listBackends(ctx, target, api)
	if err != nil {
		return nil, err
	}
	found := make([]traceBackend, 0, len(objects))
	for _, o := range objects {
		b, err := traceBackendOf(o, target)
		if err != nil {
			return nil, err
		}
		found = append(found, b)
	}
	slices.SortFunc(found, func(a, b traceBackend) int { return cmp.Compare(a.name, b.name) })
	return found, nil
}

func traceBackendOf(o object, target types.NamespacedName) (traceBackend, error) {
	m, ours := readMark(o.live, target)
	b := traceBackend{
		kind: o.live.GetKind(), name: o.live.GetName(), belongs: owner(o.live), ours: ours, source: m.source,
		managedBy: o.live.GetLabels()[discoveryv1.LabelManagedBy],
	}
	if ref := metav1.GetControllerOf(o.live); ref != nil {
		b.owner = ref.UID
	}
	if b.kind == kindEndpoints {
		return withEndpoints(b, o)
	}
	var s discoveryv1.EndpointSlice
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.live.Object, &s); err != nil {
		return b, err
	}
	for _, e := range s.Endpoints {
		for _, a := range e.Addresses {
			b.addresses = append(b.addresses, traceAddress{a, e.Conditions.Ready == nil || *e.Conditions.Ready})
		}
	}
	for _, p := range s.Ports {
		port := Port{Protocol: corev1.ProtocolTCP}
		if p.Name != nil {
			port.Name = *p.Name
		}
		if p.Protocol != nil {
			port.Protocol = *p.Protocol
		}
		if p.Port != nil {
			port.Port = *p.Port
		}
		b.ports = append(b.ports, port)
	}
	return b, nil
}

func withEndpoints(b traceBackend, o object) (traceBackend, error) {
	var e corev1.Endpoints //nolint:staticcheck // deprecated since 1.33, and all that clusters before 1.17 have
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.live.Object, &e); err != nil {
		return b, err
	}
	b.managedBy = e.Labels[discoveryv1.LabelSkipMirror] // "true" keeps Kubernetes from copying it
	for _, s := range e.Subsets {
		for _, a := range s.Addresses {
			b.addresses = append(b.addresses, traceAddress{a.IP, true})
		}
		for _, a := range s.NotReadyAddresses {
			b.addresses = append(b.addresses, traceAddress{a.IP, false})
		}
		for _, p := range s.Ports {
			b.ports = append(b.ports, Port{Name: p.Name, Protocol: cmp.Or(p.Protocol, corev1.ProtocolTCP), Port: p.Port})
		}
	}
	return b, nil
}

// mirrorable reports whether Kubernetes copies Endpoints into slices.
func (b traceBackend) mirrorable() bool { return b.managedBy != "true" && len(b.addresses) > 0 }

// unlabelled looks, by name, for slices of the import that are not found by
// label.
func (c *Cluster) unlabelled(ctx context.Context, target types.NamespacedName, api endpointsAPI, f importingFacts) []string {
	m, ours := readMark(f.service.live, target)
	if !ours || slices.ContainsFunc(f.backends, func(b traceBackend) bool { return b.ours }) {
		return nil
	}
	var found []string
	for _, family := range []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6} {
		name := sliceName(target, m.source, family)
		live, err := c.resource(string(api), kindEndpointSlice, target.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err == nil && live.GetLabels()[discoveryv1.LabelServiceName] != target.Name {
			found = append(found, name)
		}
	}
	return found
}

// paths are the exporters behind an import, with what the slices say of each.
func (f importingFacts) paths(target types.NamespacedName) []pathFacts {
	var paths []pathFacts
	of := func(source Source) *pathFacts {
		i := slices.IndexFunc(paths, func(p pathFacts) bool { return p.source.sameService(source) })
		if i < 0 {
			paths = append(paths, pathFacts{source: source})
			i = len(paths) - 1
		}
		return &paths[i]
	}
	for _, b := range f.backends {
		if !b.ours {
			continue
		}
		p := of(b.source)
		for _, a := range b.addresses {
			if address, err := netip.ParseAddr(a.text); err == nil && !slices.Contains(p.addresses, address) {
				p.addresses = append(p.addresses, address)
			}
		}
		for _, port := range b.ports {
			if !slices.Contains(p.ports, port) {
				p.ports = append(p.ports, port)
			}
		}
	}
	if f.service.live != nil {
		if m, ours := readMark(f.service.live, target); ours && m.role == RoleImport && len(paths) == 0 {
			of(m.source)
		}
	}
	if len(paths) == 0 {
		return []pathFacts{{}}
	}
	slices.SortFunc(paths, func(a, b pathFacts) int { return cmp.Compare(a.source.String(), b.source.String()) })
	return paths
}

func (c *Cluster) observeExporting(ctx context.Context, source Source) exportingFacts {
	ctx, cancel := share(ctx)
	defer cancel()
	f := exportingFacts{given: true}
	name := types.NamespacedName{Namespace: source.Namespace, Name: source.Name}
	if f.exportObserved, f.err = c.observeExport(ctx, name); f.err != nil || f.service.live == nil {
		return f
	}
	switch {
	case f.service.Spec.Type == corev1.ServiceTypeLoadBalancer:
		f.vipService = f.service
	case ownCompanion(name, f.companion):
		f.vipService = f.companion
	default:
		return f
	}
	if len(f.vipService.Spec.Selector) > 0 {
		f.pods, f.podsErr = c.listPods(ctx, source.Namespace, f.vipService.Spec.Selector)
	}
	return f
}

func (c *Cluster) listPods(ctx context.Context, namespace string, selector map[string]string) ([]corev1.Pod, error) {
	list, err := c.resource("v1", kindPod, namespace).List(ctx, metav1.ListOptions{
		LabelSelector: labels.SelectorFromSet(selector).String(),
	})
	if err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return nil, kubeError(err)
	}
	pods := make([]corev1.Pod, len(list.Items))
	for i := range list.Items {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(list.Items[i].Object, &pods[i]); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(pods, func(a, b corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	return pods, nil
}
