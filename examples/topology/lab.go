// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct/bridge"
	"github.com/viaduct-sdk/viaduct/bridge/topology"
	"github.com/viaduct-sdk/viaduct/examples/internal/shop"
	"github.com/viaduct-sdk/viaduct/internal/lab"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
	"github.com/viaduct-sdk/viaduct/tkc"
)

const (
	dataNamespace = "acme-data"
	appNamespace  = "acme-app"
	tkCluster     = "acme-fitness"
)

// openLab starts a lab with the shop: five services on the Supervisor, exported,
// and imported into a TK cluster.
func openLab(ctx context.Context, progress io.Writer) (_ topology.Sources, _ func() error, err error) {
	var sources topology.Sources
	l, err := lab.Start(ctx, lab.Config{Namespaces: []string{dataNamespace}, ControllerManager: true, Progress: progress})
	if err != nil {
		return sources, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	// One after the other, so that addresses are the same each time.
	if err := l.CreateNamespace(ctx, appNamespace); err != nil {
		return sources, nil, err
	}
	sources.NSX, err = connectNSX(l.NSX.URL(), nsxsim.DefaultUser, nsxsim.DefaultPassword, l.NSX.CACertPEM())
	if err != nil {
		return sources, nil, err
	}
	sources.VCenter, err = connectVCenter(l.VCenter.URL(), l.VCenter.Username(), l.VCenter.Password(), l.VCenter.CACertPEM())
	if err != nil {
		return sources, nil, err
	}
	if err := openSupervisor(&sources, l.Supervisor.Config, nil); err != nil {
		return sources, nil, err
	}
	exported, err := exportShop(ctx, l.Supervisor.Config, sources.NSX)
	if err != nil {
		return sources, nil, err
	}
	config, err := createTKCluster(ctx, l.Supervisor.Config)
	if err != nil {
		return sources, nil, err
	}
	cluster, err := topology.NewCluster(tkCluster, config)
	if err != nil {
		return sources, nil, err
	}
	sources.Clusters = []topology.Cluster{cluster}
	return sources, l.Close, importShop(ctx, config, exported)
}

func exportShop(ctx context.Context, config *rest.Config, client *nsx.Client) ([]*bridge.Exported, error) {
	supervisor, err := bridge.NewCluster("supervisor", config, bridge.WithNSX(ncp.NewFinder(client)))
	if err != nil {
		return nil, err
	}
	var exported []*bridge.Exported
	for _, s := range shop.Services() {
		if err := shop.CreateOne(ctx, config, dataNamespace, s.Name); err != nil {
			return nil, err
		}
		e, err := bridge.Export(ctx, supervisor, types.NamespacedName{Namespace: dataNamespace, Name: s.Name})
		if err != nil {
			return nil, err
		}
		exported = append(exported, e)
	}
	return exported, nil
}

// createTKCluster asks the Supervisor for a TK cluster and waits until it can be
// used.
func createTKCluster(ctx context.Context, supervisor *rest.Config) (*rest.Config, error) {
	client, err := tkc.NewClient(supervisor)
	if err != nil {
		return nil, err
	}
	_, err = client.Create(ctx, tkc.Spec{
		Namespace: appNamespace, Name: tkCluster, Version: "v1.26.5+vmware.2-fips.1-tkg.1",
		VMClass: "best-effort-small", StorageClass: "vsan-default", Pools: []tkc.PoolSpec{{Name: "workers", Replicas: 2}},
	})
	if err != nil {
		return nil, err
	}
	if _, err := client.WaitReady(ctx, appNamespace, tkCluster, tkc.WaitOptions{}); err != nil {
		return nil, err
	}
	kubeconfig, err := client.Kubeconfig(ctx, appNamespace, tkCluster)
	if err != nil {
		return nil, err
	}
	return kubeconfig.Config(), nil
}

func importShop(ctx context.Context, config *rest.Config, exported []*bridge.Exported) error {
	cluster, err := bridge.NewCluster(tkCluster, config)
	if err != nil {
		return err
	}
	for _, e := range exported {
		if _, err := bridge.Import(ctx, cluster, e, bridge.WithCreateNamespace()); err != nil {
			return err
		}
	}
	return nil
}
