// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package lab_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/lab"
)

// TestAssets starts a lab from a directory of binaries, as KUBEBUILDER_ASSETS
// names one.
func TestAssets(t *testing.T) {
	t.Parallel()
	kube, err := lab.Build(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	assets := t.TempDir()
	for _, name := range []string{"etcd", "kube-apiserver"} {
		script := "#!/bin/sh\nexec " + kube + " " + name + ` "$@"` + "\n"
		if err := os.WriteFile(filepath.Join(assets, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	config := lab.Config{Assets: assets, ControlPlanesOnly: true}
	l, err := lab.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	config.ControllerManager = true
	_, err = lab.Start(t.Context(), config)
	if !errors.Is(err, viaduct.ErrInvalid) || !strings.Contains(err.Error(), "kube-controller-manager") {
		t.Errorf("got %v, want an error that matches ErrInvalid and names what is missing", err)
	}
}
