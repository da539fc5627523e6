// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"
	netlisters "k8s.io/client-go/listers/networking/v1"
)

// view is what the simulator last saw of the Supervisor's API server. Nothing
// that it returns may be changed.
type view struct {
	clusterID string
	// shared is the name of the network of namespaces that WCP did not make.
	shared string

	namespaces corelisters.NamespaceLister
	services   corelisters.ServiceLister
	pods       corelisters.PodLister
	endpoints  corelisters.EndpointsLister
	policies   netlisters.NetworkPolicyLister
}

func newView(cfg Config, f informers.SharedInformerFactory) view {
	return view{
		clusterID:  cfg.ClusterID,
		shared:     cfg.ncpCluster(),
		namespaces: f.Core().V1().Namespaces().Lister(),
		services:   f.Core().V1().Services().Lister(),
		pods:       f.Core().V1().Pods().Lister(),
		endpoints:  f.Core().V1().Endpoints().Lister(),
		policies:   f.Networking().V1().NetworkPolicies().Lister(),
	}
}

// service returns the Service, or nil when it is gone, also when another has
// taken its name over.
func (v view) service(key objectKey) *corev1.Service {
	svc, err := v.services.Services(key.Namespace).Get(key.Name)
	if err != nil || svc.UID != key.uid {
		return nil
	}
	return svc
}

// pod is to pods what service is to Services.
func (v view) pod(key objectKey) *corev1.Pod {
	pod, err := v.pods.Pods(key.Namespace).Get(key.Name)
	if err != nil || pod.UID != key.uid {
		return nil
	}
	return pod
}

// podsIn returns the pods of a namespace.
func (v view) podsIn(namespace string) []*corev1.Pod {
	// A lister that reads from memory does not fail.
	pods, _ := v.pods.Pods(namespace).List(labels.Everything())
	return pods
}

// servicesIn returns the LoadBalancer Services of a namespace.
func (v view) servicesIn(namespace string) []*corev1.Service {
	services, _ := v.services.Services(namespace).List(labels.Everything())
	var all []*corev1.Service
	for _, svc := range services {
		if balanced(svc) {
			all = append(all, svc)
		}
	}
	return all
}

// members returns the members that the pool of a Service's port should have: of
// the pods behind its selector, or else of its Endpoints.
func (v view) members(svc *corev1.Service, port corev1.ServicePort) []member {
	if len(svc.Spec.Selector) > 0 {
		return podMembers(svc, port, v.podsIn(svc.Namespace))
	}
	endpoints, err := v.endpoints.Endpoints(svc.Namespace).Get(svc.Name)
	if err != nil {
		return nil
	}
	return endpointMembers(port, endpoints)
}

// isVSphere reports whether WCP made the namespace.
func (v view) isVSphere(ns *corev1.Namespace) bool {
	return ns.Labels[labelClusterID] == v.clusterID
}

// networkOf returns the name of the network that serves a namespace. The error
// says that the namespace was not seen yet, or is seen no more.
func (v view) networkOf(namespace string) (string, error) {
	ns, err := v.namespaces.Get(namespace)
	switch {
	case err != nil:
		return "", err
	case v.isVSphere(ns):
		return string(ns.UID), nil
	default:
		return v.shared, nil
	}
}
