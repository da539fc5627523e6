// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/tkc"
)

var update = flag.Bool("update", false, "write the expected results anew")

const corpus = "testdata/kubeconfig"

func readCorpus(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(corpus, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func corpusFiles(t testing.TB) []string {
	t.Helper()
	entries, err := os.ReadDir(corpus)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != "want.txt" {
			names = append(names, e.Name())
		}
	}
	return names
}

// TestCorpus checks the answer to each file of the corpus against want.txt.
func TestCorpus(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	hostile := 0
	for _, name := range corpusFiles(t) {
		k, err := tkc.ParseKubeconfig(readCorpus(t, name))
		good := strings.HasPrefix(name, "good-")
		if good != (err == nil) || good != (k != nil) {
			t.Errorf("%s: %v, %v", name, k, err)
		}
		if err == nil {
			fmt.Fprintf(&got, "%s: accepted: %s\n", name, k)
			continue
		}
		hostile++
		var refused *tkc.KubeconfigError
		if !errors.As(err, &refused) || !errors.Is(err, viaduct.ErrInvalid) {
			t.Errorf("%s: error %v is of type %T", name, err, err)
		}
		fmt.Fprintf(&got, "%s: %s\n", name, strings.TrimPrefix(err.Error(), "tkc: kubeconfig "))
	}
	path := filepath.Join(corpus, "want.txt")
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(readCorpus(t, "want.txt")), got.String()); diff != "" {
		t.Error(diff)
	}
	if hostile < 40 {
		t.Errorf("the corpus has %d hostile files, and should have 40", hostile)
	}
}

// TestAllowed checks that each risk is accepted when it is named, and that other
// names do not help.
func TestAllowed(t *testing.T) {
	t.Parallel()
	all := []tkc.Risk{
		tkc.RiskExec, tkc.RiskAuthProvider, tkc.RiskFile, tkc.RiskPlainHTTP, tkc.RiskNoCA,
		tkc.RiskInsecure, tkc.RiskProxy, tkc.RiskImpersonation, tkc.RiskPassword,
	}
	covered := map[tkc.Risk]bool{}
	for _, name := range corpusFiles(t) {
		data := readCorpus(t, name)
		_, err := tkc.ParseKubeconfig(data)
		var refused *tkc.KubeconfigError
		if !errors.As(err, &refused) || refused.Risk == "" {
			continue
		}
		others := slices.DeleteFunc(slices.Clone(all), func(r tkc.Risk) bool { return r == refused.Risk })
		if _, err := tkc.ParseKubeconfig(data, others...); err == nil {
			t.Errorf("%s: accepted although %q is not allowed", name, refused.Risk)
		}
		k, err := tkc.ParseKubeconfig(data, refused.Risk)
		if err != nil {
			continue // it has something else that is wrong
		}
		covered[refused.Risk] = true
		if k.Config() == nil {
			t.Errorf("%s: no config", name)
		}
		if _, err := k.YAML(); !errors.Is(err, viaduct.ErrUnsupported) && !strings.Contains(name, "unused") {
			t.Errorf("%s: it may be written: %v", name, err)
		}
	}
	for _, risk := range all {
		if !covered[risk] {
			t.Errorf("no file of the corpus is accepted with %q", risk)
		}
	}
}

// TestAllowedConfig checks that what is allowed arrives.
func TestAllowedConfig(t *testing.T) {
	t.Parallel()
	type result struct {
		Command, Provider, CAFile, TokenFile, Proxy, User, Password string
		Groups                                                      []string
		Insecure                                                    bool
	}
	tests := map[string]struct {
		file   string
		allow  []tkc.Risk
		reason string
		want   result
	}{
		"exec":      {"exec.yaml", []tkc.Risk{tkc.RiskExec}, "the plugin is client-go's to run", result{Command: "/bin/sh"}},
		"provider":  {"auth-provider-gcp.yaml", []tkc.Risk{tkc.RiskAuthProvider}, "", result{Provider: "gcp"}},
		"file":      {"file-ca.yaml", []tkc.Risk{tkc.RiskFile}, "", result{CAFile: "/etc/passwd"}},
		"tokenFile": {"file-token.yaml", []tkc.Risk{tkc.RiskFile}, "", result{TokenFile: "/var/run/secrets/kubernetes.io/serviceaccount/token"}},
		"insecure":  {"insecure.yaml", []tkc.Risk{tkc.RiskInsecure}, "", result{Insecure: true}},
		"proxy":     {"proxy-http.yaml", []tkc.Risk{tkc.RiskProxy}, "", result{Proxy: "http://evil.example.com:3128"}},
		"groups":    {"impersonate-groups.yaml", []tkc.Risk{tkc.RiskImpersonation}, "", result{Groups: []string{"system:masters"}}},
		"password":  {"password.yaml", []tkc.Risk{tkc.RiskPassword}, "", result{User: "admin", Password: "secret"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, err := tkc.ParseKubeconfig(readCorpus(t, tt.file), tt.allow...)
			if err != nil {
				t.Fatal(err)
			}
			c := k.Config()
			got := result{
				CAFile: c.CAFile, TokenFile: c.BearerTokenFile, User: c.Username, Password: c.Password,
				Groups: c.Impersonate.Groups, Insecure: c.Insecure,
			}
			if c.ExecProvider != nil {
				got.Command = c.ExecProvider.Command
			}
			if c.AuthProvider != nil {
				got.Provider = c.AuthProvider.Name
			}
			if c.Proxy != nil {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://192.168.30.68", nil)
				if err != nil {
					t.Fatal(err)
				}
				u, err := c.Proxy(req)
				if err != nil {
					t.Fatal(err)
				}
				got.Proxy = u.String()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s: %s", tt.reason, diff)
			}
		})
	}
}

