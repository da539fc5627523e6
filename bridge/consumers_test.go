// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct"
)

func TestConsumers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		consumers []string
		want      error
	}{
		"for all":              {nil, nil},
		"for this one":         {[]string{"acme-fitness"}, nil},
		"for this one, beside": {[]string{"acme-reports", "acme-fitness"}, nil},
		"for another":          {[]string{"acme-reports"}, viaduct.ErrForbidden},
	} {
		server := newListServer()
		c := server.cluster(t)
		e := exportedPostgres()
		e.Consumers = tc.consumers
		if err := e.isFor(c.Name()); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
		if tc.want == nil {
			continue
		}
		if _, err := Import(t.Context(), c, e); !errors.Is(err, tc.want) || !strings.Contains(err.Error(), "acme-reports") || len(server.requests) > 0 {
			t.Errorf("%s: import: got %v after %d requests, want %v before any", name, err, len(server.requests), tc.want)
		}
	}
	var o exportOptions
	WithConsumers("b", "a").applyExport(&o)
	WithConsumers("b").applyExport(&o)
	if diff := cmp.Diff([]string{"a", "b"}, sortedConsumers(o.consumers)); diff != "" {
		t.Errorf("given twice (-want +got):\n%s", diff)
	}
	server := newListServer()
	_, err := Export(t.Context(), server.cluster(t), postgres, WithConsumers("A B"))
	if !errors.Is(err, viaduct.ErrInvalid) || len(server.requests) > 0 {
		t.Errorf("not a cluster's name: got %v after %d requests, want invalid before any", err, len(server.requests))
	}
}
