// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// sharedNetwork is the name in NSX of what the namespaces share that WCP did not
// make.
const sharedNetwork = "supervisor"

// How many objects of each kind are worked on at once.
const workers = 4

// Simulator does on one API server what a Supervisor's control plane does. It
// is safe for concurrent use.
type Simulator struct {
	cfg     Config
	kube    kubernetes.Interface
	dynamic dynamic.Interface
	factory informers.SharedInformerFactory
	view    view
	m       *manager
	nets    *networks
	lb      *balancer
	fw      *firewall
	pods    *spherelet
	wcp     *WCP
	tkg     *tkg // nil: none

	namespaceQueue, serviceQueue, podQueue, policyQueue *controller

	stop context.CancelFunc
	done sync.WaitGroup
}

// Start begins to simulate a Supervisor on the API server that cfg names, and
// returns once it has read what is there; what a Simulator left behind earlier
// it takes up again. It works until ctx ends or Close is called, and survives
// the API server's restarts.
//
// The error matches [viaduct.ErrInvalid] when cfg is at fault.
func Start(ctx context.Context, cfg Config) (*Simulator, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Simulator{cfg: cfg}
	if err := s.connect(); err != nil {
		return nil, err
	}
	s.assemble()
	if err := s.openLogin(); err != nil {
		return nil, err
	}
	if cfg.TKG.Clusters != nil {
		s.tkg = newTKG(s)
	}
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	if err := s.subscribe(); err != nil {
		return nil, err
	}
	// Informers would log to standard error; what fails is told to the Logger.
	run, stop := context.WithCancel(klog.NewContext(ctx, klog.Logger{}))
	s.stop = stop
	if err := s.watch(ctx, run); err != nil {
		s.Close()
		return nil, fmt.Errorf("supervisorsim: read the Supervisor's API server: %w", err)
	}
	s.pods.load()
	for _, c := range s.controllers() {
		s.done.Go(func() { c.run(run, workers) })
	}
	s.sweep()
	s.done.Go(func() { s.sweepOften(run) })
	return s, nil
}

// watch begins to watch the API server and returns when all of it was read once.
func (s *Simulator) watch(ctx, run context.Context) error {
	s.factory.StartWithContext(run)
	if s.tkg != nil {
		s.tkg.life = run
		for _, informer := range s.tkg.informers() {
			s.done.Go(func() { informer.RunWithContext(run) })
			if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
				return context.Cause(ctx)
			}
		}
	}
	return s.factory.WaitForCacheSyncWithContext(ctx).AsError()
}

// WCP returns the Supervisor's login.
func (s *Simulator) WCP() *WCP { return s.wcp }

// Close stops the simulation and waits until nothing of it runs any more. What
// it made stays, as it does when NCP stops. Close may be called again.
func (s *Simulator) Close() {
	s.wcp.Close()
	s.stop()
	s.done.Wait()
	if s.tkg != nil {
		s.tkg.close()
	}
	s.factory.Shutdown()
}

func (s *Simulator) connect() error {
	config := rest.CopyConfig(s.cfg.Kubernetes)
	config.QPS, config.Burst = -1, 0 // the API server's own fairness is enough
	config.WarningHandler = rest.NoWarnings{}
	rest.AddUserAgent(config, "supervisorsim")
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return fmt.Errorf("supervisorsim: %w", err)
	}
	if s.kube, err = kubernetes.NewForConfigAndClient(config, client); err != nil {
		return fmt.Errorf("supervisorsim: %w", err)
	}
	if s.dynamic, err = dynamic.NewForConfigAndClient(config, client); err != nil {
		return fmt.Errorf("supervisorsim: %w", err)
	}
	return nil
}

// assemble makes the parts and ties them together.
func (s *Simulator) assemble() {
	cfg := s.cfg
	s.factory = informers.NewSharedInformerFactory(s.kube, cfg.Resync)
	s.view = newView(cfg, s.factory)
	s.m = &manager{nsx: cfg.NSX, cluster: cfg.ncpCluster(), version: cfg.NCPVersion}
	s.nets = newNetworks(cfg, s.m)
	s.lb = &balancer{
		cfg: cfg, m: s.m, nets: s.nets, view: s.view,
		ingress: newAddressPool(cfg.IngressCIDR),
		pool:    poolID(cfg.ncpCluster(), cfg.IngressCIDR),
		kube:    publisher{s.kube},
		objects: map[types.UID]map[string]bool{},
		users:   map[string]map[types.UID]bool{},
		down:    map[string]map[string]bool{},
		waiting: map[objectKey]corev1.ServiceSpec{},
		wake:    func(key objectKey) { s.serviceQueue.queue.Add(key) },
	}
	s.pods = &spherelet{nets: s.nets, view: s.view, kube: s.kube, grown: s.grown}
	s.fw = &firewall{m: s.m, nets: s.nets, view: s.view}
	s.namespaceQueue = newController("namespace", cfg.Logger, s.reconcileNamespace)
	s.serviceQueue = newController("service", cfg.Logger, s.lb.reconcile)
	s.podQueue = newController("pod", cfg.Logger, s.pods.reconcile)
	s.policyQueue = newController("network policy", cfg.Logger, s.fw.reconcile)
}

func (s *Simulator) controllers() []*controller {
	all := []*controller{s.namespaceQueue, s.serviceQueue, s.podQueue, s.policyQueue}
	if s.tkg != nil {
		all = append(all, s.tkg.queue, s.tkg.vms.queue)
	}
	return all
}

