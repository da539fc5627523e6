// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && e2etraffic

package traffic_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

// client is a web-app that runs in its pod and queries order-postgres every
// 20 ms.
type client struct {
	w     *world
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{} // closed when it says no more

	mu     sync.Mutex
	latest stats
}

// startClient starts a client, and waits until its queries succeed.
func (w *world) startClient() *client {
	w.t.Helper()
	c := &client{w: w, done: make(chan struct{})}
	c.cmd = w.node.webApp.Command(w.ctx, w.self())
	c.cmd.Env = w.clientEnvironment(postgres().host(), roleVariable+"="+roleWebApp)
	in, err := c.cmd.StdinPipe()
	w.must(err)
	out, err := c.cmd.StdoutPipe()
	w.must(err)
	c.stdin = in
	w.must(c.cmd.Start())
	go func() {
		defer close(c.done)
		for decoder := json.NewDecoder(out); ; {
			var s stats
			if decoder.Decode(&s) != nil {
				return
			}
			c.mu.Lock()
			c.latest = s
			c.mu.Unlock()
		}
	}()
	c.carryOn()
	return c
}

func (c *client) stats() stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.latest
}

// carryOn waits for a hundred queries that begin after the call and do not fail,
// one after the other, and for as many over the connection that is open.
func (c *client) carryOn() {
	c.w.t.Helper()
	const many = 100
	before := c.stats()
	c.w.eventually("web-app's queries", func(context.Context) string {
		d := c.stats().minus(before)
		if d.Failed > 0 || d.OpenFailed > 0 {
			before = c.stats() // Count again from here.
		}
		if d.Failed > 0 || d.OpenFailed > 0 || d.Queries < many || d.OpenQueries < many {
			return fmt.Sprintf("at %+v", d)
		}
		return ""
	})
}

// settle waits for the queries that have begun before the call.
func (c *client) settle() {
	c.w.t.Helper()
	begun := c.stats().Started
	c.w.eventually("web-app's queries", func(context.Context) string {
		if settled := c.stats().Settled; settled < begun {
			return fmt.Sprintf("%d unanswered", begun-settled)
		}
		return ""
	})
}

// stop ends the client.
func (c *client) stop() {
	c.w.t.Helper()
	c.w.must(c.stdin.Close())
	<-c.done
	c.w.must(c.cmd.Wait())
}

// outcome is what became of queries, for the table.
func (s stats) outcome() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d of %d queries failed, %d of %d over the open connection", s.Failed, s.Queries, s.OpenFailed, s.OpenQueries)
	for _, what := range slices.Sorted(maps.Keys(s.Failures)) {
		fmt.Fprintf(&text, "; %d x %s", s.Failures[what], what)
	}
	return text.String()
}

// TestOutcome pins what the table says.
func TestOutcome(t *testing.T) {
	before := stats{Queries: 10, OpenQueries: 5, Failed: 1, Failures: map[string]int{"connect: refused": 1}}
	after := stats{Queries: 30, OpenQueries: 9, Failed: 3, OpenFailed: 1, Failures: map[string]int{"connect: refused": 3, "open connection: EOF": 1}}
	const want = "2 of 20 queries failed, 1 of 4 over the open connection; 2 x connect: refused; 1 x open connection: EOF"
	if got := after.minus(before).outcome(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
