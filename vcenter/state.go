// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter

import (
	"context"
	"fmt"
	"strings"

	"github.com/viaduct-sdk/viaduct/internal/poll"
)

// ConfigStatus is how far vCenter is with what it was told to configure. It is
// an open set: servers may return others.
type ConfigStatus string

// The documented states.
const (
	ConfigStatusConfiguring ConfigStatus = "CONFIGURING"
	ConfigStatusRemoving    ConfigStatus = "REMOVING"
	ConfigStatusRunning     ConfigStatus = "RUNNING"
	ConfigStatusError       ConfigStatus = "ERROR"
)

// KubernetesStatus is the health of a Supervisor's Kubernetes. It is an open
// set: servers may return others.
type KubernetesStatus string

// The documented states.
const (
	KubernetesStatusReady   KubernetesStatus = "READY"
	KubernetesStatusWarning KubernetesStatus = "WARNING"
	KubernetesStatusError   KubernetesStatus = "ERROR"
)

// Severity of a message. It is an open set: servers may return others.
type Severity string

// The documented severities.
const (
	SeverityInfo    Severity = "INFO"
	SeverityWarning Severity = "WARNING"
	SeverityError   Severity = "ERROR"
)

// StatusMessage is a message about the state of an object.
type StatusMessage struct {
	Severity Severity `json:"severity"`
	Details  Message  `json:"details"`
}

// String returns the severity and the text.
func (m StatusMessage) String() string { return string(m.Severity) + ": " + m.Details.String() }

// StateError says that an object reached a state that it does not leave by
// itself, with vCenter's reasons.
type StateError struct {
	Op       string // "wait for namespace"
	Object   string
	Status   ConfigStatus
	Messages []StatusMessage
}

// Error returns the text.
func (e *StateError) Error() string {
	return fmt.Sprintf("vcenter: %s %q: %s", e.Op, e.Object, describe(string(e.Status), e.Messages))
}

// describe puts a state and its messages on one line.
func describe(status string, messages []StatusMessage) string {
	if len(messages) == 0 {
		return status
	}
	texts := make([]string, len(messages))
	for i, m := range messages {
		texts[i] = m.String()
	}
	return status + ": " + strings.Join(texts, "; ")
}

// WaitOptions change how to wait for an object of type T.
type WaitOptions[T any] struct {
	// OnProgress, when not nil, is called with the object when it is first
	// seen and whenever its state or its messages changed.
	OnProgress func(T)

	// TolerateError goes on waiting in the state ERROR, for callers who know
	// that somebody, or vCenter itself, will put it right. Without it, ERROR
	// ends the wait with a [*StateError].
	TolerateError bool
}

// wait looks at an object until verdict says that it is done or that it can't
// be. state describes the object: it is what a timeout names last, and its
// changes are progress.
func wait[T any](ctx context.Context, op, object string, opts WaitOptions[T], look func(context.Context) (T, error),
	state func(T) string, verdict func(T) (done bool, err error),
) (T, error) {
	var last T
	var seen string
	err := poll.Until(ctx, func(ctx context.Context) (string, bool, error) {
		now, err := look(ctx)
		if err != nil {
			return seen, false, err
		}
		last = now
		if s := state(now); s != seen {
			seen = s
			if opts.OnProgress != nil {
				opts.OnProgress(now)
			}
		}
		done, err := verdict(now)
		return seen, done, err
	})
	if err != nil && ctx.Err() != nil {
		return last, fmt.Errorf("vcenter: %s %q: %w", op, object, err)
	}
	return last, err
}
