// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/rest"
)

// ErrorType is vCenter's own classification of an error. It is an open set:
// servers may return others. For SOAP it is the name of the fault, such as
// NoPermission.
type ErrorType string

// The types of error that the REST API documents.
const (
	ErrorTypeError                       ErrorType = "ERROR"
	ErrorTypeAlreadyExists               ErrorType = "ALREADY_EXISTS"
	ErrorTypeAlreadyInDesiredState       ErrorType = "ALREADY_IN_DESIRED_STATE"
	ErrorTypeCanceled                    ErrorType = "CANCELED"
	ErrorTypeConcurrentChange            ErrorType = "CONCURRENT_CHANGE"
	ErrorTypeFeatureInUse                ErrorType = "FEATURE_IN_USE"
	ErrorTypeInternalServerError         ErrorType = "INTERNAL_SERVER_ERROR"
	ErrorTypeInvalidArgument             ErrorType = "INVALID_ARGUMENT"
	ErrorTypeInvalidElementConfiguration ErrorType = "INVALID_ELEMENT_CONFIGURATION"
	ErrorTypeInvalidElementType          ErrorType = "INVALID_ELEMENT_TYPE"
	ErrorTypeInvalidRequest              ErrorType = "INVALID_REQUEST"
	ErrorTypeNotAllowedInCurrentState    ErrorType = "NOT_ALLOWED_IN_CURRENT_STATE"
	ErrorTypeNotFound                    ErrorType = "NOT_FOUND"
	ErrorTypeOperationNotFound           ErrorType = "OPERATION_NOT_FOUND"
	ErrorTypeResourceBusy                ErrorType = "RESOURCE_BUSY"
	ErrorTypeResourceInUse               ErrorType = "RESOURCE_IN_USE"
	ErrorTypeResourceInaccessible        ErrorType = "RESOURCE_INACCESSIBLE"
	ErrorTypeServiceUnavailable          ErrorType = "SERVICE_UNAVAILABLE"
	ErrorTypeTimedOut                    ErrorType = "TIMED_OUT"
	ErrorTypeUnableToAllocateResource    ErrorType = "UNABLE_TO_ALLOCATE_RESOURCE"
	ErrorTypeUnauthenticated             ErrorType = "UNAUTHENTICATED"
	ErrorTypeUnauthorized                ErrorType = "UNAUTHORIZED"
	ErrorTypeUnexpectedInput             ErrorType = "UNEXPECTED_INPUT"
	ErrorTypeUnsupported                 ErrorType = "UNSUPPORTED"
	ErrorTypeUnverifiedPeer              ErrorType = "UNVERIFIED_PEER"
)

// The faults of SOAP that mean something to this package.
const (
	faultNotAuthenticated = "NotAuthenticated"
	faultInvalidLogin     = "InvalidLogin"
	faultPasswordExpired  = "PasswordExpired"
	faultNoPermission     = "NoPermission"
	faultObjectNotFound   = "ManagedObjectNotFound"
	faultCanceled         = "RequestCanceled"
	faultVersion          = "InvalidCollectorVersion"
	faultProperty         = "InvalidProperty"
)

// Message is one message of vCenter.
type Message struct {
	// ID names the message whatever the language.
	ID string `json:"id"`
	// DefaultMessage is its text in English.
	DefaultMessage string `json:"default_message"`
	// Args are what was put into the text.
	Args []string `json:"args,omitempty"`
	// Localized is the text in the language of the session, where the server
	// gives it.
	Localized string `json:"localized,omitempty"`
}

// String returns the text.
func (m Message) String() string {
	if m.DefaultMessage != "" {
		return m.DefaultMessage
	}
	if m.Localized != "" {
		return m.Localized
	}
	return m.ID
}

