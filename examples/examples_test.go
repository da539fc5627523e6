// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package examples_test runs each example on the lab and compares what it
// prints with what it printed before.
package examples_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/viaduct-sdk/viaduct/bridge/topology"
	"github.com/viaduct-sdk/viaduct/bridge/topology/svg"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// masks replace what differs from run to run.
var masks = []struct {
	pattern *regexp.Regexp
	with    string
}{
	// What a wait reports depends on when it looks.
	{regexp.MustCompile(`(?m)^    .*\n`), ""},
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "<uuid>"},
	{regexp.MustCompile(`-viaduct-[0-9a-z]{10}\b`), "-viaduct-<hash>"},
	{regexp.MustCompile(`\b192\.168\.30\.\d+`), "<vip>"},
	{regexp.MustCompile(`\b10\.98\.\d+\.\d+`), "<cluster ip>"},
	{regexp.MustCompile(`\b127\.0\.0\.1:\d+`), "127.0.0.1:<port>"},
	{regexp.MustCompile(`[^\s=]*/viaduct-lab-\d+`), "<lab>"},
	// The columns of a table are as wide as what stands in them.
	{regexp.MustCompile(`(\S) {2,}`), "$1  "},
}

func masked(output []byte) string {
	for _, m := range masks {
		output = m.pattern.ReplaceAll(output, []byte(m.with))
	}
	return string(output)
}

// program compiles an example.
func program(t *testing.T, name string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), name)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./"+name)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("compile %s: %v\n%s", name, err, out)
	}
	return binary
}

func compare(t *testing.T, name string, output []byte) {
	t.Helper()
	golden := filepath.Join("testdata", name+".txt")
	got := masked(output)
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s prints something else (-want +got); go test -update . accepts it\n%s", name, diff)
	}
}

func TestExamples(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"acme-fitness", "export-import", "follow-clusters"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), program(t, name))
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			output, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s\n%s", err, output, stderr.Bytes())
			}
			compare(t, name, output)
		})
	}
}

// TestTopology draws the picture in docs, and reads the graph again that it
// writes.
func TestTopology(t *testing.T) {
	t.Parallel()
	files := t.TempDir()
	file := func(name string) string { return filepath.Join(files, name) }
	cmd := exec.CommandContext(t.Context(), program(t, "topology"), "-focus", "acme-fitness/acme-data",
		"-svg", file("svg"), "-mermaid", file("mermaid"), "-dot", file("dot"), "-json", file("json"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, output, stderr.Bytes())
	}
	compare(t, "topology", output)

	read := func(path string) string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	picture, golden := read(file("svg")), filepath.Join("..", "docs", "topology.svg")
	if *update {
		if err := os.WriteFile(golden, []byte(picture), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(read(golden), picture); diff != "" {
		t.Errorf("docs/topology.svg shows something else (-want +got); look at it after make topology\n%s", diff)
	}
	var graph topology.Graph
	if err := json.Unmarshal([]byte(read(file("json"))), &graph); err != nil {
		t.Fatal(err)
	}
	var again strings.Builder
	if err := svg.Write(&again, &graph, svg.Options{Title: "The ACME Fitness shop"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(picture, again.String()); diff != "" {
		t.Errorf("the graph in JSON draws something else (-want +got)\n%s", diff)
	}
	for name, want := range map[string]string{"mermaid": "flowchart", "dot": "digraph"} {
		if text := read(file(name)); !strings.Contains(text, want) || !strings.Contains(text, "users-redis-viaduct") {
			t.Errorf("%s is\n%s", name, text)
		}
	}
}

// TestLab starts the lab in the foreground, uses a kubeconfig that it prints,
// and interrupts it.
func TestLab(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), program(t, "lab"))
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// The last line of the guide is the one for NSX Manager.
	var output bytes.Buffer
	lines := bufio.NewReader(stdout)
	for !strings.Contains(output.String(), "/infra/tier-1s") {
		line, err := lines.ReadBytes('\n')
		output.Write(line)
		if err != nil {
			t.Fatalf("the lab ended with %v and printed\n%s", cmd.Wait(), output.Bytes())
		}
	}
	kubeconfig := regexp.MustCompile(`--kubeconfig (\S*/acme-fitness/\S+)`).FindSubmatch(output.Bytes())
	if kubeconfig == nil {
		t.Fatalf("no kubeconfig of acme-fitness in\n%s", output.Bytes())
	}
	config, err := clientcmd.BuildConfigFromFlags("", string(kubeconfig[1]))
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Services("").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("the kubeconfig that the lab prints: %v", err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(&output, lines); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("interrupted, the lab ended with %v", err)
	}
	if _, err := os.Stat(string(kubeconfig[1])); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the kubeconfig is there (%v)", err)
	}
	compare(t, "lab", output.Bytes())
}
