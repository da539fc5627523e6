// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package progress_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct/internal/lab/progress"
)

func TestWatch(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason string
		takes  time.Duration
		want   string
	}{
		"Short": {reason: "what is done within a second is not worth a line", takes: 900 * time.Millisecond},
		"Long": {
			reason: "a line after a second, and then with growing pauses",
			takes:  20500 * time.Millisecond,
			want: "lab: build, 1s, half\nlab: build, 4s, half\nlab: build, 8s, half\n" +
				"lab: build, 13s, half\nlab: build, 19s, half\nlab: build: took 20.5s\n",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var b strings.Builder
				stop := progress.New(&b).Watch("build", func() string { return ", half" })
				<-time.After(tc.takes)
				stop()
				stop() // again, to no effect
				if diff := cmp.Diff(tc.want, b.String()); diff != "" {
					t.Errorf("%s: (-want +got)\n%s", tc.reason, diff)
				}
			})
		})
	}
}
