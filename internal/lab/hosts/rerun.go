// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package hosts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/viaduct-sdk/viaduct"
)

// Isolated reports whether this process, or the one that started it, was
// started by [Isolate].
func Isolated() bool { return os.Getenv(outside) != "" }

// Rerun runs this program again with the same arguments, isolated, and returns
// its exit status.
//
// Errors match [viaduct.ErrUnsupported] when this machine or this user can't
// have namespaces.
func Rerun(ctx context.Context) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("hosts: %w", err)
	}
	// The kernel must not take the end of a thread that the runtime no longer
	// needs for ours.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, self, os.Args[1:]...) //nolint:gosec // This very program.
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	Isolate(cmd)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("hosts: start in namespaces of its own: %w: %w", err, viaduct.ErrUnsupported)
	}
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 0, fmt.Errorf("hosts: %w", err)
	}
	return 0, nil
}

// Missing says what hosts need and this machine lacks, in clauses for people;
// programs are those that the caller needs besides.
func Missing(programs ...string) []string {
	var missing []string
	if os.Geteuid() != 0 {
		missing = append(missing, "root: network namespaces are made by the superuser")
	}
	for _, p := range append([]string{"ip", "mount", "nsenter", "unshare"}, programs...) {
		if _, err := exec.LookPath(p); err != nil {
			missing = append(missing, strings.TrimPrefix(err.Error(), "exec: "))
		}
	}
	return missing
}
