// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && e2etraffic

package traffic_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct/bridge"
)

// dropped is what is seen of a connection that the firewall stops.
const dropped = silence + ", dropped at the node: true"

// silence is what a connection is that nobody answers, by our own reckoning: no
// program calls it by one name.
const silence = "no answer"

// output runs a command and returns what it says, in a line.
func output(cmd *exec.Cmd, within time.Duration) string {
	if cmd.Env == nil {
		cmd.Env = environment()
	}
	cmd.Cancel = func() error { return cmd.Process.Kill() }
	cmd.WaitDelay = within
	out, err := cmd.CombinedOutput()
	line := strings.Join(strings.Fields(string(out)), " ")
	if err != nil && line == "" {
		return err.Error()
	}
	return line
}

// lookUp asks for a service's name as a program of web-app does.
func (w *world) lookUp(s service) func(context.Context) string { return w.lookUpName(s.host()) }

func (w *world) lookUpName(name string) func(context.Context) string {
	return func(ctx context.Context) string {
		cmd := w.node.webApp.Command(ctx, "getent", "ahostsv4", name)
		out, err := cmd.Output()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 2 {
			return "no such name"
		}
		if err != nil {
			return err.Error()
		}
		address, _, _ := strings.Cut(string(out), " ")
		return address
	}
}

// stopped is a try that the firewall at the node has to stop: silence alone could
// be anything.
func (w *world) stopped(try func(context.Context) string) func(context.Context) string {
	return func(ctx context.Context) string {
		before, err := w.firewall.Counters(ctx, w.node.Name())
		if err != nil {
			return err.Error()
		}
		seen := try(ctx)
		after, err := w.firewall.Counters(ctx, w.node.Name())
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("%s, dropped at the node: %t", seen, after.Dropped > before.Dropped)
	}
}

// use does with a service what it is there for.
func (w *world) use(s service) func(context.Context) string { return w.useAt(s, s.host(), s.port) }

// useAt does so at another address or port.
func (w *world) useAt(s service, host string, port int32) func(context.Context) string {
	return func(ctx context.Context) string {
		ctx, cancel := context.WithTimeout(ctx, 2*attempt)
		defer cancel()
		var seen string
		switch {
		case s.name == orders:
			cmd := w.node.webApp.Command(ctx, "psql", "-X", "-A", "-t", "-w", "-c", "SELECT item FROM orders WHERE id = 1", "-p", fmt.Sprint(port))
			cmd.Env = w.clientEnvironment(host)
			seen = output(cmd, time.Second)
		case strings.HasSuffix(s.name, "-redis"):
			// Redis's own client waits for ever.
			seen = output(w.node.webApp.Command(ctx, "timeout", "4", "redis-cli", "-h", host, "-p", fmt.Sprint(port), "SET", "cart", s.name), time.Second) +
				", " + output(w.node.webApp.Command(ctx, "timeout", "4", "redis-cli", "-h", host, "-p", fmt.Sprint(port), "GET", "cart"), time.Second)
		default:
			cmd := w.node.webApp.Command(ctx, w.self())
			cmd.Env = environment(roleVariable+"="+roleWebApp, greetVariable+"="+fmt.Sprintf("%s:%d", host, port))
			seen = output(cmd, time.Second)
		}
		for _, said := range []string{"timeout expired", "exit status 124", "i/o timeout", "signal: killed"} {
			if strings.Contains(seen, said) {
				return silence
			}
		}
		return seen
	}
}

// answer is what a service that works says.
func (s service) answer() string {
	switch {
	case s.name == orders:
		return "yoga mat"
	case strings.HasSuffix(s.name, "-redis"):
		return "OK, " + s.name
	default:
		return s.name
	}
}

// does says what use does.
func (s service) does() string {
	switch {
	case s.name == orders:
		return "SELECT"
	case strings.HasSuffix(s.name, "-redis"):
		return "SET, GET"
	default:
		return "connect, read a line"
	}
}

// trace is what Trace says of the way to order-postgres.
func (w *world) trace(ctx context.Context) string {
	traced, err := w.traced(ctx)
	if err != nil {
		return err.Error()
	}
	if hop, broken := traced.Broken(); broken {
		return brokenAt(string(hop.Name))
	}
	unknown := 0
	for _, hop := range traced.Hops {
		if hop.State != bridge.HopOK {
			unknown++
		}
	}
	if unknown > 0 {
		return fmt.Sprintf("%s, %d of %d unknown", reaches, unknown, len(traced.Hops))
	}
	return reaches
}

func (w *world) traced(ctx context.Context) (*bridge.Traced, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return bridge.Trace(ctx, w.importer, types.NamespacedName{Namespace: dataNamespace, Name: orders},
		bridge.TraceExporter(w.exporter), bridge.TraceNSX(w.nsx.Raw()),
		bridge.TraceFrom(bridge.TraceClient{Address: w.node.address}))
}

// host is a machine that runs commands.
type host interface {
	Name() string
	Command(ctx context.Context, name string, args ...string) *exec.Cmd
}

// diagnose is what helps with what went wrong.
func (w *world) diagnose() string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), patience)
	defer cancel()
	var b strings.Builder
	if traced, err := w.traced(ctx); err == nil {
		fmt.Fprintln(&b, traced)
	}
	for _, h := range w.way() {
		script := "ip -brief addr; ip route; nft list ruleset; conntrack -L 2>&1 | tail -20"
		if h == host(w.node) { // kube-proxy's rules are many
			script = "ip -brief addr; ip route; conntrack -L 2>&1 | tail -20"
		}
		out, _ := h.Command(ctx, "/bin/sh", "-c", script).CombinedOutput()
		fmt.Fprintf(&b, "---- %s\n%s\n", h.Name(), out)
	}
	return b.String()
}

// vip is the virtual address of what was exported.
func vip(e *bridge.Exported) netip.Addr { return e.Addresses[0] }
