// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"context"
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// firewall is the part of NCP that turns NetworkPolicies into policies of the
// distributed firewall: one that allows, and beneath it one that drops the rest.
type firewall struct {
	m    *manager
	nets *networks
	view view
}

func (f *firewall) reconcile(_ context.Context, key objectKey) error {
	policy, err := f.view.policies.NetworkPolicies(key.Namespace).Get(key.Name)
	gone := err != nil || policy.UID != key.uid || policy.DeletionTimestamp != nil
	f.nets.mu.Lock()
	defer f.nets.mu.Unlock()
	if gone {
		err = f.remove(key.uid)
	} else {
		err = f.write(policy)
	}
	if err != nil {
		return fmt.Errorf("supervisorsim: network policy %s: %w", key, err)
	}
	return nil
}

// The objects of a NetworkPolicy.
func policyObjects(uid types.UID) (allow, isolate, group string) {
	return policyPath("allow", string(uid)), policyPath("isolate", string(uid)), groupPath("policy", string(uid))
}

func (f *firewall) remove(uid types.UID) error {
	allow, isolate, group := policyObjects(uid)
	for _, path := range []string{allow, isolate, group} {
		if err := f.m.nsx.Remove(path); err != nil {
			return fmt.Errorf("remove %s: %w", path, err)
		}
	}
	return nil
}

func (f *firewall) write(p *networkingv1.NetworkPolicy) error {
	network, err := f.view.networkOf(p.Namespace)
	if err != nil {
		return err
	}
	net, err := f.nets.get(network)
	if err != nil {
		return err
	}
	allow, isolate, pods := policyObjects(p.UID)
	c := compile(p, pods, f.world())
	tags := []tag{{tagProject, p.Namespace}, {tagProjectUID, net.project}, {tagNetworkPolicy, string(p.UID)}}
	name := p.Namespace + "-" + p.Name
	g := group{intent: f.m.describe("Group", name, tags...), Expression: []expression{}}
	if len(c.pods) > 0 {
		g.Expression = append(g.Expression, expression{ResourceType: "IPAddressExpression", Addresses: c.pods})
	}
	if err := f.m.ensure(pods, g); err != nil {
		return err
	}
	if err := f.policy(allow, name+"-allow", allowSequence, pods, tags, c.allow); err != nil {
		return err
	}
	return f.policy(isolate, name+"-isolate", isolateSequence, pods, tags, isolation(c, pods))
}

func (f *firewall) policy(path, name string, sequence int, scope string, tags []tag, rules []rule) error {
	err := f.m.ensure(path, securityPolicy{
		intent:   f.m.describe("SecurityPolicy", name, tags...),
		Category: "Application",
		Sequence: sequence,
		Scope:    []string{scope},
	})
	if err != nil {
		return err
	}
	return f.m.ensureRules(path, scope, rules, tags)
}

// isolation drops what the policy does not allow, in its directions.
func isolation(c compiled, pods string) []rule {
	var rules []rule
	if c.in {
		rules = append(rules, rule{name: "drop-in", action: "DROP", direction: "IN", sources: anyone(), destinations: []string{pods}})
	}
	if c.out {
		rules = append(rules, rule{name: "drop-out", action: "DROP", direction: "OUT", sources: []string{pods}, destinations: anyone()})
	}
	return rules
}

func (f *firewall) world() world {
	w := world{namespaces: map[string]map[string]string{}, pods: f.view.podsIn(metav1.NamespaceAll)}
	namespaces, _ := f.view.namespaces.List(labels.Everything())
	for _, ns := range namespaces {
		w.namespaces[ns.Name] = ns.Labels
	}
	return w
}

// sweep has the NetworkPolicies looked at that NSX holds something for and that
// are gone.
func (f *firewall) sweep(c *controller) error {
	objects, err := f.m.list(policiesPath)
	if err != nil {
		return err
	}
	live := map[types.UID]bool{}
	policies, _ := f.view.policies.List(labels.Everything())
	for _, p := range policies {
		live[p.UID] = true
	}
	for _, o := range objects {
		if uid := types.UID(o.tags[tagNetworkPolicy]); uid != "" && !live[uid] {
			c.queue.Add(objectKey{uid: uid})
		}
	}
	return nil
}
