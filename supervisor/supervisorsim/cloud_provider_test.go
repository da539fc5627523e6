// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

func TestVMServiceName(t *testing.T) {
	t.Parallel()
	service := types.NamespacedName{Namespace: "default", Name: "frontend"}
	// printf %s frontend.default | md5sum, sha256sum; 21 digits of each.
	cases := map[bool]string{
		false: "acme-fitness-fb6d007ae7f4472beb268",
		true:  "acme-fitness-baca7f54212e4a78d4a5e",
	}
	for sha, want := range cases {
		if got := vmServiceName("acme-fitness", service, sha); got != want {
			t.Errorf("SHA-256 %v: %s, want %s", sha, got, want)
		}
	}
}

func TestReplicas(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason  string
		spec    map[string]any
		want    [2]int
		version string
	}{
		"v1alpha1": {
			"count, and one kind of workers",
			map[string]any{"distribution": map[string]any{"version": "v1.18"}, "topology": map[string]any{"controlPlane": map[string]any{"count": int64(3)}, "workers": map[string]any{"count": int64(2)}}},
			[2]int{3, 2},
			"v1.18",
		},
		"v1alpha3": {
			"node pools",
			map[string]any{"topology": map[string]any{
				"controlPlane": map[string]any{"replicas": int64(1), "tkr": map[string]any{"reference": map[string]any{"name": "v1.23"}}},
				"nodePools":    []any{map[string]any{"replicas": int64(2)}, map[string]any{"replicas": int64(3)}},
			}},
			[2]int{1, 5},
			"v1.23",
		},
		"v1beta1": {
			"machine deployments",
			map[string]any{"topology": map[string]any{
				"version": "v1.26", "controlPlane": map[string]any{"replicas": int64(3)},
				"workers": map[string]any{"machineDeployments": []any{map[string]any{"replicas": int64(4)}}},
			}},
			[2]int{3, 4},
			"v1.26",
		},
		"Empty": {"one control plane node at least", nil, [2]int{1, 0}, defaultKubernetesVersion},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := &unstructured.Unstructured{Object: map[string]any{"spec": tc.spec}}
			controlPlane, workers := replicas(u)
			if diff := cmp.Diff(tc.want, [2]int{controlPlane, workers}); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if got := versionOf(u); got != tc.version {
				t.Errorf("version %s, want %s", got, tc.version)
			}
		})
	}
}
