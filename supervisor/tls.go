// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"time"

	kuberest "k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/rest"
)

// trust is how the Supervisor's certificate is checked. hasCA says that there
// should be authorities to check it with.
type trust struct {
	rest.TLS
	hasCA bool
}

func (t trust) isZero() bool {
	return !t.hasCA && t.Thumbprint == "" && t.ServerName == "" && !t.Insecure
}

// transport returns the transport of client with these settings in place of its
// own, or a new one when client brings none. What the caller holds is never
// changed.
func (t trust) transport(client *http.Client) (http.RoundTripper, error) {
	if t.hasCA && len(bytes.TrimSpace(t.CA)) == 0 {
		return nil, fmt.Errorf("supervisor: %w: there is no certificate to trust; a Supervisor has none until it is configured", viaduct.ErrUnavailable)
	}
	var given http.RoundTripper
	if client != nil {
		given = client.Transport
	}
	base, ok := given.(*http.Transport)
	switch {
	case given != nil && t.isZero():
		return given, nil
	case given != nil && !ok:
		return nil, fmt.Errorf("supervisor: %w: TLS settings can't be applied to a transport of type %T", viaduct.ErrInvalid, given)
	case given == nil:
		base = newTransport()
	default:
		base = base.Clone()
	}
	config, err := t.Config()
	if err != nil {
		return nil, fmt.Errorf("supervisor: %w", err)
	}
	base.TLSClientConfig = config
	return base, nil
}

// newTransport reads no environment: a proxy comes with the caller's client.
func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		DialContext:         dialer.DialContext,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 25,
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second,
	}
}

// apply puts the settings into a config, in client-go's own fields where it has
// them. The settings were checked by NewLogin; a transport of the caller's that
// they can't be applied to is taken as it is.
func (t trust) apply(c *kuberest.Config, client *http.Client) {
	if client == nil && t.Thumbprint == "" {
		c.TLSClientConfig = kuberest.TLSClientConfig{Insecure: t.Insecure, ServerName: t.ServerName, CAData: t.CA}
		return
	}
	transport, err := t.transport(client)
	if err != nil {
		transport = client.Transport
	}
	c.Transport = transport
}
