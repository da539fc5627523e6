// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && e2etraffic

package traffic_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/viaduct-sdk/viaduct/internal/lab/controlplane"
	"github.com/viaduct-sdk/viaduct/internal/lab/hosts"
)

// roleVariable says what this program is. It plays several parts: without a
// role it starts the run, from outside, and looks whether anything is left of
// it.
const roleVariable = "VIADUCT_TRAFFIC_ROLE"

const (
	roleRun    = "run"     // in the machine's namespaces, and keeps the run
	roleWebApp = "web-app" // the client, in a pod
	roleMongo  = "mongo"   // a server that says its name
)

func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := play(ctx, m)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func play(ctx context.Context, m *testing.M) (int, error) {
	role := os.Getenv(roleVariable)
	switch {
	case role == roleWebApp:
		return 0, webApp(ctx)
	case role == roleMongo:
		return 0, mongo(ctx)
	case hosts.Isolated():
		return m.Run(), nil
	case role == roleRun:
		return hosts.Rerun(ctx)
	}
	if err := prepare(ctx); err != nil {
		return 0, err
	}
	return supervise(ctx)
}

// prepare sees to it that the machine has what the run needs.
func prepare(ctx context.Context) error {
	packages := map[string]string{
		"nft": "nftables", "conntrack": "conntrack", "setpriv": "util-linux", "getent": "libc-bin",
		"psql": "postgresql-client", "redis-server": "redis-server", "redis-cli": "redis-tools",
	}
	var programs []string
	for p := range packages {
		programs = append(programs, p)
	}
	missing := hosts.Missing(programs...)
	if _, err := postgresPrograms(); err != nil {
		missing = append(missing, err.Error())
	}
	if len(missing) > 0 {
		return fmt.Errorf("the proof by traffic needs what this machine lacks:\n  %s\nOn Debian, as root:\n  apt-get install -y --no-install-recommends iproute2 nftables conntrack postgresql redis-server",
			strings.Join(missing, "\n  "))
	}
	if _, err := controlplane.Build(ctx, os.Stderr); err != nil {
		return err
	}
	_, err := controlplane.BuildDNS(ctx, os.Stderr)
	return err
}

// postgresPrograms is the directory of initdb and postgres, which Debian keeps
// out of the path.
func postgresPrograms() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err == nil && len(found) == 0 {
		err = errors.New("postgres, which Debian keeps in /usr/lib/postgresql")
	}
	if err != nil {
		return "", err
	}
	return filepath.Dir(found[len(found)-1]), nil
}
