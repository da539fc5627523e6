// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	discoveryv1 "k8s.io/api/discovery/v1"
)

// listing observes many Services at the price of few requests: it lists a
// namespace when the first of its Services is asked for. What it says may be
// out of date by the time that it is acted upon; every write is bound to what
// was observed, so that this costs a conflict and no harm. Where it may not
// list, it asks for each object.
type listing struct {
	cluster *Cluster

	mu         sync.Mutex
	namespaces map[string]*namespaceListing
}

type namespaceListing struct {
	once     sync.Once
	failed   bool
	services map[string]*unstructured.Unstructured
	backends map[string][]*unstructured.Unstructured // by Service

	opening sync.Mutex // held by the one import into a missing namespace
	missing bool
}

func newListing(c *Cluster) *listing {
	return &listing{cluster: c, namespaces: make(map[string]*namespaceListing)}
}

func (l *listing) getService(ctx context.Context, name types.NamespacedName) (service, error) {
	n := l.namespace(ctx, name.Namespace)
	if n.failed {
		return l.cluster.getService(ctx, name)
	}
	live, ok := n.services[name.Name]
	if !ok {
		return service{}, nil
	}
	return serviceOf(live)
}

func (l *listing) listBackends(ctx context.Context, of types.NamespacedName, api endpointsAPI) ([]object, error) {
	n := l.namespace(ctx, of.Namespace)
	if n.failed {
		return l.cluster.listBackends(ctx, of, api)
	}
	found := make([]object, 0, len(n.backends[of.Name]))
	for _, live := range n.backends[of.Name] {
		b, err := backendOf(live)
		if err != nil {
			return nil, err
		}
		found = append(found, b)
	}
	return found, nil
}

func (l *listing) namespaceMissing(ctx context.Context, name string) (bool, error) {
	n := l.namespace(ctx, name)
	if n.failed {
		return l.cluster.namespaceMissing(ctx, name)
	}
	return n.missing, nil
}

// into runs an import into a namespace. Where that is missing, one at a time: the
// first makes it, and the others find it.
func (l *listing) into(ctx context.Context, namespace string, run func() error) error {
	n := l.namespace(ctx, namespace)
	n.opening.Lock()
	if !n.missing {
		n.opening.Unlock()
		return run()
	}
	defer n.opening.Unlock()
	err := run()
	n.missing = err != nil
	return err
}

func (l *listing) namespace(ctx context.Context, name string) *namespaceListing {
	l.mu.Lock()
	n, ok := l.namespaces[name]
	if !ok {
		n = &namespaceListing{}
		l.namespaces[name] = n
	}
	l.mu.Unlock()
	n.once.Do(func() { n.failed = l.read(ctx, name, n) != nil })
	return n
}

// read lists a namespace.
func (l *listing) read(ctx context.Context, name string, n *namespaceListing) error {
	api, err := l.cluster.apis.endpoints(ctx)
	if err != nil {
		return err
	}
	if n.missing, err = l.cluster.namespaceMissing(ctx, name); err != nil || n.missing {
		return err
	}
	services, err := l.cluster.resource("v1", kindService, name).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	kind := kindEndpointSlice
	if api == endpointsOfCore {
		kind = kindEndpoints
	}
	backends, err := l.cluster.resource(string(api), kind, name).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	n.services = make(map[string]*unstructured.Unstructured, len(services.Items))
	for i := range services.Items {
		n.services[services.Items[i].GetName()] = &services.Items[i]
	}
	n.backends = make(map[string][]*unstructured.Unstructured, len(backends.Items))
	for i := range backends.Items {
		b := &backends.Items[i]
		of := b.GetLabels()[discoveryv1.LabelServiceName]
		if kind == kindEndpoints {
			of = b.GetName()
		}
		n.backends[of] = append(n.backends[of], b)
	}
	return nil
}

// backendOf reads the managed fields of a slice or of Endpoints.
func backendOf(live *unstructured.Unstructured) (object, error) {
	if live.GetKind() == kindEndpoints {
		return endpointsOf(live)
	}
	return sliceOf(live)
}
