// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/rest"
)

// Auth is who logs in: a user of vCenter Single Sign-On. It prints and logs
// without the password. The zero value is refused by [NewLogin].
type Auth struct {
	user        string
	credentials func(context.Context) (user, password string, err error)
}

// PasswordAuth logs in as user, such as administrator@vsphere.local.
func PasswordAuth(user, password string) Auth {
	if user == "" || password == "" {
		return Auth{}
	}
	return Auth{user: user, credentials: func(context.Context) (string, string, error) { return user, password, nil }}
}

// PasswordFuncAuth logs in as whom credentials says each time. It is for
// passwords that change, and must be safe for concurrent use.
func PasswordFuncAuth(credentials func(ctx context.Context) (user, password string, err error)) Auth {
	return Auth{credentials: credentials}
}

// String returns the user, without the password.
func (a Auth) String() string { return "supervisor.Auth(" + a.user + ")" }

// GoString returns what String returns.
func (a Auth) GoString() string { return a.String() }

// LogValue returns what String returns.
func (a Auth) LogValue() slog.Value { return slog.StringValue(a.String()) }

func (a Auth) authenticator() (rest.Authenticator, error) {
	if a.credentials == nil {
		return nil, fmt.Errorf("supervisor: %w: a login needs a user and a password", viaduct.ErrInvalid)
	}
	return &rest.Header{Name: "Authorization", Renewable: true, Value: func(ctx context.Context) (string, error) {
		user, password, err := a.credentials(ctx)
		if err != nil {
			return "", err
		}
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)), nil
	}}, nil
}