// prepare reads back what is in NSX, and makes what all namespaces share.
func (s *Simulator) prepare(ctx context.Context) error {
	pools := []error{s.m.ensurePool(s.cfg.IngressCIDR)}
	if s.cfg.EgressCIDR != s.cfg.IngressCIDR {
		pools = append(pools, s.m.ensurePool(s.cfg.EgressCIDR))
	}
	for _, err := range pools {
		if err != nil {
			return err
		}
	}
	for _, p := range s.cfg.PodCIDRs {
		err := s.m.ensure("/infra/ip-blocks/"+identify("block", s.m.cluster, p.String()), ipBlock{
			intent: s.m.describe("IpAddressBlock", p.String()),
			CIDR:   p.Masked().String(),
		})
		if err != nil {
			return fmt.Errorf("supervisorsim: ip block %s: %w", p, err)
		}
	}
	for _, load := range []func() error{s.nets.load, s.lb.load} {
		if err := load(); err != nil {
			return fmt.Errorf("supervisorsim: read NSX: %w", err)
		}
	}
	if _, err := s.nets.ensure(ctx, s.shared()); err != nil {
		return err
	}
	if s.tkg != nil {
		if err := s.tkg.define(ctx); err != nil {
			return err
		}
	}
	return s.ensureRoles(ctx)
}

// subscribe ties what changes on the API server to those who must look again.
func (s *Simulator) subscribe() error {
	core, policies := s.factory.Core().V1(), s.factory.Networking().V1().NetworkPolicies().Informer()
	all := []cache.SharedIndexInformer{
		core.Namespaces().Informer(), core.Services().Informer(), core.Pods().Informer(),
		core.Endpoints().Informer(), policies,
	}
	for _, informer := range all {
		err := informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
			s.cfg.Logger.Debug("watch ended", "error", err)
		})
		if err != nil {
			return fmt.Errorf("supervisorsim: %w", err)
		}
	}
	for _, err := range []error{
		s.namespaceQueue.watch(all[0], func(object) { s.recheckPolicies() }),
		s.serviceQueue.watch(all[1], s.serviceChanged),
		s.podQueue.watch(all[2], s.podChanged),
		onChange(all[3], s.endpointsChanged),
		s.policyQueue.watch(policies),
	} {
		if err != nil {
			return err
		}
	}
	if s.tkg != nil {
		return s.tkg.subscribe()
	}
	return nil
}

func (s *Simulator) serviceChanged(o object) {
	if s.tkg != nil {
		s.tkg.vms.serviceChanged(o)
	}
}

// shared is the network of the namespaces that WCP did not make.
func (s *Simulator) shared() networkID {
	return networkID{uid: s.m.cluster, project: s.m.cluster, namespace: sharedNetwork}
}

// podChanged has the Services looked at again that the pod is behind, and the
// NetworkPolicies, which may speak of it.
func (s *Simulator) podChanged(o object) {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return
	}
	for _, svc := range s.view.servicesIn(pod.Namespace) {
		if selects(svc, pod) {
			s.serviceQueue.queue.Add(keyOf(svc))
		}
	}
	s.recheckPolicies()
}

func (s *Simulator) endpointsChanged(o object) {
	svc, err := s.view.services.Services(o.GetNamespace()).Get(o.GetName())
	if err == nil && balanced(svc) {
		s.serviceQueue.queue.Add(keyOf(svc))
	}
}

// recheckPolicies has all NetworkPolicies looked at again.
func (s *Simulator) recheckPolicies() {
	policies, _ := s.view.policies.List(labels.Everything())
	for _, p := range policies {
		s.policyQueue.queue.Add(keyOf(p))
	}
}

// grown has the namespace looked at again whose network got another subnet.
func (s *Simulator) grown(namespace string) {
	if ns, err := s.view.namespaces.Get(namespace); err == nil && s.view.isVSphere(ns) {
		s.namespaceQueue.queue.Add(keyOf(ns))
		return
	}
	s.namespaceQueue.queue.Add(objectKey{types.NamespacedName{}, types.UID(s.m.cluster)})
}

// sweep has everything looked at that NSX holds, so that what went while nobody
// watched is removed.
func (s *Simulator) sweep() {
	for _, uid := range s.nets.known() {
		s.namespaceQueue.queue.Add(s.namespaceKey(uid))
	}
	services := map[types.UID]objectKey{}
	for _, svc := range s.view.servicesIn(metav1.NamespaceAll) {
		services[svc.UID] = keyOf(svc)
	}
	for _, uid := range s.lb.known() {
		key, ok := services[uid]
		if !ok {
			key = objectKey{uid: uid}
		}
		s.serviceQueue.queue.Add(key)
	}
	if s.tkg != nil {
		s.tkg.sweep()
	}
	if err := s.fw.sweep(s.policyQueue); err != nil {
		s.cfg.Logger.Debug("sweep failed", "error", err)
	}
}

func (s *Simulator) namespaceKey(uid string) objectKey {
	namespaces, _ := s.view.namespaces.List(labels.Everything())
	for _, ns := range namespaces {
		if string(ns.UID) == uid {
			return keyOf(ns)
		}
	}
	return objectKey{uid: types.UID(uid)}
}

func (s *Simulator) sweepOften(ctx context.Context) {
	ticker := time.NewTicker(s.cfg.Resync)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.sweep()
		}
	}
}
