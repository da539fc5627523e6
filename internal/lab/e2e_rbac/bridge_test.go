// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_rbac_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/bridge"
)

var postgres = types.NamespacedName{Namespace: data, Name: "order-postgres"}

func bridgeUses() []use {
	tk := world.TKCluster(fitness)
	fewer := map[string]string{
		"list services":  "without it each Service is read by itself",
		"get namespaces": "without it a missing namespace is told from the refusal to write there",
	}
	return []use{
		{
			cluster: world.Supervisor, files: []string{"bridge-exporter.yaml"}, setUp: unexported, run: export,
			optional: map[string]string{"get namespaces": fewer["get namespaces"]},
		},
		{cluster: world.Supervisor, files: []string{"bridge-exporter.yaml", "bridge-network-policy.yaml"}, setUp: unexported, run: openPods},
		{cluster: tk, files: []string{"bridge-importer.yaml"}, setUp: unimported, run: importInto, optional: fewer},
		{cluster: tk, files: []string{"bridge-importer.yaml", "bridge-adopter.yaml"}, setUp: foreign, run: adopt},
		{
			cluster: tk, files: []string{"bridge-namespace-creator.yaml"}, run: importIntoNothing(),
			// Who may not look at the namespace can't know that it is missing.
			otherwise: map[string]error{"get namespaces": viaduct.ErrNotFound},
		},
		{cluster: tk, files: []string{"bridge-importer.yaml", "bridge-guard.yaml"}, setUp: unimported, run: guarded},
		{
			cluster: tk, files: []string{"bridge-trace.yaml"}, setUp: imported, run: traceImporting,
			optional: map[string]string{
				"get endpoints":      "without it what Kubernetes mirrors is not noticed",
				"get endpointslices": "without it a slice without its label is told as gone",
				"get namespaces":     fewer["get namespaces"],
			},
		},
		{
			cluster: world.Supervisor, files: []string{"bridge-trace-exporting.yaml"}, setUp: imported, run: traceExporting,
			optional: map[string]string{"get namespaces": fewer["get namespaces"]},
		},
		{
			cluster: tk, files: []string{"bridge-audit.yaml"}, setUp: stale, run: audit,
			optional: map[string]string{"list namespaces": "without it what NCP made for namespaces is not judged"},
		},
		{cluster: tk, files: []string{"bridge-audit.yaml", "bridge-audit-apply.yaml"}, setUp: stale, run: sweep},
	}
}

func unexported(t *testing.T) {
	t.Helper()
	c := client(t, world.Supervisor)
	labels := map[string]string{"app": postgres.Name}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: postgres.Name + "-0", Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "registry.example.com/postgres"}}},
	}
	if _, err := c.CoreV1().Pods(data).Create(testContext(t), pod, metav1.CreateOptions{}); ignoreExists(err) != nil {
		t.Fatal(err)
	}
	createService(t, c, labels)
	if _, err := bridge.Unexport(testContext(t), supervisorEnd(t, world.Supervisor.Config), postgres); err != nil {
		t.Fatal(err)
	}
}

func createService(t *testing.T, c kubernetes.Interface, selector map[string]string) {
	t.Helper()
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: postgres.Name, Labels: selector},
		Spec: corev1.ServiceSpec{
			Selector: selector,
			Ports:    []corev1.ServicePort{{Name: "main", Port: 5432, TargetPort: intstr.FromInt32(5432)}},
		},
	}
	if _, err := c.CoreV1().Services(data).Create(testContext(t), s, metav1.CreateOptions{}); ignoreExists(err) != nil {
		t.Fatal(err)
	}
}

