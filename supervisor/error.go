// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/rest"
)

// Error is a request to a Supervisor that failed: to /wcp/* or to its Kubernetes
// API. It matches the sentinels of package viaduct:
//
//   - [viaduct.ErrNotFound]: 404, and a guest cluster that the Supervisor does
//     not know
//   - [viaduct.ErrExists], [viaduct.ErrConflict]: 409, as the reason says
//   - [viaduct.ErrInvalid]: 400 and 422
//   - [viaduct.ErrUnauthenticated]: 401, a refused password among them
//   - [viaduct.ErrForbidden]: 403
//   - [viaduct.ErrRateLimited]: 429
//   - [viaduct.ErrUnavailable]: 5xx, and no answer, unless the certificate was
//     not trusted
//   - [viaduct.ErrUnsupported]: the API server does not serve the resource, or
//     the address is not a Supervisor's
type Error struct {
	Op     string // "get namespace"
	Object string

	// Status is the HTTP status; 0 when there was no answer.
	Status int
	// Message is what the server said.
	Message string

	kind error // the sentinel, where the status does not tell
	err  error
}

// Error returns the text: package, operation, object, cause.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "supervisor: %s", e.Op)
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
	case e.err != nil:
		fmt.Fprintf(&b, ": %v", e.err)
	}
	return b.String()
}

// Unwrap returns the error beneath: the transport's or client-go's.
func (e *Error) Unwrap() error { return e.err }

// Is reports whether the error means target, one of package viaduct's.
func (e *Error) Is(target error) bool { return target != nil && target == e.sentinel() }

// LogValue returns the error as attributes.
func (e *Error) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("op", e.Op), slog.String("object", e.Object),
		slog.String("status", strconv.Itoa(e.Status)), slog.String("message", e.Message),
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
	case apierrors.IsResourceExpired(e.err):
		return viaduct.ErrConflict // the list's pages are too old: begin again
	default:
		return rest.Sentinel(e.Status)
	}
}

// settled reports whether the error beneath says by itself what it is: a
// certificate that is not trusted, a context that ended, an error of ours.
func settled(err error) bool {
	var own *Error
	return rest.IsCertificateError(err) || errors.As(err, &own) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, viaduct.ErrUnauthenticated)
}

// kubeError makes an Error of one of client-go's; nil of nil.
func kubeError(op, object string, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Op: op, Object: object, err: err}
	var status apierrors.APIStatus
	switch {
	case errors.As(err, &status):
		e.Status, e.Message = int(status.Status().Code), status.Status().Message
	case meta.IsNoMatchError(err):
		e.kind = viaduct.ErrUnsupported
	}
	return e
}

// decodeError makes an Error of a failed request to /wcp/*.
func decodeError(f rest.Failure) error {
	e := &Error{Op: f.Op, Object: f.Object, Status: f.Status, err: f.Err}
	if f.Err == nil {
		e.Message = plainText(f.Header.Get("Content-Type"), f.Body)
	}
	return e
}

// plainText returns the beginning of a body that is text or JSON, on one line.
func plainText(contentType string, body []byte) string {
	const most = 300
	kind, _, err := mime.ParseMediaType(contentType)
	if err == nil && kind != "text/plain" && kind != "application/json" {
		return ""
	}
	text := strings.ToValidUTF8(string(body[:min(len(body), most)]), "")
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	if text = strings.Join(strings.Fields(text), " "); strings.HasPrefix(text, "<") {
		return ""
	}
	return text
}

func notLoadBalancer(svc *corev1.Service) error {
	return &Error{
		Op: "get service", Object: svc.Namespace + "/" + svc.Name,
		Message: "it is of type " + string(svc.Spec.Type) + ", not LoadBalancer", kind: viaduct.ErrInvalid,
	}
}
