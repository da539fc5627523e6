// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	kuberest "k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct"
)

// Access is a way into a TK cluster with credentials that are replaced while it
// is in use. Make one for each cluster and share it. It is safe for concurrent
// use.
type Access struct {
	client *Client
	key    types.NamespacedName
	guest  *kuberest.Config // instead of the Secret, where the user may not read that

	mu      sync.Mutex
	current *credentials
	flight  *refresh
}

// credentials are those of one version of the Secret. They are not changed once
// they are made; requests that began with them end with them.
type credentials struct {
	kubeconfig Kubeconfig
	version    string // of the Secret
	server     *url.URL
	transport  http.RoundTripper
}

// refresh is a look at the Secret that is under way.
type refresh struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiting int
	err     error
}

// Access returns a way into a TK cluster by the administrator's kubeconfig, or by
// a login ([WithGuestLogin]) where the user may not read that.
//
// Errors are those of [Client.Kubeconfig] or of [Client.LoginKubeconfig].
func (c *Client) Access(ctx context.Context, namespace, name string) (*Access, error) {
	a := &Access{client: c, key: types.NamespacedName{Namespace: namespace, Name: name}}
	k, version, err := c.readSecret(ctx, a.key)
	if errors.Is(err, viaduct.ErrForbidden) && c.opts.login != nil {
		return c.loginAccess(ctx, a)
	}
	if err != nil {
		return nil, err
	}
	if a.current, err = newCredentials(*k, version); err != nil {
		return nil, &Error{Op: opKubeconfig, Object: a.key.String(), err: err}
	}
	return a, nil
}

func (c *Client) loginAccess(ctx context.Context, a *Access) (*Access, error) {
	guest, err := c.opts.login.Guest(ctx, a.key.Namespace, a.key.Name)
	if err != nil {
		return nil, &Error{Op: opKubeconfig, Object: a.key.String(), kind: sentinelOf(err), err: err}
	}
	a.guest = guest.Config()
	return a, nil
}

func newCredentials(k Kubeconfig, version string) (*credentials, error) {
	config := k.Config()
	server, _, err := kuberest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, err
	}
	transport, err := kuberest.TransportFor(config)
	if err != nil {
		return nil, err
	}
	return &credentials{kubeconfig: k, version: version, server: server, transport: transport}, nil
}

// Config returns how to reach the TK cluster. Requests take the credentials that
// are newest when they begin; a request that they don't suffice for any more, or
// that finds no server where the kubeconfig says, makes the Access look at the
// Secret and is sent once more if that has others. None fails because of a
// replacement meanwhile.
//
// Connections that are switched to another protocol (exec, port-forward) can't
// take their certificate from here: use [Kubeconfig.Config] for them.
func (a *Access) Config() *kuberest.Config {
	if a.guest != nil {
		return kuberest.CopyConfig(a.guest)
	}
	return &kuberest.Config{Host: a.credentials().server.String(), Transport: (*swapping)(a)}
}

// Kubeconfig returns the kubeconfig as it is now. The error matches
// [viaduct.ErrUnsupported] when the access is by login: see
// [Client.LoginKubeconfig].
func (a *Access) Kubeconfig() (*Kubeconfig, error) {
	if a.guest != nil {
		return nil, unsupported(opKubeconfig, a.key.String(), "the access is by login and has no kubeconfig")
	}
	k := a.credentials().kubeconfig
	return &k, nil
}

func (a *Access) credentials() *credentials {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.current
}

// Refresh looks at the Secret. Those who ask at the same time share one look.
// Access by login needs none.
//
// Errors are those of [Client.Kubeconfig]; the old credentials stay in use then.
func (a *Access) Refresh(ctx context.Context) error {
	if a.guest != nil {
		return nil
	}
	_, err := a.refresh(ctx)
	return err
}

// refresh looks at the Secret, or joins a look that began before.
func (a *Access) refresh(ctx context.Context) (joined bool, err error) {
	a.mu.Lock()
	f := a.flight
	joined = f != nil
	if !joined {
		// Others may wait for it after this caller has left.
		shared, cancel := context.WithCancel(context.WithoutCancel(ctx))
		f = &refresh{done: make(chan struct{}), cancel: cancel}
		a.flight = f
		go a.look(shared, f)
	}
	f.waiting++
	a.mu.Unlock()
	select {
	case <-f.done:
		return joined, f.err
	case <-ctx.Done():
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if f.waiting--; f.waiting == 0 {
		f.cancel()
		if a.flight == f {
			a.flight = nil
		}
	}
	return joined, context.Cause(ctx)
}

func (a *Access) look(ctx context.Context, f *refresh) {
	defer f.cancel()
	k, version, err := a.client.readSecret(ctx, a.key)
	if err == nil {
		err = a.replace(*k, version)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	f.err = err
	if a.flight == f {
		a.flight = nil
	}
	close(f.done)
}

// replace makes k what new requests use, unless it is that already.
func (a *Access) replace(k Kubeconfig, version string) error {
	if a.credentials().kubeconfig.sameAccess(k) {
		return nil
	}
	fresh, err := newCredentials(k, version)
	if err != nil {
		return &Error{Op: opKubeconfig, Object: a.key.String(), err: err}
	}
	a.mu.Lock()
	old := a.current
	a.current = fresh
	a.mu.Unlock()
	// Those in use stay open until their requests are done.
	(&http.Client{Transport: old.transport}).CloseIdleConnections()
	return nil
}

// Run watches the Secret until ctx ends, so that new credentials are in use before
// the old ones are refused. It goes on while the Supervisor can't be reached, and
// with the old credentials when a kubeconfig is refused or the Secret is gone. It
// returns the cause of ctx's end, or an error that matches [viaduct.ErrForbidden]
// when the user may not watch the Secret. Access by login needs no watch, and
// waits only.
func (a *Access) Run(ctx context.Context) error {
	if a.guest != nil {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	f := follower{
		objects: a.client.dynamic.Resource(secretResource()).Namespace(a.key.Namespace),
		opts:    metav1.ListOptions{FieldSelector: "metadata.name=" + a.key.Name + secretSuffix},
		op:      "watch kubeconfig",
		object:  a.key.String(),
	}
	take := func(o *unstructured.Unstructured) {
		if o.GetName() != a.key.Name+secretSuffix {
			return
		}
		if k, err := a.client.parseSecret(a.key, o); err == nil {
			_ = a.replace(*k, o.GetResourceVersion()) // or stay with the old ones
		}
	}
	return f.run(ctx, func(c change) bool {
		for i := range c.replaced {
			take(&c.replaced[i])
		}
		if c.changed != nil {
			take(c.changed)
		}
		return true
	})
}
