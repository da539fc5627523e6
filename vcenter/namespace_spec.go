// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/viaduct-sdk/viaduct"
)

// NamespaceSpec is what a namespace is made from. Name and Cluster are
// required.
type NamespaceSpec struct {
	Name        string              `json:"namespace"`
	Cluster     string              `json:"cluster"`
	Description string              `json:"description,omitempty"`
	Resources   *ResourceLimits     `json:"resource_spec,omitempty"`
	Storage     []StorageSpec       `json:"storage_specs,omitempty"`
	VMService   *VMServiceSpec      `json:"vm_service_spec,omitempty"`
	Access      []NamespaceAccess   `json:"access_list,omitempty"`
	Creator     *NamespacePrincipal `json:"creator,omitempty"`
}

// Create creates a namespace and returns when vCenter accepted it, not when it
// is ready: see [Namespaces.Wait].
//
// Errors match [viaduct.ErrExists] when there is one of this name, which then
// is not changed; [viaduct.ErrInvalid] for a name that is no DNS label, a
// negative limit, a storage policy that does not exist, and a cluster without
// workload management; [viaduct.ErrNotFound] for a cluster that does not exist;
// [viaduct.ErrForbidden] without the privilege Namespaces.Configure, and for
// names that belong to the system.
func (n Namespaces) Create(ctx context.Context, spec NamespaceSpec) error {
	const op = "create namespace"
	if err := checkNamespace(spec.Name, spec.Resources, spec.Storage); err != nil {
		return fmt.Errorf("vcenter: %s %q: %w", op, spec.Name, err)
	}
	if spec.Cluster == "" {
		return fmt.Errorf("vcenter: %s %q: %w: no cluster", op, spec.Name, viaduct.ErrInvalid)
	}
	return n.c.do(ctx, call{op: op, object: spec.Name, method: http.MethodPost, route: namespacesRoute, body: spec})
}

// NamespaceUpdate is what to change of a namespace. Nil leaves a field as it
// is; what is not nil replaces the whole field.
type NamespaceUpdate struct {
	Description *string            `json:"description,omitzero"`
	Resources   *ResourceLimits    `json:"resource_spec,omitzero"`
	Storage     *[]StorageSpec     `json:"storage_specs,omitzero"`
	VMService   *VMServiceSpec     `json:"vm_service_spec,omitzero"`
	Access      *[]NamespaceAccess `json:"access_list,omitzero"`
}

// Update changes a namespace. Errors match those of [Namespaces.Create], and
// [viaduct.ErrNotFound] when there is no namespace of this name.
func (n Namespaces) Update(ctx context.Context, name string, update NamespaceUpdate) error {
	const op = "update namespace"
	var storage []StorageSpec
	if update.Storage != nil {
		storage = *update.Storage
	}
	if err := checkNamespace(name, update.Resources, storage); err != nil {
		return fmt.Errorf("vcenter: %s %q: %w", op, name, err)
	}
	return n.c.do(ctx, call{
		op: op, object: name, method: http.MethodPatch, route: namespaceRoute, args: []string{name},
		body: update, idempotent: true,
	})
}

// checkNamespace finds what can't succeed before anything is sent.
func checkNamespace(name string, limits *ResourceLimits, storage []StorageSpec) error {
	if !isDNSLabel(name) {
		return fmt.Errorf("%w: the name must be a DNS label, at most 63 of a-z, 0-9 and '-'", viaduct.ErrInvalid)
	}
	if err := limits.check(); err != nil {
		return err
	}
	for _, st := range storage {
		if st.Policy == "" {
			return fmt.Errorf("%w: a storage policy without an id", viaduct.ErrInvalid)
		}
		if st.Limit != nil && *st.Limit < 0 {
			return fmt.Errorf("%w: the limit of storage policy %s is negative: %d", viaduct.ErrInvalid, st.Policy, *st.Limit)
		}
	}
	return nil
}

func isDNSLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func (l *ResourceLimits) check() error {
	if l == nil {
		return nil
	}
	for name, value := range map[string]*int64{
		"CPU": l.CPU, "memory": l.Memory, "storage": l.Storage,
		"default CPU": l.DefaultCPU, "default CPU request": l.DefaultCPURequest,
		"default memory": l.DefaultMemory, "default memory request": l.DefaultMemoryRequest,
		"pod": l.Pods, "service": l.Services, "deployment": l.Deployments, "daemon set": l.DaemonSets,
		"replica set": l.ReplicaSets, "replication controller": l.ReplicationControllers,
		"stateful set": l.StatefulSets, "config map": l.ConfigMaps, "secret": l.Secrets,
		"volume claim": l.PersistentVolumeClaims, "job": l.Jobs,
	} {
		if value != nil && *value < 0 {
			return fmt.Errorf("%w: the %s limit is negative: %d", viaduct.ErrInvalid, name, *value)
		}
	}
	return nil
}
