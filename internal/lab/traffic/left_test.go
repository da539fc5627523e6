// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && e2etraffic

package traffic_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What the run prints for whoever supervises it.
const (
	insideMark  = "## inside of "  // and its PID namespace
	halfWayMark = "## half-way ##" // once there is much to leave behind
)

// supervise has a run killed half-way, then another that goes to its end, and
// looks after each whether anything is left of it. The result is that of the
// second.
func supervise(ctx context.Context) (int, error) {
	before, err := machine(ctx)
	if err != nil {
		return 0, err
	}
	var result table
	defer func() { result.print(os.Stdout) }()
	code := 0
	for _, kill := range []bool{true, false} {
		fmt.Fprintln(os.Stderr, map[bool]string{true: "A run that is killed half-way:", false: "The run:"}[kill])
		r, err := oneRun(ctx, kill)
		if err != nil {
			return 0, err
		}
		step := "after the run"
		if kill {
			step = "after kill -9 half-way"
		} else {
			code = r.code
		}
		left, err := awaitNothing(ctx, before, r)
		if err != nil {
			return 0, err
		}
		line := row{
			step: step, from: "the machine", tried: "list links, namespaces, nftables, mounts, processes, files",
			expected: "nothing left", seen: cmp.Diff(before, left), failed: true,
		}
		if line.seen == "" {
			line.seen, line.failed = line.expected, false
		} else {
			code = 1
		}
		result.rows = append(result.rows, line)
	}
	return code, nil
}

// aRun is a run that is over.
type aRun struct {
	inside string // its PID namespace
	files  string // its temporary directory, as seen from outside
	code   int
}

// oneRun starts a run, which may be killed with SIGKILL as soon as it is
// half-way.
func oneRun(ctx context.Context, kill bool) (r aRun, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	if r.files, err = os.MkdirTemp("", "viaduct-traffic-"); err != nil {
		return r, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), roleVariable+"="+roleRun, "TMPDIR="+r.files)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return r, err
	}
	if err := cmd.Start(); err != nil {
		return r, err
	}
	show := io.Writer(os.Stdout)
	if kill {
		show = io.Discard
	}
	killed := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		id, isInside := strings.CutPrefix(lines.Text(), insideMark)
		switch {
		case isInside:
			r.inside = id
		case lines.Text() == halfWayMark && kill:
			killed = true
			cancel()
		case lines.Text() != halfWayMark:
			fmt.Fprintln(show, lines.Text())
		}
	}
	err = cmd.Wait()
	exit, isExit := errors.AsType[*exec.ExitError](err)
	switch {
	case kill && killed:
		return r, nil
	case kill:
		return r, fmt.Errorf("the run ended before it was half-way: %w", err)
	case isExit:
		r.code = exit.ExitCode()
		return r, nil
	}
	return r, err
}

// state is what a run could leave behind on the machine.
type state struct {
	Links, Namespaces, Tables, Mounts []string
	// Processes and Files are those of one run.
	Processes, Files []string
}

// machine is the machine's state but for the processes and files of a run.
func machine(ctx context.Context) (state, error) {
	var s state
	for _, q := range []struct {
		into *[]string
		argv []string
	}{
		{&s.Links, []string{"ip", "-brief", "link"}},
		{&s.Namespaces, []string{"ip", "netns", "list"}},
		{&s.Tables, []string{"nft", "list", "tables"}},
		{&s.Mounts, []string{"cat", "/proc/self/mounts"}},
	} {
		out, err := exec.CommandContext(ctx, q.argv[0], q.argv[1:]...).Output()
		if err != nil {
			return s, fmt.Errorf("%s: %w", strings.Join(q.argv, " "), err)
		}
		for line := range strings.Lines(string(out)) {
			name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			if q.into == &s.Tables || q.into == &s.Mounts {
				name = strings.TrimSpace(line)
			}
			*q.into = append(*q.into, name)
		}
		slices.Sort(*q.into)
	}
	return s, nil
}

// awaitNothing waits until nothing is left of a run, and returns what is left in
// the end. The kernel removes what nobody has any more when it gets round to it.
func awaitNothing(ctx context.Context, before state, r aRun) (state, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		now, err := machine(ctx)
		if err != nil {
			return now, err
		}
		if now.Processes, err = processesOf(r.inside); err != nil {
			return now, err
		}
		if now.Files, err = filesOf(r); err != nil {
			return now, err
		}
		if cmp.Equal(before, now) {
			return now, os.Remove(r.files)
		}
		select {
		case <-ctx.Done():
			return now, nil
		case <-tick.C:
		}
	}
}

// processesOf are the processes of a PID namespace, as seen from outside.
func processesOf(inside string) ([]string, error) {
	if inside == "" {
		return nil, errors.New("the run did not say which PID namespace it is in")
	}
	found, err := filepath.Glob("/proc/[0-9]*/ns/pid")
	var all []string
	for _, path := range found {
		if id, err := os.Readlink(path); err == nil && id == inside {
			all = append(all, strings.Split(path, "/")[2])
		}
	}
	return all, err
}

// filesOf are the files of a run that can be seen from outside: its temporary
// directory is elsewhere, so that nothing should be in the one that it was told
// of, nor at the path that it used instead.
func filesOf(r aRun) ([]string, error) {
	entries, err := os.ReadDir(r.files)
	var all []string
	for _, e := range entries {
		all = append(all, filepath.Join(r.files, e.Name()))
	}
	if _, err := os.Lstat("/run/viaduct"); err == nil {
		all = append(all, "/run/viaduct")
	}
	return all, err
}
