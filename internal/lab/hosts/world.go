// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package hosts

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/viaduct-sdk/viaduct"
)

// outside names the environment variable by which the process that Isolate
// starts knows the namespaces that it must not be in.
const outside = "VIADUCT_HOSTS_OUTSIDE"

// runtimeDir is where the world's files go, on a file system of its own. The
// namespaces' names go there too: ip-netns(8) keeps them in /run/netns.
const runtimeDir = "/run"

// resolvConf is the file that tells a host's processes of their resolver.
const resolvConf = "/etc/resolv.conf"

// Isolate has cmd start in a network, a mount and a PID namespace of its own.
// The kernel kills it when the thread that started it ends: lock the calling
// goroutine to its thread until the process is gone.
func Isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, outside+"="+strings.Join(namespaces(), " "))
}

// namespaces are those of this process.
func namespaces() []string {
	var all []string
	for _, kind := range []string{"net", "mnt", "pid"} {
		id, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			id = kind + ": " + err.Error()
		}
		all = append(all, strings.ReplaceAll(id, " ", "_"))
	}
	return all
}

// World is the namespaces that the hosts live in. It is safe for concurrent use.
type World struct {
	dir        string
	management *Host

	mu    sync.Mutex // guards what follows
	links int
}

// Enter makes a world of the namespaces that [Isolate] gave this process: its
// own processes in /proc, and a file system of its own at /run, where temporary
// files go too. It changes the process's environment and must be called once,
// before anything else.
//
// Errors match [viaduct.ErrInvalid] in a process that Isolate did not start;
// nothing was changed then.
func Enter(ctx context.Context) (*World, error) {
	known := strings.Fields(os.Getenv(outside))
	if len(known) != len(namespaces()) || os.Getpid() != 1 {
		return nil, fmt.Errorf("hosts: this process is in the machine's own namespaces: %w", viaduct.ErrInvalid)
	}
	// /proc is that of the outside still, and so can't be asked for our PID
	// namespace; that we are its first process says enough.
	w := &World{dir: filepath.Join(runtimeDir, "viaduct")}
	w.management = &Host{world: w, name: "management"}
	if err := mountAll(); err != nil {
		return nil, fmt.Errorf("hosts: %w", err)
	}
	for i, id := range namespaces() {
		if id == known[i] {
			return nil, fmt.Errorf("hosts: this process is in the machine's own namespace %s: %w", id, viaduct.ErrInvalid)
		}
	}
	// Other users work in directories beneath it.
	if err := os.Mkdir(w.dir, 0o711); err != nil { //nolint:gosec // To be passed through, not to be listed.
		return nil, fmt.Errorf("hosts: %w", err)
	}
	if err := os.Setenv("TMPDIR", w.dir); err != nil {
		return nil, fmt.Errorf("hosts: %w", err)
	}
	if err := w.management.prepare(ctx); err != nil {
		return nil, err
	}
	return w, nil
}

// mountAll makes the mounts that are ours alone.
func mountAll() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	resolver, err := filepath.EvalSymlinks(resolvConf)
	if err != nil {
		return fmt.Errorf("a host's resolver takes the place of %s: %w", resolvConf, err)
	}
	if err := unix.Mount("tmpfs", runtimeDir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mount %s: %w", runtimeDir, err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if !strings.HasPrefix(resolver, runtimeDir+"/") {
		return nil
	}
	// A link into what has just been hidden.
	if err := os.MkdirAll(filepath.Dir(resolver), 0o755); err != nil { //nolint:gosec // As the system has it.
		return err
	}
	return os.WriteFile(resolver, nil, 0o644) //nolint:gosec // As the system has it.
}

// Dir is a directory for files, which goes with the world. Everybody may pass
// through it, and nobody but root may list it.
func (w *World) Dir() string { return w.dir }

// Management is the host that this process runs in.
func (w *World) Management() *Host { return w.management }
