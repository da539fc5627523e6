// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/rest"
)

// Error is something that failed about TK clusters. It matches the sentinels of
// package viaduct:
//
//   - [viaduct.ErrNotFound]: there is no such cluster, or it is being deleted, or
//     it has no kubeconfig yet
//   - [viaduct.ErrExists]: a cluster of that name is there, under either API
//   - [viaduct.ErrConflict]: the cluster was replaced by another of its name
//   - [viaduct.ErrInvalid]: an argument is missing or wrong, a name is ambiguous,
//     or a kubeconfig is refused
//   - [viaduct.ErrUnsupported]: the server has none of the APIs for TK clusters,
//     or not the one asked for, or it can't express what is asked for
//   - [viaduct.ErrUnauthenticated], [viaduct.ErrForbidden],
//     [viaduct.ErrRateLimited]: as the server says
//   - [viaduct.ErrUnavailable]: the server did not answer, or the cluster failed,
//     or a Secret lacks its key
type Error struct {
	Op     string // "get cluster"
	Object string // "acme-app/acme-fitness"

	// Status is the HTTP status; 0 when no server refused anything.
	Status int
	// Message is the reason, in the server's words where it is the server's.
	Message string
	// Candidates are the clusters that an ambiguous name may mean.
	Candidates []types.NamespacedName

	kind error // the sentinel, where the status does not tell
	err  error
}

// Error returns the text: package, operation, object, cause.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "tkc: %s", e.Op)
	if e.Object != "" {
		fmt.Fprintf(&b, " %q", e.Object)
	}
	switch {
	case e.Status != 0 && e.Message != "":
		fmt.Fprintf(&b, ": %d %s", e.Status, e.Message)
	case e.Status != 0:
		fmt.Fprintf(&b, ": %d %s", e.Status, http.StatusText(e.Status))
	case e.Message != "":
		b.WriteString(": " + e.Message)
	}
	if e.Status == 0 && e.err != nil {
		fmt.Fprintf(&b, ": %v", e.err)
	}
	return b.String()
}

// Unwrap returns the error beneath, if there is one.
func (e *Error) Unwrap() error { return e.err }

// Is reports whether the error means target, one of package viaduct's.
func (e *Error) Is(target error) bool { return target != nil && target == e.sentinel() }

// LogValue returns the error as attributes.
func (e *Error) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("op", e.Op), slog.String("object", e.Object),
		slog.Int("status", e.Status), slog.String("message", e.Message),
	)
}

func (e *Error) sentinel() error {
	switch {
	case e.kind != nil:
		return e.kind
	case e.Status == 0 && (e.err == nil || settled(e.err)):
		return nil
	case e.Status == http.StatusConflict && apierrors.IsAlreadyExists(e.err):
		return viaduct.ErrExists
	default:
		return rest.Sentinel(e.Status)
	}
}

// settled reports whether the error beneath says by itself what it is.
func settled(err error) bool {
	var own *Error
	var refused *KubeconfigError
	return errors.As(err, &own) || errors.As(err, &refused) || isCertificateError(err) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, viaduct.ErrUnauthenticated)
}

func isCertificateError(err error) bool {
	var verification *tls.CertificateVerificationError
	return errors.As(err, &verification)
}

// serverError makes an Error of one of client-go's; nil of nil.
func serverError(op, object string, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Op: op, Object: object, err: err}
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		e.Status, e.Message = int(status.Status().Code), status.Status().Message
	}
	return e
}

// listError makes an Error of a failed list or watch: where there is none to be
// found, the server does not have the resource.
func listError(op, object string, err error) error {
	if isUnserved(err) {
		return &Error{Op: op, Object: object, Message: "the server does not have this resource", kind: viaduct.ErrUnsupported, err: err}
	}
	return serverError(op, object, err)
}

func invalid(op, object, message string) error {
	return &Error{Op: op, Object: object, Message: message, kind: viaduct.ErrInvalid}
}

func unsupported(op, object, message string) error {
	return &Error{Op: op, Object: object, Message: message, kind: viaduct.ErrUnsupported}
}
