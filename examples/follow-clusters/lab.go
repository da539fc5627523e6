// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct/examples/internal/place"
	"github.com/viaduct-sdk/viaduct/examples/internal/shop"
	"github.com/viaduct-sdk/viaduct/tkc"
)

// tkNamespace is the vSphere Namespace of the lab's TK clusters.
const tkNamespace = "acme-app"

// user is somebody on the lab who makes TK clusters and removes them.
type user struct {
	clusters *tkc.Client
	reports  chan report
}

type report struct {
	cluster types.NamespacedName
	state   state
	text    string
}

// hear is the follower's report.
func (u *user) hear(cluster types.NamespacedName, s state, text string) {
	u.reports <- report{cluster, s, text}
}

// play runs the follower while clusters come and go.
func (u *user) play(ctx context.Context, at *place.Place, f *follower) error {
	if err := shop.Create(ctx, at.Supervisor, at.Namespace, shop.Services()); err != nil {
		return err
	}
	var names []string
	for _, s := range shop.Services() {
		names = append(names, s.Name)
	}
	var err error
	if f.documents, err = export(ctx, at, names); err != nil {
		return err
	}
	following, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- f.run(following)
		close(u.reports)
	}()
	err = u.act(ctx)
	stop()
	for range u.reports {
		// What is on its way when it ends.
	}
	if ran := <-ended; !errors.Is(ran, context.Canceled) {
		err = errors.Join(err, ran)
	}
	return err
}

func (u *user) act(ctx context.Context) error {
	for _, name := range []string{"short-lived-1", "short-lived-2"} {
		fmt.Printf("\nSomebody creates the TK cluster %s.\n", name)
		_, err := u.clusters.Create(ctx, tkc.Spec{
			Namespace: tkNamespace, Name: name, Version: "v1.26.5+vmware.2-fips.1-tkg.1",
			VMClass: "best-effort-small", StorageClass: "gold",
			Pools: []tkc.PoolSpec{{Name: "web", Replicas: 1}},
		})
		if err != nil {
			return err
		}
		if err := u.await(ctx, name, serving); err != nil {
			return err
		}
	}
	fmt.Println("\nSomebody deletes short-lived-1.")
	if err := u.clusters.Delete(ctx, tkNamespace, "short-lived-1", tkc.DeleteOptions{}); err != nil {
		return err
	}
	return u.await(ctx, "short-lived-1", gone)
}

// await prints what the follower reports until a cluster has that state.
func (u *user) await(ctx context.Context, name string, want state) error {
	for {
		select {
		case r, open := <-u.reports:
			if !open {
				return errors.New("the follower ended")
			}
			if r.state == retrying {
				r.text = "  " + r.text
			}
			fmt.Println("  " + r.text)
			if r.cluster.Name == name && r.state == failing {
				return errors.New(r.text)
			}
			if r.cluster.Name == name && r.state == want {
				return nil
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
