// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
)

// Observe reads and never writes; judge is pure.

// auditObserved is what an audit sees of a cluster.
type auditObserved struct {
	services map[types.NamespacedName]*unstructured.Unstructured
	// backends are the slices or Endpoints that bear Viaduct's label.
	backends []*unstructured.Unstructured
	// firewall is what the cluster's imports have in NSX.
	firewall []map[string]any
}

// pageSize is how many objects a list asks for at a time.
const pageSize = 500

func (c *Cluster) observeAudit(ctx context.Context) (*auditObserved, error) {
	api, err := c.apis.endpoints(ctx)
	if err != nil {
		return nil, err
	}
	services, err := c.listAll(ctx, "v1", kindService, "")
	if err != nil {
		return nil, err
	}
	kind := kindEndpointSlice
	if api == endpointsOfCore {
		kind = kindEndpoints
	}
	seen := &auditObserved{services: make(map[types.NamespacedName]*unstructured.Unstructured, len(services))}
	for _, s := range services {
		seen.services[key(s)] = s
	}
	seen.backends, err = c.listAll(ctx, string(api), kind, labelManagedBy+"="+fieldManager)
	return seen, err
}

// observeFirewall lists what the cluster's imports have in NSX.
func (c *Cluster) observeFirewall(ctx context.Context) ([]map[string]any, error) {
	if c.firewall == nil {
		return nil, nil
	}
	return c.firewall.listOwn(ctx, c.name)
}

// listAll lists the objects of a kind in all namespaces, page by page.
func (c *Cluster) listAll(ctx context.Context, apiVersion, kind, selector string) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	opts := metav1.ListOptions{LabelSelector: selector, Limit: pageSize}
	for {
		list, err := c.resource(apiVersion, kind, "").List(ctx, opts)
		if err != nil {
			return nil, kubeError(err)
		}
		for i := range list.Items {
			all = append(all, &list.Items[i])
		}
		if opts.Continue = list.GetContinue(); opts.Continue == "" {
			return all, nil
		}
	}
}

// live returns the UIDs of the Services and namespaces that exist now.
func (c *Cluster) live(ctx context.Context) (ncp.Live, error) {
	services, err := c.listAll(ctx, "v1", kindService, "")
	if err != nil {
		return ncp.Live{}, err
	}
	live := ncp.Live{ServiceUIDs: uids(services)}
	namespaces, err := c.listAll(ctx, "v1", kindNamespace, "")
	if errors.Is(err, viaduct.ErrForbidden) {
		return live, nil // what belongs to a namespace is not judged then
	}
	live.NamespaceUIDs = uids(namespaces)
	return live, err
}

func uids(objects []*unstructured.Unstructured) map[string]bool {
	all := make(map[string]bool, len(objects))
	for _, o := range objects {
		all[string(o.GetUID())] = true
	}
	return all
}

// owned counts the objects of Viaduct.
func (o *auditObserved) owned() int {
	n := 0
	for _, s := range o.services {
		if _, ours := OwnershipOf(s); ours {
			n++
		}
	}
	for _, b := range o.backends {
		if _, ours := OwnershipOf(b); ours {
			n++
		}
	}
	return n + len(o.firewall)
}

// judgeAudit finds what is stale in one cluster, given what was seen of all.
func judgeAudit(cluster string, seen *auditObserved, all map[string]*auditObserved) []Finding {
	var found []Finding
	add := func(kind FindingKind, obj *unstructured.Unstructured, reason string) {
		steps := remove(cluster, object{live: obj, managed: marksOf(obj)}, reason)
		if len(steps) > 0 {
			found = append(found, Finding{Kind: kind, Object: refOf(cluster, obj), Reason: reason, step: &steps[0]})
		}
	}
	for name, s := range seen.services {
		o, ours := OwnershipOf(s)
		switch {
		case !ours:
		case o.Role == RoleCompanion:
			if reason := staleCompanion(name.Namespace, o.Source, seen); reason != "" {
				add(FindingCompanion, s, reason)
			}
		case o.Role == RoleImport && s.GetAnnotations()[annotationAdopted] == "":
			if reason := staleImport(o.Source, all); reason != "" && !seen.served(name, all) {
				add(FindingImport, s, reason)
			}
		}
	}
	for _, b := range seen.backends {
		o, ours := OwnershipOf(b)
		if !ours {
			continue
		}
		name := serviceOfBackend(b)
		if service, ok := seen.services[name]; !ok || !isImport(service) {
			add(FindingSlice, b, fmt.Sprintf("Service %s is gone or not Viaduct's", name))
		} else if reason := staleImport(o.Source, all); reason != "" {
			add(FindingImport, b, reason)
		}
	}
	found = append(found, seen.judgeFirewall(cluster, found)...)
	slices.SortFunc(found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.step.rank(), b.step.rank()), cmp.Compare(a.Object.Namespace, b.Object.Namespace), cmp.Compare(a.Object.Name, b.Object.Name))
	})
	return found
}

