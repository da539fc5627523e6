// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/poll"
)

// Export makes a Service reachable from outside its cluster and waits until its
// virtual address is proved.
//
// A Service of type LoadBalancer is exported as it is, and nothing is written.
// Beside a Service of type ClusterIP or NodePort a companion of type
// LoadBalancer is made, with the same selector and ports, named after it with
// the suffix "-viaduct"; the Service itself is not touched. [WithConversion]
// changes the Service instead.
//
// The proof: NCP reports no error, the Service's status holds an address, and,
// given [WithNSX], each port has a virtual server on it that is realized and has
// a pool member up. The wait ends with ctx; the error then says which of these
// was seen last. There is no other deadline. NSX also tells from which IP pool
// the address is: one that is not for virtual addresses of this cluster is
// refused with [viaduct.ErrInvalid], and what NSX does not tell is in
// [Exported.Unguarded]. The pools are read anew after five minutes.
//
// [WithNetworkPolicy] also opens the way to the pods.
//
// A Service that has become a load balancer itself is exported as it is. Its
// companion serves the old address until the new one is proved, and goes then;
// [WithHandover] leaves it until imports have been moved.
//
// Export is idempotent: exporting again writes nothing and returns the same
// document. Cut off at any point and called again it carries on.
//
// Errors match [viaduct.ErrNotFound] when the Service or its namespace does not
// exist; [viaduct.ErrUnsupported] when it is of type ExternalName, headless, has
// no selector, or its address is a hostname; [viaduct.ErrInvalid] when it has no
// ports or is itself an import; [viaduct.ErrNotOwned] when the companion's name
// is taken; [viaduct.ErrUnavailable] when NCP or NSX reports an error. In the
// first four cases nothing was written.
func Export(ctx context.Context, c *Cluster, service types.NamespacedName, opts ...ExportOption) (*Exported, error) {
	o := newExportOptions(opts)
	if err := checkConsumers(o.consumers); err != nil {
		return nil, c.wrap("export", service, err)
	}
	var p exportPlan
	done, _, err := c.reconcile(ctx, &o.commonOptions, func(ctx context.Context) (Plan, error) {
		observed, err := c.observeExport(ctx, service)
		if err != nil {
			return Plan{}, err
		}
		p, err = planExport(c.name, service, observed, o)
		if err != nil {
			return Plan{}, err
		}
		if o.handover {
			p.Plan = p.without(withdrawal)
		}
		var policy Plan
		if o.networkPolicy {
			if policy, err = c.planPolicy(ctx, p, observed, o); err != nil {
				return Plan{}, err
			}
		}
		if o.dryRun {
			return JoinPlans(p.Plan, policy), nil
		}
		return p.without(withdrawal), nil
	})
	if err != nil {
		return nil, c.wrap("export", service, err)
	}
	if o.networkPolicy && !o.dryRun {
		opened, err := c.openPods(ctx, service, p, o)
		if err != nil {
			return nil, c.wrap("export", service, err)
		}
		done.Steps = append(done.Steps, opened.Steps...)
	}
	exported := &Exported{Version: documentVersion, Source: p.source, Ports: p.ports, SessionAffinity: p.affinity, plan: done}
	exported.VIPService.Name = p.vipService.Name
	exported.Consumers = sortedConsumers(o.consumers)
	if o.dryRun {
		return exported, nil
	}
	if err := c.proveVIP(ctx, p, exported, o); err != nil {
		return nil, c.wrap("export", service, err)
	}
	withdrawn, err := c.withdraw(ctx, service, p, o)
	exported.plan.Steps = append(exported.plan.Steps, withdrawn.Steps...)
	if err != nil {
		return nil, c.wrap("export", service, err)
	}
	return exported, nil
}

// withdraw takes away what served the Service before, when what takes its place
// is proved.
func (c *Cluster) withdraw(ctx context.Context, service types.NamespacedName, p exportPlan, o *exportOptions) (Plan, error) {
	isOther := func(s Step) bool { return !withdrawal(s) }
	if p.without(isOther).Empty() {
		return Plan{}, nil
	}
	done, _, err := c.reconcile(ctx, &o.commonOptions, func(ctx context.Context) (Plan, error) {
		observed, err := c.observeExport(ctx, service)
		if err != nil {
			return Plan{}, err
		}
		now, err := planExport(c.name, service, observed, o)
		return now.without(isOther), err
	})
	return done, err
}

// PlanExport returns what [Export] would write, and writes nothing. Errors are
// those of Export.
func PlanExport(ctx context.Context, c *Cluster, service types.NamespacedName, opts ...ExportOption) (Plan, error) {
	exported, err := Export(ctx, c, service, slices.Concat(opts, []ExportOption{WithDryRun()})...)
	if err != nil {
		return Plan{}, err
	}
	return exported.Plan(), nil
}

