// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && e2etraffic

package traffic_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

// row is one thing that was tried.
type row struct {
	step     string
	from     string // where it was tried
	tried    string
	expected string // what must be seen, or a part of it
	seen     string
	// route is what Trace must say, and traced what it said; neither counts
	// where route is empty.
	route, traced string
	failed        bool
}

// What Trace says of a way without a broken hop.
const reaches = "no broken hop"

func brokenAt(hop string) string { return "broken at " + hop }

// table is the run's protocol.
type table struct{ rows []row }

func (r row) fits() bool {
	return strings.Contains(r.seen, r.expected) && (strings.HasPrefix(r.traced, r.route))
}

// check tries something until what is seen, and what Trace says of it, is as
// expected; patience is for what servers and controllers get round to when they
// do. Either way it becomes a row.
func (w *world) check(r row, try func(context.Context) string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		r.seen = try(ctx)
		if r.route != "" {
			r.traced = w.trace(ctx)
		}
		if r.fits() {
			break
		}
		select {
		case <-ctx.Done():
			r.failed = true
			w.t.Errorf("%s: %s from %s: saw %q, want %q; Trace says %q, want %q\n%s",
				r.step, r.tried, r.from, r.seen, r.expected, r.traced, r.route, w.diagnose())
			w.note(r)
			return
		case <-tick.C:
		}
	}
	w.note(r)
}

// note adds a row, and shows it at once.
func (w *world) note(r row) {
	w.table.rows = append(w.table.rows, r)
	fmt.Fprintf(os.Stderr, "%s | %s | %s | %s | %s\n", r.mark(), r.step, r.tried, r.seen, r.traced)
}

func (r row) mark() string {
	if r.failed {
		return "FAILED"
	}
	return "ok"
}

// print shows all rows.
func (t *table) print(to io.Writer) {
	tabs := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tabs, "\t\tSTEP\tFROM\tTRIED\tEXPECTED\tSEEN\tTRACE")
	for i, r := range t.rows {
		fmt.Fprintf(tabs, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", i+1, r.mark(), r.step, r.from, r.tried, r.expected, r.seen, r.traced)
	}
	_ = tabs.Flush() // Nobody to tell.
}
