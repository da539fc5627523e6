// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package dfw

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/lab/edge/netfilter"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/firewall"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// Firewall keeps interfaces guarded as NSX says. It is safe for concurrent use.
// Make it with [New].
type Firewall struct {
	config Config
	client *nsx.Client
	kicked chan struct{}
	asked  chan chan<- error // who waits for a pass

	mu       sync.Mutex // guards what follows
	attached []*attached

	gaps []string // the running pass's
}

// attached is an interface and what it got last.
type attached struct {
	Interface
	applied *netfilter.Table
	rules   map[string]string // path by the name of its counter
}

// New returns a firewall that does nothing yet.
//
// Errors match [viaduct.ErrInvalid] when the configuration is incomplete.
func New(config Config) (*Firewall, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	client, err := newClient(config.NSX)
	if err != nil {
		return nil, fmt.Errorf("dfw: %w", err)
	}
	return &Firewall{
		config: config, client: client,
		kicked: make(chan struct{}, 1), asked: make(chan chan<- error),
	}, nil
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
// take, and retryAfter how long a pass that failed is not tried again, unless
// something changes.
const (
	readTimeout = 30 * time.Second
	retryAfter  = 250 * time.Millisecond
)

// Attach has an interface guarded, from the next pass on. It takes the place of
// one of the same name.
//
// Errors match [viaduct.ErrInvalid] when the interface is incomplete.
func (f *Firewall) Attach(i Interface) error {
	if err := i.check(); err != nil {
		return err
	}
	i.Addresses, i.Within = slices.Clone(i.Addresses), slices.Clone(i.Within)
	f.mu.Lock()
	f.remove(i.Name)
	f.attached = append(f.attached, &attached{Interface: i})
	slices.SortFunc(f.attached, func(a, b *attached) int { return strings.Compare(a.Name, b.Name) })
	f.mu.Unlock()
	f.kick()
	return nil
}

// Detach forgets an interface, as when its host is gone. The rules that it has
// are left to it.
func (f *Firewall) Detach(name string) {
	f.mu.Lock()
	f.remove(name)
	f.mu.Unlock()
	f.kick()
}

func (f *Firewall) remove(name string) {
	f.attached = slices.DeleteFunc(f.attached, func(a *attached) bool { return a.Name == name })
}

func (f *Firewall) kick() {
	select {
	case f.kicked <- struct{}{}:
	default: // asked for already
	}
}

// Run keeps the interfaces as NSX says until the context ends, and then leaves
// them as they are. What fails is logged and tried again. It must not be called
// twice.
func (f *Firewall) Run(ctx context.Context) error {
	timer := time.NewTimer(f.config.Resync)
	defer timer.Stop()
	var waiting []chan<- error
	for {
		changed := f.config.NSX.Changed()
		err := f.pass(ctx)
		timer.Reset(f.config.Resync)
		for _, w := range waiting {
			w <- err
		}
		waiting = nil
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			f.config.Logger.WarnContext(ctx, "the firewall is not as NSX says", "err", err)
			timer.Reset(min(f.config.Resync, retryAfter))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		case <-f.kicked:
		case <-timer.C:
		case w := <-f.asked:
			waiting = append(waiting, w)
		}
	}
}

// Sync waits for a pass that begins after the call, and returns its error: nil
// when all interfaces are as NSX says. It needs [Firewall.Run] to run.
func (f *Firewall) Sync(ctx context.Context) error {
	done := make(chan error, 1)
	select {
	case f.asked <- done:
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

// pass makes all interfaces as NSX says. When it does not answer they stay as
// they are.
func (f *Firewall) pass(ctx context.Context) error {
	f.mu.Lock()
	all := slices.Clone(f.attached)
	f.mu.Unlock()
	if len(all) == 0 {
		return nil
	}
	where, err := locate(ctx, f.client.Raw())
	if err != nil {
		return fmt.Errorf("dfw: %w", err)
	}
	snapshot, err := firewall.Load(ctx, f.client.Raw())
	if err != nil {
		return fmt.Errorf("dfw: %w", err)
	}
	f.report(ctx, snapshot.Gaps)
	interfaces := make([]Interface, len(all))
	for i, a := range all {
		interfaces[i] = a.Interface
	}
	applyByAddress(&snapshot, interfaces)
	rules, err := firewall.Compile(snapshot)
	if err != nil {
		return fmt.Errorf("dfw: %w", err)
	}
	at := cut(snapshot)
	var failed []error
	for _, a := range all {
		failed = append(failed, f.apply(ctx, a, rules, at, where.attachment(a.Interface)))
	}
	return errors.Join(failed...)
}

// report logs what rules can't be expressed, once.
func (f *Firewall) report(ctx context.Context, gaps []string) {
	for _, gap := range gaps {
		if !slices.Contains(f.gaps, gap) {
			f.config.Logger.WarnContext(ctx, "not guarded as NSX says", "what", gap)
		}
	}
	f.gaps = gaps
}

// apply makes one interface as the rules say.
func (f *Firewall) apply(ctx context.Context, a *attached, rules *firewall.Ruleset, at cuts, i firewall.Interface) error {
	all, err := sheets(rules, at, a.Addresses, i)
	if err != nil {
		return err
	}
	table := render(a.table(), a.Device, all, f.config.Switches)
	if table.Equal(a.applied) {
		return nil
	}
	if err := netfilter.Apply(ctx, a.Host, table.Script(a.applied)); err != nil {
		a.applied = nil // whatever is there, it goes
		return fmt.Errorf("dfw: %s: %w", a.Name, err)
	}
	a.applied = table
	f.mu.Lock()
	defer f.mu.Unlock()
	a.rules = map[string]string{}
	for _, s := range all {
		a.rules[ruleCounter(s.fallback.rule)] = s.fallback.rule
		for _, e := range s.entries {
			a.rules[ruleCounter(e.rule)] = e.rule
		}
	}
	return nil
}

// Counters returns what the firewall did at an interface.
//
// Errors match [viaduct.ErrNotFound] when no interface of that name is
// attached.
func (f *Firewall) Counters(ctx context.Context, name string) (Counters, error) {
	f.mu.Lock()
	i := slices.IndexFunc(f.attached, func(a *attached) bool { return a.Name == name })
	if i < 0 {
		f.mu.Unlock()
		return Counters{}, fmt.Errorf("dfw: interface %q: %w", name, viaduct.ErrNotFound)
	}
	a := f.attached[i]
	rules := a.rules
	f.mu.Unlock()
	counts, err := netfilter.Counters(ctx, a.Host, a.table())
	if err != nil {
		return Counters{}, fmt.Errorf("dfw: %s: %w", name, err)
	}
	c := Counters{
		Allowed: counts[counterAllowed].Packets, Dropped: counts[counterDropped].Packets,
		Rejected: counts[counterRejected].Packets, Foreign: counts[counterForeign].Packets,
		Rules: map[string]uint64{},
	}
	for counter, path := range rules {
		c.Rules[path] = counts[counter].Packets
	}
	return c, nil
}
