// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter

import (
	"context"
	"errors"
	"iter"
	"net/http"

	"github.com/viaduct-sdk/viaduct"
)

// NamespaceSummary is a vSphere Namespace in a list.
type NamespaceSummary struct {
	Name        string         `json:"namespace"`
	Cluster     string         `json:"cluster"` // such as domain-c8
	Status      ConfigStatus   `json:"config_status"`
	Description string         `json:"description"`
	Stats       NamespaceStats `json:"stats"`
	SelfService bool           `json:"self_service_namespace"`
}

// Namespace is a vSphere Namespace. vCenter knows nothing of the NSX segment
// behind it: that is on the Kubernetes namespace of the same name.
type Namespace struct {
	Name        string          `json:"-"`
	Cluster     string          `json:"cluster"` // such as domain-c8
	Status      ConfigStatus    `json:"config_status"`
	Messages    []StatusMessage `json:"messages"`
	Stats       NamespaceStats  `json:"stats"`
	Description string          `json:"description"`

	Resources ResourceLimits     `json:"resource_spec"`
	Storage   []StorageSpec      `json:"storage_specs"`
	VMService VMServiceSpec      `json:"vm_service_spec"`
	Access    []NamespaceAccess  `json:"access_list"`
	Networks  []string           `json:"networks"` // none on NSX
	Creator   NamespacePrincipal `json:"creator"`

	// SelfService says that a user made it with kubectl.
	SelfService bool `json:"self_service_namespace"`
}

// IsReady reports whether the namespace can be used.
func (n Namespace) IsReady() bool { return n.Status == ConfigStatusRunning }

// NamespaceStats is what a namespace uses: CPU in MHz, memory and storage in
// MiB.
type NamespaceStats struct {
	CPUUsed     int64 `json:"cpu_used"`
	MemoryUsed  int64 `json:"memory_used"`
	StorageUsed int64 `json:"storage_used"`
}

// ResourceLimits are the limits of a namespace. Nil means no limit. CPU is in
// MHz, memory and storage in MiB.
type ResourceLimits struct {
	CPU                    *int64 `json:"cpu_limit,omitempty"`
	Memory                 *int64 `json:"memory_limit,omitempty"`
	Storage                *int64 `json:"storage_request_limit,omitempty"`
	DefaultCPU             *int64 `json:"cpu_limit_default,omitempty"`
	DefaultCPURequest      *int64 `json:"cpu_request_default,omitempty"`
	DefaultMemory          *int64 `json:"memory_limit_default,omitempty"`
	DefaultMemoryRequest   *int64 `json:"memory_request_default,omitempty"`
	Pods                   *int64 `json:"pod_count,omitempty"`
	Services               *int64 `json:"service_count,omitempty"`
	Deployments            *int64 `json:"deployment_count,omitempty"`
	DaemonSets             *int64 `json:"daemon_set_count,omitempty"`
	ReplicaSets            *int64 `json:"replica_set_count,omitempty"`
	ReplicationControllers *int64 `json:"replication_controller_count,omitempty"`
	StatefulSets           *int64 `json:"stateful_set_count,omitempty"`
	ConfigMaps             *int64 `json:"config_map_count,omitempty"`
	Secrets                *int64 `json:"secret_count,omitempty"`
	PersistentVolumeClaims *int64 `json:"persistent_volume_claim_count,omitempty"`
	Jobs                   *int64 `json:"job_count,omitempty"`
}

// StorageSpec lets a namespace use a storage policy.
type StorageSpec struct {
	Policy string `json:"policy"` // its id, not its name
	// Limit in MiB; nil means none.
	Limit *int64 `json:"limit,omitempty"`
}

// VMServiceSpec is what virtual machines of a namespace are made from. Since
// vSphere 7.0U2.
type VMServiceSpec struct {
	ContentLibraries []string `json:"content_libraries"`
	VMClasses        []string `json:"vm_classes"`
}

// NamespacePrincipal is who made a namespace.
type NamespacePrincipal struct {
	Subject string `json:"subject"`
	Domain  string `json:"domain"`
}

