// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/viaduct-sdk/viaduct"
)

// keeper keeps the sessions that were used alive, both together, from the
// first request that succeeded until it is stopped.
type keeper struct {
	every time.Duration // 0: does nothing
	ping  func(ctx context.Context) error

	rest, soap atomic.Bool // used since the last stop

	mu     sync.Mutex
	cancel context.CancelFunc
	done   chan struct{}
}

// use notes that a session was used, and starts the keeper.
func (k *keeper) use(ctx context.Context, session *atomic.Bool) {
	if session.Swap(true) || k.every <= 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cancel != nil {
		return
	}
	// The sessions outlive the request that made them.
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	k.cancel, k.done = cancel, done
	go func() {
		defer close(done)
		k.run(run)
	}()
}

// run pings until it is stopped, or until the server refuses the credentials:
// those must not be tried again behind the caller's back.
func (k *keeper) run(ctx context.Context) {
	ticker := time.NewTicker(k.every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if errors.Is(k.ping(ctx), viaduct.ErrUnauthenticated) {
				return
			}
		}
	}
}

// stop ends the keeper and returns when it ended.
func (k *keeper) stop() {
	k.mu.Lock()
	cancel, done := k.cancel, k.done
	k.cancel, k.done = nil, nil
	k.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
	k.rest.Store(false)
	k.soap.Store(false)
}

// ping uses both sessions, as far as they were made.
func (c *Client) ping(ctx context.Context) error {
	var errs []error
	if c.keeper.rest.Load() {
		r := call{op: "keep session", object: "rest", method: http.MethodGet, route: sessionPath, idempotent: true}
		if c.dialect.legacy.Load() {
			r.method, r.route, r.query = http.MethodPost, legacySessionPath, url.Values{"~action": {"get"}}
		}
		errs = append(errs, c.do(ctx, r))
	}
	if c.keeper.soap.Load() {
		errs = append(errs, c.vim(ctx, "keep session", "soap", &methods.CurrentTimeBody{
			Req: &types.CurrentTime{This: vim25.ServiceInstance},
		}))
	}
	return errors.Join(errs...)
}