// Error is a request that failed: an answer of vCenter that is not a success,
// or none at all. It matches the sentinels of package viaduct, by its Type
// where the server sent one, else by its Status:
//
//   - [viaduct.ErrNotFound]: NOT_FOUND; ManagedObjectNotFound
//   - [viaduct.ErrExists]: ALREADY_EXISTS
//   - [viaduct.ErrConflict]: CONCURRENT_CHANGE, NOT_ALLOWED_IN_CURRENT_STATE
//   - [viaduct.ErrInUse]: RESOURCE_IN_USE, FEATURE_IN_USE
//   - [viaduct.ErrInvalid]: INVALID_*, UNEXPECTED_INPUT
//   - [viaduct.ErrUnauthenticated]: UNAUTHENTICATED, and any failed login;
//     NotAuthenticated, InvalidLogin, PasswordExpired
//   - [viaduct.ErrForbidden]: UNAUTHORIZED; NoPermission
//   - [viaduct.ErrUnavailable]: SERVICE_UNAVAILABLE, TIMED_OUT, RESOURCE_BUSY,
//     RESOURCE_INACCESSIBLE, other 5xx, and no answer, unless the server's
//     certificate was not trusted
//   - [viaduct.ErrUnsupported]: UNSUPPORTED, OPERATION_NOT_FOUND
type Error struct {
	Op     string // "create namespace"
	Object string // its name, or what else was asked for

	Method string
	Path   string

	// Status is the HTTP status; 0 when there was no answer.
	Status int

	// Type and Messages are what vCenter said. They are empty when the answer
	// came from something else, such as a proxy; a single message without an
	// ID then holds the beginning of its text, if it was text.
	Type     ErrorType
	Messages []Message

	// Data is what else came with the error, JSON, nil when nothing did.
	Data json.RawMessage

	// Attempts is how often the request was sent.
	Attempts int

	login bool
	err   error
}

// Error returns the text: package, operation, object, cause, type.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "vcenter: %s %q: ", e.Op, e.Object)
	if e.Status == 0 {
		fmt.Fprintf(&b, "no answer: %v", e.err)
		return b.String()
	}
	b.WriteString(strconv.Itoa(e.Status))
	switch {
	case len(e.Messages) > 0:
		for i, m := range e.Messages {
			if i > 0 {
				b.WriteString(";")
			}
			b.WriteString(" " + m.String())
		}
	case e.err != nil:
		fmt.Fprintf(&b, " %v", e.err)
	default:
		b.WriteString(" " + http.StatusText(e.Status))
	}
	if e.Type != "" {
		b.WriteString(" (" + string(e.Type) + ")")
	}
	return b.String()
}

// Unwrap returns the transport's error when there was no answer.
func (e *Error) Unwrap() error { return e.err }

// Is reports whether the error means target, one of package viaduct's.
func (e *Error) Is(target error) bool { return target != nil && target == e.sentinel() }

// LogValue returns the error as attributes.
func (e *Error) LogValue() slog.Value {
	texts := make([]string, len(e.Messages))
	for i, m := range e.Messages {
		texts[i] = m.String()
	}
	return slog.GroupValue(
		slog.String("op", e.Op), slog.String("object", e.Object),
		slog.Int("status", e.Status), slog.String("type", string(e.Type)),
		slog.String("message", strings.Join(texts, "; ")),
	)
}

func (e *Error) sentinel() error {
	switch known := e.Type.sentinel(); {
	case e.Status == 0 && rest.IsCertificateError(e.err):
		return nil
	case e.Status == 0:
		return viaduct.ErrUnavailable
	case known != nil:
		return known
	case e.login && (e.Status == http.StatusBadRequest || e.Status == http.StatusForbidden):
		return viaduct.ErrUnauthenticated
	default:
		return rest.Sentinel(e.Status)
	}
}

// sentinel returns the error of package viaduct that the type means, nil when
// it means none.
func (t ErrorType) sentinel() error {
	switch t {
	case ErrorTypeNotFound, faultObjectNotFound:
		return viaduct.ErrNotFound
	case ErrorTypeAlreadyExists:
		return viaduct.ErrExists
	case ErrorTypeConcurrentChange, ErrorTypeNotAllowedInCurrentState:
		return viaduct.ErrConflict
	case ErrorTypeResourceInUse, ErrorTypeFeatureInUse:
		return viaduct.ErrInUse
	case ErrorTypeInvalidArgument, ErrorTypeInvalidRequest, ErrorTypeInvalidElementType,
		ErrorTypeInvalidElementConfiguration, ErrorTypeUnexpectedInput:
		return viaduct.ErrInvalid
	case ErrorTypeUnauthenticated, faultNotAuthenticated, faultInvalidLogin, faultPasswordExpired:
		return viaduct.ErrUnauthenticated
	case ErrorTypeUnauthorized, faultNoPermission:
		return viaduct.ErrForbidden
	case ErrorTypeServiceUnavailable, ErrorTypeTimedOut, ErrorTypeResourceBusy, ErrorTypeResourceInaccessible:
		return viaduct.ErrUnavailable
	case ErrorTypeUnsupported, ErrorTypeOperationNotFound:
		return viaduct.ErrUnsupported
	default:
		return nil
	}
}

