// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/viaduct-sdk/viaduct/internal/lab/edge/netfilter"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// Edge keeps a host forwarding what NSX says. It is safe for concurrent use.
// Make it with [New].
type Edge struct {
	config   Config
	client   *nsx.Client
	kernel   kernel
	monitors *monitors
	kicked   chan struct{}
	asked    chan chan<- error // who waits for a pass

	mu    sync.Mutex // guards what follows
	state state      // that was applied

	// What follows is the running pass's.
	view     *view
	told     map[watched]bool
	applied  *netfilter.Table
	problems []string
	pending  bool                      // something is not known yet
	known    map[gatewayVIP]netip.Addr // internal addresses
}

// gatewayVIP is what an internal address belongs to.
type gatewayVIP struct {
	tier1 string
	vip   netip.Addr
}

// internal asks for an internal address until it is known.
func (e *Edge) internal(tier1 string, vip netip.Addr) netip.Addr {
	key := gatewayVIP{tier1, vip}
	if a, ok := e.known[key]; ok {
		return a
	}
	a := e.config.Internal(tier1, vip)
	if a.IsValid() {
		e.known[key] = a
	}
	return a
}

// New returns an edge that does nothing yet.
//
// Errors match [viaduct.ErrInvalid] when the configuration is incomplete.
func New(config Config) (*Edge, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	client, err := newClient(config.NSX)
	if err != nil {
		return nil, fmt.Errorf("edge: %w", err)
	}
	e := &Edge{
		config: config, client: client, kernel: kernel{host: config.Host, device: config.Device},
		kicked: make(chan struct{}, 1), asked: make(chan chan<- error),
		known: map[gatewayVIP]netip.Addr{},
	}
	e.monitors = &monitors{
		host: config.Host, nsx: config.NSX, kick: e.kick,
		running: map[watch]context.CancelFunc{}, found: map[watch]bool{},
	}
	return e, nil
}

// newClient reaches all managers, in process.
func newClient(srv *nsxsim.Server) (*nsx.Client, error) {
	var others []string
	for _, m := range srv.Managers()[1:] {
		others = append(others, m.URL())
	}
	return nsx.NewClient(srv.URL(), nsx.BasicAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword),
		nsx.WithHTTPClient(srv.Client()), nsx.WithEndpoints(others...), nsx.WithLimit(nsx.Limit{}),
		nsx.WithRetry(nsx.RetryPolicy{Attempts: 1 + len(others), MinWait: time.Millisecond, AttemptTimeout: readTimeout}))
}

// readTimeout is how long one request to a manager in the same process may
// take, and retryAfter how long a pass that did not do all is not tried again,
// unless something changes.
const (
	readTimeout = 30 * time.Second
	retryAfter  = 250 * time.Millisecond
)

// kick asks for another pass.
func (e *Edge) kick() {
	select {
	case e.kicked <- struct{}{}:
	default: // asked for already
	}
}

// Run keeps the host as NSX says until the context ends, and then leaves it as
// it is. What fails is logged and tried again. It must not be called twice.
func (e *Edge) Run(ctx context.Context) error {
	defer e.monitors.stop()
	timer := time.NewTimer(e.config.Resync)
	defer timer.Stop()
	var waiting []chan<- error
	for {
		changed := e.config.NSX.Changed()
		err := e.pass(ctx)
		timer.Reset(e.config.Resync)
		for _, w := range waiting {
			w <- err
		}
		waiting = nil
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			e.config.Logger.WarnContext(ctx, "the edge is not as NSX says", "err", err)
		}
		if err != nil || e.pending {
			timer.Reset(min(e.config.Resync, retryAfter))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		case <-e.kicked:
		case <-timer.C:
		case w := <-e.asked:
			waiting = append(waiting, w)
		}
	}
}

// Sync waits for a pass that begins after the call, and returns its error: nil
// when the host is as NSX says. It needs [Edge.Run] to run.
func (e *Edge) Sync(ctx context.Context) error {
	done := make(chan error, 1)
	select {
	case e.asked <- done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pass makes the host as NSX says; as it said last when it does not answer.
func (e *Edge) pass(ctx context.Context) error {
	told := e.monitors.snapshot()
	v, unread := read(ctx, e.client)
	if unread == nil {
		e.view, e.told = v, told
	}
	if e.view == nil {
		return unread
	}
	b := &builder{
		view: e.view, internal: e.internal, fallback: e.config.Monitor,
		down: e.monitors.snapshot(), told: e.told,
	}
	now := b.build()
	e.report(ctx, b.problems)
	e.pending = len(b.pending) > 0
	err := e.apply(ctx, now)
	e.monitors.set(ctx, b.watches)
	return errors.Join(unread, err)
}

// report logs what can't be done, once.
func (e *Edge) report(ctx context.Context, problems []string) {
	for _, p := range problems {
		if !slices.Contains(e.problems, p) {
			e.config.Logger.WarnContext(ctx, "not forwarded as NSX says", "what", p)
		}
	}
	e.problems = problems
}

// apply makes the host's kernel forward as the state says. What listens at new
// addresses has rules before the addresses are there, and connections are
// forgotten when nothing can renew them.
func (e *Edge) apply(ctx context.Context, now state) error {
	rules := render(now, e.config.Switches.Silent)
	if !rules.Equal(e.applied) {
		if err := netfilter.Apply(ctx, e.config.Host, rules.Script(e.applied)); err != nil {
			e.applied = nil // whatever is there, it goes
			return fmt.Errorf("edge: %w", err)
		}
		e.applied = rules
	}
	e.mu.Lock()
	old := e.state
	e.state = now
	e.mu.Unlock()
	var failed []error
	if !e.config.Switches.KeepConnections {
		for _, c := range cuts(old, now) {
			failed = append(failed, e.kernel.forget(ctx, c))
		}
	}
	failed = append(failed, e.kernel.setAddresses(ctx, unique(append(now.vips(), now.sources()...))))
	return errors.Join(failed...)
}

// Counters returns what each virtual server, named by its path, has forwarded.
func (e *Edge) Counters(ctx context.Context) (map[string]Counter, error) {
	e.mu.Lock()
	s := e.state
	e.mu.Unlock()
	return e.kernel.counters(ctx, s)
}
