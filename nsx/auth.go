// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/rest"
)

// Auth is how a client proves who it is. It prints and logs as its kind and
// user, never with a secret. The zero value is refused by [NewClient].
type Auth struct {
	kind, user  string
	secret      string
	token       func(context.Context) (string, error)
	certificate *tls.Certificate
}

// The kinds of Auth.
const (
	authSession     = "session"
	authBasic       = "basic"
	authRemote      = "remote"
	authBearer      = "bearer"
	authCertificate = "certificate"
)

// SessionAuth logs in with the name and password of a local user, once for each
// manager, and sends the session from then on. A session that expired is
// renewed and the request replayed. It is the cheapest for the manager.
func SessionAuth(user, password string) Auth {
	return Auth{kind: authSession, user: user, secret: password}
}

// BasicAuth sends the name and password of a local user with each request.
func BasicAuth(user, password string) Auth {
	return Auth{kind: authBasic, user: user, secret: password}
}

// RemoteAuth sends the name and password of a user of VMware Identity Manager
// (user@domain) with each request.
func RemoteAuth(user, password string) Auth {
	return Auth{kind: authRemote, user: user, secret: password}
}

// BearerAuth sends a token, such as a JWT, with each request. The function is
// called for each attempt: it should cache the token, and return another when
// that one has expired. It must be safe for concurrent use.
func BearerAuth(token func(ctx context.Context) (string, error)) Auth {
	return Auth{kind: authBearer, token: token}
}

// CertificateAuth shows the client certificate of a principal identity.
func CertificateAuth(certificate tls.Certificate) Auth {
	return Auth{kind: authCertificate, certificate: &certificate}
}

// String returns the kind and the user, without the secret.
func (a Auth) String() string {
	if a.user == "" {
		return "nsx.Auth(" + a.kind + ")"
	}
	return "nsx.Auth(" + a.kind + " " + a.user + ")"
}

// GoString returns what String returns.
func (a Auth) GoString() string { return a.String() }

// LogValue returns what String returns.
func (a Auth) LogValue() slog.Value { return slog.StringValue(a.String()) }

func (a Auth) authenticator() (rest.Authenticator, error) {
	switch a.kind {
	case authSession, authBasic, authRemote:
		if a.user == "" || a.secret == "" {
			return nil, fmt.Errorf("%w: %s authentication needs a user and a password", viaduct.ErrInvalid, a.kind)
		}
	}
	pair := base64.StdEncoding.EncodeToString([]byte(a.user + ":" + a.secret))
	switch a.kind {
	case authSession:
		return newSession(a.user, a.secret), nil
	case authBasic:
		return constantHeader("Basic " + pair), nil
	case authRemote:
		return constantHeader("Remote " + pair), nil
	case authBearer:
		if a.token == nil {
			return nil, fmt.Errorf("%w: bearer authentication needs a token", viaduct.ErrInvalid)
		}
		return &rest.Header{Name: "Authorization", Renewable: true, Value: func(ctx context.Context) (string, error) {
			token, err := a.token(ctx)
			return "Bearer " + token, err
		}}, nil
	case authCertificate:
		return &rest.Certificate{Certificate: *a.certificate}, nil
	default:
		return nil, fmt.Errorf("%w: no authentication", viaduct.ErrInvalid)
	}
}

func constantHeader(value string) *rest.Header {
	return &rest.Header{Name: "Authorization", Value: func(context.Context) (string, error) { return value, nil }}
}

// xsrfHeader comes with a session and goes with each of its requests.
const xsrfHeader = "X-Xsrf-Token"

// newSession makes sessions with /api/session/create. The cookie and the
// XSRF token replace the Authorization header: NSX wants one scheme at a time.
func newSession(user, password string) *rest.Session {
	return &rest.Session{
		Login: func(ctx context.Context, base *url.URL) (*http.Request, string, error) {
			form := url.Values{"j_username": {user}, "j_password": {password}}.Encode()
			req, err := http.NewRequestWithContext(ctx, http.MethodPost,
				base.JoinPath("/api/session/create").String(), strings.NewReader(form))
			if err != nil {
				return nil, "", err
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			return req, user + "\x00" + password, nil
		},
		Token: sessionToken,
		Logout: func(ctx context.Context, base *url.URL) (*http.Request, error) {
			return http.NewRequestWithContext(ctx, http.MethodGet,
				base.JoinPath("/api/session/destroy").String(), http.NoBody)
		},
	}
}

func sessionToken(res rest.Response) (http.Header, error) {
	answer := http.Response{Header: res.Header}
	var cookies []string
	for _, cookie := range answer.Cookies() {
		if cookie.MaxAge >= 0 && cookie.Value != "" {
			cookies = append(cookies, cookie.Name+"="+cookie.Value)
		}
	}
	if len(cookies) == 0 {
		return nil, fmt.Errorf("%w: the manager made no session", viaduct.ErrUnsupported)
	}
	token := http.Header{"Cookie": {strings.Join(cookies, "; ")}}
	if xsrf := res.Header.Get(xsrfHeader); xsrf != "" {
		token.Set(xsrfHeader, xsrf)
	}
	return token, nil
}