// failure is the error of a namespace that does not get better by itself.
func (n Namespace) failure(op string, opts WaitOptions[Namespace]) error {
	if n.Status != ConfigStatusError || opts.TolerateError {
		return nil
	}
	return &StateError{Op: op, Object: n.Name, Status: n.Status, Messages: n.Messages}
}

// Namespaces is the vSphere Namespaces of a vCenter.
type Namespaces struct{ c *Client }

// Namespaces returns the handle of the vSphere Namespaces.
func (c *Client) Namespaces() Namespaces { return Namespaces{c} }

const (
	namespacesRoute = "/api/vcenter/namespaces/instances"
	namespaceRoute  = namespacesRoute + "/{namespace}"
)

// Get returns a namespace.
//
// Errors match [viaduct.ErrNotFound] when there is none of this name,
// [viaduct.ErrForbidden] without the privilege System.Read on it.
func (n Namespaces) Get(ctx context.Context, name string) (Namespace, error) {
	ns := Namespace{Name: name}
	err := n.c.get(ctx, "get namespace", name, namespaceRoute, &ns, name)
	if err != nil {
		return Namespace{}, err
	}
	return ns, nil
}

// List returns all namespaces of all Supervisors of the vCenter, in vCenter's
// order. The list has no pages.
//
// Errors match [viaduct.ErrForbidden] without the privilege System.Read:
// [Namespaces.Mine] needs none.
func (n Namespaces) List(ctx context.Context) ([]NamespaceSummary, error) {
	var list []NamespaceSummary
	err := n.c.get(ctx, "list namespaces", "all", namespacesRoute, &list)
	return list, err
}

// All iterates over what [Namespaces.List] returns. The list is fetched when
// the loop starts, anew for each loop. It yields at most one error, last.
func (n Namespaces) All(ctx context.Context) iter.Seq2[NamespaceSummary, error] {
	return all(func() ([]NamespaceSummary, error) { return n.List(ctx) })
}

// all makes a sequence of a list without pages.
func all[T any](list func() ([]T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		items, err := list()
		if err != nil {
			var zero T
			yield(zero, err)
			return
		}
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
		}
	}
}

// Delete starts the removal of a namespace with everything in it, and does not
// wait: see [Namespaces.WaitGone]. A namespace that does not exist, or that is
// being removed, is no error.
func (n Namespaces) Delete(ctx context.Context, name string) error {
	err := n.c.do(ctx, call{
		op: "delete namespace", object: name, method: http.MethodDelete, route: namespaceRoute, args: []string{name},
	})
	if errors.Is(err, viaduct.ErrNotFound) {
		return nil
	}
	return err
}

// Wait waits until a namespace is RUNNING and returns it. The deadline is the
// context's; the error then names the last state.
//
// When the state becomes ERROR, the error is a [*StateError] with vCenter's
// messages. It matches [viaduct.ErrNotFound] when the namespace does not exist
// or goes away.
func (n Namespaces) Wait(ctx context.Context, name string, opts WaitOptions[Namespace]) (Namespace, error) {
	const op = "wait for namespace"
	return wait(ctx, op, name, opts,
		func(ctx context.Context) (Namespace, error) { return n.Get(ctx, name) },
		func(ns Namespace) string { return describe(string(ns.Status), ns.Messages) },
		func(ns Namespace) (bool, error) {
			return ns.IsReady(), ns.failure(op, opts)
		})
}

// WaitGone waits until a namespace that is being removed does not exist any
// more. When its state becomes ERROR, the error is a [*StateError] with
// vCenter's messages.
func (n Namespaces) WaitGone(ctx context.Context, name string, opts WaitOptions[Namespace]) error {
	const op = "wait for the end of namespace"
	_, err := wait(ctx, op, name, opts,
		func(ctx context.Context) (Namespace, error) { return n.Get(ctx, name) },
		func(ns Namespace) string { return describe(string(ns.Status), ns.Messages) },
		func(ns Namespace) (bool, error) {
			return false, ns.failure(op, opts)
		})
	if errors.Is(err, viaduct.ErrNotFound) {
		return nil
	}
	return err
}
