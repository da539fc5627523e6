// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package hosts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Host is a network namespace. It is safe for concurrent use.
type Host struct {
	world    *World
	name     string
	resolver string // the file that its processes have as /etc/resolv.conf; empty: the machine's
}

// Host makes a host without links. Its processes have the resolver that conf,
// the text of a resolv.conf, says, or the machine's when it is empty.
func (w *World) Host(ctx context.Context, name, conf string) (*Host, error) {
	h := &Host{world: w, name: name}
	if err := command(exec.CommandContext(ctx, "ip", "netns", "add", name), ""); err != nil {
		return nil, fmt.Errorf("hosts: make %s: %w", name, err)
	}
	if conf != "" {
		h.resolver = filepath.Join(w.dir, name+".resolv.conf")
		if err := os.WriteFile(h.resolver, []byte(conf), 0o644); err != nil { //nolint:gosec // As the system has it.
			return nil, fmt.Errorf("hosts: make %s: %w", name, err)
		}
	}
	return h, h.prepare(ctx)
}

// prepare sets up what a new namespace lacks. It forwards packets, as routers
// and nodes must; whoever is neither is sent none that it could forward.
func (h *Host) prepare(ctx context.Context) error {
	const script = `ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter
echo 0 > /proc/sys/net/ipv4/conf/default/rp_filter`
	if err := command(h.Command(ctx, "/bin/sh", "-e"), script); err != nil {
		return fmt.Errorf("hosts: make %s: %w", h.name, err)
	}
	return nil
}

// Name is the host's name.
func (h *Host) Name() string { return h.name }

func (h *Host) path() string {
	if h == h.world.management {
		return "/proc/self/ns/net"
	}
	return filepath.Join(runtimeDir, "netns", h.name)
}

// Command returns a command that runs on the host. Its process id is that of the
// program itself.
func (h *Host) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	argv := append([]string{name}, args...)
	if h.resolver != "" {
		const script = `mount --bind "$0" ` + resolvConf + ` && exec "$@"`
		argv = append([]string{"unshare", "--mount", "--propagation=private", "/bin/sh", "-c", script, h.resolver}, argv...)
	}
	if h != h.world.management {
		argv = append([]string{"nsenter", "--net=" + h.path(), "--"}, argv...)
	}
	return exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // Running what the caller says is what it is for.
}

// Dial connects from the host to an address and a port, from within this
// process. There are no names.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return nil, fmt.Errorf("hosts: dial from %s: %w", h.name, err)
	}
	var conn net.Conn
	err := h.inside(func() error {
		var err error
		// One address, and so one socket, made by this very goroutine.
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// inside calls f with the calling goroutine's thread in the host's namespace.
func (h *Host) inside(f func() error) (err error) {
	there, err := os.Open(h.path())
	if err != nil {
		return fmt.Errorf("hosts: enter %s: %w", h.name, err)
	}
	defer func() { _ = there.Close() }() // It was only read.
	runtime.LockOSThread()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("hosts: enter %s: %w", h.name, err)
	}
	defer func() { _ = here.Close() }() // It was only read.
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("hosts: enter %s: %w", h.name, err)
	}
	defer func() {
		if back := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); back != nil {
			// The thread stays locked, and ends with its goroutine.
			err = errors.Join(err, fmt.Errorf("hosts: leave %s: %w", h.name, back))
			return
		}
		runtime.UnlockOSThread()
	}()
	return f()
}

// Remove kills all processes of the host and takes the host away, as when the
// machine loses power. Doing so again has no effect.
func (h *Host) Remove(ctx context.Context) error {
	if err := h.kill(); err != nil {
		return fmt.Errorf("hosts: remove %s: %w", h.name, err)
	}
	if _, err := os.Stat(h.path()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	// The links go first: a namespace that a dying process holds on to keeps them.
	_ = command(h.Command(ctx, "/bin/sh"), `for l in /proc/sys/net/ipv4/conf/*; do ip link del "${l##*/}"; done 2>&-`)
	if err := command(exec.CommandContext(ctx, "ip", "netns", "del", h.name), ""); err != nil { //nolint:gosec // The name is ours.
		return fmt.Errorf("hosts: remove %s: %w", h.name, err)
	}
	return nil
}

// kill kills the host's processes.
func (h *Host) kill() error {
	var ours syscall.Stat_t
	if err := syscall.Stat(h.path(), &ours); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	found, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		return err
	}
	for _, path := range found {
		var its syscall.Stat_t
		if err := syscall.Stat(path, &its); err != nil || its.Ino != ours.Ino || its.Dev != ours.Dev {
			continue // Gone, or elsewhere.
		}
		pid, err := strconv.Atoi(strings.Split(path, "/")[2])
		if err != nil || pid == os.Getpid() {
			continue
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// command runs a command to its end. An error has what the command said.
func command(cmd *exec.Cmd, input string) error {
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