// Unexport removes what [Export] made for a Service, the NetworkPolicy of
// [WithNetworkPolicy] included, gives a converted one its
// type back, and waits until the virtual address is gone, given [WithNSX] in NSX
// too. It returns what was done, or in a dry run what
// would be.
//
// A Service that is not exported, or was exported as it is, is no error and
// leaves the plan empty. Imports elsewhere are not looked at: unimport first.
func Unexport(ctx context.Context, c *Cluster, service types.NamespacedName, opts ...ExportOption) (Plan, error) {
	o := newExportOptions(opts)
	holders := map[types.NamespacedName]types.UID{} // of virtual addresses
	done, _, err := c.reconcile(ctx, &o.commonOptions, func(ctx context.Context) (Plan, error) {
		observed, err := c.observeExport(ctx, service)
		if err != nil {
			return Plan{}, err
		}
		p, err := planUnexport(c.name, service, observed)
		if err == nil {
			p, err = c.closePods(ctx, service, p, o)
		}
		for _, s := range p.Steps {
			if s.Object.Kind != kindService {
				continue
			}
			holders[types.NamespacedName{Namespace: s.Object.Namespace, Name: s.Object.Name}] = s.uid
		}
		return p, err
	})
	for name, uid := range holders {
		if err == nil && !o.dryRun {
			err = c.awaitGone(ctx, name, uid, o)
		}
	}
	if err != nil {
		return Plan{}, c.wrap("unexport", service, err)
	}
	return done, nil
}

// proveVIP waits until the VIP is proved and completes the document.
func (c *Cluster) proveVIP(ctx context.Context, p exportPlan, exported *Exported, o *exportOptions) error {
	ref := ObjectRef{Cluster: c.name, APIVersion: "v1", Kind: kindService, Namespace: p.vipService.Namespace, Name: p.vipService.Name}
	return c.await(ctx, ref, o, func(ctx context.Context) (string, error) {
		v, uid, err := c.lookAtVIP(ctx, p)
		if err != nil || v.waiting != "" {
			return v.waiting, err
		}
		if err := o.checkPools(v.addresses); err != nil {
			return "", err
		}
		if len(o.guard.Pools) == 0 { // else the caller knows
			exported.unguarded = v.unguarded
		}
		exported.VIPService.UID = uid
		exported.Addresses = v.addresses
		exported.Proof = v.proof
		return "", nil
	})
}

// await calls look until it reports nothing to wait for. A server that is away
// is waited for too.
func (c *Cluster) await(ctx context.Context, ref ObjectRef, o *exportOptions, look func(context.Context) (waiting string, err error)) error {
	var last string
	return poll.Until(ctx, func(ctx context.Context) (string, bool, error) {
		waiting, err := look(ctx)
		switch {
		case err != nil && ctx.Err() != nil:
			return last, false, err // cut off by the deadline: what was seen before counts
		case err != nil && !awaits(err):
			return "", false, err
		case err != nil:
			waiting = err.Error()
		case waiting == "":
			return "", true, nil
		}
		if waiting != last {
			o.report(ref, waiting)
			last = waiting
		}
		return waiting, false, nil
	})
}

// awaits reports whether an error says that a server cannot be reached, as
// against an error that it reported.
func awaits(err error) bool {
	var server *statusError
	return errors.As(err, &server) && Retryable(err)
}

func (c *Cluster) lookAtVIP(ctx context.Context, p exportPlan) (vip, types.UID, error) {
	s, err := c.getService(ctx, p.vipService)
	if err != nil {
		return vip{}, "", err
	}
	if s.live == nil {
		return vip{}, "", fmt.Errorf("its Service %s went away: %w", p.vipService, viaduct.ErrNotFound)
	}
	v, err := judgeStatus(s.Service)
	if err != nil || v.waiting != "" {
		return v, s.UID, err
	}
	if c.virtualServers == nil {
		v.unguarded, err = c.checkNSXPools(ctx, v.addresses, nil)
		return v, s.UID, err
	}
	servers, err := c.virtualServers(ctx, p.vipService, s.UID)
	if err != nil {
		return vip{}, "", nsxError(err)
	}
	if v, err = judgeNSX(v, p.ports, servers); err != nil || v.waiting != "" {
		return v, s.UID, err
	}
	v.unguarded, err = c.checkNSXPools(ctx, v.addresses, servers)
	return v, s.UID, err
}

// awaitGone waits until a Service is gone, or no load balancer any more, and its
// virtual servers are gone.
func (c *Cluster) awaitGone(ctx context.Context, name types.NamespacedName, uid types.UID, o *exportOptions) error {
	ref := ObjectRef{Cluster: c.name, APIVersion: "v1", Kind: kindService, Namespace: name.Namespace, Name: name.Name}
	return c.await(ctx, ref, o, func(ctx context.Context) (string, error) {
		s, err := c.getService(ctx, name)
		if err != nil {
			return "", err
		}
		if s.live != nil && s.UID == uid && s.Spec.Type == corev1.ServiceTypeLoadBalancer {
			return "Service " + name.String() + " is still being deleted", nil
		}
		if c.virtualServers == nil {
			return "", nil
		}
		servers, err := c.virtualServers(ctx, name, uid)
		if err != nil {
			return "", nsxError(err)
		}
		if len(servers) > 0 {
			return fmt.Sprintf("NSX still has virtual server %s", servers[0].Path), nil
		}
		return "", nil
	})
}

// nsxError marks an error of NSX as one that a server reported.
func nsxError(err error) error {
	if Retryable(err) {
		return &statusError{viaduct.ErrUnavailable, err}
	}
	return err
}

// wrap says what could not be done, unless err does already.
func (c *Cluster) wrap(op string, name types.NamespacedName, err error) error {
	var already *Error
	if errors.As(err, &already) {
		return err
	}
	return &Error{Op: op, Cluster: c.name, Object: name, Err: err}
}
