// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/poll"
	"github.com/viaduct-sdk/viaduct/internal/rest"
)

// Collection is the objects of one kind under one parent: the segments of the
// infra, the rules of one security policy. It is small, immutable, and safe for
// concurrent use.
type Collection[T Object] struct {
	client *Client
	noun   string   // "segment"
	route  string   // "/infra/segments", with placeholders for args
	args   []string //
	types  []string // resource types, for searches

	// gate names the feature that an object needs, and since when there is
	// one; nil, or an empty name, when every manager has it.
	gate func(T) (feature string, need Version)
}

// Path returns the policy path of the object with this id.
func (c Collection[T]) Path(id string) Path {
	return fill(c.route, c.args...) + Path("/"+id)
}

// Get returns the object with this id.
//
// Errors match [viaduct.ErrNotFound] when there is none.
func (c Collection[T]) Get(ctx context.Context, id string) (T, error) {
	var object T
	err := c.client.do(ctx, c.one("get", http.MethodGet, id, nil, &object))
	return object, err
}

// List returns one page of the objects, by default the first, with up to 1,000
// of them; Next of the page is the Cursor of the next one.
func (c Collection[T]) List(ctx context.Context, opts ListOptions) (Page[T], error) {
	body := &pageBody[T]{}
	if err := c.fetch(ctx, opts, opts.Cursor, body); err != nil {
		return Page[T]{}, err
	}
	return Page[T]{Items: body.Results, Next: newPager(opts.Cursor).next(body.facts())}, nil
}

// All iterates over every object, fetching pages as the loop advances, so that
// memory does not grow with their number. Breaking out of the loop stops
// fetching. The sequence may be ranged over again; each range starts from the
// first page.
//
// It yields at most one error, last, with a zero object.
func (c Collection[T]) All(ctx context.Context, opts ListOptions) iter.Seq2[T, error] {
	return eachPage(opts.Cursor, func(cursor string, body *pageBody[T]) error {
		return c.fetch(ctx, opts, cursor, body)
	})
}

// Apply creates the object or changes the one with the same id, whatever its
// revision. It sends the whole object each time: NSX documents that load
// balancer objects are replaced by it, while of others it changes the fields
// that are sent. Applying twice is applying once. It does not wait until NSX
// has realized the object.
//
// Errors match [viaduct.ErrInvalid] when NSX refuses the object,
// [viaduct.ErrNotFound] when its parent or something that it refers to does not
// exist, [viaduct.ErrConflict] while a deleted object of the same path awaits
// its purge, [viaduct.ErrNotOwned] when it is protected for somebody else, and
// [viaduct.ErrUnsupported], before anything is sent, when this version of NSX
// lacks a feature that the object uses.
func (c Collection[T]) Apply(ctx context.Context, object T, opts ...WriteOption) error {
	data, err := encodeIntent(object)
	id := object.resource().ID
	if err != nil {
		return fmt.Errorf("nsx: apply %s %q: %w", c.noun, id, err)
	}
	if err := c.allowed(ctx, object); err != nil {
		return err
	}
	r := c.one("apply", http.MethodPatch, id, data, nil)
	r.opts = opts
	return c.client.do(ctx, r)
}

// Replace writes the object that was read before, if it still has the revision
// that it had then, and returns it as it is now. Fields of NSX that this
// package does not know are kept. It reads the object to learn them.
//
// Errors match [viaduct.ErrConflict] when the object has changed since, and
// [viaduct.ErrNotFound] when it is gone. See Update for a loop that deals with
// conflicts.
func (c Collection[T]) Replace(ctx context.Context, object T, opts ...WriteOption) (T, error) {
	var zero T
	if err := c.allowed(ctx, object); err != nil {
		return zero, err
	}
	want := object.resource()
	raw, current, err := c.read(ctx, want.ID)
	if err != nil {
		return zero, err
	}
	if have := current.resource().Revision; have != want.Revision {
		return zero, fmt.Errorf("nsx: replace %s %q: %w: it has revision %d now, not %d",
			c.noun, want.ID, viaduct.ErrConflict, have, want.Revision)
	}
	merged, err := mergeIntent(raw, current, object)
	if err != nil {
		return zero, fmt.Errorf("nsx: replace %s %q: %w", c.noun, want.ID, err)
	}
	return c.put(ctx, want.ID, merged, opts)
}

// maxConflicts is how often Update starts over.
const maxConflicts = 10