// envelope is the body of an error, in the newer form or the older.
type envelope struct {
	ErrorType ErrorType       `json:"error_type"`
	Messages  []Message       `json:"messages"`
	Data      json.RawMessage `json:"data"`

	Type  string `json:"type"`
	Value struct {
		Messages []Message       `json:"messages"`
		Data     json.RawMessage `json:"data"`
	} `json:"value"`
}

// faultEnvelope is the body of a SOAP fault.
type faultEnvelope struct {
	Fault struct {
		Text   string `xml:"faultstring"`
		Detail struct {
			Any []struct {
				Type string `xml:"http://www.w3.org/2001/XMLSchema-instance type,attr"`
			} `xml:",any"`
		} `xml:"detail"`
	} `xml:"Body>Fault"`
}

// decodeError makes an Error of a failed attempt.
func decodeError(f rest.Failure) error {
	e := &Error{
		Op: f.Op, Object: f.Object, Method: f.Method, Path: f.Path,
		Status: f.Status, Attempts: f.Attempt, login: f.Login, err: f.Err,
	}
	body := bytes.TrimSpace(f.Body)
	if f.Err != nil || len(body) == 0 {
		return e
	}
	switch {
	case body[0] == '{' && e.decodeREST(body):
	case body[0] == '<' && e.decodeFault(body):
	default:
		if text := plainText(body); text != "" {
			e.Messages = []Message{{DefaultMessage: text}}
		}
	}
	return e
}

func (e *Error) decodeREST(body []byte) bool {
	var v envelope
	if rest.Unmarshal(body, &v) != nil {
		return false
	}
	if v.ErrorType == "" && v.Type != "" {
		v.ErrorType = ErrorType(strings.ToUpper(v.Type[strings.LastIndexByte(v.Type, '.')+1:]))
		v.Messages, v.Data = v.Value.Messages, v.Value.Data
	}
	e.Type, e.Messages = v.ErrorType, v.Messages
	if len(v.Data) > 0 && string(v.Data) != "null" {
		e.Data = v.Data
	}
	return e.Type != "" || len(e.Messages) > 0
}

func (e *Error) decodeFault(body []byte) bool {
	var v faultEnvelope
	if xml.Unmarshal(body, &v) != nil || len(v.Fault.Detail.Any) == 0 && v.Fault.Text == "" {
		return false
	}
	for _, detail := range v.Fault.Detail.Any {
		// The prefix of the namespace says nothing.
		e.Type = ErrorType(detail.Type[strings.LastIndexByte(detail.Type, ':')+1:])
	}
	if v.Fault.Text != "" {
		e.Messages = []Message{{DefaultMessage: v.Fault.Text}}
	}
	return true
}

// plainText returns the beginning of a body that is neither JSON nor markup, on
// one line.
func plainText(body []byte) string {
	const most = 200
	if body[0] == '<' {
		return ""
	}
	if len(body) > most {
		body = body[:most]
	}
	text := strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return ' '
		}
		return r
	}, string(body))
	return strings.Join(strings.Fields(text), " ")
}

// classify decides what a failure means for what to do next.
func (c *Client) classify(o rest.Outcome) rest.Class {
	if o.Login && o.Status == http.StatusNotFound && !c.dialect.legacy.Swap(true) {
		// The server is older than /api/session: log in at the other place.
		return rest.Busy
	}
	var e *Error
	if !errors.As(o.Err, &e) {
		return rest.Classify(o)
	}
	switch e.Type {
	case faultInvalidLogin, faultPasswordExpired:
		return rest.Rejected
	case faultNotAuthenticated:
		if o.Login {
			return rest.Rejected
		}
		return rest.Expired
	default:
		return rest.Classify(o)
	}
}

// faultOf returns the type of a vCenter's error, empty for others.
func faultOf(err error) ErrorType {
	var e *Error
	if !errors.As(err, &e) {
		return ""
	}
	return e.Type
}
