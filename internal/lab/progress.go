// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	progressAfter = time.Second
	progressEvery = 3 * time.Second
)

// progress tells a person what takes long. It says nothing about what is done
// within a second.
type progress struct {
	mu sync.Mutex
	w  io.Writer
}

func newProgress(w io.Writer) *progress {
	if w == nil {
		w = io.Discard
	}
	return &progress{w: w}
}

func (p *progress) printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// A progress line that can't be written is no reason to stop.
	_, _ = fmt.Fprintf(p.w, "lab: "+format+"\n", args...)
}

// watch prints what is going on once it takes more than a second, and every
// few seconds after that, until stop is called. detail, when not nil, adds how
// far it is.
func (p *progress) watch(what string, detail func() string) (stop func()) {
	begun := time.Now()
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		timer := time.NewTimer(progressAfter)
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
			p.printf("%s", line)
			timer.Reset(progressEvery)
		}
	}()
	return sync.OnceFunc(func() {
		close(quit)
		<-gone
		if took := time.Since(begun); took > progressAfter {
			p.printf("%s: took %s", what, took.Round(100*time.Millisecond))
		}
	})
}
