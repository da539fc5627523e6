// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"fmt"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
)

// AuditReport is what [Audit] found.
type AuditReport struct {
	// Findings is what nobody needs any more, in the order of the plan; what
	// is not Viaduct's to remove comes last.
	Findings []Finding `json:"findings"`
	// Holes are the servers that could not be asked. What depends on them was
	// not judged.
	Holes []Hole `json:"holes,omitempty"`
	// Owned is how many objects of Viaduct there are in the clusters.
	Owned int `json:"owned"`

	clusters []*Cluster
}

// Finding is something that is stale.
type Finding struct {
	Kind   FindingKind `json:"kind"`
	Object ObjectRef   `json:"object"`
	Reason string      `json:"reason"`

	step *Step
}

// FindingKind is what is the matter with an object.
type FindingKind string

// The kinds of findings.
const (
	// FindingCompanion is a companion whose Service is gone or is a load
	// balancer itself.
	FindingCompanion FindingKind = "stale-companion"
	// FindingImport is an import whose exported Service is gone, with its slices.
	FindingImport FindingKind = "stale-import"
	// FindingSlice is a slice whose Service is gone or not Viaduct's any more.
	FindingSlice FindingKind = "orphaned-slice"
	// FindingNSX is something in NSX that NCP made for a Service or namespace
	// that is gone. It is NCP's to remove.
	FindingNSX FindingKind = "leaked-in-nsx"
)

// Hole is a server that could not be asked.
type Hole struct {
	Server string `json:"server"`
	Reason string `json:"reason"`
}

// Leaks finds what NCP left behind in NSX. *ncp.Finder implements it.
type Leaks interface {
	Orphans(ctx context.Context, ncpCluster string, live func(context.Context) (ncp.Live, error)) ([]ncp.Orphan, error)
	LeakedAddresses(ctx context.Context, ncpCluster string, live func(context.Context) (ncp.Live, error)) ([]ncp.LeakedAddress, error)
}

// AuditOption changes what [Audit] looks at.
type AuditOption func(*auditOptions)

type auditOptions struct {
	nsx []nsxAudit
}

type nsxAudit struct {
	cluster    string
	ncpCluster string
	leaks      Leaks
}

// WithNSXAudit also looks for what NCP left behind for the cluster of this name:
// virtual servers, pools and addresses whose Service is gone. The second name is
// the one that NCP gives the cluster in its tags, such as
// "domain-c8:<vCenter's instance UUID>".
func WithNSXAudit(cluster, ncpCluster string, leaks Leaks) AuditOption {
	return func(o *auditOptions) { o.nsx = append(o.nsx, nsxAudit{cluster, ncpCluster, leaks}) }
}

// Audit looks through clusters for what Viaduct made and nobody needs any more.
// It lists Services and EndpointSlices of each cluster once, given
// [WithDistributedFirewall] also security policies and groups, and writes nothing;
// [AuditReport.Apply] removes what it found.
//
// An import is judged only when its exporting cluster is among the clusters and
// answers: that an API server is away never makes an import stale. A cluster
// that cannot be asked is a hole in the report and no error. The error is that
// of ctx, or matches [viaduct.ErrInvalid] when an option names a cluster that is
// not there.
func Audit(ctx context.Context, clusters []*Cluster, opts ...AuditOption) (*AuditReport, error) {
	var o auditOptions
	for _, opt := range opts {
		opt(&o)
	}
	report := &AuditReport{clusters: clusters}
	observed := make(map[string]*auditObserved, len(clusters))
	for _, c := range clusters {
		guarded, err := c.observeFirewall(ctx) // before its imports: they are marked before they have something there
		if err != nil {
			report.Holes = append(report.Holes, Hole{"NSX of " + c.name, err.Error()})
		}
		seen, err := c.observeAudit(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("bridge: audit cluster %s: %w", c.name, context.Cause(ctx))
		}
		if err != nil {
			report.Holes = append(report.Holes, Hole{c.name, err.Error()})
			continue
		}
		seen.firewall = guarded
		observed[c.name] = seen
	}
	for _, c := range clusters {
		if seen := observed[c.name]; seen != nil {
			report.Owned += seen.owned()
			report.Findings = append(report.Findings, judgeAudit(c.name, seen, observed)...)
		}
	}
	for _, n := range o.nsx {
		if err := report.addLeaks(ctx, n); err != nil {
			return nil, err
		}
	}
	return report, nil
}

// Plan returns the deletions that [AuditReport.Apply] would make.
func (r *AuditReport) Plan() Plan {
	var p Plan
	for _, f := range r.Findings {
		if f.step != nil {
			p.Steps = append(p.Steps, *f.step)
		}
	}
	return p.sorted()
}

// Apply removes what the audit found and Viaduct made. Each deletion is bound to
// the object as it was seen: what changed since is left alone and reported as a
// conflict.
//
// A plan that would remove more than half of what Viaduct owns is refused with
// an error that matches [viaduct.ErrInvalid], because it is more often a mistake
// than a wish; [WithMassDeletion] is the word that lets it pass.
func (r *AuditReport) Apply(ctx context.Context, opts ...RemoveOption) (Plan, error) {
	var o removeOptions
	for _, opt := range opts {
		opt.applyRemove(&o)
	}
	p := r.Plan()
	if 2*len(p.Steps) > r.Owned && !o.mass {
		return p, fmt.Errorf("bridge: audit: %d of the %d objects of Viaduct would be removed: %w; look at the plan, and say WithMassDeletion if it is right",
			len(p.Steps), r.Owned, viaduct.ErrInvalid)
	}
	if o.dryRun {
		return p, nil
	}
	for _, c := range r.clusters {
		var own Plan
		for _, s := range p.Steps {
			if s.Object.Cluster == c.name || s.via == c.name {
				own.Steps = append(own.Steps, s)
			}
		}
		if _, err := c.apply(ctx, own, &o.commonOptions); err != nil {
			return p, fmt.Errorf("bridge: audit: cluster %s: %w", c.name, err)
		}
	}
	return p, nil
}
