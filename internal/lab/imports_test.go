// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package lab_test

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/viaduct-sdk/viaduct"

// importer is a new module that imports packages of the library.
type importer struct {
	t   *testing.T
	dir string
}

func newImporter(t *testing.T) importer {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	i := importer{t, t.TempDir()}
	i.write("go.mod", fmt.Sprintf("module example.com/importer\n\ngo 1.26.0\n\nrequire %s v0.0.0\n\nreplace %s => %s\n", module, module, root))
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	i.write("go.sum", string(sum))
	return i
}

func (i importer) write(name, content string) {
	i.t.Helper()
	if err := os.WriteFile(filepath.Join(i.dir, name), []byte(content), 0o600); err != nil {
		i.t.Fatal(err)
	}
}

// list runs go list without a network.
func (i importer) list(args ...string) []string {
	i.t.Helper()
	cmd := exec.CommandContext(i.t.Context(), "go", append([]string{"list"}, args...)...)
	cmd.Dir = i.dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		i.t.Fatalf("go list %v: %v", args, err)
	}
	return strings.Fields(string(out))
}

// compiles lists what is compiled for a program that imports the packages.
func (i importer) compiles(packages ...string) []string {
	i.t.Helper()
	var b strings.Builder
	b.WriteString("package main\n\n")
	for _, p := range packages {
		fmt.Fprintf(&b, "import _ %q\n", p)
	}
	b.WriteString("\nfunc main() {}\n")
	i.write("main.go", b.String())
	return i.list("-deps", ".")
}

func under(pkg string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return pkg == p || strings.HasPrefix(pkg, p+"/") })
}

// simulation reports whether a package belongs to the control planes or to a
// simulator.
func simulation(pkg string) bool {
	return under(pkg, "k8s.io/kubernetes", "k8s.io/apiserver", "go.etcd.io",
		"github.com/vmware/govmomi/simulator", "github.com/vmware/govmomi/vapi/simulator", module+"/internal/lab") ||
		under(pkg, module) && strings.HasSuffix(path.Base(pkg), "sim")
}

func ofKubernetes(pkg string) bool { return under(pkg, "k8s.io", "sigs.k8s.io") }

// TestImportsStayLight imports the whole library in a new module and looks at
// what that compiles.
func TestImportsStayLight(t *testing.T) {
	t.Parallel()
	i := newImporter(t)
	var clients []string
	for _, pkg := range i.list("-f", `{{if .GoFiles}}{{.ImportPath}}{{end}}`, module+"/...") {
		if !under(pkg, module+"/internal") && !simulation(pkg) {
			clients = append(clients, pkg)
		}
	}
	for _, needed := range []string{"", "/bridge", "/nsx", "/nsx/ncp"} {
		if !slices.Contains(clients, module+needed) {
			t.Errorf("package %s is not among %v", module+needed, clients)
		}
	}
	for _, pkg := range i.compiles(clients...) {
		if simulation(pkg) {
			t.Errorf("who imports the library compiles %s", pkg)
		}
	}
	for _, pkg := range []string{"/nsx", "/nsx/ncp", "/vcenter"} {
		if !slices.Contains(clients, module+pkg) {
			continue
		}
		if heavy := slices.IndexFunc(i.compiles(module+pkg), ofKubernetes); heavy >= 0 {
			t.Errorf("who imports %s compiles Kubernetes", pkg)
		}
	}
	if !slices.ContainsFunc(i.compiles(module+"/vcenter/vcentersim"), simulation) {
		t.Error("the test does not see a simulator that is imported")
	}
}
