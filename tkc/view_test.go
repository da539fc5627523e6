// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc_test

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct/tkc"
)

// TestView reads each cluster of testdata/cluster, in each version of the APIs,
// and compares what comes of it with the file beside it.
func TestView(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/cluster/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			f := newFake()
			for document := range strings.SplitSeq(string(text), "\n---\n") {
				u := parseObject(t, document)
				f.served[u.GetAPIVersion()] = []string{plural(u.GetAPIVersion())}
				f.put(u)
			}
			c := f.client(t)
			cluster, err := c.Get(t.Context(), "acme-app", "acme-fitness")
			if err != nil {
				t.Fatal(err)
			}
			all, err := c.List(t.Context(), tkc.ListOptions{})
			if err != nil || len(all) != 1 {
				t.Fatalf("list: %v, %v; want one", all, err)
			}
			if diff := cmp.Diff(cluster, all[0], cmp.AllowUnexported(tkc.Cluster{}), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
				t.Errorf("get and list differ: %s", diff)
			}
			got, err := json.MarshalIndent(struct {
				Ready, Failed, Deleted bool
				Cluster                tkc.Cluster
			}{cluster.IsReady(), cluster.IsFailed(), cluster.IsDeleted(), cluster}, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			want := strings.TrimSuffix(file, ".yaml") + ".json"
			if *update {
				if err := os.WriteFile(want, append(got, '\n'), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			data, err := os.ReadFile(want)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimSpace(string(data)), string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
