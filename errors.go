// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package viaduct

import "errors"

// The errors that every package of this module matches with [errors.Is],
// whichever server spoke. The typed error beneath (nsx.Error, vcenter.Error,
// bridge.StepError and so on) carries what the server said.
var (
	// ErrNotFound means that the object asked for does not exist. Deleting
	// what does not exist is not an error and never returns it.
	ErrNotFound = errors.New("not found")

	// ErrExists means that an object to be created is there already. Nothing
	// was changed.
	ErrExists = errors.New("already exists")

	// ErrConflict means that the object changed since it was read, or that
	// another transaction holds it. Read again, then write again.
	ErrConflict = errors.New("conflict")

	// ErrInUse means that the object can't be deleted because others refer to
	// it. The typed error names them when the server does.
	ErrInUse = errors.New("in use")

	// ErrInvalid means that the request can't succeed as it stands: an
	// argument is missing or wrong. Nothing was written.
	ErrInvalid = errors.New("invalid")

	// ErrNotOwned means that the object belongs to somebody else, so that
	// Viaduct leaves it alone. Nothing was written.
	ErrNotOwned = errors.New("not owned by viaduct")

	// ErrUnauthenticated means that the server does not accept the
	// credentials, or that a session ended and could not be renewed.
	ErrUnauthenticated = errors.New("unauthenticated")

	// ErrForbidden means that the credentials are good and lack a permission.
	ErrForbidden = errors.New("forbidden")

	// ErrRateLimited means that the server refused the request because of its
	// rate or concurrency limit, and still did when retries ended.
	ErrRateLimited = errors.New("rate limited")

	// ErrUnavailable means that the server could not be reached or could not
	// answer for now. Trying later may succeed.
	ErrUnavailable = errors.New("unavailable")

	// ErrUnsupported means that this version of the server lacks the feature,
	// or that Viaduct does not offer it for this kind of object.
	ErrUnsupported = errors.New("unsupported")
)
