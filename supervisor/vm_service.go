// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
)

// The API of VM Operator, and the labels by which the paravirtual cloud provider
// ties a VirtualMachineService to the Service of a guest cluster. The name of a
// VirtualMachineService is a hash, MD5 before version 1.37 of the cloud provider
// and SHA-256 since, so that nothing is to be read from it.
const (
	vmOperatorGroup      = "vmoperator.vmware.com"
	vmServiceResource    = "virtualmachineservices"
	labelGuestCluster    = "run.tanzu.vmware.com/cluster.name"
	labelGuestService    = "run.tanzu.vmware.com/service.name"
	labelGuestServiceNS  = "run.tanzu.vmware.com/service.namespace"
	vmServiceUnsupported = "the Supervisor serves no VirtualMachineServices"
)

// VirtualMachineService is a Service whose endpoints are virtual machines: of a
// guest cluster's LoadBalancer Service, of a guest cluster's control plane, or
// one of a user's own. A Service of the same name on the Supervisor belongs to
// it.
type VirtualMachineService struct {
	Namespace, Name string
	UID             string
	Labels          map[string]string
	Annotations     map[string]string

	// Type is ClusterIP, LoadBalancer or ExternalName. The set is open.
	Type     string
	Ports    []VirtualMachineServicePort
	Selector map[string]string
	// VIPs are the addresses of a LoadBalancer.
	VIPs []netip.Addr

	// GuestCluster is the guest cluster that it was made for, and GuestService
	// the Service there; empty when it was made for something else.
	GuestCluster string
	GuestService types.NamespacedName
}

// VirtualMachineServicePort is one port.
type VirtualMachineServicePort struct {
	Name       string `json:"name"`
	Protocol   string `json:"protocol"`
	Port       int32  `json:"port"`
	TargetPort int32  `json:"targetPort"`
}

// VirtualMachineServices reads the VirtualMachineServices of a namespace,
// whichever version of the API the Supervisor serves.
type VirtualMachineServices struct {
	c         *Client
	namespace string
}

// VirtualMachineServices returns a handle for the VirtualMachineServices of a
// namespace, or of all namespaces when it is empty.
func (c *Client) VirtualMachineServices(namespace string) VirtualMachineServices {
	return VirtualMachineServices{c, namespace}
}

// Get returns a VirtualMachineService. Errors match [viaduct.ErrNotFound] when
// it does not exist, and [viaduct.ErrUnsupported] when the Supervisor has no VM
// Operator.
func (v VirtualMachineServices) Get(ctx context.Context, name string) (VirtualMachineService, error) {
	const op = "get virtual machine service"
	object := types.NamespacedName{Namespace: v.namespace, Name: name}.String()
	gvr, err := v.c.vmServices(ctx, op)
	if err != nil {
		return VirtualMachineService{}, err
	}
	u, err := v.c.dynamic.Resource(gvr).Namespace(v.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return VirtualMachineService{}, kubeError(op, object, err)
	}
	return ParseVirtualMachineService(u)
}

// List returns one page. The error matches [viaduct.ErrUnsupported] when the
// Supervisor has no VM Operator.
func (v VirtualMachineServices) List(ctx context.Context, opts ListOptions) (Page[VirtualMachineService], error) {
	return v.listing().page(ctx, opts)
}

// All iterates over every VirtualMachineService, fetching pages as the loop
// advances. An error is yielded once, last.
func (v VirtualMachineServices) All(ctx context.Context, opts ListOptions) iter.Seq2[VirtualMachineService, error] {
	return v.listing().all(ctx, opts)
}

// ForGuestService returns the VirtualMachineService that the cloud provider of a
// guest cluster made for one of its Services, found by its labels. The error
// matches [viaduct.ErrNotFound] when there is none, and [viaduct.ErrConflict]
// when there is more than one.
func (v VirtualMachineServices) ForGuestService(ctx context.Context, cluster string, service types.NamespacedName) (VirtualMachineService, error) {
	object := fmt.Sprintf("%s of guest cluster %s", service, cluster)
	selector := labels.Set{
		labelGuestCluster:   cluster,
		labelGuestService:   service.Name,
		labelGuestServiceNS: service.Namespace,
	}.String()
	var found []VirtualMachineService
	for s, err := range v.All(ctx, ListOptions{LabelSelector: selector}) {
		if err != nil {
			return VirtualMachineService{}, err
		}
		found = append(found, s)
	}
	const op = "find virtual machine service of"
	switch len(found) {
	case 0:
		return VirtualMachineService{}, &Error{Op: op, Object: object, Message: "there is none", kind: viaduct.ErrNotFound}
	case 1:
		return found[0], nil
	default:
		return VirtualMachineService{}, &Error{Op: op, Object: object, Message: fmt.Sprintf("there are %d", len(found)), kind: viaduct.ErrConflict}
	}
}

