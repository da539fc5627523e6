// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package controlplane_test

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/viaduct-sdk/viaduct/internal/lab/controlplane"
)

// output keeps what is written to it, and says when there is something.
type output struct {
	mu    sync.Mutex
	b     bytes.Buffer
	first func()
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.first != nil {
		o.first()
	}
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// TestBuild links the control plane into a cache that is empty. Go's own cache
// is the usual one, so that nothing is compiled.
func TestBuild(t *testing.T) {
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOENV"} {
		out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv(name, strings.TrimSpace(string(out)))
	}
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache) // Linux
	t.Setenv("HOME", cache)           // macOS

	ctx, cancel := context.WithCancelCause(t.Context())
	changed := errors.New("changed my mind")
	if _, err := controlplane.Build(ctx, &output{first: func() { cancel(changed) }}); !errors.Is(err, changed) {
		t.Fatalf("a compilation that is called off: got %v, want the cause", err)
	}
	if left, err := filepath.Glob(filepath.Join(cache, "*", "*", "kube-*")); err != nil || len(left) > 0 {
		t.Errorf("a compilation that was called off left %v (%v)", left, err)
	}

	var progress output
	var paths [3]string
	var wg sync.WaitGroup
	for i := range paths {
		wg.Go(func() {
			var err error
			if paths[i], err = controlplane.Build(t.Context(), &progress); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := strings.Count(progress.String(), "compiling"); n != 1 {
		t.Errorf("compiled %d times, want once:\n%s", n, progress.String())
	}
	if paths[0] != paths[1] || paths[1] != paths[2] || !strings.HasPrefix(paths[0], cache) {
		t.Errorf("got %v, want one path in %s", paths, cache)
	}
	if err := exec.CommandContext(t.Context(), paths[0], "etcd", "--version").Run(); err != nil {
		t.Errorf("the binary: %v", err)
	}
	dns, err := controlplane.BuildDNS(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := exec.CommandContext(t.Context(), dns, "-version").Run(); err != nil {
		t.Errorf("CoreDNS: %v", err)
	}
}
