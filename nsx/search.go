// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/rest"
)

// Search finds objects of all kinds; [Collection.Search] finds those of one.
type Search struct{ client *Client }

// Search returns the search of the Policy API.
func (c *Client) Search() Search { return Search{client: c} }

// Hit is an object that a search found: what all objects have in common, and
// the rest on demand.
type Hit struct {
	Resource
	raw jsontext.Value
}

// Into decodes the whole object into one of this package's structs or any
// other. The error matches [viaduct.ErrInvalid].
func (h Hit) Into(object any) error {
	if err := rest.Unmarshal(h.raw, object); err != nil {
		return fmt.Errorf("nsx: decode %s: %w: %w", h.Path, viaduct.ErrInvalid, err)
	}
	return nil
}

// All iterates over every object that the query matches. The index that NSX
// searches is behind by some seconds, and an object found may differ from the
// object by now. NSX lets nobody see more than the first 50,000 hits.
//
// It yields at most one error, last. The error matches [viaduct.ErrUnavailable]
// when the index is not ready, and still was not when the retries ended.
func (s Search) All(ctx context.Context, q Query) iter.Seq2[Hit, error] {
	raw := searchPages[jsontext.Value](ctx, s.client, q.String())
	return func(yield func(Hit, error) bool) {
		for value, err := range raw {
			if err != nil {
				yield(Hit{}, err)
				return
			}
			hit := Hit{raw: value}
			if err := hit.Into(&hit.Resource); err != nil {
				yield(Hit{}, err)
				return
			}
			if q.Matches(hit.Resource) && !yield(hit, nil) {
				return
			}
		}
	}
}

// Search iterates over the objects of this collection that the query matches;
// its type and its place need not be said. See [Search.All] for what searches
// are worth; where the index is not ready, all objects are listed and filtered
// instead.
func (c Collection[T]) Search(ctx context.Context, q Query) iter.Seq2[T, error] {
	q = q.Type(c.types...)
	if len(c.args) > 0 {
		q = q.Under(fill(c.route, c.args...))
	}
	found := searchPages[T](ctx, c.client, q.String())
	return func(yield func(T, error) bool) {
		yielded := false
		each := func(object T, err error) bool {
			if err == nil && !q.Matches(object.resource()) {
				return true
			}
			yielded = true
			return yield(object, err)
		}
		for object, err := range found {
			if err != nil && !yielded && hasCode(err, codeIndexing, codeSearchTimeout, codeSearchOutOfSync) {
				c.All(ctx, ListOptions{IncludeMarkedForDelete: q.deleted})(each)
				return
			}
			if !each(object, err) {
				return
			}
		}
	}
}

// searchPages iterates over what the server finds. A page that is too large for
// it is asked for again at half the size.
func searchPages[T any](ctx context.Context, c *Client, query string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		size := maxPageSize
		eachPage("", func(cursor string, body *pageBody[T]) error {
			for {
				err := c.do(ctx, call{
					op: "search", object: query, method: http.MethodGet, route: "/search/query",
					query: searchQuery(query, cursor, size), into: body.decode,
				})
				if !pageTooLarge(err) || size <= minSearchPage {
					return err
				}
				size /= 2
			}
		})(yield)
	}
}

const minSearchPage = 25

// pageTooLarge reports whether a smaller page may succeed.
func pageTooLarge(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Status == http.StatusServiceUnavailable && e.Code == codePageTooLarge ||
		e.Status == http.StatusBadRequest && e.Code == codeFieldTooLarge
}

func searchQuery(query, cursor string, size int) url.Values {
	values := url.Values{
		"query":     {query},
		"page_size": {strconv.Itoa(size)},
		"sort_by":   {"id"},
	}
	if cursor != "" {
		values.Set("cursor", cursor)
	}
	return values
}
