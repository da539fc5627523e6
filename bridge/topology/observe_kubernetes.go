// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"context"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	discoveryv1beta1 "k8s.io/api/discovery/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/pager"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/supervisor"
)

// clusterSeen is what the API server of one cluster said.
type clusterSeen struct {
	holes

	name     string
	endpoint string
	// scoped says that only the namespaces that were asked for were read.
	scoped bool

	namespaces []corev1.Namespace
	services   []corev1.Service
	pods       []corev1.Pod
	backends   []backend
	vmServices []supervisor.VirtualMachineService
}

// backend is what an EndpointSlice of an import says, or its Endpoints.
type backend struct {
	// service is the UID of the importing Service, which owns it.
	service   types.UID
	addresses []string
	ports     []backendPort
}

type backendPort struct {
	protocol corev1.Protocol
	number   int32
}

// What is read of a Kubernetes cluster, as holes name it.
const (
	objectNamespaces = "namespaces"
	objectServices   = "Services"
	objectPods       = "pods"
	objectBackends   = "endpoints of imports"
	objectVMServices = "VirtualMachineServices"
)

// importsOnly selects what Viaduct made for imports.
func importsOnly() metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=viaduct,viaduct-sdk.github.io/role=import"}
}

func (c *clusterSeen) look(ctx context.Context, from Cluster) {
	scopes := from.Namespaces
	if len(scopes) == 0 {
		scopes = []string{metav1.NamespaceAll}
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, ns := range scopes {
		read := func(object string, read func() (keep func(), err error)) {
			wg.Go(func() {
				keep, err := read()
				if ns != metav1.NamespaceAll {
					object = fmt.Sprintf("%s of namespace %s", object, ns)
				}
				c.note(ctx, object, err)
				if keep != nil {
					mu.Lock()
					defer mu.Unlock()
					keep()
				}
			})
		}
		read(objectNamespaces, func() (func(), error) {
			found, err := from.listNamespaces(ctx, ns)
			return func() { c.namespaces = append(c.namespaces, found...) }, err
		})
		read(objectServices, func() (func(), error) {
			found, err := list[corev1.Service](ctx, lister(from.Kubernetes.CoreV1().Services(ns).List), metav1.ListOptions{})
			return func() { c.services = append(c.services, found...) }, err
		})
		read(objectPods, func() (func(), error) {
			found, err := list[corev1.Pod](ctx, lister(from.Kubernetes.CoreV1().Pods(ns).List), metav1.ListOptions{})
			return func() { c.pods = append(c.pods, found...) }, err
		})
		read(objectBackends, func() (func(), error) {
			found, err := from.listBackends(ctx, ns)
			return func() { c.backends = append(c.backends, found...) }, err
		})
		if from.Dynamic != nil && c.system == SystemSupervisor {
			read(objectVMServices, func() (func(), error) {
				found, err := from.listVMServices(ctx, ns)
				return func() { c.vmServices = append(c.vmServices, found...) }, err
			})
		}
	}
	wg.Wait()
}

// listNamespaces reads all namespaces or the one.
func (c Cluster) listNamespaces(ctx context.Context, name string) ([]corev1.Namespace, error) {
	if name == metav1.NamespaceAll {
		return list[corev1.Namespace](ctx, lister(c.Kubernetes.CoreV1().Namespaces().List), metav1.ListOptions{})
	}
	ns, err := c.Kubernetes.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return []corev1.Namespace{*ns}, nil
}

// listVMServices reads VirtualMachineServices; a Supervisor without VM Operator
// has none.
func (c Cluster) listVMServices(ctx context.Context, namespace string) ([]supervisor.VirtualMachineService, error) {
	client := supervisor.NewClientFor(c.Kubernetes, c.Dynamic)
	var found []supervisor.VirtualMachineService
	for s, err := range client.VirtualMachineServices(namespace).All(ctx, supervisor.ListOptions{}) {
		if errors.Is(err, viaduct.ErrUnsupported) {
			return nil, nil
		}
		if err != nil {
			return found, err
		}
		found = append(found, s)
	}
	return found, nil
}

// listBackends reads where the cluster's imports lead, from the newest API for
// endpoints that the server has: package bridge writes that one.
func (c Cluster) listBackends(ctx context.Context, namespace string) ([]backend, error) {
	v1, err := list[discoveryv1.EndpointSlice](ctx, lister(c.Kubernetes.DiscoveryV1().EndpointSlices(namespace).List), importsOnly())
	if !apierrors.IsNotFound(err) {
		return convert(v1, func(s *discoveryv1.EndpointSlice) backend {
			b := backend{service: ownerOf(s)}
			for _, e := range s.Endpoints {
				b.addresses = append(b.addresses, e.Addresses...)
			}
			for _, p := range s.Ports {
				b.add(p.Protocol, p.Port)
			}
			return b
		}), err
	}
	beta, err := list[discoveryv1beta1.EndpointSlice](ctx, lister(c.Kubernetes.DiscoveryV1beta1().EndpointSlices(namespace).List), importsOnly())
	if !apierrors.IsNotFound(err) {
		return convert(beta, func(s *discoveryv1beta1.EndpointSlice) backend {
			b := backend{service: ownerOf(s)}
			for _, e := range s.Endpoints {
				b.addresses = append(b.addresses, e.Addresses...)
			}
			for _, p := range s.Ports {
				b.add(p.Protocol, p.Port)
			}
			return b
		}), err
	}
	//nolint:staticcheck // deprecated since 1.33, and all that clusters before 1.17 have
	core, err := list[corev1.Endpoints](ctx, lister(c.Kubernetes.CoreV1().Endpoints(namespace).List), importsOnly())
	return convert(core, func(e *corev1.Endpoints) backend { //nolint:staticcheck // as above
		b := backend{service: ownerOf(e)}
		for _, subset := range e.Subsets {
			for _, a := range subset.Addresses {
				b.addresses = append(b.addresses, a.IP)
			}
			for _, p := range subset.Ports {
				b.add(&p.Protocol, &p.Port)
			}
		}
		return b
	}), err
}

func (b *backend) add(protocol *corev1.Protocol, number *int32) {
	if number == nil {
		return
	}
	p := backendPort{protocol: corev1.ProtocolTCP, number: *number}
	if protocol != nil && *protocol != "" {
		p.protocol = *protocol
	}
	b.ports = append(b.ports, p)
}

// ownerOf returns the UID of the Service that owns a slice.
func ownerOf(o metav1.Object) types.UID {
	if ref := metav1.GetControllerOf(o); ref != nil && ref.Kind == "Service" {
		return ref.UID
	}
	return ""
}

func convert[T any](all []T, one func(*T) backend) []backend {
	found := make([]backend, 0, len(all))
	for i := range all {
		found = append(found, one(&all[i]))
	}
	return found
}

// lister adapts a typed List for the pager.
func lister[L runtime.Object](fetch func(context.Context, metav1.ListOptions) (L, error)) pager.ListPageFunc {
	return func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) { return fetch(ctx, opts) }
}

// list reads all pages of a list.
func list[T any, P interface {
	*T
	runtime.Object
}](ctx context.Context, fetch pager.ListPageFunc, opts metav1.ListOptions) ([]T, error) {
	var found []T
	err := pager.New(fetch).EachListItem(ctx, opts, func(o runtime.Object) error {
		if typed, ok := o.(P); ok {
			found = append(found, *typed)
		}
		return nil
	})
	return found, err
}
