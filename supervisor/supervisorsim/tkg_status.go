// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"context"
	"encoding/json"
	"net"
	"net/url"
	"reflect"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// HoldFailed as the value of [AnnotationHold] on a TanzuKubernetesCluster or a
// Cluster makes it fail; "failed:reason" says why. Any other value keeps it from
// getting further than creating.
const HoldFailed = "failed"

const fieldManagerTKG = "tkg-service"

// The phases of a TanzuKubernetesCluster. A Cluster has others that correspond.
const (
	phaseCreating = "creating"
	phaseRunning  = "running"
	phaseFailed   = "failed"
	phaseDeleting = "deleting"
)

func clusterPhase(phase string) string {
	switch phase {
	case phaseRunning:
		return "Provisioned"
	case phaseFailed:
		return "Failed"
	case phaseDeleting:
		return "Deleting"
	default:
		return "Provisioning"
	}
}

const defaultKubernetesVersion = "v1.26.5+vmware.2-fips.1-tkg.1"

// versionOf is the Kubernetes release that a TK cluster asks for, in whichever
// version of the API.
func versionOf(o *unstructured.Unstructured) string {
	for _, path := range [][]string{
		{"spec", "topology", "version"},
		{"spec", "distribution", "fullVersion"},
		{"spec", "distribution", "version"},
		{"spec", "topology", "controlPlane", "tkr", "reference", "name"},
	} {
		if v, ok, err := unstructured.NestedString(o.Object, path...); ok && err == nil && v != "" {
			return v
		}
	}
	return defaultKubernetesVersion
}

// replicas are how many control plane nodes and workers a TK cluster asks for,
// in whichever version of the API.
func replicas(o *unstructured.Unstructured) (controlPlane, workers int) {
	count := func(m map[string]any) int {
		for _, field := range []string{"replicas", "count"} {
			if n, ok, err := unstructured.NestedInt64(m, field); ok && err == nil {
				return int(n)
			}
		}
		return 0
	}
	topology, _, _ := unstructured.NestedMap(o.Object, "spec", "topology")
	part := func(name string) map[string]any {
		m, _, _ := unstructured.NestedMap(topology, name)
		return m
	}
	controlPlane = max(1, count(part("controlPlane")))
	pools, _, _ := unstructured.NestedSlice(topology, "nodePools")
	deployments, _, _ := unstructured.NestedSlice(topology, "workers", "machineDeployments")
	for _, pool := range append(pools, deployments...) {
		if m, ok := pool.(map[string]any); ok {
			workers += count(m)
		}
	}
	if len(pools)+len(deployments) == 0 {
		workers = count(part("workers"))
	}
	return controlPlane, workers
}

// clusterState is what to say of a TK cluster.
type clusterState struct {
	phase   string
	message string
	guest   *guest
}

// report writes the state to the TK cluster's objects, where it differs.
func (t *tkg) report(ctx context.Context, r *request, state clusterState) error {
	if r.kind.group == tkcGroup {
		if err := t.writeStatus(ctx, r.kind, r.primary, t.tkcStatus(r, state), nil); err != nil {
			return err
		}
	}
	if r.cluster == nil {
		return nil
	}
	var spec map[string]any
	if host, port, ok := state.endpoint(); ok {
		spec = map[string]any{"controlPlaneEndpoint": map[string]any{"host": host, "port": port}}
	}
	return t.writeStatus(ctx, t.clusters, r.cluster, clusterStatus(r, state), spec)
}

func (s clusterState) endpoint() (host string, port int64, ok bool) {
	if s.guest == nil {
		return "", 0, false
	}
	u, err := url.Parse(s.guest.url())
	if err != nil {
		return "", 0, false
	}
	host, text, err := net.SplitHostPort(u.Host)
	number, convErr := strconv.Atoi(text)
	return host, int64(number), err == nil && convErr == nil
}

