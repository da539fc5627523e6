// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/tkc"
)

// TestWatchForbidden watches as a user who may list and may not watch: it ends
// with the refusal instead of listing for ever.
func TestWatchForbidden(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(tkc.ClusterV1beta1)
		watches := 0
		f.fault = func(req *http.Request) (int, metav1.StatusReason) {
			if req.URL.Query().Get("watch") != "" {
				if watches++; watches > 100 {
					t.Error("it tries again and again")
					return http.StatusNotFound, metav1.StatusReasonNotFound
				}
				return http.StatusForbidden, metav1.StatusReasonForbidden
			}
			return 0, ""
		}
		var last error
		for _, err := range f.client(t).Watch(t.Context(), tkc.ListOptions{}) {
			last = err
		}
		if !errors.Is(last, viaduct.ErrForbidden) {
			t.Errorf("got %v, want an error that matches ErrForbidden", last)
		}
	})
}