// TestHostileDoesNothing gives the parser kubeconfigs that would leave a trace if
// any of it were run, read or dialled.
func TestHostileDoesNothing(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dialled := make(chan struct{})
	go func() {
		if conn, err := listener.Accept(); err == nil {
			_ = conn.Close()
			close(dialled)
		}
	}()
	t.Cleanup(func() { _ = listener.Close() })
	dir := t.TempDir()
	trace := filepath.Join(dir, "trace")
	script := filepath.Join(dir, "plugin")
	if err := os.WriteFile(script, []byte("#!/bin/sh\ntouch "+trace+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	good := string(readCorpus(t, "good-token.yaml"))
	for name, change := range map[string][2]string{
		"exec":   {"token: abc.def-123_~", "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: " + script + "}"},
		"file":   {"token: abc.def-123_~", "tokenFile: " + filepath.Join(dir, "missing")},
		"server": {"https://192.168.30.68:6443", "http://" + listener.Addr().String()},
		"proxy":  {"server: https://192.168.30.68:6443", "server: https://192.168.30.68:6443\n    proxy-url: http://" + listener.Addr().String()},
	} {
		text := strings.Replace(good, change[0], change[1], 1)
		if text == good {
			t.Fatalf("%s: nothing replaced", name)
		}
		// Refused without leave; with it, parsed and still not acted upon.
		if _, err := tkc.ParseKubeconfig([]byte(text)); !errors.Is(err, viaduct.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := tkc.ParseKubeconfig([]byte(text), tkc.RiskExec, tkc.RiskFile, tkc.RiskPlainHTTP, tkc.RiskProxy); err != nil {
			t.Errorf("%s allowed: %v", name, err)
		}
	}
	if _, err := os.Stat(trace); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the plugin ran: %v", err)
	}
	select {
	case <-dialled:
		t.Error("the server was dialled")
	default:
	}
}

// TestKubeconfigIsSecret checks that credentials are not printed.
func TestKubeconfigIsSecret(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"good-token.yaml", "good-client-certificate.yaml"} {
		k, err := tkc.ParseKubeconfig(readCorpus(t, name))
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("%v %+v %#v %s %v %#v", k, k, k, k, *k, *k) + k.LogValue().String()
		for _, secret := range []string{k.Token, string(k.ClientKey)} {
			if secret != "" && strings.Contains(text, secret) {
				t.Errorf("%s: printed with credentials", name)
			}
		}
		if k.Expires().IsZero() != (len(k.ClientCertificate) == 0) {
			t.Errorf("%s: expires %v", name, k.Expires())
		}
	}
}

// TestErrorsQuoteNothing checks that the text of an error holds nothing of the
// file's values.
func TestErrorsQuoteNothing(t *testing.T) {
	t.Parallel()
	for _, name := range corpusFiles(t) {
		_, err := tkc.ParseKubeconfig(readCorpus(t, name))
		if err == nil {
			continue
		}
		for _, word := range []string{"evil", "/etc", "/bin", "abc", "secret", "BEGIN"} {
			if strings.Contains(err.Error(), word) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// FuzzParseKubeconfig checks that what is accepted is safe, can be written, and
// reads back as the same.
func FuzzParseKubeconfig(f *testing.F) {
	for _, name := range corpusFiles(f) {
		f.Add(readCorpus(f, name))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := tkc.ParseKubeconfig(data)
		if err != nil {
			if !errors.Is(err, viaduct.ErrInvalid) {
				t.Fatalf("error %v", err)
			}
			return
		}
		c := k.Config()
		switch {
		case !strings.HasPrefix(strings.ToLower(c.Host), "https://"), len(c.CAData) == 0, c.Insecure,
			c.ExecProvider != nil, c.AuthProvider != nil, c.Proxy != nil,
			c.CAFile+c.CertFile+c.KeyFile+c.BearerTokenFile+c.Username+c.Password != "",
			c.Impersonate.UserName+c.Impersonate.UID != "", len(c.Impersonate.Groups)+len(c.Impersonate.Extra) > 0:
			t.Fatalf("accepted %v", k)
		case c.BearerToken == "" && len(c.KeyData) == 0:
			t.Fatal("accepted without credentials")
		}
		written, err := k.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := tkc.ParseKubeconfig(written)
		if err != nil {
			t.Fatalf("what was written is refused: %v", err)
		}
		if again.Server != k.Server || again.Token != k.Token || again.Context != k.Context || !bytes.Equal(again.ClientKey, k.ClientKey) {
			t.Fatalf("read %v, wrote and read %v", k, again)
		}
	})
}
