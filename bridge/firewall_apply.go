// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/poll"
	"github.com/viaduct-sdk/viaduct/nsx"
)

// Apply writes and never decides.

// codePurging is how NSX says that an object of the same path is deleted and not
// purged yet.
const codePurging = 500045

// do carries out a step of NSX. A PUT without a revision creates and never
// overwrites; one with a revision replaces that revision and no other.
func (f *distributedFirewall) do(ctx context.Context, s Step, w written, report func(string)) error {
	if s.Action == ActionDelete {
		err := f.remove(ctx, s)
		if err == nil {
			f.cache.remember(s.Object.Name, nil)
		}
		return err
	}
	body := s.After.DeepCopy().Object
	if s.Action == ActionUpdate {
		live := s.live.Object
		if earlier, ok := w[s.Object]; ok {
			live = earlier.Object // this plan wrote it before
		}
		body = overlay(live, s.Before.Object, body)
		keepRules(body, live)
		body["_revision"] = live["_revision"]
	}
	stored, err := f.put(ctx, s.Object.Name, body, report)
	if err != nil {
		return err
	}
	w[s.Object] = &unstructured.Unstructured{Object: stored}
	f.cache.remember(s.Object.Name, stored)
	return nil
}

// put writes a whole object. Where the object that had the path waits for its
// purge, put waits too.
func (f *distributedFirewall) put(ctx context.Context, path string, body map[string]any, report func(string)) (map[string]any, error) {
	var stored map[string]any
	err := poll.Until(ctx, func(ctx context.Context) (string, bool, error) {
		var raw json.RawMessage
		err := f.client.Raw().Do(ctx, http.MethodPut, path, body, &raw)
		var e *nsx.Error
		switch {
		case err == nil:
			stored, err = decodeIntent(raw)
			return "", err == nil, err
		case errors.As(err, &e) && e.Code == codePurging:
			waiting := "NSX has not purged the object that had this path before"
			report(waiting)
			return waiting, false, nil
		case errors.Is(err, viaduct.ErrExists):
			return "", false, &statusError{viaduct.ErrConflict, err} // it was absent when it was observed
		default:
			return "", false, firewallError("write", err)
		}
	})
	return stored, err
}

// keepRules gives rules that stay their revisions and whatever else NSX knows of
// them.
func keepRules(body, live map[string]any) {
	before := map[string]map[string]any{}
	for _, r := range slicesOf(live, "rules") {
		before[text(r, "id")] = r
	}
	rules, _ := body["rules"].([]any)
	for i, r := range slicesOf(body, "rules") {
		if was, ok := before[text(r, "id")]; ok {
			rules[i] = overlay(was, nil, r)
		}
	}
}

// remove deletes the object that was observed. NSX has no deletion that is bound
// to a revision: it is compared right before.
func (f *distributedFirewall) remove(ctx context.Context, s Step) error {
	now, err := f.read(ctx, nsx.Path(s.Object.Name))
	if err != nil || now == nil {
		return err
	}
	if compareText(now["_revision"], s.live.Object["_revision"]) != 0 {
		return fmt.Errorf("%s has revision %v now, not %v: %w", s.Object, now["_revision"], s.live.Object["_revision"], viaduct.ErrConflict)
	}
	err = f.client.Raw().Do(ctx, http.MethodDelete, s.Object.Name, nil, nil)
	if errors.Is(err, viaduct.ErrNotFound) {
		return nil // somebody was faster
	}
	if err != nil {
		return firewallError("write", err)
	}
	return nil
}
