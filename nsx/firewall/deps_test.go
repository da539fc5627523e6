// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package firewall_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The evaluator can reach no server: nothing that could is compiled into it.
func TestNoIO(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, "net/netip") {
		t.Fatalf("these are not the dependencies of this package: %v", deps)
	}
	for _, dep := range deps {
		if dep == "net" || dep == "os/exec" || strings.HasPrefix(dep, "net/http") ||
			strings.HasPrefix(dep, "github.com/viaduct-sdk/viaduct/internal/") || dep == "github.com/viaduct-sdk/viaduct/nsx" {
			t.Errorf("the evaluator depends on %s", dep)
		}
	}
}
