// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/lab/controlplane"
)

// assetsVariable names the directory with the binaries of a control plane, as
// it does for controller-runtime's envtest.
const assetsVariable = "KUBEBUILDER_ASSETS"

// servers are the commands that run the three servers: a program and, when it
// is the lab's own binary, the name of the server.
type servers struct {
	etcd, apiServer, controllerManager []string
}

// findServers takes the binaries from the directory of assets when there is
// one, and compiles the lab's own otherwise.
func findServers(ctx context.Context, config Config) (servers, error) {
	dir := config.Assets
	if dir == "" {
		dir = os.Getenv(assetsVariable)
	}
	if dir == "" {
		kube, err := controlplane.Build(ctx, config.Progress)
		return servers{
			etcd:              []string{kube, "etcd"},
			apiServer:         []string{kube, "kube-apiserver"},
			controllerManager: []string{kube, "kube-controller-manager"},
		}, err
	}
	// The processes have another working directory.
	dir, err := filepath.Abs(dir)
	if err != nil {
		return servers{}, fmt.Errorf("lab: %w", err)
	}
	found := servers{
		etcd:      []string{filepath.Join(dir, "etcd")},
		apiServer: []string{filepath.Join(dir, "kube-apiserver")},
	}
	needed := [][]string{found.etcd, found.apiServer}
	if config.ControllerManager {
		found.controllerManager = []string{filepath.Join(dir, "kube-controller-manager")}
		needed = append(needed, found.controllerManager)
	}
	for _, argv := range needed {
		if _, err := exec.LookPath(argv[0]); err != nil {
			return servers{}, fmt.Errorf("lab: the directory of binaries (%s) lacks one that is needed: %w: %w",
				assetsVariable, err, viaduct.ErrInvalid)
		}
	}
	return found, nil
}
