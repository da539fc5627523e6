// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"

	"github.com/viaduct-sdk/viaduct/internal/lab/proc"
)

// keeper starts the processes of a lab, and sees to it that neither they nor
// the lab's directory outlive it.
//
// Three things work together. The processes are killed when the context of the
// keeper ends. On Linux, the kernel kills them when the thread that started
// them ends, which is a thread of the keeper's own. And a shell in a session of
// its own reads from a pipe that only this process can write to: when the pipe
// closes, because this process is gone, however it went, the shell kills the
// processes that it was told of and removes the directory.
type keeper struct {
	dir     string
	address netip.Addr // of the API servers
	starts  chan startRequest
	ended   <-chan struct{} // closed when the context has ended
	cancel  context.CancelFunc
	all     sync.WaitGroup // the processes that have not been reaped, and serve

	shell *exec.Cmd

	mu    sync.Mutex // guards what follows
	pipe  *os.File   // to the shell
	ports []port     // held until the end
}

// command is a process to be started.
type command struct {
	name string // as it is called in errors
	argv []string
	log  string // the file that takes its output
}

type startRequest struct {
	command
	reply chan<- startReply
}

type startReply struct {
	process *process
	err     error
}

// The shell reads "+ pid" and "- pid". A process that was told to die may
// still write for a moment, hence the loop.
const keeperScript = `
pids=
while read -r verb pid; do
	case $verb in
	+) pids="$pids $pid" ;;
	-)
		left=
		for p in $pids; do [ "$p" = "$pid" ] || left="$left $p"; done
		pids=$left ;;
	esac
done
for p in $pids; do kill -9 "-$p"; done
tries=0
until rm -rf "$1" || [ $tries -ge 100 ]; do
	tries=$((tries + 1))
	sleep 0.1 || sleep 1
done
`

// newKeeper makes a temporary directory and keeps it until stop is called or
// this process ends. The processes live no longer than ctx.
func newKeeper(ctx context.Context, address netip.Addr) (*keeper, error) {
	dir, err := os.MkdirTemp("", "viaduct-lab-")
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	life, cancel := context.WithCancel(ctx)
	k := &keeper{
		dir:     dir,
		address: address,
		starts:  make(chan startRequest),
		ended:   life.Done(),
		cancel:  cancel,
	}
	if err := k.startShell(context.WithoutCancel(ctx)); err != nil {
		cancel()
		_ = os.RemoveAll(dir) // Empty still; the first error matters.
		return nil, fmt.Errorf("lab: start the keeper: %w", err)
	}
	k.all.Go(func() { k.serve(life) })
	return k, nil
}

// startShell starts the shell. Its context must not end: it goes when the pipe
// closes.
func (k *keeper) startShell(ctx context.Context) error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = read.Close() }()                                                            // The shell has its own.
	k.shell = exec.CommandContext(ctx, "/bin/sh", "-c", keeperScript, "viaduct-lab-keeper", k.dir) //nolint:gosec // The directory is ours.
	k.shell.Stdin = read
	k.shell.Dir = "/"
	k.shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := k.shell.Start(); err != nil {
		_ = write.Close()
		return err
	}
	k.pipe = write
	return nil
}

// serve starts what is asked for until ctx ends.
func (k *keeper) serve(ctx context.Context) {
	// Never unlocked: the thread ends with the goroutine, and not before.
	runtime.LockOSThread()
	for {
		select {
		case <-ctx.Done():
			return
		case req := <-k.starts:
			p, err := k.spawn(ctx, req.command)
			req.reply <- startReply{p, err}
		}
	}
}

// start starts a process.
func (k *keeper) start(c command) (*process, error) {
	reply := make(chan startReply, 1)
	select {
	case k.starts <- startRequest{c, reply}:
		r := <-reply
		return r.process, r.err
	case <-k.ended:
		return nil, fmt.Errorf("start %s: %w", c.name, errClosed)
	}
}

func (k *keeper) spawn(ctx context.Context, c command) (*process, error) {
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()                        // The process has its own.
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...) //nolint:gosec // Commands are made by this package.
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = k.dir
	// etcd reads ETCD_* variables, so that ours must not reach it.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + k.dir, "TMPDIR=" + k.dir}
	cmd.SysProcAttr = proc.OwnGroup(syscall.SIGKILL)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	k.tell("+", cmd.Process.Pid)
	p := &process{name: c.name, log: c.log, cmd: cmd, done: make(chan struct{})}
	k.all.Go(func() {
		p.err = cmd.Wait()
		k.tell("-", cmd.Process.Pid)
		close(p.done)
	})
	return p, nil
}

// holdPort holds a port until it is freed or the keeper stops.
func (k *keeper) holdPort() (port, error) {
	p, err := holdPort(k.address)
	if err != nil {
		return port{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ports = append(k.ports, p)
	return p, nil
}

// tell tells the shell of a process. When the shell is gone there is nobody to
// tell, and the kernel and the context still do their part.
func (k *keeper) tell(verb string, pid int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, _ = fmt.Fprintln(k.pipe, verb, pid)
}

// stop kills all processes, waits until they are gone, and removes the
// directory.
func (k *keeper) stop() error {
	k.cancel()
	k.all.Wait()
	err := os.RemoveAll(k.dir)
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range k.ports {
		p.free()
	}
	_ = k.pipe.Close() // Only its closing is awaited, by the shell.
	if shellErr := k.shell.Wait(); err == nil && shellErr != nil {
		err = fmt.Errorf("keeper: %w", shellErr)
	}
	return err
}

func (k *keeper) path(elem ...string) string {
	return filepath.Join(append([]string{k.dir}, elem...)...)
}
