// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim_test

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/viaduct-sdk/viaduct/internal/lab"
	"github.com/viaduct-sdk/viaduct/supervisor/supervisorsim"
)

// TestAPIServerRestarts kills the API server between changes.
func TestAPIServerRestarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Config{})
	w.namespace("acme-data")
	w.service("acme-data", "before")
	kept := w.vip("acme-data", "before")
	w.cluster.Kill()
	created := make(chan error, 1)
	go func() { created <- w.sim.CreateNamespace(t.Context(), "acme-app") }()
	if err := w.cluster.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-created; err != nil {
		t.Errorf("a namespace made while the API server was down: %v", err)
	}
	w.pod("acme-app", "redis-0", nil)
	after := w.service("acme-app", "after")
	w.vip("acme-app", "after")
	w.eventually("member", func(context.Context) string {
		pools := w.tagged("/infra/lb-pools/", "ncp/service_uid", string(after.UID))
		if len(pools) != 1 || len(pools[0].Members) != 1 {
			return fmt.Sprintf("pools %v", pools)
		}
		return ""
	})
	if got := w.vip("acme-data", "before"); got != kept {
		t.Errorf("the address changed from %s to %s", kept, got)
	}
}

// TestSimulatorRestarts stops the simulator, changes things behind its back,
// and starts another in its place.
func TestSimulatorRestarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Config{ControllerManager: true})
	before := w.nsx.Paths("/infra")
	w.namespace("acme-data")
	w.namespace("acme-gone")
	w.pod("acme-data", "redis-0", nil)
	kept := w.service("acme-data", "kept")
	address := w.vip("acme-data", "kept")
	w.service("acme-data", "deleted")
	w.vip("acme-data", "deleted")
	w.service("acme-data", "converted")
	w.vip("acme-data", "converted")
	w.service("acme-gone", "buried")
	w.vip("acme-gone", "buried")
	pool := w.tagged("/infra/lb-pools/", "ncp/service_uid", string(kept.UID))

	w.sim.Close()
	services := w.kube.CoreV1().Services("acme-data")
	if err := services.Delete(t.Context(), "deleted", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.changeType("acme-data", "converted", corev1.ServiceTypeClusterIP)
	if err := w.kube.CoreV1().Namespaces().Delete(t.Context(), "acme-gone", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.eventually("the namespace controller finishes", func(ctx context.Context) string {
		_, err := w.kube.CoreV1().Namespaces().Get(ctx, "acme-gone", metav1.GetOptions{})
		if err == nil {
			return "namespace acme-gone is there"
		}
		return ""
	})
	w.start()

	w.eventually("only the kept Service has something in NSX", func(context.Context) string {
		for _, path := range w.nsx.Paths("/infra/lb-virtual-servers/") {
			var vs policyObject
			if err := w.nsx.Read(path, &vs); err == nil && vs.tag("ncp/service_uid") != string(kept.UID) {
				return path + " of " + vs.tag("ncp/service_uid")
			}
		}
		return ""
	})
	if got := w.vip("acme-data", "kept"); got != address {
		t.Errorf("the address changed from %s to %s", address, got)
	}
	if got := w.tagged("/infra/lb-pools/", "ncp/service_uid", string(kept.UID)); len(got) != 1 || got[0].Path != pool[0].Path {
		t.Errorf("pools %v, want %v as before", got, pool)
	}
	if err := w.sim.DeleteNamespace(t.Context(), "acme-data"); err != nil {
		t.Fatal(err)
	}
	w.eventually("all is as before", func(context.Context) string { return newPaths(before, w.nsx.Paths("/infra")) })
}

// TestBaselineNone checks that no policy is made where NCP is told so.
func TestBaselineNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Config{}, func(c *supervisorsim.Config) { c.Baseline = supervisorsim.BaselineNone })
	w.namespace("acme-data")
	if got := w.nsx.Paths("/infra/domains/default/security-policies/"); len(got) > 0 {
		t.Errorf("policies %v although there is no baseline", got)
	}
}