func ignoreExists(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// export exports with a companion and by conversion, and takes both back.
func export(t *testing.T, account *rest.Config) error {
	t.Helper()
	ctx := testContext(t)
	c := supervisorEnd(t, account)
	if _, err := bridge.PlanExport(ctx, c, postgres); err != nil {
		return err
	}
	for _, opts := range [][]bridge.ExportOption{nil, {bridge.WithConversion()}} {
		if _, err := bridge.Export(ctx, c, postgres, opts...); err != nil {
			return err
		}
		if _, err := bridge.Unexport(ctx, c, postgres); err != nil {
			return err
		}
	}
	spec := bridge.Spec{Services: []bridge.ServiceSpec{{From: c.Name(), Namespace: data, Selector: "app=" + postgres.Name}}}
	report, err := bridge.Apply(ctx, spec, []*bridge.Cluster{c})
	if err != nil {
		return err
	}
	if len(report.Items) != 1 {
		return fmt.Errorf("apply: got %d items, want one", len(report.Items))
	}
	return report.Err()
}

// openPods exports with a NetworkPolicy and takes both back.
func openPods(t *testing.T, account *rest.Config) error {
	t.Helper()
	ctx := testContext(t)
	c := supervisorEnd(t, account)
	if _, err := bridge.Export(ctx, c, postgres, bridge.WithNetworkPolicy()); err != nil {
		return err
	}
	_, err := bridge.Unexport(ctx, c, postgres, bridge.WithNetworkPolicy())
	return err
}

// document returns the export of a Service.
func document(t *testing.T) *bridge.Exported {
	t.Helper()
	unexported(t)
	exported, err := bridge.Export(testContext(t), supervisorEnd(t, world.Supervisor.Config), postgres)
	if err != nil {
		t.Fatal(err)
	}
	return exported
}

func unimported(t *testing.T) {
	t.Helper()
	tk := world.TKCluster(fitness)
	createNamespace(t, client(t, tk), data)
	if _, err := bridge.Unimport(testContext(t), tkEnd(t, tk.Config), postgres); err != nil {
		t.Fatal(err)
	}
	err := client(t, tk).CoreV1().Services(data).Delete(testContext(t), postgres.Name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
}

func importInto(t *testing.T, account *rest.Config) error {
	t.Helper()
	ctx := testContext(t)
	exported := document(t)
	c := tkEnd(t, account)
	if _, err := bridge.PlanImport(ctx, c, exported); err != nil {
		return err
	}
	if _, err := bridge.Import(ctx, c, exported); err != nil {
		return err
	}
	if _, err := bridge.Import(ctx, c, exported, bridge.WithPort("main", 15432)); err != nil {
		return err
	}
	if _, err := bridge.Unimport(ctx, c, postgres); err != nil {
		return err
	}
	report, err := bridge.ImportAll(ctx, c, []*bridge.Exported{exported})
	if err != nil {
		return err
	}
	return report.Err()
}

// foreign makes a Service of the user's in the importing cluster, and Endpoints
// beside it.
func foreign(t *testing.T) {
	t.Helper()
	unimported(t)
	c := client(t, world.TKCluster(fitness))
	createService(t, c, map[string]string{"app": "old"})
	eventually(t, func(ctx context.Context) string {
		if _, err := c.CoreV1().Endpoints(data).Get(ctx, postgres.Name, metav1.GetOptions{}); err != nil {
			return err.Error()
		}
		return ""
	})
}

func adopt(t *testing.T, account *rest.Config) error {
	t.Helper()
	ctx := testContext(t)
	exported := document(t)
	c := tkEnd(t, account)
	if _, err := bridge.Import(ctx, c, exported, bridge.WithAdopt()); err != nil {
		return err
	}
	_, err := bridge.Unimport(ctx, c, postgres)
	return err
}

// importIntoNothing imports into a namespace that does not exist, another one
// each time.
func importIntoNothing() func(*testing.T, *rest.Config) error {
	n := 0
	return func(t *testing.T, account *rest.Config) error {
		t.Helper()
		ctx := testContext(t)
		n++
		target := types.NamespacedName{Namespace: fmt.Sprintf("acme-fresh-%d", n), Name: postgres.Name}
		c := tkEnd(t, account)
		if _, err := bridge.Import(ctx, c, document(t), bridge.WithTarget(target), bridge.WithCreateNamespace()); err != nil {
			return err
		}
		_, err := bridge.Unimport(ctx, c, target)
		return err
	}
}

// guarded imports, as far as it takes to know against what.
func guarded(t *testing.T, account *rest.Config) error {
	t.Helper()
	i, err := bridge.Import(testContext(t), tkEnd(t, account), document(t), bridge.WithDryRun())
	if err != nil {
		return errors.New("the import itself failed: " + err.Error())
	}
	if len(i.Unguarded) > 0 {
		return fmt.Errorf("unguarded: %s: %w", strings.Join(i.Unguarded, "; "), viaduct.ErrForbidden)
	}
	return nil
}

// imported makes an import to be traced.
func imported(t *testing.T) {
	t.Helper()
	unimported(t)
	if _, err := bridge.Import(testContext(t), tkEnd(t, world.TKCluster(fitness).Config), document(t)); err != nil {
		t.Fatal(err)
	}
}

func traceImporting(t *testing.T, account *rest.Config) error {
	t.Helper()
	return traced(t, tkEnd(t, account), supervisorEnd(t, world.Supervisor.Config))
}

func traceExporting(t *testing.T, account *rest.Config) error {
	t.Helper()
	return traced(t, tkEnd(t, world.TKCluster(fitness).Config), supervisorEnd(t, account))
}

// traced follows the import, and wants to know of each hop that a Kubernetes API
// server tells.
func traced(t *testing.T, importing, exporting *bridge.Cluster) error {
	t.Helper()
	way, err := bridge.Trace(testContext(t), importing, postgres, bridge.TraceExporter(exporting))
	if err != nil {
		return errors.New("the trace itself failed: " + err.Error())
	}
	told := []bridge.HopName{
		bridge.HopNamed, bridge.HopImport, bridge.HopSlice, bridge.HopAddress, bridge.HopExport, bridge.HopNCP, bridge.HopPods,
	}
	for _, h := range way.Hops {
		if !slices.Contains(told, h.Name) || h.State == bridge.HopOK {
			continue
		}
		if h.State == bridge.HopUnknown {
			return fmt.Errorf("%s is unknown: %s: %w", h.Name, strings.Join(h.Evidence, "; "), viaduct.ErrForbidden)
		}
		return fmt.Errorf("%s is %s: %s", h.Name, h.State, h.Cause)
	}
	return nil
}

// stale leaves an import of what is not exported any more.
func stale(t *testing.T) {
	t.Helper()
	unimported(t)
	if _, err := bridge.Import(testContext(t), tkEnd(t, world.TKCluster(fitness).Config), document(t)); err != nil {
		t.Fatal(err)
	}
	unexported(t)
}

func audit(t *testing.T, account *rest.Config) error {
	t.Helper()
	_, err := audited(t, account)
	return err
}

// audited finds the stale import. A cluster that can't be asked is a hole in the
// report, which has the reason as text only.
func audited(t *testing.T, account *rest.Config) (*bridge.AuditReport, error) {
	t.Helper()
	clusters := []*bridge.Cluster{supervisorEnd(t, world.Supervisor.Config), tkEnd(t, account)}
	report, err := bridge.Audit(testContext(t), clusters, bridge.WithNSXAudit(fitness, "domain-c8:"+world.VCenter.InstanceUUID(), finder(t)))
	switch {
	case err != nil:
		return nil, err
	case len(report.Holes) > 0:
		return nil, fmt.Errorf("hole: %s: %s: %w", report.Holes[0].Server, report.Holes[0].Reason, viaduct.ErrForbidden)
	case len(report.Findings) < 2:
		return nil, fmt.Errorf("got findings %v, want the stale import and its slice", report.Findings)
	}
	return report, nil
}

func sweep(t *testing.T, account *rest.Config) error {
	t.Helper()
	report, err := audited(t, account)
	if err != nil {
		return errors.New("the audit itself failed: " + err.Error())
	}
	_, err = report.Apply(testContext(t), bridge.WithMassDeletion())
	return err
}