// judgeFirewall finds what is in NSX for imports that are gone, or are found to
// be stale.
func (o *auditObserved) judgeFirewall(cluster string, stale []Finding) []Finding {
	var found []Finding
	for _, in := range o.firewall {
		m, _ := readNSXMark(in)
		reason := ""
		switch service, ok := o.services[m.target]; {
		case !ok || !isImport(service) || service.GetAnnotations()[annotationFirewall] == "":
			reason = fmt.Sprintf("Service %s of cluster %s is gone, or no import with a security policy", m.target, cluster)
		case slices.ContainsFunc(stale, func(f Finding) bool {
			return f.Object.Kind == kindService && f.Object.Namespace == m.target.Namespace && f.Object.Name == m.target.Name
		}):
			reason = fmt.Sprintf("the import %s of cluster %s is stale", m.target, cluster)
		default:
			continue
		}
		for _, step := range removeNSX(in, reason) {
			step.via = cluster
			found = append(found, Finding{Kind: FindingFirewall, Object: step.Object, Reason: reason, step: &step})
		}
	}
	return found
}

func isImport(service *unstructured.Unstructured) bool {
	o, ours := OwnershipOf(service)
	return ours && o.Role == RoleImport
}

// served reports whether an exporter that is not stale stands behind an import.
func (o *auditObserved) served(name types.NamespacedName, all map[string]*auditObserved) bool {
	for _, b := range o.backends {
		if of, ours := OwnershipOf(b); ours && serviceOfBackend(b) == name && staleImport(of.Source, all) == "" {
			return true
		}
	}
	return false
}

func serviceOfBackend(b *unstructured.Unstructured) types.NamespacedName {
	name := key(b)
	if service := b.GetLabels()[discoveryv1.LabelServiceName]; service != "" {
		name.Name = service
	}
	return name
}

// staleCompanion returns why nobody needs a companion, or nothing.
func staleCompanion(namespace string, source Source, seen *auditObserved) string {
	original, ok := seen.services[types.NamespacedName{Namespace: namespace, Name: source.Name}]
	switch {
	case !ok:
		return "Service " + namespace + "/" + source.Name + " is gone"
	case typeOf(original) == corev1.ServiceTypeLoadBalancer:
		return "Service " + namespace + "/" + source.Name + " is a load balancer itself"
	}
	return ""
}

// staleImport returns why an import leads nowhere, or nothing. It is known only
// of exporting clusters that were seen.
func staleImport(source Source, all map[string]*auditObserved) string {
	exporter, ok := all[source.Cluster]
	if !ok {
		return ""
	}
	name := types.NamespacedName{Namespace: source.Namespace, Name: source.Name}
	original, ok := exporter.services[name]
	switch {
	case !ok:
		return "Service " + source.String() + " is gone"
	case typeOf(original) == corev1.ServiceTypeLoadBalancer:
		return ""
	}
	if companion, ok := exporter.services[companionOf(name)]; ok {
		if o, ours := OwnershipOf(companion); ours && o.Role == RoleCompanion {
			return ""
		}
	}
	return "Service " + source.String() + " is not exported any more"
}

func typeOf(service *unstructured.Unstructured) corev1.ServiceType {
	text, _, _ := unstructured.NestedString(service.Object, "spec", "type")
	return corev1.ServiceType(text)
}

// marksOf returns an object reduced to its marks, for the plan.
func marksOf(obj *unstructured.Unstructured) *unstructured.Unstructured {
	m := &unstructured.Unstructured{}
	m.SetGroupVersionKind(obj.GroupVersionKind())
	m.SetNamespace(obj.GetNamespace())
	m.SetName(obj.GetName())
	m.SetLabels(obj.GetLabels())
	return m
}

// addLeaks adds what NCP left behind in NSX for one cluster.
func (r *AuditReport) addLeaks(ctx context.Context, n nsxAudit) error {
	var cluster *Cluster
	for _, c := range r.clusters {
		if c.name == n.cluster {
			cluster = c
		}
	}
	if cluster == nil {
		return fmt.Errorf("bridge: audit: NSX of cluster %q, which is not among the clusters: %w", n.cluster, viaduct.ErrInvalid)
	}
	orphans, err := n.leaks.Orphans(ctx, n.ncpCluster, cluster.live)
	if err == nil {
		for _, o := range orphans {
			r.Findings = append(r.Findings, Finding{Kind: FindingNSX, Object: ObjectRef{Cluster: "nsx", Kind: o.ResourceType, Name: string(o.Path)}, Reason: o.Reason})
		}
		var leaked []ncp.LeakedAddress
		leaked, err = n.leaks.LeakedAddresses(ctx, n.ncpCluster, cluster.live)
		for _, l := range leaked {
			r.Findings = append(r.Findings, Finding{Kind: FindingNSX, Object: ObjectRef{Cluster: "nsx", Kind: "IpAddressAllocation", Name: string(l.Path)}, Reason: l.Reason})
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("bridge: audit NSX: %w", context.Cause(ctx))
	}
	if err != nil {
		r.Holes = append(r.Holes, Hole{"NSX of " + n.cluster, err.Error()})
	}
	return nil
}