func (v VirtualMachineServices) listing() listing[VirtualMachineService] {
	return func(ctx context.Context, opts metav1.ListOptions) ([]VirtualMachineService, string, error) {
		const op = "list virtual machine services"
		gvr, err := v.c.vmServices(ctx, op)
		if err != nil {
			return nil, "", err
		}
		l, err := v.c.dynamic.Resource(gvr).Namespace(v.namespace).List(ctx, opts)
		if err != nil {
			return nil, "", kubeError(op, v.namespace, err)
		}
		all := make([]VirtualMachineService, 0, len(l.Items))
		for i := range l.Items {
			s, err := ParseVirtualMachineService(&l.Items[i])
			if err != nil {
				return nil, "", err
			}
			all = append(all, s)
		}
		return all, l.GetContinue(), nil
	}
}

// vmServices returns the resource in the version that the server prefers.
func (c *Client) vmServices(ctx context.Context, op string) (schema.GroupVersionResource, error) {
	if c.dynamic == nil {
		return schema.GroupVersionResource{}, &Error{Op: op, Message: "the client was made without a dynamic client", kind: viaduct.ErrUnsupported}
	}
	var group metav1.APIGroup
	err := c.kube.Discovery().RESTClient().Get().AbsPath("/apis/" + vmOperatorGroup).Do(ctx).Into(&group)
	if apierrors.IsNotFound(err) {
		return schema.GroupVersionResource{}, &Error{Op: op, Message: vmServiceUnsupported, kind: viaduct.ErrUnsupported, err: err}
	}
	if err != nil {
		return schema.GroupVersionResource{}, kubeError(op, "", err)
	}
	return schema.GroupVersionResource{Group: vmOperatorGroup, Version: group.PreferredVersion.Version, Resource: vmServiceResource}, nil
}

// ParseVirtualMachineService reads a VirtualMachineService of any version. The
// error matches [viaduct.ErrInvalid] when it is not shaped as one.
func ParseVirtualMachineService(u *unstructured.Unstructured) (VirtualMachineService, error) {
	var content struct {
		Spec struct {
			Type     string                      `json:"type"`
			Ports    []VirtualMachineServicePort `json:"ports"`
			Selector map[string]string           `json:"selector"`
		} `json:"spec"`
		Status struct {
			LoadBalancer struct {
				Ingress []struct {
					IP string `json:"ip"`
				} `json:"ingress"`
			} `json:"loadBalancer"`
		} `json:"status"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &content); err != nil {
		return VirtualMachineService{}, &Error{
			Op: "read virtual machine service", Object: u.GetNamespace() + "/" + u.GetName(), kind: viaduct.ErrInvalid, err: err,
		}
	}
	l := u.GetLabels()
	s := VirtualMachineService{
		Namespace: u.GetNamespace(), Name: u.GetName(), UID: string(u.GetUID()),
		Labels: l, Annotations: u.GetAnnotations(),
		Type: content.Spec.Type, Ports: content.Spec.Ports, Selector: content.Spec.Selector,
	}
	if l[labelGuestService] != "" && l[labelGuestServiceNS] != "" {
		s.GuestService = types.NamespacedName{Namespace: l[labelGuestServiceNS], Name: l[labelGuestService]}
		s.GuestCluster = l[labelGuestCluster]
	}
	for _, ingress := range content.Status.LoadBalancer.Ingress {
		if addr, err := netip.ParseAddr(strings.TrimSpace(ingress.IP)); err == nil && !isInternal(addr) {
			s.VIPs = append(s.VIPs, addr)
		}
	}
	return s, nil
}
