// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Fault makes requests fail. The first fault that fits a request is used.
type Fault struct {
	// Method and Path say which requests; empty fits all.
	Method, Path string
	// Times is how many requests fail; 0 means all of them.
	Times int
	// Delay passes before anything else happens.
	Delay time.Duration
	// Status and Body are the answer. With Status 0 the request is answered as
	// ever, after the delay.
	Status int
	Body   string
}

// Request is a request to /wcp/* that was served.
type Request struct {
	Method, Path string
	Status       int
}

// journal holds the faults to come and the requests that were.
type journal struct {
	mu          sync.Mutex
	faults      []Fault
	requests    []Request
	unsimulated map[string]bool
}

// Inject adds a fault.
func (w *WCP) Inject(f Fault) {
	w.journal.mu.Lock()
	defer w.journal.mu.Unlock()
	if f.Times == 0 {
		f.Times = -1
	}
	w.journal.faults = append(w.journal.faults, f)
}

// Requests returns the requests to /wcp/* that were served so far, in the order
// in which they ended.
func (w *WCP) Requests() []Request {
	w.journal.mu.Lock()
	defer w.journal.mu.Unlock()
	return slices.Clone(w.journal.requests)
}

// Unsimulated returns the method and the path of the requests that were
// answered with 501, sorted.
func (w *WCP) Unsimulated() []string {
	w.journal.mu.Lock()
	defer w.journal.mu.Unlock()
	return slices.Sorted(maps.Keys(w.journal.unsimulated))
}

func (j *journal) record(r *http.Request, status int) {
	if !strings.HasPrefix(r.URL.Path, "/wcp/") {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.requests = append(j.requests, Request{Method: r.Method, Path: r.URL.Path, Status: status})
}

func (j *journal) miss(r *http.Request) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.unsimulated == nil {
		j.unsimulated = map[string]bool{}
	}
	j.unsimulated[r.Method+" "+r.URL.Path] = true
}

// fault does to the request what a fault asks for, and reports whether it has
// been answered.
func (j *journal) fault(w http.ResponseWriter, r *http.Request) bool {
	f, ok := j.take(r)
	if !ok {
		return false
	}
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return true
		}
	}
	if f.Status == 0 {
		return false
	}
	w.WriteHeader(f.Status)
	_, _ = io.WriteString(w, f.Body)
	return true
}

func (j *journal) take(r *http.Request) (Fault, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range j.faults {
		f := &j.faults[i]
		if f.Times == 0 || (f.Method != "" && f.Method != r.Method) || (f.Path != "" && f.Path != r.URL.Path) {
			continue
		}
		if f.Times > 0 {
			f.Times--
		}
		return *f, true
	}
	return Fault{}, false
}

// recorder notes the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements [http.ResponseWriter].
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 || r.status < http.StatusOK {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (r *recorder) Write(data []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(data)
}

// Unwrap lets the response controller find the writer beneath.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
