// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/bridge"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// putVirtualServer puts what NCP makes for a port of a Service.
func putVirtualServer(srv *nsxsim.Server) error {
	tags := nsx.Tags{{Scope: "ncp/cluster", Tag: "domain-c8:0a1b"}, {Scope: "ncp/service_uid", Tag: "b1a6c9de-7d55-4c26-8c57-5f0f4a4f1a02"}}
	return errors.Join(
		srv.Put("/infra/lb-services/lb", nsx.LBService{Size: nsx.LBServiceSmall}),
		srv.Put("/infra/lb-pools/postgres", nsx.Pool{
			Resource: nsx.Resource{Tags: tags},
			Members:  []nsx.PoolMember{{IPAddress: "10.244.0.34", Port: "5432"}, {IPAddress: "10.244.0.35", Port: "5432"}},
		}),
		srv.Put("/infra/lb-virtual-servers/postgres", nsx.VirtualServer{
			Resource: nsx.Resource{Tags: tags}, IPAddress: "192.168.30.66", Ports: []string{"5432"},
			PoolPath: "/infra/lb-pools/postgres", LBServicePath: "/infra/lb-services/lb",
			ApplicationProfilePath: nsx.DefaultTCPProfilePath,
		}),
	)
}

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

// The health of an export is read from NSX later, by whoever has the document:
// the exporting cluster's API server may be away.
func ExampleHealth() {
	srv := nsxsim.NewServer()
	defer srv.Close()
	check(putVirtualServer(srv)) // as NCP would
	client, err := nsx.NewClient(srv.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword), nsx.WithHTTPClient(srv.Client()))
	check(err)
	document, err := os.ReadFile("testdata/exported/v1-service-uid.json")
	check(err)
	var exported bridge.Exported
	check(json.Unmarshal(document, &exported))

	srv.SetMemberStatus("/infra/lb-pools/postgres", "10.244.0.35", "DOWN")
	report, err := bridge.Health(context.Background(), ncp.NewFinder(client), &exported)
	check(err)
	fmt.Println(report.State)
	fmt.Println(report)
	// Output:
	// down
	// postgres 5432/TCP on 192.168.30.66: degraded, 1 of 2 members up (not up: 10.244.0.35:5432 DOWN Connect to Peer Failure)
	// postgres 5432/TCP on 2001:db8:30::41: down, 0 of 0 members up (NSX has no virtual server for it)
	// metrics 9187/TCP on 192.168.30.66: down, 0 of 0 members up (NSX has no virtual server for it)
	// metrics 9187/TCP on 2001:db8:30::41: down, 0 of 0 members up (NSX has no virtual server for it)
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
