// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/tkc"
	"github.com/viaduct-sdk/viaduct/vcenter"
)

const defaultTimeout = 30 * time.Second

// Sources are the servers to ask. Each is optional.
type Sources struct {
	VCenter *vcenter.Client
	NSX     *nsx.Client
	// Supervisor is the Supervisor that belongs to them.
	Supervisor *Cluster
	// Clusters are Tanzu Kubernetes clusters, and any others.
	Clusters []Cluster
	// TKClusters lists the objects on the Supervisor that ask for TK clusters.
	// It needs Supervisor, in whose namespaces they are.
	TKClusters TKClusters
	// Timeout is how long each server is waited for before it is a hole; 30
	// seconds when zero.
	Timeout time.Duration
}

// Cluster is a Kubernetes cluster to read.
type Cluster struct {
	// Name is the one given to [bridge.NewCluster].
	//
	// [bridge.NewCluster]: https://pkg.go.dev/github.com/viaduct-sdk/viaduct/bridge#NewCluster
	Name       string
	Kubernetes kubernetes.Interface
	// Dynamic reads VirtualMachineServices; nil: they are not read.
	Dynamic dynamic.Interface
	// Endpoint is the host and port of the API server, by which the cluster is
	// found among those of the Supervisor.
	Endpoint string
	// Namespaces are those to read, each by itself, as a user must who may not
	// list all. Empty: all.
	Namespaces []string
}

// NewCluster returns a Cluster that speaks with the API server of config, which
// is copied. It does no I/O. Errors match [viaduct.ErrInvalid].
func NewCluster(name string, config *rest.Config) (Cluster, error) {
	invalid := func(err error) (Cluster, error) {
		return Cluster{}, fmt.Errorf("topology: cluster %q: %w: %w", name, viaduct.ErrInvalid, err)
	}
	if name == "" || config == nil {
		return Cluster{}, fmt.Errorf("topology: cluster %q: it needs a name and a config: %w", name, viaduct.ErrInvalid)
	}
	config = rest.CopyConfig(config)
	if config.QPS == 0 && config.RateLimiter == nil {
		config.QPS = -1
	}
	if config.WarningHandler == nil && config.WarningHandlerWithContext == nil {
		config.WarningHandler = rest.NoWarnings{}
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return invalid(err)
	}
	c := Cluster{Name: name, Endpoint: endpoint(config.Host)}
	if c.Kubernetes, err = kubernetes.NewForConfigAndClient(config, client); err != nil {
		return invalid(err)
	}
	if c.Dynamic, err = dynamic.NewForConfigAndClient(config, client); err != nil {
		return invalid(err)
	}
	return c, nil
}

// endpoint reduces a URL, or a host with or without a port, to host and port.
func endpoint(host string) string {
	if !strings.Contains(host, "//") {
		host = "//" + host
	}
	u, err := url.Parse(host)
	if err != nil || u.Host == "" {
		return ""
	}
	if u.Port() != "" {
		return strings.ToLower(u.Host)
	}
	return strings.ToLower(u.Host) + ":443"
}

// TKClusters lists the TK clusters of a Supervisor: a [*tkc.Client].
type TKClusters interface {
	List(ctx context.Context, opts tkc.ListOptions) ([]tkc.Cluster, error)
}

// Collect asks all sources at once and joins what they know. It writes nothing.
//
// What a source refuses, or does not answer in time, becomes a hole of the
// graph. The graph is nil only with an error, which matches
// [viaduct.ErrInvalid] when there is nothing to ask, and otherwise wraps the
// cause of the end of ctx.
func Collect(ctx context.Context, s Sources) (*Graph, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	if s.Timeout == 0 {
		s.Timeout = defaultTimeout
	}
	o := s.observe(ctx)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("topology: collect: %w", context.Cause(ctx))
	}
	return join(o), nil
}

func (s Sources) validate() error {
	if s.VCenter == nil && s.NSX == nil && s.Supervisor == nil && len(s.Clusters) == 0 {
		return fmt.Errorf("topology: collect: no source: %w", viaduct.ErrInvalid)
	}
	seen := map[string]bool{}
	for _, c := range s.kubernetes() {
		if c.Name == "" || c.Kubernetes == nil || seen[c.Name] {
			return fmt.Errorf("topology: collect: cluster %q: each needs a name of its own and a client: %w", c.Name, viaduct.ErrInvalid)
		}
		seen[c.Name] = true
	}
	return nil
}

// kubernetes returns all clusters, the Supervisor first.
func (s Sources) kubernetes() []Cluster {
	if s.Supervisor == nil {
		return s.Clusters
	}
	return append([]Cluster{*s.Supervisor}, s.Clusters...)
}

// observe asks each source in a goroutine of its own; none waits for another.
func (s Sources) observe(ctx context.Context) observed {
	clusters := s.kubernetes()
	o := observed{clusters: make([]clusterSeen, len(clusters))}
	var wg sync.WaitGroup
	ask := func(look func(ctx context.Context)) {
		wg.Go(func() {
			ctx, cancel := context.WithTimeoutCause(ctx, s.Timeout, errTimeout)
			defer cancel()
			look(ctx)
		})
	}
	if s.VCenter != nil {
		o.vcenter = &vcenterSeen{holes: holes{system: SystemVCenter}}
		ask(func(ctx context.Context) { o.vcenter.look(ctx, s.VCenter) })
	}
	if s.NSX != nil {
		o.nsx = &nsxSeen{holes: holes{system: SystemNSX}}
		ask(func(ctx context.Context) { o.nsx.look(ctx, s.NSX) })
	}
	for i, c := range clusters {
		seen := &o.clusters[i]
		seen.name, seen.endpoint, seen.scoped = c.Name, endpoint(c.Endpoint), len(c.Namespaces) > 0
		seen.system, seen.cluster = SystemTKCluster, c.Name
		if s.Supervisor != nil && i == 0 {
			seen.system = SystemSupervisor
		}
		ask(func(ctx context.Context) { seen.look(ctx, c) })
	}
	o.tkHoles = &holes{system: SystemSupervisor}
	if s.Supervisor != nil {
		o.tkHoles.cluster = s.Supervisor.Name
	}
	if s.TKClusters != nil {
		ask(func(ctx context.Context) {
			found, err := s.TKClusters.List(ctx, tkc.ListOptions{})
			if !errors.Is(err, viaduct.ErrUnsupported) { // no TKG service: no TK clusters
				o.tkHoles.note(ctx, "TK clusters", err)
			}
			o.tkClusters = found
		})
	}
	wg.Wait()
	return o
}
