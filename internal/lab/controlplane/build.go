// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package controlplane compiles what the lab's clusters run. It imports next to
// nothing, so that the program that calls it is compiled, and tells its
// progress, at once.
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

// binary is something that is compiled once and kept.
type binary struct {
	name string // of the file in the cache
	what string // for people
	// module is the directory of its module, and main that of its package,
	// both from the directory of the lab's own module.
	module, main string
	// contents and about are for whoever waits: what is in it, and how long it
	// takes.
	contents, about string
}

func kube() binary {
	return binary{
		name: "kube", what: "the control plane", module: ".", main: "cmd/kube",
		contents: "etcd, kube-apiserver, kube-controller-manager and kube-proxy", about: "6 minutes",
	}
}

func dns() binary {
	return binary{name: "coredns", what: "CoreDNS", module: "dns", main: "dns", contents: "CoreDNS", about: "2 minutes"}
}

// Build compiles the control plane (etcd, kube-apiserver and
// kube-controller-manager, and for nodes kube-proxy, in one binary) unless that
// has been done, and returns the path of the binary, in the user's cache
// directory.
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
	return kube().build(ctx, progress.New(w))
}

// BuildDNS compiles CoreDNS as Build does the control plane, and returns the
// path of the binary. The first time takes about two minutes.
func BuildDNS(ctx context.Context, w io.Writer) (string, error) {
	return dns().build(ctx, progress.New(w))
}

func (b binary) build(ctx context.Context, p *progress.Printer) (string, error) {
	dir, err := sourceDir(ctx)
	if err != nil {
		return "", fmt.Errorf("lab: find the sources of %s: %w", b.what, err)
	}
	key, err := b.key(ctx, dir)
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
	path := filepath.Join(cache, b.name+"-"+key)
	if use(path) {
		return path, nil
	}
	unlock, err := lock(ctx, filepath.Join(cache, "lock"), p)
	if err != nil {
		return "", fmt.Errorf("lab: wait for another process that compiles: %w", err)
	}
	defer unlock()
	if use(path) {
		return path, nil
	}
	if err := b.compile(ctx, dir, path, p); err != nil {
		return "", fmt.Errorf("lab: compile %s: %w", b.what, err)
	}
	b.prune(cache)
	return path, nil
}

// use reports whether a binary exists, and marks it as used.
func use(path string) bool {
	now := time.Now()
	return os.Chtimes(path, now, now) == nil
}

// prune removes the binaries that nobody used for a month. One that can't be
// removed is left to the next time.
func (b binary) prune(cache string) {
	const unused = 30 * 24 * time.Hour
	old, err := filepath.Glob(filepath.Join(cache, b.name+"-*"))
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

// key is a hash of all that the binary is made from.
func (b binary) key(ctx context.Context, dir string) (string, error) {
	h := sha256.New() // writing to a hash never fails
	toolchain, err := goCommand(ctx, dir, "env", "GOVERSION", "CGO_ENABLED")
	if err != nil {
		return "", err
	}
	_, _ = fmt.Fprintln(h, toolchain, runtime.GOOS, runtime.GOARCH, compileFlags())
	files, err := filepath.Glob(filepath.Join(dir, b.main, "*.go"))
	if err != nil {
		return "", err
	}
	slices.Sort(files)
	for _, name := range append(files, filepath.Join(dir, b.module, "go.mod"), filepath.Join(dir, b.module, "go.sum")) {
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
func (b binary) compile(ctx context.Context, dir, path string, p *progress.Printer) error {
	p.Printf("compiling %s, about %s on two cores the first time, into %s", b.contents, b.about, path)
	stop := p.Watch("find out what is to be compiled", nil)
	sources, module := filepath.Join(dir, b.main), filepath.Join(dir, b.module)
	deps, err := goCommand(ctx, module, "list", "-tags=labkube", "-deps", sources)
	stop()
	if err != nil {
		return err
	}
	seen := &compilerOutput{most: strings.Count(deps, "\n")}
	defer p.Watch("compile "+b.what, seen.detail)()

	partial := path + ".partial"
	defer func() { _ = os.Remove(partial) }() // what an interrupted compilation leaves
	args := slices.Concat([]string{"build", "-v", "-o", partial}, compileFlags(), []string{sources})
	if err := runCompiler(ctx, module, args, seen); err != nil {
		return err
	}
	if err := os.Rename(partial, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