// tkcStatus is the status of a TanzuKubernetesCluster, with the fields of all
// versions that are served.
func (t *tkg) tkcStatus(r *request, state clusterState) map[string]any {
	controlPlane, workers := replicas(r.primary)
	status := map[string]any{
		"phase": state.phase, "version": versionOf(r.primary), "totalWorkerReplicas": int64(workers),
		"conditions": conditionsOf(r.primary, state, []string{
			"Ready", "ControlPlaneReady", "NodePoolsReady", "AddonsReady", "NodesHealthy",
			"ProviderServiceAccountsReady", "RoleBindingSynced", "StorageClassSynced", "ServiceDiscoveryReady",
		}),
	}
	host, port, ok := state.endpoint()
	if ok {
		status["apiEndpoints"] = []any{map[string]any{"host": host, "port": port}}
	}
	if versions := r.kind.versions; versions[0] != "v1alpha1" {
		if versions[0] == "v1alpha3" {
			delete(status, "phase") // removed in v1alpha3
		}
		return status
	}
	api := map[string]any{"phase": clusterPhase(state.phase)}
	if ok {
		api["apiEndpoints"] = status["apiEndpoints"]
	}
	status["clusterApiStatus"] = api
	nodes, vms := map[string]any{}, map[string]any{}
	for _, n := range nodeNames(r.name.Name, controlPlane, workers) {
		nodes[n], vms[n] = "pending", "pending"
		if state.phase == phaseRunning {
			nodes[n], vms[n] = "ready", "ready"
		}
	}
	status["nodeStatus"], status["vmStatus"] = nodes, vms
	return status
}

// clusterStatus is the status of a Cluster, with the fields of all versions.
func clusterStatus(r *request, state clusterState) map[string]any {
	ready := state.phase == phaseRunning
	return map[string]any{
		"phase":               clusterPhase(state.phase),
		"infrastructureReady": ready, "controlPlaneReady": ready,
		"initialization": map[string]any{"infrastructureProvisioned": ready, "controlPlaneInitialized": ready},
		"conditions": conditionsOf(r.cluster, state, []string{
			"Ready", "Available", "ControlPlaneInitialized", "ControlPlaneReady", "InfrastructureReady",
		}),
	}
}

// conditionsOf are conditions of these types, all alike; a condition whose
// status stays keeps its time.
func conditionsOf(o *unstructured.Unstructured, state clusterState, kinds []string) []any {
	status, reason := "False", "Creating"
	switch state.phase {
	case phaseRunning:
		status, reason = "True", "Ready"
	case phaseFailed:
		reason = "Failed"
	case phaseDeleting:
		reason = "Deleting"
	}
	old, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	all := make([]any, 0, len(kinds))
	for _, kind := range kinds {
		c := map[string]any{"type": kind, "status": status, "reason": reason, "lastTransitionTime": nowText()}
		if state.message != "" {
			c["message"] = state.message
		}
		if status == "False" {
			c["severity"] = "Info"
			if state.phase == phaseFailed {
				c["severity"] = "Error"
			}
		}
		for _, before := range old {
			if b, ok := before.(map[string]any); ok && b["type"] == kind && b["status"] == status {
				c["lastTransitionTime"] = b["lastTransitionTime"]
			}
		}
		all = append(all, c)
	}
	return all
}

func nowText() string {
	text, err := metav1.Now().MarshalQueryParameter()
	if err != nil {
		return ""
	}
	return text
}

// writeStatus writes the status, and the fields of spec, where they differ.
func (t *tkg) writeStatus(ctx context.Context, k resourceKind, o *unstructured.Unstructured, status, spec map[string]any) error {
	client := t.dynamic.Resource(k.stored()).Namespace(o.GetNamespace())
	send := func(field string, want map[string]any, subresources ...string) error {
		have, _, _ := unstructured.NestedMap(o.Object, field)
		if len(want) == 0 || covers(have, want) {
			return nil
		}
		data, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": o.GetUID()}, field: want})
		if err != nil {
			return err
		}
		_, err = client.Patch(ctx, o.GetName(), types.MergePatchType, data, metav1.PatchOptions{FieldManager: fieldManagerTKG}, subresources...)
		return ignoreGone(err)
	}
	if err := send("spec", spec); err != nil {
		return err
	}
	return send("status", status, "status")
}

// covers reports whether have has each field of want with its value.
func covers(have, want map[string]any) bool {
	for name, value := range want {
		if !reflect.DeepEqual(have[name], value) {
			return false
		}
	}
	return true
}

// ignoreGone is nil when err says that the object is gone or is another one now.
func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
