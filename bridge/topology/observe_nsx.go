// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"context"
	"errors"
	"iter"
	"sync"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
)

// nsxSeen is what NSX said.
type nsxSeen struct {
	holes

	tier1s         []nsx.Tier1
	segments       []nsx.Segment
	loadBalancers  []nsx.LBService
	virtualServers []nsx.VirtualServer
	pools          []nsx.Pool
	policies       []nsx.SecurityPolicy
	rules          []nsx.Rule
	groups         []nsx.Group

	// owner tells for which Kubernetes object NCP made something.
	owner func(nsx.Tags) ncp.Owner
	// status is how load balancers are doing, by path.
	status map[nsx.Path]nsx.LBServiceStatus
}

// What is read of NSX, as holes name it.
const (
	objectTier1s         = "tier-1 gateways"
	objectSegments       = "segments"
	objectLoadBalancers  = "load balancers"
	objectVirtualServers = "virtual servers"
	objectPools          = "pools"
	objectPolicies       = "firewall policies"
	objectRules          = "firewall rules"
	objectGroups         = "groups"
	objectStatus         = "status of load balancers"
)

// statusRequests is how many load balancers are asked at the same time how they
// are doing.
const statusRequests = 8

func (n *nsxSeen) look(ctx context.Context, c *nsx.Client) {
	n.owner = ncp.NewFinder(c).Owner
	n.status = map[nsx.Path]nsx.LBServiceStatus{}
	domain := c.Domain(nsx.DefaultDomain)
	var wg sync.WaitGroup
	all := nsx.ListOptions{}
	wg.Go(func() { n.tier1s = readAll(ctx, n, objectTier1s, c.Tier1s().All(ctx, all)) })
	wg.Go(func() { n.segments = readAll(ctx, n, objectSegments, c.Segments().All(ctx, all)) })
	wg.Go(func() { n.virtualServers = readAll(ctx, n, objectVirtualServers, c.VirtualServers().All(ctx, all)) })
	wg.Go(func() { n.pools = readAll(ctx, n, objectPools, c.Pools().All(ctx, all)) })
	wg.Go(func() { n.policies = readAll(ctx, n, objectPolicies, domain.SecurityPolicies().All(ctx, all)) })
	wg.Go(func() { n.groups = readAll(ctx, n, objectGroups, domain.Groups().All(ctx, all)) })
	wg.Go(func() { n.rules = readAll(ctx, n, objectRules, searchRules(ctx, c)) })
	wg.Go(func() {
		n.loadBalancers = readAll(ctx, n, objectLoadBalancers, c.LBServices().All(ctx, all))
		n.lookStatus(ctx, c)
	})
	wg.Wait()
}

// searchRules finds the rules of all policies of the default domain at once:
// lists of policies come without them, and there may be thousands of policies.
func searchRules(ctx context.Context, c *nsx.Client) iter.Seq2[nsx.Rule, error] {
	return func(yield func(nsx.Rule, error) bool) {
		for hit, err := range c.Search().All(ctx, nsx.Query{}.Type("Rule").Under("/infra/domains/"+nsx.DefaultDomain)) {
			var rule nsx.Rule
			if err == nil {
				err = hit.Into(&rule)
			}
			if !yield(rule, err) || err != nil {
				return
			}
		}
	}
}

// readAll returns what the sequence yields; what came before an error counts.
func readAll[T any](ctx context.Context, n *nsxSeen, object string, all iter.Seq2[T, error]) []T {
	var found []T
	for one, err := range all {
		if err != nil {
			n.note(ctx, object, err)
			break
		}
		found = append(found, one)
	}
	return found
}

// lookStatus asks each load balancer how it and all that runs on it is doing.
// One that can't tell is as unknown as all are when none can.
func (n *nsxSeen) lookStatus(ctx context.Context, c *nsx.Client) {
	var mu sync.Mutex
	var failed error
	jobs := make(chan nsx.LBService)
	var wg sync.WaitGroup
	for range statusRequests {
		wg.Go(func() {
			for lb := range jobs {
				status, err := c.LBServices().Status(ctx, lb.ID)
				mu.Lock()
				switch {
				case err == nil:
					n.status[lb.Path] = status
				case !errors.Is(err, viaduct.ErrNotFound): // deleted meanwhile, or not realized yet
					failed = err
				}
				mu.Unlock()
			}
		})
	}
	for _, lb := range n.loadBalancers {
		jobs <- lb
	}
	close(jobs)
	wg.Wait()
	n.note(ctx, objectStatus, failed)
}
