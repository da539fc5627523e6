// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	nsxt "github.com/vmware/go-vmware-nsxt"
	"github.com/vmware/go-vmware-nsxt/common"
	"github.com/vmware/go-vmware-nsxt/manager"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
)

// Finder finds what NCP made through the Manager API.
type Finder struct {
	client *nsx.Client
	chain  http.RoundTripper
	scopes ncp.Scopes
}

// Option changes what [NewFinder] returns.
type Option func(*Finder)

// WithScopes replaces [ncp.DefaultScopes].
func WithScopes(scopes ncp.Scopes) Option {
	return func(f *Finder) { f.scopes = scopes }
}

// NewFinder returns a Finder that reads through client. It does no I/O.
func NewFinder(client *nsx.Client, opts ...Option) *Finder {
	f := &Finder{client: client, chain: client.RoundTripper(), scopes: ncp.DefaultScopes()}
	for _, opt := range opts {
		opt(f)
	}
	return f
}

// Selector says whose objects to find. Fields that are empty don't count; the
// zero Selector finds everything that has a cluster's tag.
type Selector struct {
	// Cluster is the cluster's name in NCP's configuration: "pks-<UUID>" for
	// TKGI.
	Cluster string

	// Namespace is the name of a namespace, NamespaceUID its UID.
	Namespace, NamespaceUID string
}

// matches reports whether an object with these tags is meant.
func (s Selector) matches(scopes ncp.Scopes, tags nsx.Tags) bool {
	if s == (Selector{}) {
		return slices.ContainsFunc(scopes.Cluster, func(scope string) bool { return len(tags.All(scope)) > 0 })
	}
	return hasAny(tags, scopes.Cluster, s.Cluster) &&
		hasAny(tags, scopes.Namespace, s.Namespace) &&
		hasAny(tags, scopes.NamespaceUID, s.NamespaceUID)
}

// hasAny reports whether any of the scopes has the tag, or none is wanted.
func hasAny(tags nsx.Tags, scopes []string, tag string) bool {
	return tag == "" || slices.ContainsFunc(scopes, func(scope string) bool { return tags.Has(scope, tag) })
}

func tagsOf(tags []common.Tag) nsx.Tags {
	converted := make(nsx.Tags, len(tags))
	for i, t := range tags {
		converted[i] = nsx.Tag{Scope: t.Scope, Tag: t.Tag}
	}
	return converted
}

// LogicalSwitch is a layer-2 network: what a segment is to the Policy API.
type LogicalSwitch struct {
	ID, DisplayName string
	TransportZoneID string
	VNI             int
	Tags            nsx.Tags
}

// LogicalSwitches returns the logical switches of the selector, sorted by id.
func (f *Finder) LogicalSwitches(ctx context.Context, of Selector) ([]LogicalSwitch, error) {
	found, err := list(ctx, "id", func(ctx context.Context, options map[string]any) (chunk[manager.LogicalSwitch], error) {
		page, err := ask(ctx, f.chain, func(ctx context.Context, api *nsxt.APIClient) (manager.LogicalSwitchListResult, *http.Response, error) {
			return api.LogicalSwitchingApi.ListLogicalSwitches(ctx, options)
		})
		return chunk[manager.LogicalSwitch]{page.Results, page.Cursor}, err
	}, func(s manager.LogicalSwitch) bool { return of.matches(f.scopes, tagsOf(s.Tags)) })
	if err != nil {
		return nil, fmt.Errorf("manager: logical switches: %w", err)
	}
	slices.SortFunc(found, func(a, b manager.LogicalSwitch) int { return strings.Compare(a.Id, b.Id) })
	switches := make([]LogicalSwitch, len(found))
	for i, s := range found {
		switches[i] = LogicalSwitch{
			ID: s.Id, DisplayName: s.DisplayName, TransportZoneID: s.TransportZoneId, VNI: int(s.Vni), Tags: tagsOf(s.Tags),
		}
	}
	return switches, nil
}

// FirewallSection is an ordered list of firewall rules: what a security policy
// is to the Policy API.
type FirewallSection struct {
	ID, DisplayName string
	// Marker is top or bottom for a section that marks where NCP puts its own;
	// older ones have true. It is empty for sections with rules.
	Marker    string
	RuleCount int
	IsDefault bool
	Stateful  bool
	// AppliedTo are the ids of what the section is applied to; none means
	// everything.
	AppliedTo []string
	Tags      nsx.Tags
}

// markerScope is the scope of the tag that marks a marker section.
const markerScope = "ncp/fw_sect_marker"

