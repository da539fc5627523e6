// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/lab/controlplane"
	"github.com/viaduct-sdk/viaduct/internal/lab/progress"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
	"github.com/viaduct-sdk/viaduct/supervisor/supervisorsim"
	"github.com/viaduct-sdk/viaduct/vcenter/vcentersim"
)

// errClosed is the error of what is asked of a lab that has been closed.
var errClosed = errors.New("the lab is closed")

// Lab is a running installation. Its methods are safe for concurrent use.
type Lab struct {
	// Supervisor is the Supervisor cluster.
	Supervisor *Cluster

	// NSX is the NSX Manager. It listens on the loopback interface.
	NSX *nsxsim.Server

	// VCenter is the vCenter. It listens on the loopback interface. A vSphere
	// Namespace that is made there appears on the Supervisor.
	VCenter *vcentersim.Server

	// SupervisorSim is what makes the Supervisor more than a Kubernetes
	// cluster: WCP, NCP, and what runs vSphere Pods. Its WCP listens on the
	// loopback interface, for logins and for requests to the API server that
	// bear a token of one.
	SupervisorSim *supervisorsim.Simulator

	config   Config
	servers  servers
	keeper   *keeper
	progress *progress.Printer
	close    func() error

	mu       sync.Mutex
	closed   bool
	closers  []func()            // what to close, in the order of its making
	number   int                 // of the next cluster
	clusters map[string]*Cluster // the TK clusters; nil while one is starting
}

// Build compiles the control plane of the clusters ahead of time, unless that
// has been done, and returns the path of the binary. The first time takes about
// six minutes on two cores; see [controlplane.Build].
func Build(ctx context.Context, w io.Writer) (string, error) {
	return controlplane.Build(ctx, w)
}

// Start starts an installation and returns when every part of it is ready. It
// takes a few seconds, and minutes when the control plane must be compiled
// first: see Build.
//
// The installation ends with Close, or when ctx ends, or when this process
// does. An error leaves nothing behind. Errors match [viaduct.ErrInvalid] when
// the configuration can't be used.
func Start(ctx context.Context, config Config) (*Lab, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	s, err := findServers(ctx, config)
	if err != nil {
		return nil, err
	}
	k, err := newKeeper(ctx, config.Address)
	if err != nil {
		return nil, err
	}
	l := &Lab{
		config:   config,
		servers:  s,
		keeper:   k,
		progress: progress.New(config.Progress),
		clusters: make(map[string]*Cluster),
	}
	l.close = sync.OnceValue(l.shutdown)
	stop := context.AfterFunc(ctx, func() { _ = l.close() }) // Close tells the error to whoever calls it.
	if err := l.startAll(ctx); err != nil {
		stop()
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Lab) startAll(ctx context.Context) error {
	if l.config.ControlPlanesOnly {
		return l.startClusters(ctx)
	}
	if err := l.startNSX(); err != nil {
		return err
	}
	if err := l.startVCenter(); err != nil {
		return err
	}
	if err := l.startClusters(ctx); err != nil {
		return err
	}
	if err := l.startSupervisorSim(ctx); err != nil {
		return err
	}
	return l.createNamespaces(ctx)
}

// startClusters starts the Supervisor and the TK clusters, all at once.
func (l *Lab) startClusters(ctx context.Context) error {
	supervisor, err := l.reserve(supervisorName)
	if err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		c, err := l.startCluster(groupCtx, supervisor)
		l.Supervisor = c
		return err
	})
	for _, name := range l.config.TKClusters {
		group.Go(func() error {
			_, err := l.StartTKCluster(groupCtx, name)
			return err
		})
	}
	return group.Wait()
}

// StartTKCluster starts a Tanzu Kubernetes cluster and returns when it is
// ready. ctx bounds the start only; the cluster lives as long as the lab.
//
// Errors match [viaduct.ErrExists] when the lab has a cluster of that name, and
// [viaduct.ErrInvalid] when the name can't be one.
func (l *Lab) StartTKCluster(ctx context.Context, name string) (*Cluster, error) {
	if err := validateName(name); err != nil {
		return nil, err
	}
	spec, err := l.reserve(name)
	if err != nil {
		return nil, err
	}
	c, err := l.startCluster(ctx, spec)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		delete(l.clusters, name)
		return nil, err
	}
	l.clusters[name] = c
	return c, nil
}

// StopTKCluster ends a TK cluster and removes all of it. It does nothing when
// the lab has no such cluster that is ready.
func (l *Lab) StopTKCluster(name string) error {
	l.mu.Lock()
	c := l.clusters[name]
	if c != nil {
		delete(l.clusters, name)
	}
	l.mu.Unlock()
	if c == nil {
		return nil
	}
	if err := c.discard(); err != nil {
		return fmt.Errorf("lab: stop %s: %w", name, err)
	}
	return nil
}

// TKCluster returns the TK cluster of that name, or nil when the lab has none
// that is ready.
func (l *Lab) TKCluster(name string) *Cluster {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.clusters[name]
}

// TKClusters returns the TK clusters that are ready, sorted by name.
func (l *Lab) TKClusters() []*Cluster {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []*Cluster
	for _, name := range slices.Sorted(maps.Keys(l.clusters)) {
		if c := l.clusters[name]; c != nil {
			all = append(all, c)
		}
	}
	return all
}

// Dir is the directory with everything that the lab keeps on disk.
func (l *Lab) Dir() string { return l.keeper.dir }

// Close ends the installation and returns when its processes and its directory
// are gone. Closing again returns the same result.
func (l *Lab) Close() error { return l.close() }

func (l *Lab) shutdown() error {
	l.mu.Lock()
	l.closed = true
	closers := l.closers
	l.mu.Unlock()
	for _, f := range slices.Backward(closers) {
		f()
	}
	if err := l.keeper.stop(); err != nil {
		return fmt.Errorf("lab: close: %w", err)
	}
	return nil
}

// onClose has f called when the lab is closed. When that has happened already,
// it calls f and returns an error.
func (l *Lab) onClose(f func()) error {
	l.mu.Lock()
	closed := l.closed
	if !closed {
		l.closers = append(l.closers, f)
	}
	l.mu.Unlock()
	if closed {
		f()
		return fmt.Errorf("lab: %w", errClosed)
	}
	return nil
}

// reserve takes the name and the number of a new cluster.
func (l *Lab) reserve(name string) (clusterSpec, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return clusterSpec{}, fmt.Errorf("lab: start %s: %w", name, errClosed)
	}
	if _, taken := l.clusters[name]; taken {
		return clusterSpec{}, fmt.Errorf("lab: start %s: %w", name, viaduct.ErrExists)
	}
	spec := clusterSpec{name: name, number: l.number, manager: l.config.ControllerManager}
	if name == supervisorName {
		spec.service = l.config.ServiceCIDR
	} else {
		spec.service = tkServiceCIDR(l.number)
		l.clusters[name] = nil
	}
	l.number++
	return spec, nil
}

func (l *Lab) startCluster(ctx context.Context, spec clusterSpec) (*Cluster, error) {
	defer l.progress.Watch("start "+spec.name, nil)()
	c, err := newCluster(l.keeper, l.servers, spec)
	if err != nil {
		return nil, fmt.Errorf("lab: start %s: %w", spec.name, err)
	}
	if err := c.up(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("lab: start %s: %w", spec.name, err), c.discard())
	}
	return c, nil
}
