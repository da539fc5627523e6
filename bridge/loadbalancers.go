// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
	"github.com/viaduct-sdk/viaduct/supervisor"
)

// LoadBalancers tells what NSX knows of the virtual servers that NCP made for a
// Service. *ncp.Finder implements it for the Policy API, *manager.Finder for the
// Manager API that TKGI uses. Both have a method AddressPools besides; with one
// that hasn't, [Exported.Unguarded] says that pools are not known.
type LoadBalancers interface {
	// VirtualServers returns those of the Service with this UID, none when NSX
	// has none (yet).
	VirtualServers(ctx context.Context, serviceUID string) ([]ncp.VirtualServer, error)
}

// WithNSX lets [Export] prove a VIP in NSX: virtual servers realized, pool
// members up. Pass an *ncp.Finder for the NSX Manager behind the cluster's
// NCP; with one, [WithNetworkPolicy] knows the distributed firewall too.
// Without it the proof is the status of the Service alone, and
// [Exported.Proof] says so.
func WithNSX(lb LoadBalancers) ClusterOption {
	return func(c *Cluster) {
		if manager, ok := lb.(interface{ Raw() nsx.Raw }); ok {
			c.exporting = newFirewallCache(manager.Raw(), nil)
		}
		c.virtualServers = func(ctx context.Context, _ types.NamespacedName, uid types.UID) ([]ncp.VirtualServer, error) {
			return lb.VirtualServers(ctx, string(uid))
		}
		c.guards.pools = newPoolGuard(lb)
	}
}

// Guest is a TK cluster as its Supervisor knows it.
type Guest struct {
	Supervisor *supervisor.Client
	// Namespace is the vSphere Namespace of the cluster, Name its name there.
	Namespace, Name string
}

// WithNSXOfGuest is [WithNSX] for a TK cluster. NCP knows nothing of its
// Services: for one of type LoadBalancer the cloud provider makes a
// VirtualMachineService on the Supervisor, and NCP serves the Supervisor's
// Service of that name. The VirtualMachineService is found by its labels.
func WithNSXOfGuest(lb LoadBalancers, guest Guest) ClusterOption {
	return func(c *Cluster) {
		c.guest = true
		c.virtualServers = func(ctx context.Context, name types.NamespacedName, _ types.UID) ([]ncp.VirtualServer, error) {
			vms, err := guest.Supervisor.VirtualMachineServices(guest.Namespace).ForGuestService(ctx, guest.Name, name)
			if errors.Is(err, viaduct.ErrNotFound) {
				return nil, nil
			}
			if err != nil {
				return nil, err
			}
			s, err := guest.Supervisor.Services(guest.Namespace).Get(ctx, vms.Name)
			if errors.Is(err, viaduct.ErrNotFound) {
				return nil, nil
			}
			if err != nil {
				return nil, err
			}
			return lb.VirtualServers(ctx, s.UID)
		}
		c.guards.pools = newPoolGuard(lb)
	}
}
