// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"iter"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// NetworkPolicies reads the NetworkPolicies of a namespace, which NCP turns into
// rules of the distributed firewall.
type NetworkPolicies struct {
	c         *Client
	namespace string
}

// NetworkPolicies returns a handle for the NetworkPolicies of a namespace, or of
// all namespaces when it is empty.
func (c *Client) NetworkPolicies(namespace string) NetworkPolicies {
	return NetworkPolicies{c, namespace}
}

// List returns one page of NetworkPolicies.
func (n NetworkPolicies) List(ctx context.Context, opts ListOptions) (Page[networkingv1.NetworkPolicy], error) {
	return n.listing().page(ctx, opts)
}

// All iterates over every NetworkPolicy, fetching pages as the loop advances. An
// error is yielded once, last.
func (n NetworkPolicies) All(ctx context.Context, opts ListOptions) iter.Seq2[networkingv1.NetworkPolicy, error] {
	return n.listing().all(ctx, opts)
}

// For returns the NetworkPolicies that apply to pods of the namespace with these
// labels in one direction; none means that the namespace's baseline decides.
func (n NetworkPolicies) For(ctx context.Context, podLabels map[string]string, direction networkingv1.PolicyType) ([]networkingv1.NetworkPolicy, error) {
	var all []networkingv1.NetworkPolicy
	for p, err := range n.All(ctx, ListOptions{}) {
		if err != nil {
			return nil, err
		}
		selector, err := metav1.LabelSelectorAsSelector(&p.Spec.PodSelector)
		if err != nil {
			return nil, kubeError("read the selector of network policy", p.Namespace+"/"+p.Name, err)
		}
		if selector.Matches(labels.Set(podLabels)) && slices.Contains(p.Spec.PolicyTypes, direction) {
			all = append(all, p)
		}
	}
	return all, nil
}

func (n NetworkPolicies) listing() listing[networkingv1.NetworkPolicy] {
	return listOf("list network policies", n.namespace, n.c.kube.NetworkingV1().NetworkPolicies(n.namespace).List,
		func(l *networkingv1.NetworkPolicyList) []networkingv1.NetworkPolicy { return l.Items },
		func(p *networkingv1.NetworkPolicy) (networkingv1.NetworkPolicy, bool) { return *p, true })
}
