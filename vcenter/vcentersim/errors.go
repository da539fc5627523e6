// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcentersim

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// apiError is an error of the REST API, in the form of vCenter's standard
// errors.
type apiError struct {
	status int
	kind   string // error_type
	id     string
	text   string
	args   []string
}

func (e *apiError) Error() string { return e.kind + ": " + e.text }

// message is one entry of messages, in errors and in the state of objects.
type message struct {
	ID             string   `json:"id"`
	DefaultMessage string   `json:"default_message"`
	Args           []string `json:"args"`
	Localized      string   `json:"localized,omitempty"`
}

func newMessage(id, text string, args ...string) message {
	if args == nil {
		args = []string{}
	}
	return message{ID: id, DefaultMessage: text, Args: args}
}

func writeError(w http.ResponseWriter, r *http.Request, err error) {
	var e *apiError
	if !errors.As(err, &e) {
		e = &apiError{status: http.StatusInternalServerError, kind: "INTERNAL_SERVER_ERROR", id: "viaduct.vcentersim", text: err.Error()}
	}
	if e.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="VAPI endpoint", SIGN realm="VAPI endpoint"`)
	}
	messages := []message{newMessage(e.id, e.text, e.args...)}
	if isLegacy(r) {
		writeJSON(w, e.status, map[string]any{
			"type":  "com.vmware.vapi.std.errors." + strings.ToLower(e.kind),
			"value": map[string]any{"messages": messages},
		})
		return
	}
	writeJSON(w, e.status, map[string]any{"error_type": e.kind, "messages": messages, "data": nil})
}

func unauthenticated() error {
	return &apiError{
		status: http.StatusUnauthorized, kind: "UNAUTHENTICATED",
		id: "com.vmware.vapi.endpoint.method.authentication.required", text: "Authentication required.",
	}
}

func forbidden(privilege string) error {
	return &apiError{
		status: http.StatusForbidden, kind: "UNAUTHORIZED", id: "vapi.method.authorization.denied",
		text: "Permission to perform this operation was denied: " + privilege + " is required.", args: []string{privilege},
	}
}

func notFound(what, id string) error {
	return &apiError{
		status: http.StatusNotFound, kind: "NOT_FOUND", id: "vcenter.wcp." + what + ".notfound",
		text: fmt.Sprintf("The %s %s was not found.", what, id), args: []string{id},
	}
}

func invalid(id, format string, args ...any) error {
	return &apiError{status: http.StatusBadRequest, kind: "INVALID_ARGUMENT", id: "vcenter.wcp." + id, text: fmt.Sprintf(format, args...)}
}

func exists(what, id string) error {
	return &apiError{
		status: http.StatusBadRequest, kind: "ALREADY_EXISTS", id: "vcenter.wcp." + what + ".exists",
		text: fmt.Sprintf("The %s %s exists already.", what, id), args: []string{id},
	}
}

func notAllowed(id, format string, args ...any) error {
	return &apiError{status: http.StatusBadRequest, kind: "NOT_ALLOWED_IN_CURRENT_STATE", id: "vcenter.wcp." + id, text: fmt.Sprintf(format, args...)}
}
