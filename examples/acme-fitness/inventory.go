// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct/nsx"
)

// inventory is what was there before, so that the end can be compared with it.
type inventory struct {
	where string
	list  func(context.Context) ([]string, error)
	found []string
}

func take(ctx context.Context, where string, list func(context.Context) ([]string, error)) (*inventory, error) {
	found, err := list(ctx)
	return &inventory{where, list, found}, err
}

// observe lists the Services, slices and pods of a namespace.
func observe(ctx context.Context, where string, config *rest.Config, namespace string) (*inventory, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return take(ctx, where, func(ctx context.Context) ([]string, error) {
		services, err := client.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		endpointSlices, err := client.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		var found []string
		for _, s := range services.Items {
			found = append(found, "Service "+s.Name)
		}
		for _, s := range endpointSlices.Items {
			found = append(found, "EndpointSlice "+s.Name)
		}
		for _, p := range pods.Items {
			found = append(found, "Pod "+p.Name)
		}
		return found, nil
	})
}

// observeNSX lists the virtual servers and pools of NSX.
func observeNSX(ctx context.Context, client *nsx.Client) (*inventory, error) {
	return take(ctx, "NSX", func(ctx context.Context) ([]string, error) {
		if client == nil {
			return nil, nil
		}
		var found []string
		for s, err := range client.VirtualServers().All(ctx, nsx.ListOptions{}) {
			if err != nil {
				return nil, err
			}
			found = append(found, string(s.Path))
		}
		for p, err := range client.Pools().All(ctx, nsx.ListOptions{}) {
			if err != nil {
				return nil, err
			}
			found = append(found, string(p.Path))
		}
		return found, nil
	})
}

// proveUnchanged waits until everything is as it was; controllers clean up in
// their own time.
func (i *inventory) proveUnchanged(ctx context.Context) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	slices.Sort(i.found)
	for {
		found, err := i.list(ctx)
		if err != nil {
			return err
		}
		if slices.Sort(found); slices.Equal(i.found, found) {
			fmt.Printf("  %s is as it was: %d objects before, %d after.\n", i.where, len(i.found), len(found))
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: there were [%s], now there are [%s]: %w", i.where,
				strings.Join(i.found, ", "), strings.Join(found, ", "), context.Cause(ctx))
		case <-tick.C:
		}
	}
}
