// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// What NCP writes to the Service when it can't give it an address. The list is
// open: of the second it is only known that there is an error, not its name.
const (
	errPoolExhausted = "IP_POOL_EXHAUSTED"
	errVIPConflict   = "LB_VIP_CONFLICT"
	errPoolNotFound  = "IP_POOL_NOT_FOUND"
)

// balancer is the part of NCP that gives LoadBalancer Services their virtual
// servers.
type balancer struct {
	cfg     Config
	m       *manager
	nets    *networks
	ingress *addressPool
	pool    string
	view    view
	kube    publisher

	mu sync.Mutex
	// objects are the virtual servers and pools in NSX by Service UID.
	objects map[types.UID]map[string]bool
	// users are the Services with virtual servers on each load balancer.
	users map[string]map[types.UID]bool
	// down are the members that were last reported, by pool and address.
	down map[string]map[string]bool
	// waiting are the Services without address, as they were when they failed.
	waiting map[objectKey]corev1.ServiceSpec
	// wake is called with each key that may find an address now.
	wake func(objectKey)
}

// load reads back what an earlier run left in NSX.
func (b *balancer) load() error {
	for _, prefix := range []string{virtualServersPath, poolsPath} {
		objects, err := b.m.list(prefix)
		if err != nil {
			return err
		}
		for _, o := range objects {
			uid := types.UID(o.tags[tagServiceUID])
			b.note(uid, o.path)
			var vs lbVirtualServer
			if err := b.m.nsx.Read(o.path, &vs); err != nil {
				return err
			}
			if vs.LBServicePath != "" {
				b.use(vs.LBServicePath, uid)
			}
		}
	}
	return b.m.loadPool(b.pool, b.ingress, func(tags map[string]string) string { return tags[tagServiceUID] })
}

func (b *balancer) note(uid types.UID, path string) {
	if b.objects[uid] == nil {
		b.objects[uid] = map[string]bool{}
	}
	b.objects[uid][path] = true
}

func (b *balancer) use(lbs string, uid types.UID) {
	if b.users[lbs] == nil {
		b.users[lbs] = map[types.UID]bool{}
	}
	b.users[lbs][uid] = true
}

// known returns the UIDs of the Services that NSX holds something for.
func (b *balancer) known() []types.UID {
	b.mu.Lock()
	defer b.mu.Unlock()
	uids := map[types.UID]bool{}
	for uid := range b.objects {
		uids[uid] = true
	}
	for _, owner := range b.ingress.all() {
		uids[types.UID(owner)] = true
	}
	return slices.Sorted(maps.Keys(uids))
}

// reconcile makes NSX and the Service's status be what the Service asks for.
func (b *balancer) reconcile(ctx context.Context, key objectKey) error {
	svc := b.view.service(key)
	if svc == nil || !balanced(svc) {
		return b.withdraw(ctx, key, svc)
	}
	if b.moves(svc) {
		if err := b.withdraw(ctx, key, svc); err != nil {
			return err
		}
	}
	network, err := b.networkOf(svc)
	if err != nil {
		return fmt.Errorf("supervisorsim: service %s: %w", key, err)
	}
	vip, reason, err := b.realize(key, svc, network)
	if err != nil {
		return fmt.Errorf("supervisorsim: service %s: %w", key, err)
	}
	return b.kube.publish(ctx, svc, b.outcome(svc, network, vip, reason))
}

// networkOf returns the name of the network whose gateway balances the Service:
// its namespace's, or that of the VirtualNetwork that it names.
func (b *balancer) networkOf(svc *corev1.Service) (string, error) {
	network, err := b.view.networkOf(svc.Namespace)
	name := svc.Annotations[annotationVirtualNetwork]
	if err != nil || name == "" {
		return network, err
	}
	if uid := b.nets.find(network, name); uid != "" {
		return uid, nil
	}
	return "", fmt.Errorf("virtual network %q: %w", name, errGone)
}

// balanced reports whether NCP serves the Service: it is of type LoadBalancer,
// not given to another implementation, and not on its way out.
func balanced(svc *corev1.Service) bool {
	return svc.Spec.Type == corev1.ServiceTypeLoadBalancer && svc.DeletionTimestamp == nil &&
		svc.Spec.LoadBalancerClass == nil
}

// moves reports whether the Service asks for another address than it has.
func (b *balancer) moves(svc *corev1.Service) bool {
	held := b.ingress.held(string(svc.UID))
	want, _ := b.wanted(svc)
	return held.IsValid() && want.IsValid() && held != want
}

