// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/viaduct-sdk/viaduct/internal/poll"
)

// The API groups of a Supervisor that Kubernetes lacks.
const (
	tkcGroup        = "run.tanzu.vmware.com"
	capiGroup       = "cluster.x-k8s.io"
	vmOperatorGroup = "vmoperator.vmware.com"
	ncpGroup        = "vmware.com"
)

// resourceKind is a kind of custom resource.
type resourceKind struct {
	group, kind, plural string
	// versions are those that are served, the last one stored.
	versions []string
}

func (k resourceKind) served() bool { return len(k.versions) > 0 }

// stored is the resource in the version in which it is stored.
func (k resourceKind) stored() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: k.group, Version: k.versions[len(k.versions)-1], Resource: k.plural}
}

func (k resourceKind) gvk() schema.GroupVersionKind {
	return k.stored().GroupVersion().WithKind(k.kind)
}

// The kinds that the TKG service, VM Operator and NCP bring. The first two are
// served in the versions that apis names.
func tkcKind(apis []string) resourceKind {
	return resourceKind{tkcGroup, "TanzuKubernetesCluster", "tanzukubernetesclusters", versionsOf(tkcGroup, apis)}
}

func clusterKind(apis []string) resourceKind {
	return resourceKind{capiGroup, "Cluster", "clusters", versionsOf(capiGroup, apis)}
}

func vmServiceKind() resourceKind {
	return resourceKind{vmOperatorGroup, "VirtualMachineService", "virtualmachineservices", []string{"v1alpha1", "v1alpha2"}}
}

func virtualNetworkKind() resourceKind {
	return resourceKind{ncpGroup, "VirtualNetwork", "virtualnetworks", []string{"v1alpha1"}}
}

// versionsOf are the versions of a group among apis ("group/version"), sorted.
func versionsOf(group string, apis []string) []string {
	var versions []string
	for _, api := range apis {
		if g, v, ok := strings.Cut(api, "/"); ok && g == group {
			versions = append(versions, v)
		}
	}
	slices.Sort(versions)
	return slices.Compact(versions)
}

// definition is the CustomResourceDefinition. It takes any content: what the
// real server validates is not public. Versions differ in name only; nothing
// converts between them.
func (k resourceKind) definition() *unstructured.Unstructured {
	open := map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}
	versions := make([]any, 0, len(k.versions))
	for _, v := range k.versions {
		versions = append(versions, map[string]any{
			"name": v, "served": true, "storage": v == k.stored().Version,
			"schema": map[string]any{"openAPIV3Schema": map[string]any{
				"type":       "object",
				"properties": map[string]any{"spec": open, "status": open},
			}},
			"subresources": map[string]any{"status": map[string]any{}},
			"additionalPrinterColumns": []any{
				map[string]any{"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
				map[string]any{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
			},
		})
	}
	singular := strings.ToLower(k.kind)
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{
			"name": k.plural + "." + k.group,
			// Groups of Kubernetes' own domains need it.
			"annotations": map[string]any{"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/cluster-api"},
		},
		"spec": map[string]any{
			"group": k.group, "scope": "Namespaced", "versions": versions,
			"names": map[string]any{"kind": k.kind, "listKind": k.kind + "List", "plural": k.plural, "singular": singular},
		},
	}}
}

// define makes the API server serve the kind, and waits until it does.
func define(ctx context.Context, client dynamic.Interface, k resourceKind) error {
	crds := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	want := k.definition()
	data, err := json.Marshal(want)
	if err != nil {
		return err
	}
	force := true
	_, err = crds.Patch(ctx, want.GetName(), types.ApplyPatchType, data, metav1.PatchOptions{FieldManager: "supervisorsim", Force: &force})
	if err != nil {
		return fmt.Errorf("supervisorsim: define %s: %w", want.GetName(), err)
	}
	return poll.Until(ctx, func(ctx context.Context) (string, bool, error) {
		_, err := client.Resource(k.stored()).List(ctx, metav1.ListOptions{Limit: 1})
		if apierrors.IsNotFound(err) || apierrors.IsServiceUnavailable(err) {
			return want.GetName() + " is not served yet", false, nil
		}
		return "", err == nil, err
	})
}
