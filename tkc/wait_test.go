// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/tkc"
)

// secret is the Secret of a kubeconfig.
func secret(namespace, cluster string, data map[string][]byte) *unstructured.Unstructured {
	encoded := map[string]any{}
	for k, v := range data {
		encoded[k] = base64.StdEncoding.EncodeToString(v)
	}
	u := &unstructured.Unstructured{Object: map[string]any{"data": encoded}}
	u.SetAPIVersion("v1")
	u.SetKind("Secret")
	u.SetNamespace(namespace)
	u.SetName(cluster + "-kubeconfig")
	return u
}

// TestWaitReady goes through all that there is to wait for.
func TestWaitReady(t *testing.T) {
	t.Parallel()
	f := newFake(tkc.TanzuV1alpha3)
	g := newGuest(t)
	g.ready.Store(false)
	f.put(cluster(tkc.TanzuV1alpha3, "acme-app", "acme-fitness", false))
	var states []string
	steps := []func(){
		func() {
			f.setFault(func(*http.Request) (int, metav1.StatusReason) {
				return http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable
			})
		},
		func() {
			f.setFault(nil)
			f.put(cluster(tkc.TanzuV1alpha3, "acme-app", "acme-fitness", true))
		},
		func() { f.put(secret("acme-app", "acme-fitness", nil)) },
		func() {
			f.put(secret("acme-app", "acme-fitness", map[string][]byte{"value": g.kubeconfig("first")}))
		},
		func() { g.ready.Store(true) },
		func() {},
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, err := f.client(t).WaitReady(ctx, "acme-app", "acme-fitness", tkc.WaitOptions{OnProgress: func(p tkc.Progress) {
		state, _, _ := strings.Cut(p.State, ": ")
		states = append(states, strings.ReplaceAll(state, g.url(), "URL"))
		steps[0]()
		steps = steps[1:]
	}})
	if err != nil || !got.IsReady() {
		t.Fatalf("%+v, %v", got, err)
	}
	want := []string{
		"its phase is creating, Ready is False",
		"the Supervisor does not answer",
		"it is ready and has no kubeconfig",
		"it is ready and has no kubeconfig",
		"it is ready and its API server at URL does not answer",
		"it is ready and its API server answers",
	}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Error(diff)
	}
}

// TestWaitGivesUp checks how a wait ends that can't succeed.
func TestWaitGivesUp(t *testing.T) {
	t.Parallel()
	failed := cluster(tkc.TanzuV1alpha2, "acme-app", "a", false)
	failed.Object["status"] = map[string]any{"phase": "failed", "conditions": []any{
		map[string]any{"type": "Ready", "status": "False", "severity": "Error", "reason": "NoStorage", "message": "no such storage class"},
	}}
	deleted := cluster(tkc.TanzuV1alpha2, "acme-app", "a", true)
	now := metav1.Now()
	deleted.SetDeletionTimestamp(&now)
	tests := map[string]struct {
		objects []*unstructured.Unstructured
		want    error
		text    string
	}{
		"failed":  {[]*unstructured.Unstructured{failed}, viaduct.ErrUnavailable, "no such storage class"},
		"deleted": {[]*unstructured.Unstructured{deleted}, viaduct.ErrNotFound, "being deleted"},
		"missing": {nil, viaduct.ErrNotFound, "there is none"},
		"refused kubeconfig": {
			[]*unstructured.Unstructured{
				cluster(tkc.TanzuV1alpha2, "acme-app", "a", true),
				secret("acme-app", "a", map[string][]byte{"value": readCorpus(t, "exec.yaml")}),
			}, viaduct.ErrInvalid, "exec plugin",
		},
		"never ready": {[]*unstructured.Unstructured{cluster(tkc.TanzuV1alpha2, "acme-app", "a", false)}, context.DeadlineExceeded, "Ready is False"},
		"no secret":   {[]*unstructured.Unstructured{cluster(tkc.TanzuV1alpha2, "acme-app", "a", true)}, context.DeadlineExceeded, "has no Secret a-kubeconfig yet"},
		"no key": {
			[]*unstructured.Unstructured{cluster(tkc.TanzuV1alpha2, "acme-app", "a", true), secret("acme-app", "a", map[string][]byte{"other": {1}})},
			context.DeadlineExceeded, `has no key "value"`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFake(tkc.TanzuV1alpha2)
				for _, o := range tt.objects {
					f.put(o)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				_, err := f.client(t).WaitReady(ctx, "acme-app", "a", tkc.WaitOptions{})
				if !errors.Is(err, tt.want) || !strings.Contains(fmt.Sprint(err), tt.text) {
					t.Errorf("%v; want %v and %q", err, tt.want, tt.text)
				}
			})
		})
	}
}

// TestWaitServerNeverAnswers names what was seen last.
func TestWaitServerNeverAnswers(t *testing.T) {
	t.Parallel()
	f := newFake(tkc.TanzuV1alpha3)
	g := newGuest(t)
	g.ready.Store(false)
	f.put(cluster(tkc.TanzuV1alpha3, "acme-app", "a", true))
	f.put(secret("acme-app", "a", map[string][]byte{"value": g.kubeconfig("first")}))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_, err := f.client(t).WaitReady(ctx, "acme-app", "a", tkc.WaitOptions{})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "its API server at "+g.url()+" does not answer") {
		t.Errorf("%v", err)
	}
}

// TestWaitGone outlives a server that is away, and knows another cluster of the
// same name.
func TestWaitGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(tkc.TanzuV1alpha3)
		u := cluster(tkc.TanzuV1alpha3, "acme-app", "a", true)
		f.put(u)
		c := f.client(t)
		var looks atomic.Int32
		f.setFault(func(r *http.Request) (int, metav1.StatusReason) {
			if !strings.HasSuffix(r.URL.Path, "/a") {
				return 0, ""
			}
			switch looks.Add(1) {
			case 3:
				return http.StatusInternalServerError, metav1.StatusReasonInternalError
			case 5:
				again := u.DeepCopy()
				again.SetUID("another")
				f.put(again)
			}
			return 0, ""
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := c.WaitGone(ctx, "acme-app", "a", u.GetUID()); err != nil {
			t.Error(err)
		}
		err := c.WaitGone(ctx, "acme-app", "a", "")
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "its phase is running") {
			t.Errorf("one that stays: %v", err)
		}
	})
}
