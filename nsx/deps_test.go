// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestWhatImportersCompile keeps heavy modules out of programs that import this
// package.
func TestWhatImportersCompile(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".", "./ncp").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	forbidden := map[string]string{
		"github.com/vmware/": "VMware's SDKs belong to nsx/sdk and nsx/manager",
		"k8s.io/":            "nsx is for people without Kubernetes too",
		"sigs.k8s.io/":       "nsx is for people without Kubernetes too",
		"github.com/viaduct-sdk/viaduct/nsx/nsxsim": "no client imports a simulator",
		"testing": "no program wants test flags",
	}
	listed := strings.Fields(string(out))
	if len(listed) < 50 {
		t.Fatalf("go list knows only %d packages", len(listed))
	}
	for _, pkg := range listed {
		for prefix, reason := range forbidden {
			if strings.HasPrefix(pkg, prefix) {
				t.Errorf("%s is compiled: %s", pkg, reason)
			}
		}
	}
}
