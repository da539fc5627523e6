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

// find returns the objects of the collection that have this tag in any of the
// scopes, sorted by path, as they are now and not as the index has them.
func find[T nsx.Object](
	ctx context.Context, c nsx.Collection[T], scopes []string, tag string, resource func(T) nsx.Resource,
) ([]T, error) {
	found := map[nsx.Path]T{}
	for _, scope := range scopes {
		for hit, err := range c.Search(ctx, nsx.Query{}.Tag(scope, tag)) {
			if err != nil {
				return nil, fmt.Errorf("ncp: find %s %s: %w", scope, tag, err)
			}
			r := resource(hit)
			if _, ok := found[r.Path]; ok {
				continue
			}
			object, err := c.Get(ctx, r.ID)
			if errors.Is(err, viaduct.ErrNotFound) {
				continue // the index is behind
			}
			if err != nil {
				return nil, err
			}
			if has(resource(object).Tags, scopes, tag) {
				found[r.Path] = object
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
