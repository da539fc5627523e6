// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"fmt"
)

// gate lets one in at a time, as a mutex does, and lets go whoever waits when
// their context ends: the request that is under way may take long.
type gate chan struct{}

func newGate() gate { return make(gate, 1) }

// enter waits for the turn. The error is that of ctx, and wraps its cause.
func (g gate) enter(ctx context.Context, what string) error {
	select {
	case g <- struct{}{}:
		return nil
	default:
	}
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
	}
}

func (g gate) leave() { <-g }
