// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Follow-clusters gives every TK cluster of a Supervisor, whenever one comes, the
// data services that live on the Supervisor: under the names that they have
// there. It runs until it is interrupted.
//
// You learn: watching TK clusters, a kubeconfig that follows its Secret, importing
// many documents at once, and which errors are worth another try. Without flags
// it runs on the lab, where somebody makes two clusters and removes one. On real
// systems it exports the Services that you name, and follows the clusters that
// the user of the kubeconfig may see:
//
//	follow-clusters -supervisor sv.kubeconfig -nsx https://nsx.example.com -namespace acme-data cart-redis order-postgres
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
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
	"github.com/viaduct-sdk/viaduct/tkc"
)

func main() {
	var flags place.Flags
	flags.Register(flag.CommandLine)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, flags, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, flags place.Flags, services []string) (err error) {
	flags.Namespaces = []string{tkNamespace}
	at, err := flags.Open(ctx, os.Stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, at.Close()) }()
	clusters, err := tkc.NewClient(at.Supervisor)
	if err != nil {
		return err
	}
	f := &follower{clusters: clusters, report: func(_ types.NamespacedName, _ state, text string) { fmt.Println(text) }}
	if at.OnLab() {
		user := &user{clusters: clusters, reports: make(chan report)}
		f.report = user.hear
		return user.play(ctx, at, f)
	}
	if len(services) == 0 {
		return errors.New("name the Services to export")
	}
	if f.documents, err = export(ctx, at, services); err != nil {
		return err
	}
	if err := f.run(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil // interrupted
}

// export returns the documents of the Services, proved to answer.
func export(ctx context.Context, at *place.Place, services []string) ([]*bridge.Exported, error) {
	var opts []bridge.ClusterOption
	if at.NSX != nil {
		opts = append(opts, bridge.WithNSX(ncp.NewFinder(at.NSX)))
	}
	supervisor, err := bridge.NewCluster("supervisor", at.Supervisor, opts...)
	if err != nil {
		return nil, err
	}
	var documents []*bridge.Exported
	for _, name := range services {
		e, err := bridge.Export(ctx, supervisor, types.NamespacedName{Namespace: at.Namespace, Name: name})
		if err != nil {
			return nil, err
		}
		fmt.Printf("%s/%s is exported at %v.\n", at.Namespace, name, e.Addresses)
		documents = append(documents, e)
	}
	return documents, nil
}
