// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package lab_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/viaduct-sdk/viaduct/internal/lab"
)

// The two kinds of programs that start a lab: one that does not care, and one
// that ends in good order when it is interrupted.
const (
	childDies   = "dies"
	childCloses = "closes"
)

// child starts a lab, prints its directory, and stays until ctx ends.
func child(ctx context.Context) {
	l, err := lab.Start(ctx, lab.Config{ControlPlanesOnly: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(l.Dir())
	<-ctx.Done()
	if err := l.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason string
		child  string
		signal syscall.Signal
	}{
		"Killed": {
			reason: "SIGKILL can't be handled: the kernel and the keeper clean up",
			child:  childDies, signal: syscall.SIGKILL,
		},
		"Interrupted": {
			reason: "Ctrl-C reaches the whole process group and ends a program that does not handle it",
			child:  childDies, signal: syscall.SIGINT,
		},
		"InterruptedInGoodOrder": {
			reason: "Ctrl-C reaches the whole process group, and the program closes the lab",
			child:  childCloses, signal: syscall.SIGINT,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), childVariable+"="+tc.child)
			cmd.Stderr = os.Stderr
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			dir, err := bufio.NewReader(stdout).ReadString('\n')
			if err != nil {
				t.Fatal(err, cmd.Wait())
			}
			dir = strings.TrimSpace(dir)
			if n := len(processes(t.Context(), dir)); n != 3 {
				t.Errorf("%d processes, want etcd, kube-apiserver and the keeper", n)
			}
			if err := syscall.Kill(-cmd.Process.Pid, tc.signal); err != nil {
				t.Fatal(err)
			}
			err = cmd.Wait()
			if exit, ok := errors.AsType[*exec.ExitError](err); (tc.child == childCloses) != (err == nil) || (err != nil && !ok) {
				t.Errorf("the program ended with %v (%v)", err, exit)
			}
			eventually(t, gone(dir))
		})
	}
}

func TestContextEndsTheLab(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	l, err := lab.Start(ctx, lab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	eventually(t, gone(l.Dir()))
	if err := l.Close(); err != nil {
		t.Errorf("closing a lab that has ended: %v", err)
	}
	if _, err := l.StartTKCluster(t.Context(), "late"); err == nil {
		t.Error("a closed lab started a cluster")
	}
}

// TestStartFails starts a lab from binaries that end at once.
func TestStartFails(t *testing.T) {
	t.Parallel()
	assets := t.TempDir()
	for _, name := range []string{"etcd", "kube-apiserver"} {
		script := "#!/bin/sh\necho first\necho no such flag >&2\nexit 3\n"
		if err := os.WriteFile(filepath.Join(assets, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	_, err := lab.Start(t.Context(), lab.Config{Assets: assets})
	if err == nil || !strings.Contains(err.Error(), "no such flag") || !strings.Contains(err.Error(), "supervisor") {
		t.Errorf("got %v, want an error with the cluster and the last words of the process", err)
	}
}

// TestKeeperScript lets the keeper's shell kill a process and remove a
// directory, and leave alone a process that ended before.
func TestKeeperScript(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	sleep := func() *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), "sleep", "1000")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	doomed, spared := sleep(), sleep()
	shell := exec.CommandContext(t.Context(), "/bin/sh", "-c", lab.KeeperScript, "keeper", dir)
	shell.Stdin = strings.NewReader(fmt.Sprintf("+ %d\n+ %d\n- %d\n", spared.Process.Pid, doomed.Process.Pid, spared.Process.Pid))
	if out, err := shell.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("the script ended with %v and printed %q", err, out)
	}
	exit, ok := errors.AsType[*exec.ExitError](doomed.Wait())
	if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("the process ended with %v, want SIGKILL", exit)
	}
	if err := spared.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("a process that the keeper was told to forget: %v", err)
	}
	if err := spared.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = spared.Wait() // Killed by the line above.
	if _, err := os.Stat(dir); err == nil {
		t.Error("the directory is there")
	}
}
