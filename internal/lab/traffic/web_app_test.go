// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && e2etraffic

package traffic_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// What the programs of this file are told by their environment, beside what
// PostgreSQL's own clients read.
const (
	greetVariable = "VIADUCT_TRAFFIC_GREET" // where to connect to; the web-app queries when it is empty
	serveVariable = "VIADUCT_TRAFFIC_SERVE" // where to listen, and the name to say
	nameVariable  = "VIADUCT_TRAFFIC_NAME"
)

// stats are what a web-app says of itself, again and again.
type stats struct {
	// Queries and Failed count queries that each look the name up, connect,
	// and read.
	Queries, Failed int
	// OpenQueries and OpenFailed count those over a connection that stays open
	// until it fails, and is opened anew then.
	OpenQueries, OpenFailed int
	// Failures counts by what failed.
	Failures map[string]int
	// Started counts queries that have begun, and all of the first Settled have
	// ended.
	Started, Settled int
}

func (s stats) minus(before stats) stats {
	d := stats{
		Queries: s.Queries - before.Queries, Failed: s.Failed - before.Failed,
		OpenQueries: s.OpenQueries - before.OpenQueries, OpenFailed: s.OpenFailed - before.OpenFailed,
		Failures: map[string]int{},
	}
	for k, n := range s.Failures {
		if n > before.Failures[k] {
			d.Failures[k] = n - before.Failures[k]
		}
	}
	return d
}

// querier is the web-app: a program that knows a name, and nothing of bridges.
type querier struct {
	config *pgx.ConnConfig
	host   string

	mu      sync.Mutex
	stats   stats
	running map[int]bool // queries that have not ended, by their number
}

// webApp queries every 20 ms until its standard input ends, and prints its
// stats.
func webApp(ctx context.Context) error {
	if address := os.Getenv(greetVariable); address != "" {
		return greet(ctx, address)
	}
	config, err := pgx.ParseConfig("")
	if err != nil {
		return err
	}
	q := &querier{config: config, host: config.Host, stats: stats{Failures: map[string]int{}}, running: map[int]bool{}}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // Its end is what matters.
		cancel()
	}()
	var all sync.WaitGroup
	defer all.Wait()
	// A machine that is too slow for a query every 20 ms leaves some out.
	slots := make(chan struct{}, 16)
	all.Go(func() { q.stayOpen(ctx) })
	query, report := time.NewTicker(20*time.Millisecond), time.NewTicker(100*time.Millisecond)
	defer query.Stop()
	defer report.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-query.C:
			select {
			case slots <- struct{}{}:
				all.Go(func() { q.queryOnce(ctx); <-slots })
			default:
			}
		case <-report.C:
			if err := q.report(); err != nil {
				return err
			}
		}
	}
}

func (q *querier) report() error {
	q.mu.Lock()
	s := q.stats
	s.Failures = maps.Clone(s.Failures)
	s.Settled = s.Started
	for number := range q.running {
		s.Settled = min(s.Settled, number)
	}
	q.mu.Unlock()
	return json.NewEncoder(os.Stdout).Encode(s)
}

// attempt bounds one query.
const attempt = 10 * time.Second

// connect looks the name up and connects to what it finds.
func (q *querier) connect(ctx context.Context) (*pgx.Conn, string, error) {
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", q.host)
	if err != nil {
		return nil, "look up", err
	}
	config := q.config.Copy()
	config.Host = addresses[0].String()
	config.Fallbacks = nil
	conn, err := pgx.ConnectConfig(ctx, config)
	return conn, "connect", err
}

func read(ctx context.Context, conn *pgx.Conn) error {
	var orders int
	return conn.QueryRow(ctx, "SELECT count(*) FROM orders").Scan(&orders)
}

// begin gives a query its number.
func (q *querier) begin() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	number := q.stats.Started
	q.running[number] = true
	q.stats.Started++
	return number
}

func (q *querier) queryOnce(ctx context.Context) {
	number := q.begin()
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	conn, stage, err := q.connect(ctx)
	if err == nil {
		stage, err = "read", read(ctx, conn)
		_ = conn.Close(ctx) // What it was for is done, or has failed.
	}
	if context.Cause(ctx) == context.Canceled { //nolint:errorlint // Told to end: no failure.
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.running, number)
	q.stats.Queries++
	if err != nil {
		q.stats.Failed++
		q.stats.Failures[stage+": "+brief(err)]++
	}
}

// stayOpen queries over one connection.
func (q *querier) stayOpen(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var conn *pgx.Conn
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		conn = q.overOpen(ctx, conn)
	}
}

func (q *querier) overOpen(ctx context.Context, conn *pgx.Conn) *pgx.Conn {
	within, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	if conn == nil {
		// Whether it can be opened is the other queries' business.
		conn, _, _ = q.connect(within)
		return conn
	}
	err := read(within, conn)
	if ctx.Err() != nil {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stats.OpenQueries++
	if err == nil {
		return conn
	}
	q.stats.OpenFailed++
	q.stats.Failures["open connection: "+brief(err)]++
	_ = conn.Close(within) // It is broken.
	return nil
}

// brief is the innermost reason of an error, which is the same for every port
// number.
func brief(err error) string {
	for {
		switch e := err.(type) { //nolint:errorlint // Unwrapping by hand.
		case interface{ Unwrap() error }:
			inner := e.Unwrap()
			if inner == nil {
				return err.Error()
			}
			err = inner
		case interface{ Unwrap() []error }:
			all := e.Unwrap()
			if len(all) == 0 {
				return err.Error()
			}
			err = all[len(all)-1]
		default:
			return err.Error()
		}
	}
}

// greet connects and prints the line that the server says.
func greet(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp4", address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // What it was for is done.
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	fmt.Print(line)
	return err
}

// mongo is a server that says its name, in place of a database that Debian does
// not have.
func mongo(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp4", os.Getenv(serveVariable))
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = l.Close() }) // The loop ends by it.
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintln(conn, os.Getenv(nameVariable)) // Whoever does not listen does not hear.
		_ = conn.Close()
	}
}
