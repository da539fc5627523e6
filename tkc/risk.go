// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/viaduct-sdk/viaduct"
)

// Risk is something that a kubeconfig may have and that gives power to whoever
// wrote it, or takes security from whoever uses it.
type Risk string

// The risks. [ParseKubeconfig] refuses each unless it is allowed by name.
const (
	// RiskExec is a program to run.
	RiskExec Risk = "exec plugin"
	// RiskAuthProvider is a login provider built into clients.
	RiskAuthProvider Risk = "auth provider"
	// RiskFile is the path of a file to read.
	RiskFile Risk = "file on disk"
	// RiskPlainHTTP is a server without TLS.
	RiskPlainHTTP Risk = "plain http"
	// RiskNoCA is a server without authority data, which anybody can pose as who
	// has a certificate of any of the system's authorities.
	RiskNoCA Risk = "no authority data"
	// RiskInsecure is a server whose certificate is not verified.
	RiskInsecure Risk = "certificate not verified"
	// RiskProxy is a proxy to send requests through.
	RiskProxy Risk = "proxy"
	// RiskImpersonation is another user or group to act as.
	RiskImpersonation Risk = "impersonation"
	// RiskPassword is a user and password for basic authentication, which API
	// servers gave up in Kubernetes 1.19.
	RiskPassword Risk = "password"
)

// KubeconfigError is a kubeconfig that is refused. It matches
// [viaduct.ErrInvalid]. Its text holds nothing of the file but the names of
// fields that are known.
type KubeconfigError struct {
	// Risk that was not allowed; empty when the file is malformed, which can't be
	// allowed.
	Risk Risk
	// Field is the path of the field: "users[0].user.exec".
	Field string
	// Line in the file, 1 being the first; 0 when it is about the whole file.
	Line int
	// Message says what is wrong.
	Message string
}

// Error returns the text: package, what is refused, where, why.
func (e *KubeconfigError) Error() string {
	var b strings.Builder
	b.WriteString("tkc: kubeconfig refused")
	if e.Risk != "" {
		fmt.Fprintf(&b, " (%s)", e.Risk)
	}
	if e.Field != "" {
		fmt.Fprintf(&b, ": %s", e.Field)
	}
	if e.Line > 0 {
		fmt.Fprintf(&b, ": line %d", e.Line)
	}
	if e.Message != "" {
		fmt.Fprintf(&b, ": %s", e.Message)
	}
	return b.String()
}

// Is reports whether target is [viaduct.ErrInvalid].
func (e *KubeconfigError) Is(target error) bool { return target == viaduct.ErrInvalid }

// LogValue returns the error as attributes.
func (e *KubeconfigError) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("risk", string(e.Risk)), slog.String("field", e.Field),
		slog.Int("line", e.Line), slog.String("message", e.Message),
	)
}
