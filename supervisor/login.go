// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	kuberest "k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/rest"
)

// The Kubernetes API of Supervisors and of guest clusters.
const apiPort = "6443"

// Login logs in to a Supervisor and, through it, to its guest clusters. It is
// immutable and safe for concurrent use; make one for each Supervisor and user
// and share it, because it holds the token.
type Login struct {
	opts      options
	wcp       *rest.Client
	apiServer string
	trust     trust
	source    *TokenSource
}

// NewLogin returns a login at endpoint, the Supervisor's address or an https
// URL. It does no I/O.
//
// Errors match [viaduct.ErrInvalid], and [viaduct.ErrUnavailable] when
// [WithCACert] was given the empty certificate of a Supervisor that is still
// being configured.
func NewLogin(endpoint string, auth Auth, opts ...Option) (*Login, error) {
	o := collect(opts)
	scheme, err := auth.authenticator()
	if err != nil {
		return nil, err
	}
	l := &Login{opts: o, trust: o.trust}
	if l.wcp, err = o.wcp(endpoint, scheme); err != nil {
		return nil, err
	}
	if l.apiServer, err = apiServer(l.wcp.Endpoints()[0], o.apiServer); err != nil {
		return nil, err
	}
	l.source = newTokenSource(func(ctx context.Context) (string, error) {
		answer, err := l.login(ctx, nil)
		return answer.Session, err
	})
	return l, nil
}

func collect(opts []Option) options {
	o := options{userAgent: "viaduct"}
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// apiServer is the URL of the Kubernetes API that belongs to a login's endpoint,
// unless another is given.
func apiServer(endpoint, given string) (string, error) {
	if given == "" {
		u, err := url.Parse(endpoint)
		if err != nil {
			return "", fmt.Errorf("supervisor: %w: endpoint is no URL", viaduct.ErrInvalid)
		}
		return "https://" + net.JoinHostPort(u.Hostname(), apiPort), nil
	}
	u, err := url.Parse(given)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return "", fmt.Errorf("supervisor: %w: the API server's address is no https URL", viaduct.ErrInvalid)
	}
	return strings.TrimRight(given, "/"), nil
}

// IsSupervisor reports whether there is a Supervisor at endpoint: whether
// /wcp/loginbanner is there. It sends no credentials.
//
// An address that does not answer is an error that matches
// [viaduct.ErrUnavailable].
func IsSupervisor(ctx context.Context, endpoint string, opts ...Option) (bool, error) {
	client, err := collect(opts).wcp(endpoint, nil)
	if err != nil {
		return false, err
	}
	err = client.Do(ctx, bannerRequest(nil))
	if errors.Is(err, viaduct.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Banner returns the text that the administrator shows to those who log in, ""
// when there is none. The error matches [viaduct.ErrUnsupported] when the
// endpoint is not a Supervisor's.
func (l *Login) Banner(ctx context.Context) (string, error) {
	client, err := l.opts.wcp(l.wcp.Endpoints()[0], nil)
	if err != nil {
		return "", err
	}
	var banner string
	err = client.Do(ctx, bannerRequest(func(res rest.Response) error {
		banner = string(res.Body)
		return nil
	}))
	if errors.Is(err, viaduct.ErrNotFound) {
		return "", &Error{Op: "get login banner", Object: l.wcp.Endpoints()[0], Message: "the address is not a Supervisor's", kind: viaduct.ErrUnsupported, err: err}
	}
	return strings.TrimSpace(banner), err
}

func bannerRequest(into func(rest.Response) error) rest.Request {
	r := rest.Request{
		Op: "get login banner", Method: http.MethodGet,
		Route: "/wcp/loginbanner", Path: "/wcp/loginbanner",
		Header: http.Header{"Accept": {"*/*"}},
	}
	if into != nil {
		r.Into = into
	}
	return r
}

// Workload is a vSphere Namespace that the user may use.
type Workload struct {
	Namespace string
	// Server is the address of the Supervisor that has it, which need not be
	// the one that was asked.
	Server string
	// Port of the Kubernetes API; 0 when the server does not say, which means
	// 6443.
	Port     int
	DNSNames []string
}

// APIServer returns the URL of the Kubernetes API that serves the namespace.
func (w Workload) APIServer() string {
	port := apiPort
	if w.Port != 0 {
		port = strconv.Itoa(w.Port)
	}
	return "https://" + net.JoinHostPort(w.Server, port)
}

// Workloads returns the vSphere Namespaces that the user may use, on all
// Supervisors of the vCenter. A user who may list no namespaces through the
// Kubernetes API learns here what there is.
func (l *Login) Workloads(ctx context.Context) ([]Workload, error) {
	var answer []struct {
		Namespace string   `json:"namespace"`
		Server    string   `json:"master_host"`
		Port      int      `json:"control_plane_api_server_port"`
		DNSNames  []string `json:"control_plane_DNS_names"`
	}
	err := l.wcp.Do(ctx, rest.Request{
		Op: "list workloads", Method: http.MethodGet,
		Route: "/wcp/workloads", Path: "/wcp/workloads", Into: &answer,
	})
	if err != nil {
		return nil, err
	}
	all := make([]Workload, 0, len(answer))
	for _, w := range answer {
		all = append(all, Workload(w))
	}
	return all, nil
}

// TokenSource returns the source of the Supervisor's tokens. It is always the
// same one.
func (l *Login) TokenSource() *TokenSource { return l.source }

// Config returns how to reach the Supervisor's Kubernetes API: with a token that
// is fetched and renewed as needed. Each call returns a new one, all with the
// same token.
func (l *Login) Config() *kuberest.Config {
	return l.config(l.apiServer, l.trust, l.source)
}

func (l *Login) config(host string, t trust, source *TokenSource) *kuberest.Config {
	c := &kuberest.Config{
		Host:          host,
		UserAgent:     l.opts.userAgent,
		WrapTransport: func(base http.RoundTripper) http.RoundTripper { return &tokenTransport{source: source, base: base} },
	}
	t.apply(c, l.opts.httpClient)
	return c
}

type loginAnswer struct {
	Session     string `json:"session_id"`
	GuestServer string `json:"guest_cluster_server"`
	GuestCA     string `json:"guest_cluster_ca"`
}

// login fetches a token: the Supervisor's, or that of the guest cluster that
// body names. Asking twice does no harm, so that it may be retried.
func (l *Login) login(ctx context.Context, guest *guestName) (loginAnswer, error) {
	r := rest.Request{
		Op: "log in", Object: l.wcp.Endpoints()[0], Method: http.MethodPost,
		Route: "/wcp/login", Path: "/wcp/login", Idempotent: true,
	}
	if guest != nil {
		r.Op, r.Object, r.Body = "log in to guest cluster", guest.String(), guest
	} else {
		r.Body = struct{}{}
	}
	var answer loginAnswer
	r.Into = &answer
	if err := l.wcp.Do(ctx, r); err != nil {
		return loginAnswer{}, err
	}
	if answer.Session == "" {
		return answer, &Error{Op: r.Op, Object: r.Object, Message: "the answer holds no token", kind: viaduct.ErrUnavailable}
	}
	return answer, nil
}
