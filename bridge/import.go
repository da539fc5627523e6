// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/viaduct-sdk/viaduct"
)

// Imported is what [Import] made.
type Imported struct {
	Cluster   string    `json:"cluster"`
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	UID       types.UID `json:"uid"`
	// ClusterIPs are the addresses that the name resolves to in the importing
	// cluster; empty in a dry run.
	ClusterIPs []netip.Addr `json:"clusterIPs"`
	// Addresses are the virtual addresses that it leads to.
	Addresses []netip.Addr `json:"addresses"`
	Ports     []Port       `json:"ports"`

	// Unguarded says what is not known of the importing cluster's own
	// addresses, and so was not guarded against; see [Guard].
	Unguarded []string `json:"unguarded,omitempty"`
	// Firewall is the verdict of the distributed firewall, when [WithFirewall]
	// asked for it or the import has a rule; nil otherwise.
	Firewall *Firewall `json:"firewall,omitempty"`

	plan Plan
}

// Plan returns what [Import] did, or would have done in a dry run.
func (i *Imported) Plan() Plan { return i.plan }

// Import gives an exported service its native name in another cluster: a
// Service without a selector, of the same name in the namespace of the same
// name, and an EndpointSlice that holds the virtual address. Clients there look
// up name.namespace.svc as if the service were local. [WithTarget] and [WithPort]
// choose another name and other ports. The namespace must exist unless
// [WithCreateNamespace] says to make it.
//
// The Service owns the slice: deleting the Service takes the slice along even
// if Viaduct never runs again.
//
// Import is idempotent: importing again writes nothing; importing a newer
// document of the same service changes what differs. Cut off at any point and
// called again it carries on.
//
// Errors match [viaduct.ErrInvalid] when the document is damaged, this is the
// cluster that exported it, or the [Guard] refuses an address; [viaduct.ErrUnsupported] when the document is of a
// newer version; [viaduct.ErrForbidden] when it is for other clusters; [viaduct.ErrNotFound]
// when the namespace does not exist; [viaduct.ErrNotOwned] when the name is
// taken by a Service or slice that Viaduct did not make; [viaduct.ErrExists]
// when it is the import of another service. In all these cases nothing was
// written.
func Import(ctx context.Context, c *Cluster, e *Exported, opts ...ImportOption) (*Imported, error) {
	return c.importFrom(ctx, c, e, newImportOptions(opts))
}

// importFrom is Import with its first observation from elsewhere. A conflict is
// observed at the API server.
func (c *Cluster) importFrom(ctx context.Context, from reader, e *Exported, o *importOptions) (*Imported, error) {
	if e == nil {
		return nil, fmt.Errorf("bridge: import into cluster %s: no exported document: %w", c.name, viaduct.ErrInvalid)
	}
	target := o.targetOf(e)
	if err := e.validate(); err != nil {
		return nil, c.wrap("import", target, err)
	}
	if err := e.isFor(c.name); err != nil {
		return nil, c.wrap("import", target, err)
	}
	if msgs := validation.IsDNS1035Label(target.Name); len(msgs) > 0 {
		return nil, c.wrap("import", target, fmt.Errorf("name %q: %s: %w", target.Name, msgs[0], viaduct.ErrInvalid))
	}
	var observed importObserved
	done, w, err := c.reconcile(ctx, &o.commonOptions, func(ctx context.Context) (Plan, error) {
		var err error
		if observed, err = c.observeImport(ctx, from, target); err != nil {
			return Plan{}, err
		}
		_, many := from.(*listing)
		from = c
		if err := c.observeMore(ctx, &observed, e, o, many); err != nil {
			return Plan{}, err
		}
		return planImport(c.name, e, observed, o)
	})
	if err != nil {
		return nil, c.wrap("import", target, err)
	}
	return c.imported(e, observed, w, done, o)
}

// imported describes the import from the Service as written, or as observed
// when there was nothing to write.
func (c *Cluster) imported(e *Exported, observed importObserved, w written, p Plan, o *importOptions) (*Imported, error) {
	target, s := o.targetOf(e), observed.service
	i := &Imported{
		Cluster: c.name, Namespace: target.Namespace, Name: target.Name,
		Addresses: sortedAddresses(e.Addresses), Ports: o.servicePorts(e), Unguarded: observed.guard.Unknown, plan: p,
	}
	if observed.wantsFirewall(target, o) {
		v := observed.firewall.judge(e)
		i.Firewall = &Firewall{Before: v.before, After: v.after, Reason: v.reason}
		i.Firewall.Policy, _ = observed.firewallPolicy(c.name, target, e, o)
	}
	ref := ObjectRef{Cluster: c.name, APIVersion: "v1", Kind: kindService, Namespace: target.Namespace, Name: target.Name}
	if stored, ok := w[ref]; ok {
		var err error
		if s, err = serviceOf(stored); err != nil {
			return nil, c.wrap("import", target, err)
		}
	}
	if s.live == nil {
		return i, nil // a dry run
	}
	i.UID = s.UID
	for _, ip := range s.Spec.ClusterIPs {
		address, err := netip.ParseAddr(ip)
		if err != nil {
			return nil, c.wrap("import", target, fmt.Errorf("cluster IP %q: %w", ip, viaduct.ErrInvalid))
		}
		i.ClusterIPs = append(i.ClusterIPs, address)
	}
	return i, nil
}

// PlanImport returns what [Import] would write, and writes nothing. Errors are
// those of Import.
func PlanImport(ctx context.Context, c *Cluster, e *Exported, opts ...ImportOption) (Plan, error) {
	imported, err := Import(ctx, c, e, slices.Concat(opts, []ImportOption{WithDryRun()})...)
	if err != nil {
		return Plan{}, err
	}
	return imported.Plan(), nil
}

// Unimport removes an import: its slices first, then the Service. It returns
// what was done, or in a dry run what would be.
//
// A security policy of [WithFirewall] goes with it; on a cluster without
// [WithDistributedFirewall] such an import is refused with [viaduct.ErrInvalid]
// before anything is written.
//
// A Service that was adopted is given back. A name that is not an import, because it does not exist or belongs to
// somebody else, is no error: it is left alone and the plan is empty.
func Unimport(ctx context.Context, c *Cluster, service types.NamespacedName, opts ...ImportOption) (Plan, error) {
	o := newImportOptions(opts)
	done, _, err := c.reconcile(ctx, &o.commonOptions, func(ctx context.Context) (Plan, error) {
		observed, err := c.observeImport(ctx, c, service)
		if err != nil {
			return Plan{}, err
		}
		if c.firewall != nil && observed.mayHaveFirewall(service) {
			if observed.firewall, err = c.firewall.observe(ctx, c.name, service, nil, false); err != nil {
				return Plan{}, err
			}
		}
		return planUnimport(c.name, service, observed, o)
	})
	if err != nil {
		return Plan{}, c.wrap("unimport", service, err)
	}
	return done, nil
}
