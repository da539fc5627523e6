// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package progress tells a person what takes long.
package progress

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// The first line comes after a second; then the pauses grow from second to
// second, so that minutes do not fill the screen.
const (
	after    = time.Second
	shortest = 3 * time.Second
	longest  = 10 * time.Second
)

// Printer prints what takes long, and nothing about what is done within a
// second. It is safe for concurrent use.
type Printer struct {
	mu sync.Mutex
	w  io.Writer
}

// New returns a printer that prints to w. Nil means silence.
func New(w io.Writer) *Printer {
	if w == nil {
		w = io.Discard
	}
	return &Printer{w: w}
}

// Printf prints a line now.
func (p *Printer) Printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// A progress line that can't be written is no reason to stop.
	_, _ = fmt.Fprintf(p.w, "lab: "+format+"\n", args...)
}

// Watch prints what is going on once it takes more than a second, and every
// few seconds after that, until stop is called. detail, when not nil, adds how
// far it is.
func (p *Printer) Watch(what string, detail func() string) (stop func()) {
	begun := time.Now()
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		timer, pause := time.NewTimer(after), shortest
		defer timer.Stop()
		for {
			select {
			case <-quit:
				return
			case <-timer.C:
			}
			line := fmt.Sprintf("%s, %s", what, time.Since(begun).Round(time.Second))
			if detail != nil {
				line += detail()
			}
			p.Printf("%s", line)
			timer.Reset(pause)
			pause = min(pause+time.Second, longest)
		}
	}()
	return sync.OnceFunc(func() {
		close(quit)
		<-gone
		if took := time.Since(begun); took > after {
			p.Printf("%s: took %s", what, took.Round(100*time.Millisecond))
		}
	})
}
