// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/bridge"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// Both sides are isolated by the distributed firewall: each is opened for this
// service and no more.
func ExampleWithFirewall() {
	job := func(ctx context.Context, supervisorConfig, tkConfig *rest.Config, nsxClient *nsx.Client) error {
		supervisor, err := bridge.NewCluster("supervisor", supervisorConfig, bridge.WithNSX(ncp.NewFinder(nsxClient)))
		if err != nil {
			return err
		}
		tkCluster, err := bridge.NewCluster("acme-fitness", tkConfig,
			bridge.WithDistributedFirewall(nsxClient, "/infra/segments/acme-fitness-nodes"))
		if err != nil {
			return err
		}
		name := types.NamespacedName{Namespace: "acme-data", Name: "order-postgres"}
		exported, err := bridge.Export(ctx, supervisor, name, bridge.WithNetworkPolicy())
		if err != nil {
			return err
		}
		imported, err := bridge.Import(ctx, tkCluster, exported, bridge.WithFirewall())
		if err != nil {
			return err // matches ErrInvalid when a rule would stop it all the same
		}
		fmt.Println(imported.Firewall.Before, "→", imported.Firewall.After, imported.Firewall.Policy)
		return nil
	}
	_ = job
}

// Beside the load balancer, the monitoring's addresses are let in to the pods.
func ExampleWithNetworkPolicy() {
	job := func(ctx context.Context, supervisor *bridge.Cluster) error {
		name := types.NamespacedName{Namespace: "acme-data", Name: "order-postgres"}
		plan, err := bridge.PlanExport(ctx, supervisor, name, bridge.WithNetworkPolicy(netip.MustParsePrefix("10.50.0.0/24")))
		if err != nil {
			return err
		}
		fmt.Println(plan)
		return nil
	}
	_ = job
}

// A cluster is told the segments that its nodes are on.
func ExampleWithDistributedFirewall() {
	server := nsxsim.NewServer()
	defer server.Close()
	client, err := nsx.NewClient(server.URL(), nsx.BasicAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword), nsx.WithHTTPClient(server.Client()))
	if err != nil {
		fmt.Println(err)
		return
	}
	config := &rest.Config{Host: "https://tk.example.com"}
	_, err = bridge.NewCluster("acme-fitness", config, bridge.WithDistributedFirewall(client, "/infra/tier-1s/t1/segments/nodes"))
	fmt.Println(err)
	_, err = bridge.NewCluster("acme-fitness", config, bridge.WithDistributedFirewall(client, "/infra/tier-1s/t1"))
	fmt.Println(errors.Is(err, viaduct.ErrInvalid), err)
	// Output:
	// <nil>
	// true bridge: cluster acme-fitness: WithDistributedFirewall: "/infra/tier-1s/t1" is not the path of a segment: invalid
}
