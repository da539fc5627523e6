// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Acme-fitness is the main job from end to end: the five data services of the
// ACME Fitness shop run on the Supervisor; after one command they answer under
// their native names in a TK cluster; then everything is taken back.
//
// You learn: exporting and importing many services, dry runs, progress, and
// what proves that an import works. Without flags it runs on the lab. On real
// systems it makes the shop in -namespace, which must exist in both clusters,
// and removes it again:
//
//	acme-fitness -supervisor sv.kubeconfig -tk-cluster tk.kubeconfig -nsx https://nsx.example.com
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct/bridge"
	"github.com/viaduct-sdk/viaduct/examples/internal/place"
	"github.com/viaduct-sdk/viaduct/examples/internal/shop"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
)

func main() {
	var flags place.Flags
	flags.Register(flag.CommandLine)
	flags.RegisterTKCluster(flag.CommandLine)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, flags.Timeout)
	defer cancel()
	if err := run(ctx, flags); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, flags place.Flags) (err error) {
	fmt.Println("Starting: a Supervisor, vCenter and NSX Manager.")
	at, err := flags.Open(ctx, os.Stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, at.Close()) }()
	before, err := observe(ctx, "the Supervisor", at.Supervisor, at.Namespace)
	if err != nil {
		return err
	}
	nsxBefore, err := observeNSX(ctx, at.NSX)
	if err != nil {
		return err
	}
	supervisor, exported, err := exportShop(ctx, at)
	if err != nil {
		return err
	}

	fmt.Printf("\nThe TK cluster %s is created.\n", at.TKClusterName)
	tkConfig, err := at.TKCluster(ctx)
	if err != nil {
		return err
	}
	tkBefore, err := observe(ctx, "the TK cluster", tkConfig, at.Namespace)
	if err != nil {
		return err
	}
	tkCluster, err := importShop(ctx, at.TKClusterName, tkConfig, exported)
	if err != nil {
		return err
	}

	fmt.Println("\nEverything is taken back.")
	for _, e := range exported {
		if err := takeBack(ctx, supervisor, tkCluster, e); err != nil {
			return err
		}
	}
	if err := shop.Delete(ctx, at.Supervisor, at.Namespace); err != nil {
		return err
	}
	return errors.Join(before.proveUnchanged(ctx), tkBefore.proveUnchanged(ctx), nsxBefore.proveUnchanged(ctx))
}

// exportShop makes the shop's data services on the Supervisor and exports them.
func exportShop(ctx context.Context, at *place.Place) (*bridge.Cluster, []*bridge.Exported, error) {
	fmt.Printf("\nThe shop's data services start in the vSphere Namespace %s.\n", at.Namespace)
	if err := shop.Create(ctx, at.Supervisor, at.Namespace, shop.Services()); err != nil {
		return nil, nil, err
	}
	var opts []bridge.ClusterOption
	if at.NSX != nil {
		opts = append(opts, bridge.WithNSX(ncp.NewFinder(at.NSX)))
	}
	supervisor, err := bridge.NewCluster("supervisor", at.Supervisor, opts...)
	if err != nil {
		return nil, nil, err
	}
	fmt.Println("\nExport gives each a virtual address and waits until NSX proves it:")
	var exported []*bridge.Exported
	for _, s := range shop.Services() {
		name := types.NamespacedName{Namespace: at.Namespace, Name: s.Name}
		e, err := bridge.Export(ctx, supervisor, name, bridge.WithProgress(report))
		if err != nil {
			return nil, nil, err
		}
		fmt.Printf("  %s: %v, proved by %s\n", name, e.Addresses, e.Proof.Source)
		exported = append(exported, e)
	}
	return supervisor, exported, nil
}

// importShop imports what was exported, and verifies it.
func importShop(ctx context.Context, name string, config *rest.Config, exported []*bridge.Exported) (*bridge.Cluster, error) {
	tkCluster, err := bridge.NewCluster(name, config)
	if err != nil {
		return nil, err
	}
	fmt.Println("\nImport plans first (a dry run), then writes:")
	var imported []*bridge.Imported
	for _, e := range exported {
		plan, err := bridge.PlanImport(ctx, tkCluster, e)
		if err != nil {
			return nil, err
		}
		fmt.Println(indent(plan.String()))
		i, err := bridge.Import(ctx, tkCluster, e)
		if err != nil {
			return nil, err
		}
		imported = append(imported, i)
	}
	fmt.Println("\nWhat the TK cluster's API server now tells its DNS and kube-proxy:")
	return tkCluster, verify(ctx, config, exported, imported)
}

func takeBack(ctx context.Context, supervisor, tkCluster *bridge.Cluster, e *bridge.Exported) error {
	name := types.NamespacedName{Namespace: e.Source.Namespace, Name: e.Source.Name}
	removed, err := bridge.Unimport(ctx, tkCluster, name)
	if err != nil {
		return err
	}
	more, err := bridge.Unexport(ctx, supervisor, name)
	if err != nil {
		return err
	}
	fmt.Println(indent(bridge.JoinPlans(removed, more).String()))
	return nil
}
