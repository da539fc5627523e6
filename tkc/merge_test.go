// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/tools/clientcmd/api/latest"
	"sigs.k8s.io/yaml"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/tkc"
)

func goodKubeconfig(t testing.TB, name string) *tkc.Kubeconfig {
	t.Helper()
	k, err := tkc.ParseKubeconfig(readCorpus(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// somebodys is a file with everything that must survive.
const somebodys = `# my clusters
apiVersion: v1
kind: Config
preferences: {}
clusters:
    # the old one
    - cluster:
        server: https://10.0.0.1:6443 # behind the VPN
        insecure-skip-tls-verify: true
        x-unknown: [1, 2.50, "3"]
      name: old
users:
    - name: me
      user:
        exec:
            apiVersion: client.authentication.k8s.io/v1
            command: aws
            args: ["eks", "get-token"]
contexts:
    - name: old
      context: {cluster: old, user: me, namespace: dev}
current-context: old
x-top: 012
`

func writeTemp(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// load reads a file as kubectl does.
func load(t *testing.T, path string) *clientcmdapi.Config {
	t.Helper()
	kind := schema.GroupVersionKind{Version: latest.Version, Kind: "Config"}
	object, _, err := latest.Codec.Decode([]byte(read(t, path)), &kind, clientcmdapi.NewConfig())
	if err != nil {
		t.Fatal("kubectl can't read it") // the error holds the file
	}
	config, ok := object.(*clientcmdapi.Config)
	if !ok {
		t.Fatalf("%s is a %T", path, object)
	}
	return config
}

// TestMerge adds, finds nothing to do, brings up to date and removes again.
func TestMerge(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	path := writeTemp(t, somebodys)
	k := goodKubeconfig(t, "good-token.yaml")
	merge := func(want bool, opts tkc.MergeOptions) string {
		t.Helper()
		changed, err := k.MergeFile(ctx, path, opts)
		if err != nil || changed != want {
			t.Fatalf("merge: %v, %v; want %v", changed, err, want)
		}
		return read(t, path)
	}
	merged := merge(true, tkc.MergeOptions{})
	if again := merge(false, tkc.MergeOptions{}); again != merged {
		t.Error("merged twice, changed twice")
	}
	for _, line := range []string{"# my clusters", "# the old one", "# behind the VPN", `x-unknown: [1, 2.50, "3"]`, "x-top: 012", "current-context: old", `args: ["eks", "get-token"]`} {
		if !strings.Contains(merged, line) {
			t.Errorf("lost %q", line)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	config := load(t, path)
	if c := config.Contexts["old"]; c == nil || c.Namespace != "dev" {
		t.Errorf("context old: %v", c)
	}
	if u := config.AuthInfos["acme-fitness-admin"]; u == nil || u.Token != k.Token {
		t.Error("kubectl does not find the token")
	}
	// What others add to our entries stays; what we wrote is replaced.
	edited := strings.Replace(merged, "token: "+k.Token, "token: old\n      x-mine: yes", 1)
	if edited == merged {
		t.Fatal("no token in the file")
	}
	if err := os.WriteFile(path, []byte(edited), 0o600); err != nil {
		t.Fatal(err)
	}
	updated := merge(true, tkc.MergeOptions{SetCurrent: true})
	for _, line := range []string{"token: " + k.Token, "x-mine: yes", "current-context: acme-fitness-admin@acme-fitness"} {
		if !strings.Contains(updated, line) {
			t.Errorf("lost %q", line)
		}
	}
	if changed, err := tkc.UnmergeFile(ctx, path, types.NamespacedName{Name: "other"}); changed || err != nil {
		t.Errorf("unmerge another's: %v, %v", changed, err)
	}
	if changed, err := tkc.UnmergeFile(ctx, path, types.NamespacedName{Name: k.Cluster}); !changed || err != nil {
		t.Errorf("unmerge: %v, %v", changed, err)
	}
	// All that is left of it is that the context is not the current one any more.
	want := load(t, writeTemp(t, strings.Replace(somebodys, "current-context: old", `current-context: ""`, 1)))
	if diff := cmp.Diff(want, load(t, path)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(strings.Fields(strings.Replace(somebodys, "current-context: old", `current-context: ""`, 1)), strings.Fields(read(t, path))); diff != "" {
		t.Error(diff)
	}
}

// TestMergeOtherCredentials checks that credentials of the old kind do not stay
// beside the new ones.
func TestMergeOtherCredentials(t *testing.T) {
	t.Parallel()
	path := writeTemp(t, somebodys)
	for _, name := range []string{"good-token.yaml", "good-client-certificate.yaml"} {
		k := goodKubeconfig(t, name)
		if changed, err := k.MergeFile(t.Context(), path, tkc.MergeOptions{Name: "fitness"}); !changed || err != nil {
			t.Fatalf("merge: %v, %v", changed, err)
		}
	}
	config := load(t, path)
	if u := config.AuthInfos["fitness"]; u == nil || u.Token != "" || len(u.ClientKeyData) == 0 {
		t.Error("the token stayed beside the certificate")
	}
}

// TestMergeRefused leaves files alone that it can't merge into.
func TestMergeRefused(t *testing.T) {
	t.Parallel()
	k := goodKubeconfig(t, "good-token.yaml")
	other := `clusters: [{name: acme-fitness, cluster: {server: "https://10.9.9.9:6443"}}]` + "\n"
	mine := writeTemp(t, "")
	if _, err := k.MergeFile(t.Context(), mine, tkc.MergeOptions{}); err != nil {
		t.Fatal(err)
	}
	// A copy under another name, as of a user who edits: ours no more.
	copied := strings.ReplaceAll(read(t, mine), "name: acme-fitness\n", "name: copy\n")
	copied = strings.ReplaceAll(copied, k.Server, "https://10.9.9.9:6443")
	tests := map[string]struct {
		content string
		opts    tkc.MergeOptions
		want    error
		reason  string
	}{
		"cluster":      {other, tkc.MergeOptions{}, viaduct.ErrNotOwned, "another cluster of the same name"},
		"user":         {"users: [{name: acme-fitness-admin, user: {token: x}}]\n", tkc.MergeOptions{}, viaduct.ErrNotOwned, "another user of the same name"},
		"context":      {"contexts: [{name: x, context: {cluster: y, user: z}}]\n", tkc.MergeOptions{Name: "x"}, viaduct.ErrNotOwned, "another context of the chosen name"},
		"copy":         {copied, tkc.MergeOptions{Name: "copy"}, viaduct.ErrNotOwned, "marks that were copied do not count"},
		"incomplete":   {"users: [{name: acme-fitness-admin}]\n", tkc.MergeOptions{}, viaduct.ErrInvalid, "an entry without content"},
		"no list":      {"users: {a: b}\n", tkc.MergeOptions{}, viaduct.ErrInvalid, "nothing can be added"},
		"not yaml":     {"clusters: [\n", tkc.MergeOptions{}, viaduct.ErrInvalid, "not for us to repair"},
		"no mapping":   {"- a\n", tkc.MergeOptions{}, viaduct.ErrInvalid, "some other file"},
		"aliases":      {"a: &a {}\nb: *a\n", tkc.MergeOptions{}, viaduct.ErrInvalid, "would be written in full"},
		"two docs":     {"apiVersion: v1\n---\nkind: Config\n", tkc.MergeOptions{}, viaduct.ErrInvalid, "the second would be lost"},
		"field twice":  {"users: []\nusers: []\n", tkc.MergeOptions{}, viaduct.ErrInvalid, "one of them would be lost"},
		"binary value": {"x: !!binary aGVsbG8=\n", tkc.MergeOptions{}, viaduct.ErrInvalid, "tags are not kept"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := writeTemp(t, tt.content)
			changed, err := k.MergeFile(t.Context(), path, tt.opts)
			if changed || !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, %v; want %v", tt.reason, changed, err, tt.want)
			}
			if diff := cmp.Diff(tt.content, read(t, path)); diff != "" {
				t.Errorf("%s: the file changed: %s", tt.reason, diff)
			}
			entries, err := os.ReadDir(filepath.Dir(path))
			if err != nil || len(entries) != 1 {
				t.Errorf("files beside it: %v, %v", entries, err)
			}
		})
	}
}

// TestMergeSame leaves an entry that says the same as it is, whoever wrote it.
func TestMergeSame(t *testing.T) {
	t.Parallel()
	content := string(readCorpus(t, "good-token.yaml"))
	path := writeTemp(t, content)
	changed, err := goodKubeconfig(t, "good-token.yaml").MergeFile(t.Context(), path, tkc.MergeOptions{})
	if changed || err != nil {
		t.Errorf("merge: %v, %v", changed, err)
	}
	if diff := cmp.Diff(content, read(t, path)); diff != "" {
		t.Error(diff)
	}
	if changed, err := tkc.UnmergeFile(t.Context(), path, types.NamespacedName{Namespace: "", Name: "acme-fitness"}); changed || err != nil {
		t.Errorf("unmerge what is not ours: %v, %v", changed, err)
	}
}

// TestMergeStyles merges into files that are written in other ways.
func TestMergeStyles(t *testing.T) {
	t.Parallel()
	k := goodKubeconfig(t, "good-client-certificate.yaml")
	for name, content := range map[string]string{
		"empty":   "",
		"spaces":  "\n\n",
		"json":    `{"apiVersion": "v1", "kind": "Config", "clusters": [], "users": null, "contexts": []}`,
		"nulls":   "clusters:\nusers:\ncontexts: ~\ncurrent-context: \"\"\n",
		"flow":    "clusters: []\nusers: []\ncontexts: []\n",
		"crlf":    "apiVersion: v1\r\nkind: Config\r\nclusters: []\r\n",
		"kubectl": "apiVersion: v1\nclusters: null\ncontexts: null\ncurrent-context: \"\"\nkind: Config\npreferences: {}\nusers: null\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := writeTemp(t, content)
			for _, want := range []bool{true, false} {
				if changed, err := k.MergeFile(t.Context(), path, tkc.MergeOptions{}); changed != want || err != nil {
					t.Fatalf("merge: %v, %v; want %v", changed, err, want)
				}
			}
			config := load(t, path)
			if c := config.Contexts[config.CurrentContext]; c == nil || config.Clusters[c.Cluster].Server != k.Server {
				t.Errorf("kubectl reads %v", config)
			}
			back, err := tkc.ParseKubeconfig([]byte(read(t, path)))
			if err != nil || back.Server != k.Server {
				t.Errorf("we read %v, %v", back, err)
			}
		})
	}
}

// TestWriteFile writes a file of its own, and does not replace another's.
func TestWriteFile(t *testing.T) {
	t.Parallel()
	k := goodKubeconfig(t, "good-token.yaml")
	path := filepath.Join(t.TempDir(), "missing", "config")
	for range 2 {
		if err := k.WriteFile(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info, err)
	}
	back, err := tkc.ParseKubeconfig([]byte(read(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	if back.Token != k.Token || back.Context != k.Context {
		t.Errorf("read %v", back)
	}
	foreign := writeTemp(t, somebodys)
	if err := k.WriteFile(t.Context(), foreign); !errors.Is(err, viaduct.ErrNotOwned) {
		t.Errorf("over another's file: %v", err)
	}
	if read(t, foreign) != somebodys {
		t.Error("the file changed")
	}
}

// TestMergeThroughLink keeps a link a link.
func TestMergeThroughLink(t *testing.T) {
	t.Parallel()
	path := writeTemp(t, somebodys)
	link := filepath.Join(t.TempDir(), "config")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	k := goodKubeconfig(t, "good-token.yaml")
	if changed, err := k.MergeFile(t.Context(), link, tkc.MergeOptions{}); !changed || err != nil {
		t.Fatalf("merge: %v, %v", changed, err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info, err)
	}
	if !strings.Contains(read(t, path), k.Token) {
		t.Error("the file behind the link has no token")
	}
	dangling := filepath.Join(t.TempDir(), "dangling")
	if err := os.Symlink("/nowhere/at/all", dangling); err != nil {
		t.Fatal(err)
	}
	if _, err := k.MergeFile(t.Context(), dangling, tkc.MergeOptions{}); !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("a link that leads nowhere: %v", err)
	}
}

// TestMergeLock waits for kubectl, and says for whom when that takes too long.
func TestMergeLock(t *testing.T) {
	t.Parallel()
	path := writeTemp(t, somebodys)
	k := goodKubeconfig(t, "good-token.yaml")
	lock := path + ".lock"
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := k.MergeFile(ctx, path, tkc.MergeOptions{}); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), lock) {
		t.Errorf("locked: %v", err)
	}
	if read(t, path) != somebodys {
		t.Error("the file changed")
	}
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	// Many at once, under names of their own: nobody loses anything.
	var group sync.WaitGroup
	names := []string{"a", "b", "c", "d", "e", "f"}
	for _, name := range names {
		group.Go(func() {
			if changed, err := k.MergeFile(t.Context(), path, tkc.MergeOptions{Name: name}); !changed || err != nil {
				t.Errorf("merge %s: %v, %v", name, changed, err)
			}
		})
	}
	group.Wait()
	config := load(t, path)
	for _, name := range append(names, "old") {
		if config.Contexts[name] == nil {
			t.Errorf("context %s was lost", name)
		}
	}
}

// FuzzMerge merges into files of any content: what is refused stays as it is, what
// is accepted needs no second merge and keeps what was there.
func FuzzMerge(f *testing.F) {
	f.Add([]byte(somebodys))
	for _, name := range corpusFiles(f) {
		f.Add(readCorpus(f, name))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		k := goodKubeconfig(t, "good-token.yaml")
		path := writeTemp(t, string(data))
		opts := tkc.MergeOptions{Name: "fitness"}
		changed, err := k.MergeFile(t.Context(), path, opts)
		if err != nil || !changed {
			if read(t, path) != string(data) {
				t.Fatalf("the file changed: %t, %v", changed, err)
			}
			return
		}
		before, after := map[string]any{}, map[string]any{}
		if yaml.Unmarshal(data, &before) != nil {
			return // kubectl would not have read it either
		}
		if err := yaml.Unmarshal([]byte(read(t, path)), &after); err != nil {
			t.Fatalf("written what kubectl does not read: %v", err)
		}
		for name, value := range before {
			list, isList := value.([]any)
			if (isList && len(after[name].([]any)) < len(list)) || (!isList && value != nil && value != "" && !reflect.DeepEqual(value, after[name])) {
				t.Fatalf("lost something of %q", name)
			}
		}
		if changed, err := k.MergeFile(t.Context(), path, opts); changed || err != nil {
			t.Fatalf("merged again: %t, %v", changed, err)
		}
	})
}
