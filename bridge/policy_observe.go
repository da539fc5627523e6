// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	applynetworkingv1 "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/viaduct-sdk/viaduct"
)

// Observe reads and never writes.

const networkingV1 = "networking.k8s.io/v1"

// networkPolicy is an observed NetworkPolicy.
type networkPolicy struct {
	object
	*networkingv1.NetworkPolicy
}

// policyObserved is what planNetworkPolicy looks at.
type policyObserved struct {
	// service is the exported one, vip the one that has the virtual address.
	service, vip service
	// policies are those of the namespace.
	policies []networkPolicy
	// pods are those behind the Service.
	pods []*corev1.Pod
	// guest says that they are those of a TK cluster.
	guest bool
	// firewall is what guards them; nil when it is not known or not needed.
	firewall *firewallState
}

// observePolicy reads the firewall when the plan asks for it. What makes the plan
// refuse may have been changed since it was read, and is read anew.
func (c *Cluster) observePolicy(ctx context.Context, p exportPlan, original service, opts *exportOptions) (policyObserved, error) {
	o := policyObserved{service: original, guest: c.guest}
	if c.guest {
		return o, nil
	}
	start := time.Now()
	var err error
	if o.vip, err = c.getService(ctx, p.vipService); err != nil {
		return o, err
	}
	if o.policies, err = c.listPolicies(ctx, original.Namespace, metav1.ListOptions{}); err != nil {
		return o, err
	}
	if o.pods, err = c.podsBehind(ctx, original); err != nil {
		return o, err
	}
	if c.exporting == nil || !o.alone() || o.policy(companionOf(key(original.live)).Name).live != nil {
		return o, nil
	}
	if o.firewall, err = c.exporting.get(ctx, time.Time{}); err != nil {
		return o, err
	}
	if plan, err := planNetworkPolicy(c.name, p, o, opts); err != nil || plan.stale {
		o.firewall, err = c.exporting.get(ctx, start)
		return o, err
	}
	return o, nil
}

func (c *Cluster) listPolicies(ctx context.Context, namespace string, opts metav1.ListOptions) ([]networkPolicy, error) {
	list, err := c.resource(networkingV1, kindNetworkPolicy, namespace).List(ctx, opts)
	if err != nil {
		return nil, kubeError(err)
	}
	all := make([]networkPolicy, 0, len(list.Items))
	for i := range list.Items {
		p, err := policyOf(&list.Items[i])
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

func policyOf(live *unstructured.Unstructured) (networkPolicy, error) {
	var typed networkingv1.NetworkPolicy
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(live.Object, &typed); err != nil {
		return networkPolicy{}, fmt.Errorf("decode NetworkPolicy %s: %w", key(live), err)
	}
	ours, err := applynetworkingv1.ExtractNetworkPolicy(&typed, fieldManager)
	if err != nil {
		return networkPolicy{}, fmt.Errorf("read the managed fields of NetworkPolicy %s: %w", key(live), err)
	}
	managed, err := render(ours)
	return networkPolicy{object{live, managed}, &typed}, err
}

// podsBehind lists the pods behind a Service that have not come to their end.
func (c *Cluster) podsBehind(ctx context.Context, s service) ([]*corev1.Pod, error) {
	list, err := c.listPods(ctx, s.Namespace, s.Spec.Selector)
	if err != nil {
		return nil, err
	}
	var pods []*corev1.Pod
	for i := range list {
		if pod := &list[i]; pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed && pod.DeletionTimestamp == nil {
			pods = append(pods, pod)
		}
	}
	return pods, nil
}

// planPolicy is what an export of which nothing has been written yet would open,
// as far as it is known by then. It refuses what cannot be done.
func (c *Cluster) planPolicy(ctx context.Context, p exportPlan, observed exportObserved, o *exportOptions) (Plan, error) {
	seen, err := c.observePolicy(ctx, p, observed.service, o)
	if err != nil {
		return Plan{}, err
	}
	policy, err := planNetworkPolicy(c.name, p, seen, o)
	return policy.Plan, err
}

// openPods makes the NetworkPolicy as soon as it is known whom it has to admit.
// That is before the virtual address is proved: where the load balancer checks
// its members, none is up before it is let in.
func (c *Cluster) openPods(ctx context.Context, name types.NamespacedName, p exportPlan, o *exportOptions) (Plan, error) {
	look := func(ctx context.Context) (policyPlan, error) {
		original, err := c.getService(ctx, name)
		if err != nil {
			return policyPlan{}, err
		}
		if original.live == nil {
			return policyPlan{}, fmt.Errorf("its Service went away: %w", viaduct.ErrNotFound)
		}
		seen, err := c.observePolicy(ctx, p, original, o)
		if err != nil {
			return policyPlan{}, err
		}
		return planNetworkPolicy(c.name, p, seen, o)
	}
	var ready *policyPlan
	ref := ObjectRef{Cluster: c.name, APIVersion: networkingV1, Kind: kindNetworkPolicy, Namespace: name.Namespace, Name: companionOf(name).Name}
	err := c.await(ctx, ref, o, func(ctx context.Context) (string, error) {
		seen, err := look(ctx)
		ready = &seen
		return seen.waiting, err
	})
	if err != nil {
		return Plan{}, err
	}
	done, _, err := c.reconcile(ctx, &o.commonOptions, func(ctx context.Context) (Plan, error) {
		if first := ready; first != nil {
			ready = nil
			return first.Plan, nil
		}
		seen, err := look(ctx)
		if err == nil && seen.waiting != "" {
			err = &statusError{viaduct.ErrUnavailable, errors.New(seen.waiting)}
		}
		return seen.Plan, err
	})
	return done, err
}

// closePods adds the removal of the NetworkPolicy to the plan of an unexport.
// Who may not look at NetworkPolicies and does not ask for it has made none.
func (c *Cluster) closePods(ctx context.Context, name types.NamespacedName, p Plan, o *exportOptions) (Plan, error) {
	policies, err := c.listPolicies(ctx, name.Namespace, metav1.ListOptions{FieldSelector: "metadata.name=" + companionOf(name).Name})
	if (errors.Is(err, viaduct.ErrForbidden) || errors.Is(err, viaduct.ErrNotFound)) && !o.networkPolicy {
		return p, nil
	}
	for _, policy := range policies {
		if ownPolicy(name, policy) {
			p.Steps = append(p.Steps, remove(c.name, policy.object, "Service "+name.String()+" is no longer exported")...)
		}
	}
	return p.sorted(), err
}
