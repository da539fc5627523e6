// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/viaduct-sdk/viaduct"
)

// The names that NSX modules go by in an error.
const (
	modulePolicy = "policy"
	moduleCommon = "common-services"
)

// apiError is an answer of NSX that is not a success, in NSX's own envelope.
type apiError struct {
	status  int
	code    int
	module  string
	message string
	// textCode writes error_code as a JSON string and leaves out httpStatus,
	// as the rate limiter of NSX does.
	textCode bool
	header   http.Header
}

// Error returns the status, the code and NSX's message.
func (e *apiError) Error() string {
	return fmt.Sprintf("nsxsim: %d: %s (code %d)", e.status, e.message, e.code)
}

// Is maps the answer to the sentinel that a client would match.
func (e *apiError) Is(target error) bool {
	switch {
	case e.code == codeReferenced:
		return target == viaduct.ErrInUse
	case e.code == codeExists:
		return target == viaduct.ErrExists
	case e.status == http.StatusNotFound:
		return target == viaduct.ErrNotFound
	case e.status == http.StatusPreconditionFailed, e.code == codePendingDelete:
		return target == viaduct.ErrConflict
	default:
		return target == viaduct.ErrInvalid && e.status == http.StatusBadRequest
	}
}

// body returns the envelope as it goes over the wire.
func (e *apiError) body() map[string]any {
	body := map[string]any{
		"module_name":   e.module,
		"error_message": e.message,
		"error_code":    e.code,
	}
	if e.textCode {
		body["error_code"] = strconv.Itoa(e.code)
		return body
	}
	body["httpStatus"] = statusName(e.status)
	return body
}

// statusName is the status as NSX spells it: NOT_FOUND for 404.
func statusName(status int) string {
	return strings.ToUpper(strings.NewReplacer(" ", "_", "-", "_").Replace(http.StatusText(status)))
}

// The codes that clients act upon.
const (
	codeUnauthorized   = 403
	codeXSRF           = 98
	codeRate           = 102
	codeStaleManager   = 206
	codeMissingManager = 202
	codeInUseManager   = 226 // a guess: no public source tells
	codeField          = 255
	codeJSON           = 287
	codeMissing        = 600
	codeInvalidPath    = 500012
	codeReferenced     = 500030
	codePendingDelete  = 500045
	codeOverlap        = 500105
	codeExists         = 500127
	codeSegmentHasVIFs = 503040
	codeSearchPage     = 60576
)

func badRequest(code int, module, format string, args ...any) *apiError {
	return &apiError{status: http.StatusBadRequest, code: code, module: module, message: fmt.Sprintf(format, args...)}
}

// invalidField says that a value is wrong for its field.
func invalidField(format string, args ...any) *apiError {
	return badRequest(codeField, moduleCommon, "Field level validation errors: {"+format+"}", args...)
}

func unrecognized(property string) *apiError {
	return badRequest(codeJSON, moduleCommon, "Json de-serialization error: property %s is unrecognized.", property)
}

func malformed(format string, args ...any) *apiError {
	return badRequest(codeJSON, moduleCommon, "Json de-serialization error: "+format, args...)
}

func invalidPath(path string) *apiError {
	return badRequest(codeInvalidPath, modulePolicy, "The path=[%s] is invalid", path)
}

func notFound(path string) *apiError {
	return &apiError{
		status: http.StatusNotFound, code: codeMissing, module: moduleCommon,
		message: fmt.Sprintf("The requested object : %s could not be found. Object identifiers are case sensitive.", path),
	}
}

func referenced(path string, referrers []string) *apiError {
	return badRequest(codeReferenced, modulePolicy,
		"The object path=[%s] cannot be deleted as either it has children or it is being referenced by other objects path=[%s].",
		path, strings.Join(referrers, ","))
}

func pendingDelete(path string) *apiError {
	return badRequest(codePendingDelete, modulePolicy,
		"An object with the same name is marked for deletion. Either use another path or wait for the purge cycle to permanently remove the object path=[%s].", path)
}

func alreadyExists(path string) *apiError {
	return badRequest(codeExists, modulePolicy, "Cannot create an object with path=[%s] as it already exists.", path)
}

func staleRevision(path string, sent, have int64) *apiError {
	return &apiError{
		status: http.StatusPreconditionFailed, code: 604, module: moduleCommon,
		message: fmt.Sprintf("The object %s is present in the system with revision %d, and the request carries %d. Fetch the latest copy of the object and retry.", path, have, sent),
	}
}

func unsimulated(method, path string) *apiError {
	return &apiError{
		status: http.StatusNotImplemented, module: "nsxsim",
		message: fmt.Sprintf("nsxsim does not simulate %s %s", method, path),
	}
}
