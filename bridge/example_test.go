// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/bridge"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
)

// The main job. It needs two clusters; examples/export-import runs it on the
// lab.
func Example() {
	job := func(ctx context.Context, supervisorConfig, tkConfig *rest.Config, nsxClient *nsx.Client) error {
		supervisor, err := bridge.NewCluster("supervisor", supervisorConfig, bridge.WithNSX(ncp.NewFinder(nsxClient)))
		if err != nil {
			return err
		}
		tkCluster, err := bridge.NewCluster("acme-fitness", tkConfig)
		if err != nil {
			return err
		}
		name := types.NamespacedName{Namespace: "acme-data", Name: "order-postgres"}
		exported, err := bridge.Export(ctx, supervisor, name)
		if err != nil {
			return err
		}
		imported, err := bridge.Import(ctx, tkCluster, exported)
		if errors.Is(err, viaduct.ErrNotOwned) {
			return fmt.Errorf("somebody has that name: %w", err)
		}
		if err != nil {
			return err
		}
		fmt.Println(name, "answers at", imported.ClusterIPs)
		return nil
	}
	_ = job
}

// An exported document is read and checked on the importing side.
func ExampleExported() {
	document := []byte(`{
		"version": 1,
		"source": {"cluster": "supervisor", "namespace": "acme-data", "name": "order-postgres", "uid": "6f9b4a52"},
		"vipService": {"name": "order-postgres-viaduct", "uid": "b1a6c9de"},
		"addresses": ["192.168.30.66"],
		"ports": [{"name": "postgres", "protocol": "TCP", "port": 5432}],
		"proof": {"source": "nsx"}
	}`)
	var exported bridge.Exported
	if err := json.Unmarshal(document, &exported); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(exported.Source, exported.Addresses, exported.Ports)

	err := json.Unmarshal([]byte(`{"version": 2}`), &exported)
	fmt.Println(errors.Is(err, viaduct.ErrUnsupported), err)
	// Output:
	// supervisor/acme-data/order-postgres [192.168.30.66] [postgres 5432/TCP]
	// true bridge: exported document has version 2 and this release reads up to 1: unsupported; upgrade the importing side
}

// A plan is printed for people, a line per step.
func ExamplePlan() {
	fmt.Println(bridge.Plan{})
	// Output: nothing to do
}

// A controller calls the bridge from its Reconcile function. It bounds the call
// rather than wait for NCP, comes again for what may pass, and reports what
// somebody has to change.
func ExampleRetryable() {
	reconcile := func(ctx context.Context, supervisor *bridge.Cluster, name types.NamespacedName) (again time.Duration, err error) {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		_, err = bridge.Export(ctx, supervisor, name)
		switch {
		case errors.Is(err, context.DeadlineExceeded), bridge.Retryable(err):
			return 10 * time.Second, nil
		case err != nil:
			return 0, err
		}
		return time.Hour, nil // nothing is written then unless somebody changed it
	}

	down, err := bridge.NewCluster("supervisor", &rest.Config{Host: "https://127.0.0.1:1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	again, err := reconcile(context.Background(), down, types.NamespacedName{Namespace: "acme-data", Name: "order-postgres"})
	fmt.Println(again, err)
	// Output: 10s <nil>
}
