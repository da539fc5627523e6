// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// probe asks whether a member is alive.
type probe struct {
	place
	port          uint16 // of the monitor; 0: the member's
	monitor       Monitor
	send, receive string
}

// try asks once: it connects, and when there is something to say or to hear, it
// says and hears it.
func (p probe) try(ctx context.Context, host Host) error {
	ctx, cancel := context.WithTimeout(ctx, p.monitor.Timeout)
	defer cancel()
	conn, err := host.Dial(ctx, p.protocol, p.at.String())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // nothing was kept
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if p.send != "" {
		if _, err := conn.Write([]byte(p.send)); err != nil {
			return err
		}
	}
	var heard []byte
	buffer := make([]byte, 1024)
	for p.receive != "" && !bytes.Contains(heard, []byte(p.receive)) {
		n, err := conn.Read(buffer)
		heard = append(heard, buffer[:n]...)
		if err != nil {
			return err
		}
	}
	return nil
}

// monitors watches members. It is safe for concurrent use.
type monitors struct {
	host Host
	nsx  *nsxsim.Server
	kick func() // called when a member died or came back

	mu      sync.Mutex // held while NSX is told, so that it hears things in order
	running map[watch]context.CancelFunc
	found   map[watch]bool // those that were judged: dead or not
	wait    sync.WaitGroup
}

// watch is one probe of one member.
type watch struct {
	watched
	probe
}

// set has exactly these members watched. Those that are watched already go on
// as they were.
func (m *monitors) set(ctx context.Context, wanted map[watched][]probe) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.down()
	for w, cancel := range m.running {
		if !slices.Contains(wanted[w.watched], w.probe) {
			cancel()
			delete(m.running, w)
			delete(m.found, w)
		}
	}
	for member, probes := range wanted {
		for _, p := range probes {
			w := watch{member, p}
			if m.running[w] != nil {
				continue
			}
			own, cancel := context.WithCancel(ctx)
			m.running[w] = cancel
			m.wait.Go(func() { m.run(own, w) })
		}
	}
	now := m.down()
	for member := range before {
		if !now[member] {
			m.nsx.SetMonitorStatus(member.pool.String(), member.member, "")
		}
	}
}

// snapshot returns the members that a monitor finds dead.
func (m *monitors) snapshot() map[watched]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.down()
}

func (m *monitors) down() map[watched]bool {
	down := map[watched]bool{}
	for w, dead := range m.found {
		if dead {
			down[w.watched] = true
		}
	}
	return down
}

// run probes until the context ends. A member counts as alive until it has
// failed.
func (m *monitors) run(ctx context.Context, w watch) {
	ticker := time.NewTicker(w.monitor.Interval)
	defer ticker.Stop()
	row := 0 // successes, or failures when negative
	for {
		err := w.try(ctx, m.host)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			row = max(row, 0) + 1
		} else {
			row = min(row, 0) - 1
		}
		if row >= w.monitor.Rise {
			m.note(ctx, w, false)
		}
		if -row >= w.monitor.Fall {
			m.note(ctx, w, true)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// note remembers what a probe found, and tells NSX when that is news. The first
// finding always is: NSX may have another one of an earlier edge.
func (m *monitors) note(ctx context.Context, w watch, dead bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, judged := m.found[w]
	if ctx.Err() != nil || judged && before == dead {
		return
	}
	m.found[w] = dead
	status := "UP"
	if m.down()[w.watched] {
		status = "DOWN"
	}
	m.nsx.SetMonitorStatus(w.pool.String(), w.member, status)
	m.kick()
}

// stop ends all probes and waits for them.
func (m *monitors) stop() {
	m.mu.Lock()
	for w, cancel := range m.running {
		cancel()
		delete(m.running, w)
	}
	m.mu.Unlock()
	m.wait.Wait()
}
