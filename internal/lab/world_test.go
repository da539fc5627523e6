// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package lab_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct/internal/lab"
)

// patience bounds every wait for what must happen.
const patience = 2 * time.Minute

// childVariable makes this test binary a program that starts a lab.
const childVariable = "VIADUCT_LAB_TEST_CHILD"

// world is the lab that the tests share; each test has namespaces of its own.
var world *lab.Lab

func TestMain(m *testing.M) {
	switch os.Getenv(childVariable) {
	case "":
		os.Exit(run(m))
	case childDies:
		child(context.Background())
	case childCloses:
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		child(ctx)
	}
}

func run(m *testing.M) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	config := lab.Reference()
	config.ControllerManager = true
	config.Progress = os.Stderr
	var err error
	if world, err = lab.Start(ctx, config); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := world.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// client returns a client without a rate limit of its own.
func client(t *testing.T, config *rest.Config) kubernetes.Interface {
	t.Helper()
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// eventually waits until missing returns an empty string.
func eventually(t *testing.T, missing func(context.Context) string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		what := missing(ctx)
		if what == "" {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("still %s", what)
		case <-tick.C:
		}
	}
}

// processes lists the processes that have the directory in their arguments: all
// of a lab's do.
func processes(ctx context.Context, dir string) []string {
	out, err := exec.CommandContext(ctx, "ps", "-A", "-o", "pid=,args=").Output()
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	for line := range bytes.Lines(out) {
		if s := strings.TrimSpace(string(line)); strings.Contains(s, dir) {
			found = append(found, s)
		}
	}
	return found
}

// gone says what is left of a lab, or nothing.
func gone(dir string) func(context.Context) string {
	return func(ctx context.Context) string {
		if left := processes(ctx, dir); len(left) > 0 {
			return "running: " + strings.Join(left, "\n")
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Sprintf("there: %s (%v)", dir, err)
		}
		return ""
	}
}
