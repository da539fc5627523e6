// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc

import (
	"context"
	"fmt"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	kuberest "k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/supervisor"
)

// GuestLogin logs in to TK clusters as a user of vCenter. A [supervisor.Login]
// does.
type GuestLogin interface {
	Guest(ctx context.Context, namespace, name string) (*supervisor.Guest, error)
}

// Option changes what [NewClient] makes.
type Option func(*options)

type options struct {
	login      GuestLogin
	namespaces func(context.Context) ([]string, error)
	allow      []Risk
}

// WithGuestLogin lets the client log in to TK clusters through login. It does so
// for [Client.LoginKubeconfig], and where the user may not read the Secret with
// the administrator's kubeconfig.
func WithGuestLogin(login GuestLogin) Option {
	return func(o *options) { o.login = login }
}

// WithNamespaces names the namespaces to look in where a call names none. Users
// of vCenter may not list across all namespaces, so for them this is necessary;
// [supervisor.Login.Workloads] knows theirs. namespaces is called each time and
// must be safe for concurrent use.
func WithNamespaces(namespaces func(ctx context.Context) ([]string, error)) Option {
	return func(o *options) { o.namespaces = namespaces }
}

// WithAllowed accepts kubeconfigs from Secrets although they bear these risks.
func WithAllowed(risks ...Risk) Option {
	return func(o *options) { o.allow = slices.Clone(risks) }
}

// Client works with the TK clusters of one Supervisor. It is safe for concurrent
// use.
type Client struct {
	opts    options
	dynamic dynamic.Interface
	raw     kuberest.Interface // for discovery

	mu   sync.Mutex
	apis []API // what the server has; nil when that is not known
}

// NewClient returns a client for the Supervisor that config reaches. config is
// copied. It does no I/O.
//
// An error matches [viaduct.ErrInvalid].
func NewClient(config *kuberest.Config, opts ...Option) (*Client, error) {
	if config == nil {
		return nil, fmt.Errorf("tkc: %w: no config", viaduct.ErrInvalid)
	}
	c := kuberest.CopyConfig(config)
	if c.QPS == 0 {
		c.QPS, c.Burst = 50, 100
	}
	c.WarningHandler = kuberest.NoWarnings{} // that a version is old is for discovery to know
	httpClient, err := kuberest.HTTPClientFor(c)
	if err != nil {
		return nil, fmt.Errorf("tkc: %w: %w", viaduct.ErrInvalid, err)
	}
	dyn, err := dynamic.NewForConfigAndClient(c, httpClient)
	if err != nil {
		return nil, fmt.Errorf("tkc: %w: %w", viaduct.ErrInvalid, err)
	}
	c.GroupVersion = &schema.GroupVersion{}
	c.NegotiatedSerializer = rawSerializer()
	raw, err := kuberest.RESTClientForConfigAndClient(c, httpClient)
	if err != nil {
		return nil, fmt.Errorf("tkc: %w: %w", viaduct.ErrInvalid, err)
	}
	client := &Client{dynamic: dyn, raw: raw}
	for _, opt := range opts {
		opt(&client.opts)
	}
	return client, nil
}

func secretResource() schema.GroupVersionResource {
	return corev1.SchemeGroupVersion.WithResource("secrets")
}
