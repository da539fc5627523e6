// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_rbac_test

import (
	"context"
	"errors"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/supervisor"
	"github.com/viaduct-sdk/viaduct/tkc"
)

func supervisorUses() []use {
	reader, tkcReader := "supervisor-reader.yaml", "tkc-reader.yaml"
	return []use{
		{cluster: world.Supervisor, files: []string{reader}, setUp: exported, run: readSupervisor},
		{cluster: world.Supervisor, files: []string{reader, "supervisor-lister.yaml"}, run: listNamespaces},
		{cluster: world.Supervisor, files: []string{tkcReader}, setUp: created, run: readClusters},
		{cluster: world.Supervisor, files: []string{tkcReader, "tkc-access.yaml"}, setUp: created, run: access},
		{cluster: world.Supervisor, files: []string{tkcReader, "tkc-owner.yaml"}, setUp: deleted, run: own},
	}
}

// exported makes one of each that package supervisor reads.
func exported(t *testing.T) {
	t.Helper()
	document(t)
	service := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "vmoperator.vmware.com/v1alpha1", "kind": "VirtualMachineService",
		"metadata": map[string]any{"namespace": data, "name": "guest-service"},
		"spec": map[string]any{
			"type": "LoadBalancer", "selector": map[string]any{"app": "guest"},
			"ports": []any{map[string]any{"name": "http", "protocol": "TCP", "port": int64(80), "targetPort": int64(30080)}},
		},
	}}
	if err := adminOf(t, world.Supervisor).apply(testContext(t), service); err != nil {
		t.Fatal(err)
	}
}

func readSupervisor(t *testing.T, account *rest.Config) error {
	t.Helper()
	ctx := testContext(t)
	c, err := supervisor.NewClient(account)
	if err != nil {
		return err
	}
	var all supervisor.ListOptions
	reads := map[string]func() error{
		"namespace": func() error { _, err := c.Namespaces().Get(ctx, data); return err },
		"quotas":    func() error { _, err := c.Namespaces().Quotas(ctx, data); return err },
		"service":   func() error { _, err := c.Services(data).Get(ctx, postgres.Name+"-viaduct"); return err },
		"services":  func() error { _, err := c.Services(data).List(ctx, all); return err },
		"pod":       func() error { _, err := c.Pods(data).Get(ctx, postgres.Name+"-0"); return err },
		"pods":      func() error { _, err := c.Pods(data).List(ctx, all); return err },
		"policies": func() error {
			_, err := c.NetworkPolicies(data).For(ctx, map[string]string{"app": "x"}, networkingv1.PolicyTypeIngress)
			return err
		},
		"VM service":  func() error { _, err := c.VirtualMachineServices(data).Get(ctx, "guest-service"); return err },
		"VM services": func() error { _, err := c.VirtualMachineServices(data).List(ctx, all); return err },
		"guest service": func() error {
			_, err := c.VirtualMachineServices(data).ForGuestService(ctx, fitness, types.NamespacedName{Namespace: "default", Name: "none"})
			if errors.Is(err, viaduct.ErrNotFound) {
				return nil // it was allowed to look
			}
			return err
		},
	}
	var errs []error
	for _, read := range reads {
		errs = append(errs, read())
	}
	return errors.Join(errs...)
}

func listNamespaces(t *testing.T, account *rest.Config) error {
	t.Helper()
	c, err := supervisor.NewClient(account)
	if err != nil {
		return err
	}
	_, err = c.Namespaces().List(testContext(t), supervisor.ListOptions{})
	return err
}

func tkcClient(t *testing.T, config *rest.Config) *tkc.Client {
	t.Helper()
	c, err := tkc.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// spec is of the TK cluster that the manifests name, in one of the two APIs.
func spec(name string, api tkc.API) tkc.Spec {
	return tkc.Spec{
		Namespace: app, Name: name, Version: "v1.26.5+vmware.2", VMClass: "best-effort-small", StorageClass: "gold",
		Pools: []tkc.PoolSpec{{Name: "web", Replicas: 1}}, API: api,
	}
}

func created(t *testing.T) {
	t.Helper()
	ctx := testContext(t)
	c := tkcClient(t, world.Supervisor.Config)
	if _, err := c.Create(ctx, spec(fitness, "")); err != nil && !errors.Is(err, viaduct.ErrExists) {
		t.Fatal(err)
	}
	if _, err := c.WaitReady(ctx, app, fitness, tkc.WaitOptions{}); err != nil {
		t.Fatal(err)
	}
}

func readClusters(t *testing.T, account *rest.Config) error {
	t.Helper()
	ctx := testContext(t)
	w := newWatching()
	c := tkcClient(t, w.wrap(account))
	if _, err := c.List(ctx, tkc.ListOptions{Namespace: app}); err != nil {
		return err
	}
	if _, err := c.Get(ctx, app, fitness); err != nil {
		return err
	}
	if err := c.WaitGone(ctx, app, fitness, "another"); err != nil {
		return err
	}
	apis, err := c.APIs(ctx)
	if err != nil {
		return err
	}
	return w.until(ctx, len(apis), func(ctx context.Context) error {
		for _, err := range c.Watch(ctx, tkc.ListOptions{Namespace: app}) {
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func access(t *testing.T, account *rest.Config) error {
	t.Helper()
	ctx := testContext(t)
	w := newWatching()
	c := tkcClient(t, w.wrap(account))
	if _, err := c.Kubeconfig(ctx, app, fitness); err != nil {
		return err
	}
	if _, err := c.WaitReady(ctx, app, fitness, tkc.WaitOptions{}); err != nil {
		return err
	}
	a, err := c.Access(ctx, app, fitness)
	if err != nil {
		return err
	}
	return w.until(ctx, 1, a.Run)
}

// ownAPIs are the APIs of both groups that clusters are made through, each with
// the name of the cluster.
func ownAPIs() map[string]tkc.API {
	return map[string]tkc.API{"owned-tanzu": tkc.TanzuV1alpha3, "owned-cluster": tkc.ClusterV1beta1}
}

func deleted(t *testing.T) {
	t.Helper()
	ctx := testContext(t)
	c := tkcClient(t, world.Supervisor.Config)
	for name := range ownAPIs() {
		if err := c.Delete(ctx, app, name, tkc.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := c.WaitGone(ctx, app, name, ""); err != nil {
			t.Fatal(err)
		}
	}
}

func own(t *testing.T, account *rest.Config) error {
	t.Helper()
	ctx := testContext(t)
	c := tkcClient(t, account)
	for name, api := range ownAPIs() {
		if _, err := c.Create(ctx, spec(name, api)); err != nil {
			return err
		}
		if err := c.Delete(ctx, app, name, tkc.DeleteOptions{}); err != nil {
			return err
		}
		if err := c.WaitGone(ctx, app, name, ""); err != nil {
			return err
		}
	}
	return nil
}
