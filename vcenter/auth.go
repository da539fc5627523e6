// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/rest"
)

// Auth is how a client proves who it is. It prints and logs as its user, never
// with the password. The zero value is refused by [NewClient].
type Auth struct{ user, password string }

// PasswordAuth logs in with a user of vCenter Single Sign-On, user@domain, and
// a password: once for REST and once for SOAP, which have a session each.
func PasswordAuth(user, password string) Auth { return Auth{user, password} }

// String returns the user.
func (a Auth) String() string { return "vcenter.Auth(" + a.user + ")" }

// GoString returns what String returns.
func (a Auth) GoString() string { return a.String() }

// LogValue returns what String returns.
func (a Auth) LogValue() slog.Value { return slog.StringValue(a.String()) }

func (a Auth) check() error {
	if a.user == "" || a.password == "" {
		return fmt.Errorf("%w: authentication needs a user and a password", viaduct.ErrInvalid)
	}
	return nil
}

// secret changes when the credentials do.
func (a Auth) secret() string { return a.user + "\x00" + a.password }

// The two places where REST sessions are made.
const (
	sessionPath       = "/api/session"
	legacySessionPath = "/rest/com/vmware/cis/session"
	sessionHeader     = "Vmware-Api-Session-Id"
)

// dialect is which of the two places the server has. It is the newer one
// until the server says that it lacks it.
type dialect struct{ legacy atomic.Bool }

func (d *dialect) path() string {
	if d.legacy.Load() {
		return legacySessionPath
	}
	return sessionPath
}

// restSession makes the sessions of the REST API.
func (a Auth) restSession(d *dialect) *rest.Session {
	return &rest.Session{
		Login: func(ctx context.Context, base *url.URL) (*http.Request, string, error) {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, base.JoinPath(d.path()).String(), http.NoBody)
			if err != nil {
				return nil, "", err
			}
			req.SetBasicAuth(a.user, a.password)
			req.Header.Set("Vmware-Use-Header-Authn", "true")
			return req, a.secret(), nil
		},
		Token: func(res rest.Response) (http.Header, error) {
			id, err := sessionID(res.Body)
			if err != nil {
				return nil, err
			}
			return http.Header{sessionHeader: {id}}, nil
		},
		Logout: func(ctx context.Context, base *url.URL) (*http.Request, error) {
			return http.NewRequestWithContext(ctx, http.MethodDelete, base.JoinPath(d.path()).String(), http.NoBody)
		},
	}
}

// sessionID reads the answer of either login: "id" or {"value": "id"}.
func sessionID(body []byte) (string, error) {
	var id string
	if err := json.Unmarshal(body, &id); err == nil && id != "" {
		return id, nil
	}
	var wrapped struct {
		Value string `json:"value"`
	}
	if err := json.Unmarshal(body, &wrapped); err != nil || wrapped.Value == "" {
		return "", fmt.Errorf("%w: the server made no session", viaduct.ErrUnsupported)
	}
	return wrapped.Value, nil
}

// sessionManager is the name that vCenter gives its only session manager.
func sessionManager() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "SessionManager", Value: "SessionManager"}
}

// soapSession makes the sessions of SOAP.
func (a Auth) soapSession() *rest.Session {
	post := func(ctx context.Context, base *url.URL, body soap.HasFault) (*http.Request, error) {
		envelope, err := encodeSOAP(body)
		if err != nil {
			return nil, err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, base.JoinPath(soapPath).String(), bytes.NewReader(envelope))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", soapContentType)
		req.Header.Set("Soapaction", soapAction)
		return req, nil
	}
	return &rest.Session{
		Login: func(ctx context.Context, base *url.URL) (*http.Request, string, error) {
			req, err := post(ctx, base, &methods.LoginBody{Req: &types.Login{
				This: sessionManager(), UserName: a.user, Password: a.password, Locale: session.Locale,
			}})
			return req, a.secret(), err
		},
		Token: func(res rest.Response) (http.Header, error) {
			for _, cookie := range (&http.Response{Header: res.Header}).Cookies() {
				if cookie.Name == soap.SessionCookieName && cookie.Value != "" {
					// vCenter quotes the value and wants it back as it was.
					value := strings.Trim(cookie.Value, `"`)
					return http.Header{"Cookie": {cookie.Name + `="` + value + `"`}}, nil
				}
			}
			return nil, fmt.Errorf("%w: the server made no session", viaduct.ErrUnsupported)
		},
		Logout: func(ctx context.Context, base *url.URL) (*http.Request, error) {
			return post(ctx, base, &methods.LogoutBody{Req: &types.Logout{This: sessionManager()}})
		},
	}
}
