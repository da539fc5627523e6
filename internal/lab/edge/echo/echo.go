// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package echo is a server for tests that need one on another host: the test's
// own program, started there by a command that [Command] has prepared.
package echo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
)

// role is the environment variable that makes a program a server: its name, and
// the network addresses that it serves.
const role = "VIADUCT_ECHO"

// Command prepares a command, which must run the test's own program, to serve
// the addresses, such as tcp/10.0.0.1:80 and udp/10.0.0.1:53. Each line that the
// server gets is answered by its name, the client's address, and the line. It
// says ready on its standard output when it listens.
func Command(cmd *exec.Cmd, name string, addresses ...string) {
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, role+"="+name+" "+strings.Join(addresses, " "))
}

// Serving reports whether this program was started by such a command.
func Serving() bool { return os.Getenv(role) != "" }

// Serve serves until the context ends.
func Serve(ctx context.Context, ready io.Writer) error {
	fields := strings.Fields(os.Getenv(role))
	failed := make(chan error, len(fields))
	for _, address := range fields[1:] {
		network, at, _ := strings.Cut(address, "/")
		serve := serveTCP
		if network == "udp" {
			serve = serveUDP
		}
		run, err := serve(ctx, at, fields[0])
		if err != nil {
			return err
		}
		go func() { failed <- run() }()
	}
	if _, err := fmt.Fprintln(ready, "ready"); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func serveTCP(ctx context.Context, at, name string) (func() error, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", at)
	if err != nil {
		return nil, err
	}
	return func() error {
		for {
			conn, err := l.Accept()
			if err != nil {
				return err
			}
			go answer(conn, name)
		}
	}, nil
}

// answer answers line by line, until the client has no more.
func answer(conn net.Conn, name string) {
	defer func() { _ = conn.Close() }() // nobody is left to tell
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if _, err := fmt.Fprintf(conn, "%s %s %s\n", name, conn.RemoteAddr(), lines.Text()); err != nil {
			return
		}
	}
}

func serveUDP(ctx context.Context, at, name string) (func() error, error) {
	conn, err := new(net.ListenConfig).ListenPacket(ctx, "udp", at)
	if err != nil {
		return nil, err
	}
	return func() error {
		buffer := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return err
			}
			// An answer that can't be sent is lost, as datagrams may be.
			_, _ = fmt.Fprintf(writerTo{conn, from}, "%s %s %s\n", name, from, strings.TrimSpace(string(buffer[:n])))
		}
	}, nil
}

type writerTo struct {
	net.PacketConn
	to net.Addr
}

func (w writerTo) Write(p []byte) (int, error) { return w.WriteTo(p, w.to) }

// Ask sends a line and returns the answer's name and the address that the
// server saw.
func Ask(conn net.Conn, line string) (name, seen string, err error) {
	if _, err := fmt.Fprintln(conn, line); err != nil {
		return "", "", err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return "", "", err
	}
	fields := strings.Fields(answer)
	if len(fields) != 3 || fields[2] != line {
		return "", "", errors.New("another answer: " + answer)
	}
	return fields[0], fields[1], nil
}
