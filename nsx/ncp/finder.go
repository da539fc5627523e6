// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package ncp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
)

// Finder finds what NCP made.
type Finder struct {
	client *nsx.Client
	scopes Scopes
}

// Option changes what [NewFinder] returns.
type Option func(*Finder)

// WithScopes replaces [DefaultScopes].
func WithScopes(scopes Scopes) Option {
	return func(f *Finder) { f.scopes = scopes }
}

// NewFinder returns a Finder that reads through client.
func NewFinder(client *nsx.Client, opts ...Option) *Finder {
	f := &Finder{client: client, scopes: DefaultScopes()}
	for _, opt := range opts {
		opt(f)
	}
	return f
}

// Raw returns the untyped API of the manager that the finder reads from.
func (f *Finder) Raw() nsx.Raw { return f.client.Raw() }

// Selector says of which Kubernetes objects. Fields that are not empty must all
// fit; one of them must be set.
type Selector struct {
	Cluster      string // "domain-c8:<vCenter UUID>"
	Namespace    string // its name
	NamespaceUID string
	ServiceUID   string
}

// Segments returns the segments, sorted by path.
func (f *Finder) Segments(ctx context.Context, of Selector) ([]nsx.Segment, error) {
	return find(ctx, f, f.client.Segments().Collection, of, func(s nsx.Segment) nsx.Resource { return s.Resource })
}

// Tier1s returns the tier-1 gateways, sorted by path.
func (f *Finder) Tier1s(ctx context.Context, of Selector) ([]nsx.Tier1, error) {
	return find(ctx, f, f.client.Tier1s(), of, func(t nsx.Tier1) nsx.Resource { return t.Resource })
}

// IPPools returns the IP pools, sorted by path.
func (f *Finder) IPPools(ctx context.Context, of Selector) ([]nsx.IPPool, error) {
	return find(ctx, f, f.client.IPPools().Collection, of, func(p nsx.IPPool) nsx.Resource { return p.Resource })
}

// LBServices returns the load balancers, sorted by path.
func (f *Finder) LBServices(ctx context.Context, of Selector) ([]nsx.LBService, error) {
	return find(ctx, f, f.client.LBServices().Collection, of, func(s nsx.LBService) nsx.Resource { return s.Resource })
}

// Pools returns the server pools, sorted by path.
func (f *Finder) Pools(ctx context.Context, of Selector) ([]nsx.Pool, error) {
	return find(ctx, f, f.client.Pools(), of, func(p nsx.Pool) nsx.Resource { return p.Resource })
}

// SecurityPolicies returns the firewall policies of the default domain, with
// their rules, sorted by path.
func (f *Finder) SecurityPolicies(ctx context.Context, of Selector) ([]nsx.SecurityPolicy, error) {
	policies := f.client.Domain(nsx.DefaultDomain).SecurityPolicies().Collection
	return find(ctx, f, policies, of, func(p nsx.SecurityPolicy) nsx.Resource { return p.Resource })
}

// find returns the objects of the collection that the selector fits, as they
// are now and not as the index has them.
func find[T nsx.Object](
	ctx context.Context, f *Finder, c nsx.Collection[T], of Selector, resource func(T) nsx.Resource,
) ([]T, error) {
	queries, err := f.queries(of)
	if err != nil {
		return nil, err
	}
	found := map[nsx.Path]T{}
	for _, query := range queries {
		for hit, err := range c.Search(ctx, query) {
			if err != nil {
				return nil, fmt.Errorf("ncp: %w", err)
			}
			path := resource(hit).Path
			if _, ok := found[path]; ok || !f.fits(of, resource(hit).Tags) {
				continue
			}
			var object T
			err := f.client.Raw().Get(ctx, path.String(), &object)
			if errors.Is(err, viaduct.ErrNotFound) {
				continue // the index is behind
			}
			if err != nil {
				return nil, fmt.Errorf("ncp: %w", err)
			}
			if f.fits(of, resource(object).Tags) {
				found[path] = object
			}
		}
	}
	objects := make([]T, 0, len(found))
	for _, object := range found {
		objects = append(objects, object)
	}
	slices.SortFunc(objects, func(a, b T) int {
		return strings.Compare(string(resource(a).Path), string(resource(b).Path))
	})
	return objects, nil
}

// queries asks for the most selective tag, in each scope that it may be in.
func (f *Finder) queries(of Selector) ([]nsx.Query, error) {
	for _, want := range f.wants(of) {
		if want.tag == "" {
			continue
		}
		queries := make([]nsx.Query, len(want.scopes))
		for i, scope := range want.scopes {
			queries[i] = nsx.Query{}.Tag(scope, want.tag)
		}
		return queries, nil
	}
	return nil, fmt.Errorf("ncp: %w: the selector is empty", viaduct.ErrInvalid)
}

// want is one condition of a selector.
type want struct {
	scopes []string
	tag    string
}

// wants returns the conditions, the one that the fewest objects fulfil first.
func (f *Finder) wants(of Selector) []want {
	return []want{
		{f.scopes.ServiceUID, of.ServiceUID},
		{f.scopes.NamespaceUID, of.NamespaceUID},
		{f.scopes.Namespace, of.Namespace},
		{f.scopes.Cluster, of.Cluster},
	}
}

// fits reports whether tags fulfil every condition of the selector.
func (f *Finder) fits(of Selector, tags nsx.Tags) bool {
	return !slices.ContainsFunc(f.wants(of), func(w want) bool {
		return w.tag != "" && !has(tags, w.scopes, w.tag)
	})
}
