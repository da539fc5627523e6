// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/rest"
)

const requestIDHeader = "X-Nsx-Requestid"

// Error is a request that failed: an answer of NSX that is not a success, or
// none at all. It matches the sentinels of package viaduct:
//
//   - [viaduct.ErrNotFound]: 404, and code 500012, with which NSX also refuses
//     to write an object whose parent or referred-to object does not exist
//   - [viaduct.ErrExists]: code 500127
//   - [viaduct.ErrConflict]: 409, 412, and the codes with which NSX asks for a
//     fresh read or for patience until a deleted object of that name is gone
//   - [viaduct.ErrInUse]: codes 500030, 503040, 520009, 520013; Referrers has
//     the paths of the objects in the way
//   - [viaduct.ErrInvalid]: any other 400
//   - [viaduct.ErrNotOwned]: the object is protected for another principal
//   - [viaduct.ErrUnauthenticated]: 401, any failed login, and 403 with the
//     codes of bad credentials and ended sessions
//   - [viaduct.ErrForbidden]: any other 403
//   - [viaduct.ErrRateLimited]: 429
//   - [viaduct.ErrUnavailable]: 5xx, a search index that is not ready, and no
//     answer, unless the manager's certificate was not trusted
//   - [viaduct.ErrUnsupported]: 501
type Error struct {
	Op     string // "apply segment"
	Object string // its id, or what else was asked for

	Method string
	Path   string

	// Status is the HTTP status; 0 when there was no answer.
	Status int

	// Code, Module, Message and Details are what NSX said. They are empty
	// when the answer came from something else, such as a proxy; Message then
	// holds the beginning of its text, if it was text.
	Code    int64
	Module  string
	Message string
	Details string

	// RequestID is NSX's id of the request, for its logs.
	RequestID string

	// Related are the errors that NSX names as causes.
	Related []RelatedError

	// Attempts is how often the request was sent.
	Attempts int

	login bool
	err   error
}

// RelatedError is an error that NSX gives as the cause of another.
type RelatedError struct {
	Status  string
	Code    int64
	Module  string
	Message string
}

// The codes that change what a status means.
const (
	codeSessionXSRF     = 98 // with 403; with 500 the manager lacks a connection
	codeCredentials     = 403
	codePageTooLarge    = 60576
	codeFieldTooLarge   = 255
	codeIndexing        = 60508
	codeSearchTimeout   = 60514
	codeSearchOutOfSync = 60515
	codeInvalidPath     = 500012
	codeReferenced      = 500030
	codeMarkedForDelete = 500045
	codeExists          = 500127
	codeSegmentHasVMs   = 503040
	codeSegmentDepends  = 520009
	codePortDepends     = 520013
	codeAborted         = 607
)

// Error returns the text: package, operation, object, cause, ids.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "nsx: %s %q: ", e.Op, e.Object)
	if e.Status == 0 {
		fmt.Fprintf(&b, "no answer: %v", e.err)
		return oneLine(b.String())
	}
	b.WriteString(strconv.Itoa(e.Status))
	switch {
	case e.Message != "":
		b.WriteString(" " + e.Message)
	case e.err != nil:
		fmt.Fprintf(&b, " %v", e.err)
	default:
		b.WriteString(" " + http.StatusText(e.Status))
	}
	for _, related := range e.Related {
		b.WriteString("; " + related.Message)
	}
	var ids []string
	if e.Code != 0 {
		ids = append(ids, "code "+strconv.FormatInt(e.Code, 10))
	}
	if e.RequestID != "" {
		ids = append(ids, "request "+e.RequestID)
	}
	if len(ids) > 0 {
		b.WriteString(" (" + strings.Join(ids, ", ") + ")")
	}
	return oneLine(b.String())
}

// Unwrap returns the transport's error when there was no answer.
func (e *Error) Unwrap() error { return e.err }

// Is reports whether the error means target, one of package viaduct's.
func (e *Error) Is(target error) bool { return target != nil && target == e.sentinel() }

// LogValue returns the error as attributes.
func (e *Error) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("op", e.Op), slog.String("object", e.Object),
		slog.Int("status", e.Status), slog.Int64("code", e.Code),
		slog.String("message", e.Message), slog.String("request_id", e.RequestID),
	)
}

// Referrers returns the policy paths that NSX names as the reason why an object
// can't be deleted: its children and what refers to it.
func (e *Error) Referrers() []Path {
	if !e.Is(viaduct.ErrInUse) {
		return nil
	}
	var found []Path
	for _, message := range append([]string{e.Message}, relatedMessages(e.Related)...) {
		// The first list names the object itself.
		for i, list := range bracketed(message) {
			if i == 0 {
				continue
			}
			for part := range strings.SplitSeq(list, ",") {
				path, err := ParsePath(strings.TrimSpace(part))
				if err == nil && !slices.Contains(found, path) {
					found = append(found, path)
				}
			}
		}
	}
	return found
}

func relatedMessages(related []RelatedError) []string {
	messages := make([]string, len(related))
	for i, r := range related {
		messages[i] = r.Message
	}
	return messages
}

// bracketed returns the parts of s that stand between [ and ].
func bracketed(s string) []string {
	var parts []string
	for {
		_, after, found := strings.Cut(s, "[")
		if !found {
			return parts
		}
		inside, rest, found := strings.Cut(after, "]")
		if !found {
			return parts
		}
		parts = append(parts, inside)
		s = rest
	}
}

