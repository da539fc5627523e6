// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

// Firewall says what the distributed firewall of the importing side does with
// connections from the cluster's segments to the virtual addresses.
type Firewall struct {
	// Before is the verdict without Viaduct's rule, After with it.
	Before firewall.Action `json:"before"`
	After  firewall.Action `json:"after"`
	// Policy is the path of Viaduct's security policy; empty when there is
	// none, because the firewall was open.
	Policy nsx.Path `json:"policy,omitempty"`
	// Reason names the rule that decided Before, and what could not be
	// considered, in clauses for people.
	Reason string `json:"reason"`
}

// WithDistributedFirewall tells an importing cluster which NSX Manager guards
// its nodes, and the segments that they are on. [Import] can then open the
// distributed firewall by [WithFirewall], and [Unimport] and [Audit] take the
// rules away again. The cluster must be given it each time that an import with
// such a rule is changed or removed.
//
// [NewCluster] refuses a nil client, and paths that are not those of segments,
// with [viaduct.ErrInvalid].
//
// Since NSX-T 3.0.
func WithDistributedFirewall(client *nsx.Client, segments ...nsx.Path) ClusterOption {
	return func(c *Cluster) {
		segments := slices.Compact(slices.Sorted(slices.Values(segments)))
		switch {
		case client == nil:
			c.invalid = fmt.Errorf("WithDistributedFirewall: no client")
			return
		case len(segments) == 0:
			c.invalid = fmt.Errorf("WithDistributedFirewall: no segments")
			return
		}
		for _, s := range segments {
			if _, err := nsx.ParsePath(s.String()); err != nil || !strings.HasSuffix(s.String(), "/segments/"+s.ID()) {
				c.invalid = fmt.Errorf("WithDistributedFirewall: %q is not the path of a segment", s)
				return
			}
		}
		c.firewall = newDistributedFirewall(client, segments)
	}
}

// WithFirewall lets [Import] open the distributed firewall of the importing side:
// from the segments of [WithDistributedFirewall] to the virtual addresses of this
// import, on its ports only. It makes one security policy and one group for each
// import, in the category Application with the sequence number 5, where it comes
// before the policies of NCP; policies of earlier categories, and of lower
// numbers, decide before it.
//
// The verdict is evaluated before anything is written, see [Imported]. A
// firewall that is open already gets no policy. Where a rule stops the flow
// that Viaduct's would not overrule, Import fails with [viaduct.ErrInvalid] and
// names it; nothing was written then. The firewall is read once and kept for five
// minutes with the Cluster. Errors match [viaduct.ErrForbidden] when NSX does
// not let the client's user read or write it.
//
// An import that has a policy keeps it, and it follows changed addresses and
// ports with or without the option; old and new addresses are open while the
// import is switched. [Unimport] removes it, after the slices.
//
// A policy that was removed cannot be made again until NSX has purged the old
// one, which takes minutes: Import waits for that.
func WithFirewall() ImportOption {
	return importOption(func(o *importOptions) { o.firewall = true })
}

// WithNetworkPolicy lets [Export] open the exporting side: it makes a
// NetworkPolicy for exactly the pods behind the Service and their target ports,
// which admits the address by which the load balancer reaches pods (NCP's
// annotation ncp/internal_ip_for_policy) and the sources given here. It belongs
// to the Service that has the virtual address. [Unexport] removes it; an Export
// without the option leaves it as it is.
//
// Kubernetes shuts out everybody whom no policy admits as soon as one selects a
// pod. A policy of Viaduct's closes nothing that was open:
//
//   - Pods that other policies select are isolated already, and the policy only
//     adds to what those admit.
//   - Else the distributed firewall is asked, which takes [WithNSX] with an
//     *ncp.Finder. If it lets the load balancer and the sources in, no policy is
//     made. If the isolation of the vSphere Namespace keeps them out, the
//     policy also admits whom that isolation admits.
//   - Where that cannot be told, or not be said in a NetworkPolicy, Export fails
//     with [viaduct.ErrUnsupported] and names the rule; make a NetworkPolicy for
//     the pods then that says who reaches them.
//
// A policy of that name which is not Viaduct's is left alone:
// [viaduct.ErrNotOwned]. For a cluster with [WithNSXOfGuest] the option is refused
// with [viaduct.ErrUnsupported]: NCP knows nothing of pods in a TK cluster, and
// its load balancer reaches nodes.
func WithNetworkPolicy(from ...netip.Prefix) ExportOption {
	return exportOption(func(o *exportOptions) {
		o.networkPolicy = true
		o.sources = append(o.sources, from...)
	})
}

// FindingFirewall is a security policy or group of Viaduct in NSX whose import is
// gone.
const FindingFirewall FindingKind = "stale-firewall"

// RoleNetworkPolicy is the NetworkPolicy that opens the way to exported pods.
const RoleNetworkPolicy Role = "network-policy"

// needsFirewall is the refusal of what a cluster without the option cannot do.
func needsFirewall(reason string) *refusal {
	return &refusal{viaduct.ErrInvalid, reason, "give NewCluster the option WithDistributedFirewall"}
}
