// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

import (
	"iter"
	"net/url"
	"strconv"
	"strings"

	"github.com/viaduct-sdk/viaduct/internal/page"
	"github.com/viaduct-sdk/viaduct/internal/rest"
)

// Page is one page of a list: its Items, and as Next the cursor of the next
// page, which is empty on the last.
type Page[T any] = page.Page[T]

// ListOptions narrow a list. The zero value lists everything.
type ListOptions struct {
	// PageSize is the most objects in one answer: 1,000 by default and at
	// most.
	PageSize int

	// Cursor is Next of an earlier page.
	Cursor string

	// SortBy is the field to sort by, "id" by default: NSX does not promise
	// the same order from page to page unless it is told one.
	SortBy string

	// IncludeMarkedForDelete lists objects too that were deleted and not
	// purged yet.
	IncludeMarkedForDelete bool
}

const maxPageSize = 1000

func (o ListOptions) query(cursor string) url.Values {
	q := url.Values{"page_size": {strconv.Itoa(o.pageSize())}, "sort_by": {o.sortBy()}}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	if o.IncludeMarkedForDelete {
		q.Set("include_mark_for_delete_objects", "true")
	}
	return q
}

func (o ListOptions) pageSize() int {
	if o.PageSize <= 0 {
		return maxPageSize
	}
	return min(o.PageSize, maxPageSize)
}

func (o ListOptions) sortBy() string {
	if o.SortBy == "" {
		return "id"
	}
	return o.SortBy
}

// pageBody is the answer to a list. Its memory is used again for the next page.
type pageBody[T any] struct {
	Results     []T    `json:"results"`
	ResultCount *int64 `json:"result_count"`
	Cursor      string `json:"cursor"`
}

// decode reads a page; whatever was there before is gone.
func (b *pageBody[T]) decode(res rest.Response) error {
	*b = pageBody[T]{Results: b.Results[:0]}
	return rest.Unmarshal(res.Body, b)
}

func (b *pageBody[T]) facts() (cursor string, count *int64, items int) {
	return b.Cursor, b.ResultCount, len(b.Results)
}

// pager knows when a list ends. NSX has three dialects: the cursor of a policy
// list is opaque and absent on the last page; that of the Manager API starts
// with 0000 there; that of a search is the offset of the next object and may
// still be there, equal to the number of objects.
type pager struct {
	seen  map[string]bool
	total int64 // of the first page, -1 when it did not tell
}

func newPager(first string) *pager {
	return &pager{seen: map[string]bool{first: true}, total: -1}
}

// endOfList is how the cursor of the Manager API starts on the last page.
const endOfList = "0000"

// next returns the cursor of the next page, empty when there is none.
func (p *pager) next(cursor string, count *int64, items int) string {
	if count != nil && p.total < 0 {
		p.total = *count
	}
	if cursor == "" || items == 0 || strings.HasPrefix(cursor, endOfList) || p.seen[cursor] {
		return ""
	}
	if offset, err := strconv.ParseInt(cursor, 10, 64); err == nil && p.total >= 0 && offset >= p.total {
		return ""
	}
	p.seen[cursor] = true
	return cursor
}

// eachPage iterates over the objects of all pages. Its state belongs to one
// range over it.
func eachPage[T any](first string, fetch func(cursor string, body *pageBody[T]) error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		body := &pageBody[T]{}
		pages := newPager(first)
		page.Seq(func(cursor string) (page.Page[T], error) {
			if cursor == "" {
				cursor = first
			}
			if err := fetch(cursor, body); err != nil {
				return page.Page[T]{}, err
			}
			return page.Page[T]{Items: body.Results, Next: pages.next(body.facts())}, nil
		})(yield)
	}
}
