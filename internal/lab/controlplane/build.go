// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package controlplane compiles the control plane of the lab's clusters. It
// imports next to nothing, so that the program that calls it is compiled, and
// tells its progress, at once.
package controlplane

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/viaduct-sdk/viaduct/internal/lab/progress"
)

const modulePath = "github.com/viaduct-sdk/viaduct/internal/lab"

// Build compiles the control plane (etcd, kube-apiserver and
// kube-controller-manager in one binary) unless that has been done, and returns
// the path of the binary, in the user's cache directory.
//
// The first time takes about six minutes on two cores, and the time to download
// Kubernetes before; w, which may be nil, receives a line every few seconds
// meanwhile. Afterwards it returns at once, until Go, go.mod, go.sum or the
// sources of the binary change. Processes that build at once wait for each
// other. When ctx ends, so does the compilation; what it has compiled is kept
// in Go's build cache.
//
// It needs the go command and the sources of this module.
func Build(ctx context.Context, w io.Writer) (string, error) {
	p := progress.New(w)
	dir, err := sourceDir(ctx)
	if err != nil {
		return "", fmt.Errorf("lab: find the sources of the control plane: %w", err)
	}
	key, err := buildKey(ctx, dir)
	if err != nil {
		return "", fmt.Errorf("lab: %w", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("lab: %w", err)
	}
	cache = filepath.Join(cache, "viaduct", "lab")
	if err := os.MkdirAll(cache, 0o755); err != nil { //nolint:gosec // Nothing in there is secret.
		return "", fmt.Errorf("lab: %w", err)
	}
	kube := filepath.Join(cache, "kube-"+key)
	if use(kube) {
		return kube, nil
	}
	unlock, err := lock(ctx, filepath.Join(cache, "lock"), p)
	if err != nil {
		return "", fmt.Errorf("lab: wait for another process that compiles the control plane: %w", err)
	}
	defer unlock()
	if use(kube) {
		return kube, nil
	}
	if err := compile(ctx, dir, kube, p); err != nil {
		return "", fmt.Errorf("lab: compile the control plane: %w", err)
	}
	prune(cache)
	return kube, nil
}

// use reports whether a binary exists, and marks it as used.
func use(kube string) bool {
	now := time.Now()
	return os.Chtimes(kube, now, now) == nil
}

// prune removes the binaries that nobody used for a month. One that can't be
// removed is left to the next time.
func prune(cache string) {
	const unused = 30 * 24 * time.Hour
	old, err := filepath.Glob(filepath.Join(cache, "kube-*"))
	if err != nil {
		return
	}
	for _, name := range old {
		if info, err := os.Stat(name); err == nil && time.Since(info.ModTime()) > unused {
			_ = os.Remove(name)
		}
	}
}

// sourceDir is the directory of this module: that of this very file, unless
// the program was compiled with -trimpath or elsewhere, and then what the go
// command says.
func sourceDir(ctx context.Context) (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok {
		dir := filepath.Dir(filepath.Dir(file))
		if _, err := os.Stat(filepath.Join(dir, "cmd", "kube", "main.go")); err == nil {
			return dir, nil
		}
	}
	out, err := goCommand(ctx, "", "list", "-m", "-f", "{{.Dir}}", modulePath)
	return strings.TrimSpace(out), err
}

// compileFlags are those of go build. The tag uncovers the command. Without the
// symbol table the binary has half the size; without VCS information it is the
// same for every commit. Not -trimpath: go run and go test, without it, find
// much of what they need compiled already.
func compileFlags() []string {
	return []string{"-tags=labkube", "-buildvcs=false", "-ldflags=-s -w"}
}

// buildKey is a hash of all that the binary is made from.
func buildKey(ctx context.Context, dir string) (string, error) {
	h := sha256.New() // writing to a hash never fails
	toolchain, err := goCommand(ctx, dir, "env", "GOVERSION", "CGO_ENABLED")
	if err != nil {
		return "", err
	}
	_, _ = fmt.Fprintln(h, toolchain, runtime.GOOS, runtime.GOARCH, compileFlags())
	files, err := filepath.Glob(filepath.Join(dir, "cmd", "kube", "*.go"))
	if err != nil {
		return "", err
	}
	slices.Sort(files)
	for _, name := range append(files, filepath.Join(dir, "go.mod"), filepath.Join(dir, "go.sum")) {
		content, err := os.ReadFile(name) //nolint:gosec // The file is one of this module's sources.
		if err != nil {
			return "", err
		}
		_, _ = fmt.Fprintln(h, filepath.Base(name), len(content))
		_, _ = h.Write(content)
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

// goCommand runs the go command and returns what it prints.
func goCommand(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = goEnv()
	out, err := cmd.Output()
	if err == nil {
		return string(out), nil
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("%w; install Go, or set KUBEBUILDER_ASSETS", err)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return "", fmt.Errorf("go %s: %w", args[0], err)
}

// goEnv is our environment, but for what would make the binary another one: it
// is for this machine, and made from this module alone.
func goEnv() []string {
	return append(os.Environ(), "GOWORK=off", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
}

// compile compiles the binary beside its destination and moves it there.
func compile(ctx context.Context, dir, kube string, p *progress.Printer) error {
	p.Printf("compiling etcd, kube-apiserver and kube-controller-manager, about 6 minutes on two cores the first time, into %s", kube)
	stop := p.Watch("find out what is to be compiled", nil)
	deps, err := goCommand(ctx, dir, "list", "-tags=labkube", "-deps", "./cmd/kube")
	stop()
	if err != nil {
		return err
	}
	seen := &compilerOutput{most: strings.Count(deps, "\n")}
	defer p.Watch("compile the control plane", seen.detail)()

	partial := kube + ".partial"
	defer func() { _ = os.Remove(partial) }() // what an interrupted compilation leaves
	args := slices.Concat([]string{"build", "-v", "-o", partial}, compileFlags(), []string{"./cmd/kube"})
	if err := runCompiler(ctx, dir, args, seen); err != nil {
		return err
	}
	if err := os.Rename(partial, kube); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