// sentinel maps the answer to an error of package viaduct, nil when it means
// none of them.
func (e *Error) sentinel() error {
	switch {
	case e.Status == 0 && rest.IsCertificateError(e.err):
		return nil
	case e.Status >= 200 && e.Status < 300:
		return viaduct.ErrUnavailable // an answer that could not be read
	case e.login && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden):
		return viaduct.ErrUnauthenticated
	case e.protected():
		return viaduct.ErrNotOwned
	case e.Status == http.StatusBadRequest:
		return e.badRequest()
	case e.Status == http.StatusForbidden && (e.Code == codeSessionXSRF || e.Code == codeCredentials):
		return viaduct.ErrUnauthenticated
	default:
		return rest.Sentinel(e.Status)
	}
}

func (e *Error) badRequest() error {
	switch e.Code {
	case codeInvalidPath:
		return viaduct.ErrNotFound
	case codeExists:
		return viaduct.ErrExists
	case codeReferenced, codeSegmentHasVMs, codeSegmentDepends, codePortDepends:
		return viaduct.ErrInUse
	case codeMarkedForDelete, 500087, 500232, 100148:
		return viaduct.ErrConflict
	case codeIndexing, codeSearchTimeout, codeSearchOutOfSync:
		return viaduct.ErrUnavailable
	default:
		return viaduct.ErrInvalid
	}
}

// protected reports whether NSX refused to change an object of another
// principal. The code that goes with it is not public, the text is (nsx-operator
// pkg/nsx/util), so this one answer is told by a word that only it has.
func (e *Error) protected() bool {
	return (e.Status == http.StatusBadRequest || e.Status == http.StatusForbidden) &&
		strings.Contains(e.Message, "allowOverwrite")
}

// gone turns the error of a deletion into success when NSX says that there is
// no such object. A 404 without NSX's envelope comes from something else.
func gone(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Is(viaduct.ErrNotFound) && e.Code != 0 {
		return nil
	}
	return err
}

// hasCode reports whether err is an answer of NSX with one of the codes.
func hasCode(err error, codes ...int64) bool {
	var e *Error
	return errors.As(err, &e) && slices.Contains(codes, e.Code)
}

// classify says what a failure means for the retry: see the package comment.
func classify(o rest.Outcome) rest.Class {
	var e *Error
	if !errors.As(o.Err, &e) || o.Login {
		return rest.Classify(o)
	}
	switch e.Status {
	case http.StatusBadRequest:
		if e.Is(viaduct.ErrUnavailable) {
			return rest.Busy
		}
	case http.StatusForbidden:
		if e.Is(viaduct.ErrUnauthenticated) {
			return rest.Expired
		}
	case http.StatusConflict:
		if o.Method == http.MethodPatch || o.Method == http.MethodDelete {
			return rest.Busy // it carries no revision that could be stale
		}
	case http.StatusInternalServerError:
		if e.Code == codeSessionXSRF || e.Code == codeAborted {
			return rest.Uncertain
		}
	case http.StatusServiceUnavailable:
		if e.Code == codePageTooLarge {
			return rest.Final
		}
	}
	return rest.Classify(o)
}

// envelope is NSX's error body. The code is a number, and a string where the
// rate limiter wrote it.
type envelope struct {
	Code    flexibleInt `json:"error_code"`
	Module  string      `json:"module_name"`
	Message string      `json:"error_message"`
	Details string      `json:"details"`
	Status  string      `json:"httpStatus"`
	Related []envelope  `json:"related_errors"`
}

// flexibleInt is a number that may be written as a string.
type flexibleInt int64

// UnmarshalJSON accepts 404, "404" and anything else, which is 0: an error's
// message must not be lost because of its code.
func (n *flexibleInt) UnmarshalJSON(data []byte) error {
	text := strings.Trim(string(data), `"`)
	if value, err := strconv.ParseInt(text, 10, 64); err == nil {
		*n = flexibleInt(value)
	}
	return nil
}

// decodeError makes an Error of a failed attempt.
func decodeError(f rest.Failure) error {
	e := &Error{
		Op: f.Op, Object: f.Object, Method: f.Method, Path: f.Path,
		Status: f.Status, RequestID: f.Header.Get(requestIDHeader),
		Attempts: f.Attempt, login: f.Login, err: f.Err,
	}
	if f.Err != nil || len(f.Body) == 0 {
		return e
	}
	var body envelope
	if trimmed := bytes.TrimSpace(f.Body); len(trimmed) == 0 || trimmed[0] != '{' || rest.Unmarshal(trimmed, &body) != nil {
		e.Message = plainText(f.Header.Get("Content-Type"), f.Body)
		return e
	}
	e.Code, e.Module, e.Message, e.Details = int64(body.Code), body.Module, body.Message, body.Details
	for _, r := range body.Related {
		e.Related = append(e.Related, RelatedError{
			Status: r.Status, Code: int64(r.Code), Module: r.Module, Message: r.Message,
		})
	}
	return e
}

// plainText returns the beginning of a body that is neither JSON nor markup, on
// one line.
func plainText(contentType string, body []byte) string {
	const most = 200
	kind, _, err := mime.ParseMediaType(contentType)
	if err == nil && kind != "text/plain" && kind != "application/json" {
		return ""
	}
	if len(body) > most {
		body = body[:most]
	}
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) {
		return ""
	}
	return strings.Join(strings.Fields(oneLine(string(body))), " ")
}

// oneLine replaces what would break a line or garble a terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}
