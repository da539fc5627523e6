// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && e2etraffic

package hosts_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/lab/hosts"
)

// world is what all tests share.
var world *hosts.World

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	ctx := context.Background()
	if !hosts.Isolated() {
		if missing := hosts.Missing("nft", "conntrack"); len(missing) > 0 {
			return 0, fmt.Errorf("these tests lack %s", strings.Join(missing, "; "))
		}
		if _, err := hosts.Enter(ctx); !errors.Is(err, viaduct.ErrInvalid) {
			return 0, fmt.Errorf("entered the machine's own namespaces: got %q, want an error that matches ErrInvalid", fmt.Sprint(err))
		}
		return hosts.Rerun(ctx)
	}
	var err error
	if world, err = hosts.Enter(ctx); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// TestHosts has a client on one host talk to a server on another through a
// router, until the server's host loses power.
func TestHosts(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	router, client, server := host(t, "router", ""), host(t, "client", "nameserver 192.0.2.53\n"), host(t, "server", "")
	for _, l := range []hosts.Link{
		{Host: client, Address: netip.MustParseAddr("10.0.0.2"), Router: router, Gateway: netip.MustParseAddr("10.0.0.1")},
		{Host: server, Address: netip.MustParseAddr("10.0.1.2"), Router: router, Gateway: netip.MustParseAddr("10.0.1.1")},
	} {
		if err := world.Link(ctx, l); err != nil {
			t.Fatal(err)
		}
	}
	serving := server.Command(ctx, "/bin/cat", "/dev/zero")
	if err := serving.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Dial(ctx, "tcp", "10.0.1.2:7"); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("dial a port that nobody serves: got %v, want connection refused by the server's kernel", err)
	}
	if _, err := world.Management().Dial(ctx, "tcp", "10.0.1.2:7"); err == nil || !strings.Contains(err.Error(), "network is unreachable") {
		t.Errorf("dial from outside of the network: got %v, want network is unreachable", err)
	}
	if _, err := client.Dial(ctx, "tcp", "server:7"); err == nil {
		t.Error("dialled a name")
	}
	got, err := client.Command(ctx, "cat", "/etc/resolv.conf").Output()
	if err != nil || string(got) != "nameserver 192.0.2.53\n" {
		t.Errorf("the client's resolver: got %q, %v", got, err)
	}
	if other, err := server.Command(ctx, "cat", "/etc/resolv.conf").Output(); err != nil || string(other) == string(got) {
		t.Errorf("the server's resolver: got %q, %v; want the machine's", other, err)
	}
	for range 2 {
		if err := server.Remove(ctx); err != nil {
			t.Fatal(err)
		}
	}
	var exit *exec.ExitError
	if err := serving.Wait(); !errors.As(err, &exit) || exit.Exited() {
		t.Errorf("the server's process: got %v, want that it was killed", err)
	}
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := client.Dial(short, "tcp", "10.0.1.2:7"); err == nil || strings.Contains(err.Error(), "refused") {
		t.Errorf("dial a host that is gone: got %v, want silence or no route", err)
	}
}

// host makes a host for a test.
func host(t *testing.T, name, conf string) *hosts.Host {
	t.Helper()
	h, err := world.Host(t.Context(), name, conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Remove(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return h
}