// Update reads the object, lets change edit it, and writes it back, keeping
// fields that this package does not know. When somebody else changed the object
// meanwhile, it starts over with a fresh read, up to 10 times. It returns the
// object as it is now; when change changes nothing, nothing is written.
//
// Errors are those of change, or match [viaduct.ErrNotFound] when there is no
// such object and [viaduct.ErrConflict] when the conflicts did not end.
func (c Collection[T]) Update(ctx context.Context, id string, change func(*T) error, opts ...WriteOption) (T, error) {
	var updated T
	var conflict error
	rounds := 0
	err := poll.Until(ctx, func(ctx context.Context) (string, bool, error) {
		rounds++
		var err error
		updated, err = c.updateOnce(ctx, id, change, opts)
		if !errors.Is(err, viaduct.ErrConflict) || rounds == maxConflicts {
			return "", err == nil, err
		}
		conflict = err
		return err.Error(), false, nil
	})
	if err != nil {
		var zero T
		if ctx.Err() != nil && conflict != nil {
			err = fmt.Errorf("nsx: update %s %q: %w", c.noun, id, err)
		}
		return zero, err
	}
	return updated, nil
}

func (c Collection[T]) updateOnce(ctx context.Context, id string, change func(*T) error, opts []WriteOption) (T, error) {
	raw, before, err := c.read(ctx, id)
	if err != nil {
		return before, err
	}
	after, err := decodeObject[T](raw)
	if err != nil {
		return before, err
	}
	if err := change(&after); err != nil {
		return before, err
	}
	if err := c.allowed(ctx, after); err != nil {
		return before, err
	}
	merged, err := mergeIntent(raw, before, after)
	if err != nil {
		return before, fmt.Errorf("nsx: update %s %q: %w", c.noun, id, err)
	}
	if sameIntent(raw, merged) {
		return before, nil
	}
	return c.put(ctx, id, merged, opts)
}

// Delete deletes the object with this id. It is no error if there is none and
// NSX itself says so, not a proxy before it. NSX may take its time: until it has purged the object, its path can't be used
// again.
//
// Errors match [viaduct.ErrInUse] when other objects refer to it or lie beneath
// it; [Error.Referrers] names them.
func (c Collection[T]) Delete(ctx context.Context, id string, opts ...WriteOption) error {
	r := c.one("delete", http.MethodDelete, id, nil, nil)
	r.opts = opts
	return gone(c.client.do(ctx, r))
}

// WaitGone waits until a deleted object can't be read any more.
func (c Collection[T]) WaitGone(ctx context.Context, id string) error {
	err := poll.Until(ctx, func(ctx context.Context) (string, bool, error) {
		_, err := c.Get(ctx, id)
		if errors.Is(err, viaduct.ErrNotFound) {
			return "", true, nil
		}
		return "it is still there", false, err
	})
	if err != nil {
		return fmt.Errorf("nsx: wait until %s %q is gone: %w", c.noun, id, err)
	}
	return nil
}

// allowed asks the version of the manager if the object needs a certain one.
func (c Collection[T]) allowed(ctx context.Context, object T) error {
	if c.gate == nil {
		return nil
	}
	feature, need := c.gate(object)
	if feature == "" {
		return nil
	}
	return c.client.Require(ctx, feature, need)
}

// read returns the object as it came and as this package knows it.
func (c Collection[T]) read(ctx context.Context, id string) (raw []byte, object T, err error) {
	keep := func(res rest.Response) error {
		raw = append([]byte(nil), res.Body...)
		object, err = decodeObject[T](raw)
		return err
	}
	if doErr := c.client.do(ctx, c.one("get", http.MethodGet, id, nil, keep)); doErr != nil {
		return nil, object, doErr
	}
	return raw, object, nil
}

// put writes a whole object. When the answer to an earlier attempt was lost, a
// conflict may be with our own write: if the object is now what was sent, it is.
func (c Collection[T]) put(ctx context.Context, id string, data []byte, opts []WriteOption) (T, error) {
	var written T
	r := c.one("replace", http.MethodPut, id, data, &written)
	r.opts = opts
	err := c.client.do(ctx, r)
	var e *Error
	if err == nil || !errors.As(err, &e) || e.Attempts < 2 || !errors.Is(err, viaduct.ErrConflict) {
		return written, err
	}
	raw, current, readErr := c.read(ctx, id)
	if readErr != nil || !sameIntent(raw, data) {
		return written, err
	}
	return current, nil
}

// one is a call about one object.
func (c Collection[T]) one(verb, method, id string, body []byte, into any) call {
	args := append(append(make([]string, 0, len(c.args)+1), c.args...), id)
	r := call{
		op: verb + " " + c.noun, object: id, method: method,
		route: c.route + "/{id}", args: args, into: into,
	}
	if body != nil {
		r.body = rest.Raw{ContentType: "application/json", Bytes: body}
	}
	return r
}

// fetch fetches one page into body.
func (c Collection[T]) fetch(ctx context.Context, opts ListOptions, cursor string, body *pageBody[T]) error {
	return c.client.do(ctx, call{
		op: "list " + c.noun + "s", method: http.MethodGet,
		route: c.route, args: c.args, query: opts.query(cursor), into: body.decode,
	})
}