// FirewallSections returns the firewall sections of the selector, in the order
// in which NSX evaluates them.
func (f *Finder) FirewallSections(ctx context.Context, of Selector) ([]FirewallSection, error) {
	found, err := list(ctx, "", func(ctx context.Context, options map[string]any) (chunk[manager.FirewallSection], error) {
		page, err := ask(ctx, f.chain, func(ctx context.Context, api *nsxt.APIClient) (manager.FirewallSectionListResult, *http.Response, error) {
			return api.ServicesApi.ListSections(ctx, options)
		})
		return chunk[manager.FirewallSection]{page.Results, page.Cursor}, err
	}, func(s manager.FirewallSection) bool { return of.matches(f.scopes, tagsOf(s.Tags)) })
	if err != nil {
		return nil, fmt.Errorf("manager: firewall sections: %w", err)
	}
	sections := make([]FirewallSection, len(found))
	for i, s := range found {
		section := FirewallSection{
			ID: s.Id, DisplayName: s.DisplayName, RuleCount: int(s.RuleCount),
			IsDefault: s.IsDefault, Stateful: s.Stateful, Tags: tagsOf(s.Tags),
		}
		section.Marker, _ = section.Tags.Get(markerScope)
		for _, to := range s.AppliedTos {
			section.AppliedTo = append(section.AppliedTo, to.TargetId)
		}
		sections[i] = section
	}
	return sections, nil
}

// IPPool is a pool of addresses, from which NCP takes those of pods, of NAT and
// of virtual servers.
type IPPool struct {
	ID, DisplayName string
	Subnets         []IPPoolSubnet
	// Total, Allocated and Free count addresses.
	Total, Allocated, Free int
	Tags                   nsx.Tags
}

// IPPoolSubnet is one subnet of a pool.
type IPPoolSubnet struct {
	CIDR, Gateway string
	// Ranges are the addresses that may be allocated, as "first-last".
	Ranges []string
}

// IPPools returns the IP pools of the selector, sorted by id.
func (f *Finder) IPPools(ctx context.Context, of Selector) ([]IPPool, error) {
	return f.ipPools(ctx, func(_ string, tags nsx.Tags) bool { return of.matches(f.scopes, tags) })
}

func (f *Finder) ipPools(ctx context.Context, wanted func(id string, tags nsx.Tags) bool) ([]IPPool, error) {
	found, err := list(ctx, "id", func(ctx context.Context, options map[string]any) (chunk[manager.IpPool], error) {
		page, err := ask(ctx, f.chain, func(ctx context.Context, api *nsxt.APIClient) (manager.IpPoolListResult, *http.Response, error) {
			return api.PoolManagementApi.ListIpPools(ctx, options)
		})
		return chunk[manager.IpPool]{page.Results, page.Cursor}, err
	}, func(p manager.IpPool) bool { return wanted(p.Id, tagsOf(p.Tags)) })
	if err != nil {
		return nil, fmt.Errorf("manager: ip pools: %w", err)
	}
	slices.SortFunc(found, func(a, b manager.IpPool) int { return strings.Compare(a.Id, b.Id) })
	pools := make([]IPPool, len(found))
	for i, p := range found {
		if pools[i], err = f.describePool(ctx, p); err != nil {
			return nil, fmt.Errorf("manager: ip pool %s: %w", p.Id, err)
		}
	}
	return pools, nil
}

// describePool reads the pool itself when the list did not tell how much of it is
// in use.
func (f *Finder) describePool(ctx context.Context, p manager.IpPool) (IPPool, error) {
	if p.PoolUsage == nil {
		read, err := ask(ctx, f.chain, func(ctx context.Context, api *nsxt.APIClient) (manager.IpPool, *http.Response, error) {
			return api.PoolManagementApi.ReadIpPool(ctx, p.Id)
		})
		if err != nil && !errors.Is(err, viaduct.ErrNotFound) {
			return IPPool{}, err
		}
		p.PoolUsage = read.PoolUsage
	}
	pool := IPPool{ID: p.Id, DisplayName: p.DisplayName, Tags: tagsOf(p.Tags)}
	if use := p.PoolUsage; use != nil {
		pool.Total, pool.Allocated, pool.Free = int(use.TotalIds), int(use.AllocatedIds), int(use.FreeIds)
	}
	for _, s := range p.Subnets {
		subnet := IPPoolSubnet{CIDR: s.Cidr, Gateway: s.GatewayIp}
		for _, r := range s.AllocationRanges {
			subnet.Ranges = append(subnet.Ranges, r.Start+"-"+r.End)
		}
		pool.Subnets = append(pool.Subnets, subnet)
	}
	return pool, nil
}
