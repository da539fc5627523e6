// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
)

// Cluster is a Kubernetes cluster at one end of the bridge: a Supervisor, a TK
// cluster or any other. It is immutable and safe for concurrent use.
type Cluster struct {
	name    string
	objects dynamic.Interface
	apis    *apis
	guards  *guards
	// firewall guards the nodes; nil when it was not given.
	firewall *distributedFirewall
	// exporting is the firewall that guards the exported pods, as WithNSX knows
	// it; nil when it does not.
	exporting *firewallCache
	// guest says that the pods are those of a TK cluster.
	guest bool
	// invalid is what is wrong with an option.
	invalid error

	// virtualServers asks NSX for those of a Service; nil without NSX.
	virtualServers func(context.Context, types.NamespacedName, types.UID) ([]ncp.VirtualServer, error)
}

// ClusterOption changes how [NewCluster] sets a cluster up.
type ClusterOption func(*Cluster)

// NewCluster makes a Cluster that speaks with the API server of config. It does
// no I/O. The name is written on the objects that an import from this cluster
// makes elsewhere, and tells exporters apart: keep it the same from run to run.
// It must be a DNS label.
//
// The config is copied. Its rate limit is kept when it sets one; otherwise
// requests are left to the API server's own priority and fairness.
//
// Errors match [viaduct.ErrInvalid].
func NewCluster(name string, config *rest.Config, opts ...ClusterOption) (*Cluster, error) {
	if msgs := validation.IsDNS1123Label(name); len(msgs) > 0 {
		return nil, fmt.Errorf("bridge: cluster name %q: %s: %w", name, msgs[0], viaduct.ErrInvalid)
	}
	if config == nil {
		return nil, fmt.Errorf("bridge: cluster %s: no rest.Config: %w", name, viaduct.ErrInvalid)
	}
	config = rest.CopyConfig(config)
	if config.QPS == 0 && config.RateLimiter == nil {
		config.QPS = -1
	}
	if config.UserAgent == "" {
		config.UserAgent = fieldManager
	}
	if config.WarningHandler == nil && config.WarningHandlerWithContext == nil {
		config.WarningHandler = rest.NoWarnings{} // the default writes to standard error
	}
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("bridge: cluster %s: %w: %w", name, viaduct.ErrInvalid, err)
	}
	objects, err := dynamic.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("bridge: cluster %s: %w: %w", name, viaduct.ErrInvalid, err)
	}
	apis, err := newAPIs(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("bridge: cluster %s: %w: %w", name, viaduct.ErrInvalid, err)
	}
	c := &Cluster{name: name, objects: objects, apis: apis, guards: &guards{gate: newGate()}}
	for _, opt := range opts {
		opt(c)
	}
	if c.invalid != nil {
		return nil, fmt.Errorf("bridge: cluster %s: %w: %w", name, c.invalid, viaduct.ErrInvalid)
	}
	return c, nil
}

// Name returns the name given to [NewCluster].
func (c *Cluster) Name() string { return c.name }
