// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/rest"
)

// maxChildren is the most objects in one request of the hierarchical API.
const maxChildren = 500

// Batch is changes that are sent together through the hierarchical API.
// [Collection.ApplyIn] and [Collection.DeleteIn] add to it, [Client.Send] sends
// it. A Batch is not safe for concurrent use.
type Batch struct {
	applies []change
	deletes []change
	err     error // the first of a change that could not be added
}

// change is one object of a batch.
type change struct {
	path   Path
	types  []string
	object map[string]jsontext.Value // nil: delete
}

// NewBatch returns an empty batch.
func NewBatch() *Batch { return &Batch{} }

// Len returns the number of changes.
func (b *Batch) Len() int { return len(b.applies) + len(b.deletes) }

// BatchError says how far a batch got. It unwraps to the errors of the requests
// that failed.
type BatchError struct {
	// Done are the objects that were written or deleted, Failed those that
	// were not. What is in neither was not tried.
	Done, Failed []Path

	errs []error
}

// Error returns the text.
func (e *BatchError) Error() string {
	return fmt.Sprintf("nsx: batch: %d done, %d failed: %v", len(e.Done), len(e.Failed), errors.Join(e.errs...))
}

// Unwrap returns the errors of the requests that failed.
func (e *BatchError) Unwrap() []error { return e.errs }

// ApplyIn adds to the batch what Apply does.
func (c Collection[T]) ApplyIn(b *Batch, object T) {
	r := object.resource()
	intent, err := c.intent(object)
	if err != nil && b.err == nil {
		b.err = fmt.Errorf("nsx: apply %s %q: %w", c.noun, r.ID, err)
	}
	b.applies = append(b.applies, change{path: c.Path(r.ID), types: c.types, object: intent})
}

// DeleteIn adds to the batch what Delete does.
func (c Collection[T]) DeleteIn(b *Batch, id string) {
	if err := c.checkID(id); err != nil && b.err == nil {
		b.err = err
	}
	b.deletes = append(b.deletes, change{path: c.Path(id), types: c.types})
}

func (c Collection[T]) checkID(id string) error {
	if strings.Contains(id, "/") {
		return fmt.Errorf("nsx: %s %q: %w: an id has no slash", c.noun, id, viaduct.ErrInvalid)
	}
	_, err := ParsePath(string(c.Path(id)))
	return err
}

// intent is the object's members, complete with id and type.
func (c Collection[T]) intent(object T) (map[string]jsontext.Value, error) {
	r := object.resource()
	if err := c.checkID(r.ID); err != nil {
		return nil, err
	}
	data, err := encodeIntent(object)
	if err != nil {
		return nil, err
	}
	if r.ResourceType == "" {
		if len(c.types) != 1 {
			return nil, fmt.Errorf("%w: one of the resource types %s must be set", viaduct.ErrInvalid, strings.Join(c.types, ", "))
		}
		r.ResourceType = c.types[0]
	}
	intent := members(data)
	intent["resource_type"] = encode(r.ResourceType, nil)
	return intent, nil
}

// Send sends the batch in requests of at most 500 objects. First everything is
// applied, in the order in which it was added; each request succeeds or fails as
// a whole, and the first that fails ends it. Then everything is deleted,
// referrers first and each kind of object in requests of its own. Where an
// object in use holds up others, these are deleted one by one: one group that is
// still referred to does not keep a firewall policy alive.
//
// Sending a batch again does no harm. The error is a [*BatchError].
func (c *Client) Send(ctx context.Context, b *Batch, opts ...WriteOption) error {
	if b.err != nil {
		return b.err
	}
	outcome := &BatchError{}
	for page := range pages(b.applies) {
		if err := c.sendPage(ctx, page, opts); err != nil {
			outcome.add(err, page)
			return outcome
		}
		outcome.add(nil, page)
	}
	deletes := slices.Clone(b.deletes)
	slices.SortStableFunc(deletes, func(a, b change) int { return a.rank() - b.rank() })
	for len(deletes) > 0 {
		rank := deletes[0].rank()
		n := slices.IndexFunc(deletes, func(d change) bool { return d.rank() != rank })
		if n < 0 {
			n = len(deletes)
		}
		for page := range pages(deletes[:n]) {
			c.deletePage(ctx, page, opts, outcome)
		}
		deletes = deletes[n:]
	}
	if len(outcome.errs) == 0 {
		return nil
	}
	return outcome
}

func (e *BatchError) add(err error, page []change) {
	for _, ch := range page {
		if err == nil {
			e.Done = append(e.Done, ch.path)
		} else {
			e.Failed = append(e.Failed, ch.path)
		}
	}
	if err != nil {
		e.errs = append(e.errs, err)
	}
}

// deletePage deletes the objects of the page together if that works, else each
// on its own.
func (c *Client) deletePage(ctx context.Context, page []change, opts []WriteOption, outcome *BatchError) {
	err := viaduct.ErrInUse
	if len(page) > 1 && len(page[0].types) == 1 {
		err = c.sendPage(ctx, page, opts)
	}
	if !errors.Is(err, viaduct.ErrInUse) {
		outcome.add(err, page)
		return
	}
	for i := range page {
		err := c.do(ctx, call{
			op: "delete", object: page[i].path.String(), method: http.MethodDelete,
			route: page[i].route(), args: page[i].ids(), opts: opts,
		})
		outcome.add(gone(err), page[i:i+1])
	}
}

func (c *Client) sendPage(ctx context.Context, page []change, opts []WriteOption) error {
	root := newNode()
	for _, ch := range page {
		root.grow(ch)
	}
	body := map[string]any{"resource_type": "Infra", "children": root.encode()}
	data, err := rest.Marshal(body)
	if err != nil {
		return fmt.Errorf("nsx: batch: %w: %w", viaduct.ErrInvalid, err)
	}
	return c.do(ctx, call{
		op: "apply batch", object: page[0].path.String(), method: http.MethodPatch, route: "/infra",
		query: url.Values{"enforce_revision_check": {"false"}},
		body:  rest.Raw{ContentType: "application/json", Bytes: data}, opts: opts,
	})
}
