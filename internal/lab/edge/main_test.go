// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && e2etraffic

package edge_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/viaduct-sdk/viaduct/internal/lab/edge/echo"
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
	if echo.Serving() {
		return 0, echo.Serve(ctx, os.Stdout)
	}
	if !hosts.Isolated() {
		if missing := hosts.Missing("nft", "conntrack"); len(missing) > 0 {
			return 0, fmt.Errorf("these tests lack %s", strings.Join(missing, "; "))
		}
		return hosts.Rerun(ctx)
	}
	var err error
	if world, err = hosts.Enter(ctx); err != nil {
		return 0, err
	}
	return m.Run(), nil
}
