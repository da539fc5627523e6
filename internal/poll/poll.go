// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package poll waits for something that a server does in its own time.
package poll

import (
	"context"
	"fmt"
	"time"
)

// The pause between two looks starts at First and doubles up to Max.
const (
	First = 100 * time.Millisecond
	Max   = 2 * time.Second
)

// Until calls look until it reports done, it fails, or ctx ends. An error of
// look ends the wait at once and is returned as it is. When ctx ends, the
// error wraps the cause and names the state that look reported last.
func Until(ctx context.Context, look func(context.Context) (state string, done bool, err error)) error {
	pause := First
	timer := time.NewTimer(0)
	defer timer.Stop()
	var state string
	for {
		select {
		case <-ctx.Done():
			return pending(ctx, state)
		case <-timer.C:
		}
		seen, done, err := look(ctx)
		if done {
			return nil
		}
		if ctx.Err() != nil {
			if seen != "" {
				state = seen
			}
			return pending(ctx, state)
		}
		if err != nil {
			return err
		}
		state = seen
		timer.Reset(pause)
		pause = min(2*pause, Max)
	}
}

func pending(ctx context.Context, state string) error {
	if state == "" {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%s: %w", state, context.Cause(ctx))
}
