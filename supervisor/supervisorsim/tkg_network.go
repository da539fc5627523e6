// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

const virtualNetworkSuffix = "-vnet"

func virtualNetworkName(cluster string) string { return cluster + virtualNetworkSuffix }

// sweep has the TK clusters looked at that NSX holds a network for, so that what
// went while nobody watched is removed.
func (t *tkg) sweep() {
	for _, id := range t.nets.virtual() {
		name := types.NamespacedName{Namespace: id.namespace, Name: strings.TrimSuffix(id.virtual, virtualNetworkSuffix)}
		t.queue.queue.Add(objectKey{NamespacedName: name})
	}
}

// ensureNetwork makes the VirtualNetwork of a TK cluster: the object, and its
// tier-1 gateway and segment. It returns the network's name for its addresses.
func (t *tkg) ensureNetwork(ctx context.Context, r *request) (string, error) {
	project, err := t.view.networkOf(r.name.Namespace)
	if err != nil {
		return "", err
	}
	client := t.dynamic.Resource(virtualNetworkKind().stored()).Namespace(r.name.Namespace)
	name := virtualNetworkName(r.name.Name)
	vnet, err := client.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		vnet = &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"whitelist_source_ranges": ""}}}
		vnet.SetGroupVersionKind(virtualNetworkKind().gvk())
		vnet.SetName(name)
		vnet.SetOwnerReferences([]metav1.OwnerReference{ownerReference(r.kind, r.primary)})
		vnet, err = client.Create(ctx, vnet, metav1.CreateOptions{FieldManager: fieldManagerTKG})
	}
	if err != nil {
		return "", fmt.Errorf("virtual network: %w", err)
	}
	uid := string(vnet.GetUID())
	if err := t.removeNetworks(ctx, r.name, uid); err != nil {
		return "", err
	}
	annotations, err := t.nets.ensure(ctx, networkID{uid: uid, project: project, namespace: r.name.Namespace, virtual: name})
	if err != nil {
		return "", err
	}
	want := map[string]string{}
	for k, v := range annotations {
		// A VirtualNetwork has these and no more (kubectl output in public).
		if k == annotationSNAT || k == annotationExternalPool || strings.HasPrefix(k, "ncp/subnet-") {
			want[k] = v
		}
	}
	if mapCovers(vnet.GetAnnotations(), want) {
		return uid, nil
	}
	all := vnet.GetAnnotations()
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, want)
	vnet.SetAnnotations(all)
	if _, err = client.Update(ctx, vnet, metav1.UpdateOptions{FieldManager: fieldManager}); err != nil {
		return "", fmt.Errorf("virtual network: %w", err)
	}
	return uid, nil
}

func mapCovers(have, want map[string]string) bool {
	for k, v := range want {
		if have[k] != v {
			return false
		}
	}
	return true
}

// removeNetwork takes the VirtualNetwork of a TK cluster away.
func (t *tkg) removeNetwork(ctx context.Context, name types.NamespacedName) error {
	if err := t.removeNetworks(ctx, name, ""); err != nil {
		return err
	}
	client := t.dynamic.Resource(virtualNetworkKind().stored()).Namespace(name.Namespace)
	return ignoreGone(client.Delete(ctx, virtualNetworkName(name.Name), metav1.DeleteOptions{}))
}

// removeNetworks removes what NSX holds of the VirtualNetworks that a TK cluster
// had, except for the one with this UID.
func (t *tkg) removeNetworks(ctx context.Context, name types.NamespacedName, except string) error {
	for _, uid := range t.nets.named(name.Namespace, virtualNetworkName(name.Name)) {
		if uid == except {
			continue
		}
		if err := t.nets.remove(ctx, uid); err != nil {
			return err
		}
	}
	return nil
}

// nodeNames are the names of a TK cluster's nodes, always the same for the same
// numbers.
func nodeNames(cluster string, controlPlane, workers int) []string {
	var all []string
	for i := range controlPlane {
		all = append(all, fmt.Sprintf("%s-control-plane-%s", cluster, identify("node", cluster, fmt.Sprint(i))[:5]))
	}
	for i := range workers {
		all = append(all, fmt.Sprintf("%s-workers-%s", cluster, identify("worker", cluster, fmt.Sprint(i))[:5]))
	}
	return all
}

// ensureNodes gives the TK cluster's nodes their addresses.
func (t *tkg) ensureNodes(r *request, g *guest, network string) error {
	controlPlane, workers := replicas(r.primary)
	var nodes []guestNode
	for i, name := range nodeNames(r.name.Name, controlPlane, workers) {
		addr, _, err := t.nets.takePod(network, name, netip.Addr{})
		if err != nil {
			return fmt.Errorf("address of node %s: %w", name, err)
		}
		nodes = append(nodes, guestNode{name: name, address: addr.String(), worker: i >= controlPlane})
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.nodes = nodes
	return nil
}
