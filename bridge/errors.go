// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
)

// Error says which object of which cluster an export or import could not be
// done for. It matches a sentinel of package viaduct.
type Error struct {
	// Op is "export", "unexport", "import", "unimport" or "trace".
	Op      string
	Cluster string
	// Object is the Service that the operation is about.
	Object types.NamespacedName
	// Reason says what is the matter.
	Reason string
	// Hint says what to do about it, if there is something to say.
	Hint string
	// Err is the cause: a sentinel of package viaduct, or an error that
	// matches one.
	Err error
}

// Error returns one line: operation, object, cluster, reason, cause and hint.
func (e *Error) Error() string {
	text := fmt.Sprintf("bridge: %s %s (cluster %s): ", e.Op, e.Object, e.Cluster)
	if e.Reason != "" {
		text += e.Reason + ": "
	}
	text += e.Err.Error()
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// refusal is why a plan cannot be made.
type refusal struct {
	err          error
	reason, hint string
}

func (r *refusal) of(op, cluster string, object types.NamespacedName) error {
	return &Error{Op: op, Cluster: cluster, Object: object, Reason: r.reason, Hint: r.hint, Err: r.err}
}

// ApplyError says how far a plan came. Running the same call again continues
// from there.
type ApplyError struct {
	Done    []Step
	Failed  Step
	Pending []Step
	Err     error
}

// Error names the step that failed, why, and how many were done.
func (e *ApplyError) Error() string {
	return fmt.Sprintf("%s %s: %v (%d of %d steps done)", e.Failed.Action, e.Failed.Object, e.Err,
		len(e.Done), len(e.Done)+1+len(e.Pending))
}

// Unwrap returns the cause.
func (e *ApplyError) Unwrap() error { return e.Err }

// Retryable reports whether the same call may succeed later without anybody
// changing anything: a conflict, a server that is away or overloaded. A
// controller requeues such an error and reports others.
func Retryable(err error) bool {
	return errors.Is(err, viaduct.ErrConflict) ||
		errors.Is(err, viaduct.ErrUnavailable) ||
		errors.Is(err, viaduct.ErrRateLimited)
}
