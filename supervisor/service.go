// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"cmp"
	"context"
	"iter"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// What NCP writes on a Service (nsx-operator pkg/nsx/services/inventory).
const (
	annotationInternalAddress = "ncp/internal_ip_for_policy"
	prefixNCPError            = "ncp/error."
)

// Service is a Service of type LoadBalancer with what NCP made of it.
type Service struct {
	Namespace, Name string
	UID             string
	Labels          map[string]string

	Ports     []corev1.ServicePort
	Selector  map[string]string
	ClusterIP string
	// RequestedIP is the address, or the IP pool, that the Service asks for.
	RequestedIP string

	// VIPs are the addresses that clients outside reach the Service at; none
	// until NCP has made the virtual servers.
	VIPs []netip.Addr
	// InternalAddress is the address from which the load balancer reaches the
	// pods, to be let through by NetworkPolicies. It is never a VIP, although
	// older versions of NCP list it among the addresses of the Service.
	InternalAddress netip.Addr
	// Hostnames are what other implementations than NCP may write in place of
	// addresses.
	Hostnames []string
	// Errors are what NCP could not do, sorted by kind.
	Errors []NCPError
}

// NCPError is an error that NCP wrote on a Service.
type NCPError struct {
	// Kind is what it is about: "loadbalancer", "loadbalancer_endpoints",
	// "loadbalancer.unrealized_ports", "snat", "distributed_loadbalancer" and
	// others.
	Kind string
	// Code is what NCP says: "IP_POOL_EXHAUSTED", "IP_POOL_NOT_FOUND" and
	// others.
	Code string
}

// String returns kind and code.
func (e NCPError) String() string { return e.Kind + ": " + e.Code }

// ParseService reads what NCP wrote on a Service, of whatever type.
func ParseService(svc *corev1.Service) Service {
	s := Service{
		Namespace:   svc.Namespace,
		Name:        svc.Name,
		UID:         string(svc.UID),
		Labels:      svc.Labels,
		Ports:       svc.Spec.Ports,
		Selector:    svc.Spec.Selector,
		ClusterIP:   svc.Spec.ClusterIP,
		RequestedIP: svc.Spec.LoadBalancerIP,
	}
	internal, err := netip.ParseAddr(svc.Annotations[annotationInternalAddress])
	if err == nil {
		s.InternalAddress = internal
	}
	for _, ingress := range svc.Status.LoadBalancer.Ingress {
		if ingress.Hostname != "" {
			s.Hostnames = append(s.Hostnames, ingress.Hostname)
		}
		addr, err := netip.ParseAddr(ingress.IP)
		switch {
		case err != nil:
		case addr == s.InternalAddress || isInternal(addr):
			if !s.InternalAddress.IsValid() {
				s.InternalAddress = addr
			}
		default:
			s.VIPs = append(s.VIPs, addr)
		}
	}
	for name, code := range svc.Annotations {
		if kind, ok := strings.CutPrefix(name, prefixNCPError); ok {
			s.Errors = append(s.Errors, NCPError{Kind: kind, Code: code})
		}
	}
	slices.SortFunc(s.Errors, func(a, b NCPError) int { return cmp.Compare(a.Kind, b.Kind) })
	return s
}

// isInternal reports whether the address is of 100.64.0.0/10, which NSX uses
// between its gateways.
func isInternal(a netip.Addr) bool {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10).Contains(a.Unmap())
}

// Services reads the LoadBalancer Services of a namespace.
type Services struct {
	c         *Client
	namespace string
}

// Services returns a handle for the LoadBalancer Services of a namespace, or of
// all namespaces when it is empty.
func (c *Client) Services(namespace string) Services { return Services{c, namespace} }

// Get returns a Service. Errors match [viaduct.ErrNotFound] when it does not
// exist, and [viaduct.ErrInvalid] when it is not of type LoadBalancer.
func (s Services) Get(ctx context.Context, name string) (Service, error) {
	svc, err := s.c.kube.CoreV1().Services(s.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return Service{}, kubeError("get service", types.NamespacedName{Namespace: s.namespace, Name: name}.String(), err)
	}
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return Service{}, notLoadBalancer(svc)
	}
	return ParseService(svc), nil
}

// List returns one page of the LoadBalancer Services. Services of other types
// are left out, so that a page may be shorter than its size.
func (s Services) List(ctx context.Context, opts ListOptions) (Page[Service], error) {
	return s.listing().page(ctx, opts)
}

// All iterates over every LoadBalancer Service, fetching pages as the loop
// advances. An error is yielded once, last.
func (s Services) All(ctx context.Context, opts ListOptions) iter.Seq2[Service, error] {
	return s.listing().all(ctx, opts)
}

func (s Services) listing() listing[Service] {
	return listOf("list services", s.namespace, s.c.kube.CoreV1().Services(s.namespace).List,
		func(l *corev1.ServiceList) []corev1.Service { return l.Items },
		func(svc *corev1.Service) (Service, bool) {
			return ParseService(svc), svc.Spec.Type == corev1.ServiceTypeLoadBalancer
		})
}
