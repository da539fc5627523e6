// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/viaduct-sdk/viaduct/internal/lab/proc"
	"github.com/viaduct-sdk/viaduct/internal/lab/progress"
)

// runCompiler runs the go command. When ctx ends, the command is asked to end,
// so that it can remove its temporary files.
func runCompiler(ctx context.Context, dir string, args []string, output *compilerOutput) error {
	// The kernel must not take the end of a thread that the runtime no longer
	// needs for ours.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = goEnv()
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = proc.OwnGroup(syscall.SIGINT)
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("go build: %w\n%s", err, output.complaints())
}

// compilerOutput counts what go build -v prints: the path of each package that
// it compiles, the modules that it downloads, and, rarely, an error.
type compilerOutput struct {
	most int // packages that can need compilation

	mu         sync.Mutex
	partial    []byte
	packages   int
	downloads  int
	complained []string
}

// Write takes some of the output.
func (o *compilerOutput) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.partial = append(o.partial, b...)
	for {
		line, rest, ok := bytes.Cut(o.partial, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		o.line(string(line))
		o.partial = rest
	}
}

func (o *compilerOutput) line(line string) {
	const enough = 40
	switch {
	case strings.HasPrefix(line, "go: downloading "):
		o.downloads++
	case !strings.Contains(line, " "):
		o.packages++
	case len(o.complained) < enough:
		o.complained = append(o.complained, line)
	}
}

func (o *compilerOutput) detail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var b strings.Builder
	if o.downloads > 0 {
		fmt.Fprintf(&b, ", %d modules downloaded", o.downloads)
	}
	fmt.Fprintf(&b, ", %d of at most %d packages", o.packages, o.most)
	return b.String()
}

func (o *compilerOutput) complaints() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(append(o.complained, string(o.partial)), "\n")
}

// lock takes the lock of a file, and waits while another process has it. The
// kernel gives it back if this process dies.
func lock(ctx context.Context, name string, p *progress.Printer) (unlock func(), err error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // A file of the cache.
	if err != nil {
		return nil, err
	}
	defer p.Watch("wait for another process that compiles", nil)()
	const pause = 200 * time.Millisecond
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch err {
		case nil:
			return func() { _ = file.Close() }, nil // Closing is unlocking.
		case unix.EWOULDBLOCK, unix.EINTR:
		default:
			_ = file.Close() // The first error matters.
			return nil, err
		}
		select {
		case <-ctx.Done():
			_ = file.Close() // The lock was not taken.
			return nil, context.Cause(ctx)
		case <-ticker.C:
		}
	}
}
