// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/viaduct-sdk/viaduct"
)

// Observe reads and never writes.

// guardAge is how long what was read for the guard is good for. The ranges of a
// cluster hardly ever change; its own virtual addresses do.
const guardAge = 5 * time.Minute

// guards keeps what a cluster says of its own addresses, so that many imports
// cost three lists.
type guards struct {
	gate  gate
	read  time.Time
	guard Guard

	// pools are those that the cluster exports from; nil without NSX.
	pools *poolGuard
}

// Guard reads the cluster's own addresses: the ranges of its Services from
// ServiceCIDR objects (Kubernetes 1.33 and later), those of its pods and its
// machines from Nodes, and its virtual addresses and cluster IPs from Services.
// What may not be read, or the API server does not have, is named in Unknown
// and is no error.
//
// [Import] reads the same and keeps it for five minutes. Calling Guard reads it
// anew, for the imports that follow too.
//
// Errors match [viaduct.ErrUnavailable] when the API server is away.
func (c *Cluster) Guard(ctx context.Context) (Guard, error) {
	if err := c.guards.gate.enter(ctx, whatGuardWaits); err != nil {
		return Guard{}, err
	}
	defer c.guards.gate.leave()
	return c.readGuard(ctx)
}

const whatGuardWaits = "the lists of the cluster's own addresses"

// ownGuard is Guard, from memory when that is fresh. Addresses move: one that was
// a virtual address of this cluster, and is not any more, may have become the
// exporter's, so that nothing is refused for it by memory alone.
func (c *Cluster) ownGuard(ctx context.Context, addresses ...netip.Addr) (Guard, error) {
	began := time.Now()
	if err := c.guards.gate.enter(ctx, whatGuardWaits); err != nil {
		return Guard{}, err
	}
	defer c.guards.gate.leave()
	if g := c.guards.guard; !c.guards.read.IsZero() && time.Since(c.guards.read) < guardAge {
		moved := slices.ContainsFunc(addresses, func(a netip.Addr) bool { return slices.Contains(g.Virtual, a) })
		if !moved || !c.guards.read.Before(began) {
			return g, nil
		}
	}
	return c.readGuard(ctx)
}

func (c *Cluster) readGuard(ctx context.Context) (Guard, error) {
	var g Guard
	for _, part := range []struct {
		apiVersion, kind, hole string
		read                   func(*Guard, *unstructured.Unstructured)
	}{
		{"networking.k8s.io/v1", "ServiceCIDR", "the range of the cluster's Services", readServiceCIDR},
		{"v1", "Node", "the cluster's machines and the ranges of its pods", readNode},
		{"v1", kindService, "the cluster's own virtual addresses", readService},
	} {
		// Version 0: from the API server's memory, without a quorum of etcd.
		list, err := c.resource(part.apiVersion, part.kind, "").List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		err = kubeError(err)
		switch {
		case errors.Is(err, viaduct.ErrForbidden):
			g.Unknown = append(g.Unknown, part.hole+": no permission to list "+part.kind+" objects")
		case errors.Is(err, viaduct.ErrNotFound), errors.Is(err, viaduct.ErrUnsupported):
			g.Unknown = append(g.Unknown, part.hole+": the API server has no "+part.kind+" objects")
		case err != nil:
			return Guard{}, err
		default:
			for i := range list.Items {
				part.read(&g, &list.Items[i])
			}
		}
	}
	g = g.sorted()
	c.guards.guard, c.guards.read = g, time.Now()
	return g, nil
}

func readServiceCIDR(g *Guard, o *unstructured.Unstructured) {
	cidrs, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "cidrs")
	g.Services = append(g.Services, prefixes(cidrs...)...)
}

func readNode(g *Guard, o *unstructured.Unstructured) {
	cidr, _, _ := unstructured.NestedString(o.Object, "spec", "podCIDR")
	cidrs, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "podCIDRs")
	g.Pods = append(g.Pods, prefixes(append(cidrs, cidr)...)...)
	for _, address := range items(o, "status", "addresses") {
		text, _, _ := unstructured.NestedString(address, "address") // names of hosts too
		g.Nodes = append(g.Nodes, prefixes(text)...)
	}
}

// readService takes in cluster IPs and virtual addresses. A Service of a
// VirtualMachineService leads to machines of another cluster: its address is
// virtual here, and yet not this cluster's own.
func readService(g *Guard, o *unstructured.Unstructured) {
	ip, _, _ := unstructured.NestedString(o.Object, "spec", "clusterIP")
	ips, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "clusterIPs")
	g.Services = append(g.Services, prefixes(append(ips, ip)...)...)
	if slices.ContainsFunc(o.GetOwnerReferences(), func(r metav1.OwnerReference) bool { return r.Kind == "VirtualMachineService" }) {
		return
	}
	for _, ingress := range items(o, "status", "loadBalancer", "ingress") {
		text, _, _ := unstructured.NestedString(ingress, "ip")
		if address, err := netip.ParseAddr(text); err == nil {
			g.Virtual = append(g.Virtual, address)
		}
	}
}

// items returns the objects of a list in an object.
func items(o *unstructured.Unstructured, fields ...string) []map[string]any {
	list, _, _ := unstructured.NestedSlice(o.Object, fields...)
	var found []map[string]any
	for _, item := range list {
		if m, ok := item.(map[string]any); ok {
			found = append(found, m)
		}
	}
	return found
}

// prefixes returns what of the texts is a range, or an address as a range of
// one. "None", host names and empty texts are neither.
func prefixes(texts ...string) []netip.Prefix {
	var found []netip.Prefix
	for _, text := range texts {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			found = append(found, prefix.Masked())
		} else if address, err := netip.ParseAddr(text); err == nil {
			found = append(found, netip.PrefixFrom(address, address.BitLen()))
		}
	}
	return found
}

// sorted gives the same guard for the same cluster, whatever the order of lists;
// a range comes before those within it, so that a reason names the widest.
func (g Guard) sorted() Guard {
	order := func(a, b netip.Prefix) int {
		return cmp.Or(cmp.Compare(a.Bits(), b.Bits()), a.Addr().Compare(b.Addr()))
	}
	for _, ranges := range []*[]netip.Prefix{&g.Pods, &g.Services, &g.Nodes} {
		slices.SortFunc(*ranges, order)
		*ranges = slices.Compact(*ranges)
	}
	g.Virtual = slices.Compact(sortedAddresses(g.Virtual))
	return g
}