// wanted is the address that the Service asks for; invalid when any will do. It
// reports false when the Service names a pool that does not exist.
func (b *balancer) wanted(svc *corev1.Service) (netip.Addr, bool) {
	name := svc.Spec.LoadBalancerIP // NCP reads it (NCP documentation, services of type LoadBalancer)
	if name == "" || name == b.pool {
		return netip.Addr{}, true
	}
	addr, err := netip.ParseAddr(name)
	return addr, err == nil
}

// realize makes the Service's virtual servers. It returns its address, or the
// reason why it gets none.
func (b *balancer) realize(key objectKey, svc *corev1.Service, network string) (vip netip.Addr, reason string, err error) {
	b.nets.mu.Lock()
	defer b.nets.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	net, err := b.nets.get(network)
	if err != nil {
		return vip, "", err
	}
	if failed, ok := b.waiting[key]; ok && b.cfg.Switches.StickyErrors && reflect.DeepEqual(failed, svc.Spec) {
		return vip, errPoolExhausted, nil
	}
	vip, reason = b.allocate(svc)
	if reason != "" {
		b.waiting[key] = *svc.Spec.DeepCopy()
		return vip, reason, nil
	}
	delete(b.waiting, key)
	return vip, "", b.build(svc, net, vip)
}

func (b *balancer) allocate(svc *corev1.Service) (netip.Addr, string) {
	want, ok := b.wanted(svc)
	if !ok {
		return netip.Addr{}, errPoolNotFound
	}
	vip, err := b.ingress.take(string(svc.UID), want)
	switch {
	case errors.Is(err, errTaken):
		return netip.Addr{}, errVIPConflict
	case errors.Is(err, errOutside):
		return netip.Addr{}, errPoolNotFound
	case err != nil:
		return netip.Addr{}, errPoolExhausted
	default:
		return vip, ""
	}
}

// withdraw takes the Service's virtual servers away, then its status, then its
// address, which nobody gets before all of that is done. svc is nil when the
// Service is gone.
func (b *balancer) withdraw(ctx context.Context, key objectKey, svc *corev1.Service) error {
	if err := b.demolish(key); err != nil {
		return fmt.Errorf("supervisorsim: service %s: %w", key, err)
	}
	if svc != nil && (ownAnnotations(svc) || b.ingress.held(string(key.uid)).IsValid()) {
		if err := b.kube.publish(ctx, svc, outcome{}); err != nil {
			return err
		}
	}
	return b.free(key)
}

func (b *balancer) demolish(key objectKey) error {
	b.nets.mu.Lock()
	defer b.nets.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.waiting, key)
	if len(b.objects[key.uid]) == 0 && !b.ingress.held(string(key.uid)).IsValid() {
		return nil
	}
	if err := b.removeExcept(key.uid, nil); err != nil {
		return err
	}
	return b.removeIdle(key.uid)
}

// removeIdle removes the load balancers that the Service was the last to use.
func (b *balancer) removeIdle(uid types.UID) error {
	for lbs, users := range b.users {
		if !users[uid] {
			continue
		}
		if len(users) == 1 {
			if err := b.m.nsx.Remove(lbs); err != nil {
				return err
			}
			delete(b.users, lbs)
		}
		delete(users, uid)
	}
	return nil
}

// free gives the Service's address back and wakes those who wait for one.
func (b *balancer) free(key objectKey) error {
	if !b.ingress.held(string(key.uid)).IsValid() {
		return nil
	}
	if err := b.m.nsx.Remove(allocationPath(b.pool, "vip", string(key.uid))); err != nil {
		return fmt.Errorf("supervisorsim: address of service %s: %w", key, err)
	}
	b.ingress.release(string(key.uid))
	b.mu.Lock()
	defer b.mu.Unlock()
	for waiting := range b.waiting {
		b.wake(waiting)
	}
	return nil
}

// evict takes everything away from the Services of a namespace whose network is
// gone, without waiting for the news that they are gone too.
func (b *balancer) evict(network string) error {
	allocations, err := b.m.list(ipPoolPath(b.pool) + "/ip-allocations/")
	if err != nil {
		return err
	}
	for _, o := range allocations {
		if o.tags[tagProjectUID] != network || o.tags[tagServiceUID] == "" {
			continue
		}
		key := objectKey{uid: types.UID(o.tags[tagServiceUID])}
		if err := b.demolish(key); err != nil {
			return err
		}
		if err := b.free(key); err != nil {
			return err
		}
	}
	return nil
}
