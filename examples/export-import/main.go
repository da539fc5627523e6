// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Export-import is the shortest program that does the job: a service of one
// cluster gets its native name in another.
//
// You learn: NewCluster, Export, Import. Without flags it runs on the lab, where
// it first makes a service to export; on real systems it takes the one you name:
//
//	export-import -supervisor sv.kubeconfig -tk-cluster tk.kubeconfig -namespace acme-data -service order-postgres
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct/bridge"
	"github.com/viaduct-sdk/viaduct/examples/internal/place"
	"github.com/viaduct-sdk/viaduct/examples/internal/shop"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
)

func main() {
	var flags place.Flags
	flags.Register(flag.CommandLine)
	flags.RegisterTKCluster(flag.CommandLine)
	service := flag.String("service", "order-postgres", "`name` of the Service")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, flags.Timeout)
	defer cancel()
	if err := run(ctx, flags, *service); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, flags place.Flags, service string) (err error) {
	at, err := flags.Open(ctx, os.Stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, at.Close()) }()
	if at.OnLab() {
		if err := shop.CreateOne(ctx, at.Supervisor, at.Namespace, service); err != nil {
			return err
		}
	}
	tkConfig, err := at.TKCluster(ctx)
	if err != nil {
		return err
	}

	// From here on it is what your own program would do.
	var opts []bridge.ClusterOption
	if at.NSX != nil {
		opts = append(opts, bridge.WithNSX(ncp.NewFinder(at.NSX)))
	}
	supervisor, err := bridge.NewCluster("supervisor", at.Supervisor, opts...)
	if err != nil {
		return err
	}
	tkCluster, err := bridge.NewCluster(at.TKClusterName, tkConfig)
	if err != nil {
		return err
	}
	name := types.NamespacedName{Namespace: at.Namespace, Name: service}
	exported, err := bridge.Export(ctx, supervisor, name)
	if err != nil {
		return err
	}
	imported, err := bridge.Import(ctx, tkCluster, exported)
	if err != nil {
		return err
	}
	fmt.Printf("%s.%s.svc in %s is %v and leads to %v\n",
		imported.Name, imported.Namespace, imported.Cluster, imported.ClusterIPs, imported.Addresses)
	return nil
}
