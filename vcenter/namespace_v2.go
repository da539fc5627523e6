// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"

	"github.com/viaduct-sdk/viaduct"
)

// NamespaceV2Summary is a namespace in a list of the second version of the
// API, which names Supervisors instead of clusters.
type NamespaceV2Summary struct {
	Name        string         `json:"namespace"`
	Supervisor  string         `json:"supervisor"`
	Status      ConfigStatus   `json:"config_status"`
	Description string         `json:"description"`
	Stats       NamespaceStats `json:"stats"`
	SelfService bool           `json:"self_service_namespace"`
}

// NamespaceV2 is a namespace of the second version of the API.
type NamespaceV2 struct {
	Name        string             `json:"-"`
	Supervisor  string             `json:"supervisor"`
	Zones       []string           `json:"zones"`
	Status      ConfigStatus       `json:"config_status"`
	Messages    []StatusMessage    `json:"messages"`
	Stats       NamespaceStats     `json:"stats"`
	Description string             `json:"description"`
	Resources   ResourceLimits     `json:"resource_spec"`
	Storage     []StorageSpec      `json:"storage_specs"`
	VMService   VMServiceSpec      `json:"vm_service_spec"`
	Libraries   []ContentLibrary   `json:"content_libraries"`
	Access      []NamespaceAccess  `json:"access_list"`
	Network     NamespaceNetwork   `json:"network_spec"`
	Creator     NamespacePrincipal `json:"creator"`
	SelfService bool               `json:"self_service_namespace"`
}

// IsReady reports whether the namespace can be used.
func (n NamespaceV2) IsReady() bool { return n.Status == ConfigStatusRunning }

// ContentLibrary lets a namespace use a content library.
type ContentLibrary struct {
	ID          string `json:"content_library"`
	Writable    bool   `json:"writable,omitempty"`
	AllowImport bool   `json:"allow_import,omitempty"`
}

// NamespaceNetwork is the network of a namespace.
type NamespaceNetwork struct {
	Provider NetworkProvider `json:"network_provider"`
	// VPC is the namespace's VPC where the provider is NSX_VPC, as vCenter
	// wrote it; nil elsewhere.
	VPC json.RawMessage `json:"vpc_network"`
}

// NamespaceV2Spec is what a namespace is made from. Name and Supervisor are
// required.
type NamespaceV2Spec struct {
	Name        string            `json:"namespace"`
	Supervisor  string            `json:"supervisor"`
	Description string            `json:"description,omitempty"`
	Resources   *ResourceLimits   `json:"resource_spec,omitempty"`
	Storage     []StorageSpec     `json:"storage_specs,omitempty"`
	VMService   *VMServiceSpec    `json:"vm_service_spec,omitempty"`
	Libraries   []ContentLibrary  `json:"content_libraries,omitempty"`
	Access      []NamespaceAccess `json:"access_list,omitempty"`
}

// NamespacesV2 is the vSphere Namespaces of a vCenter by the second version of
// the API. Updating, deleting, waiting and access are those of [Namespaces].
//
// Before vSphere 8.0 each call returns an [*UnsupportedError].
type NamespacesV2 struct{ c *Client }

// NamespacesV2 returns the handle of the second version of the API. Since
// vSphere 8.0.
func (c *Client) NamespacesV2() NamespacesV2 { return NamespacesV2{c} }

const namespacesV2Route = namespacesRoute + "/v2"

// since8 refuses before asking: an older server takes "v2" for the name of a
// namespace.
func (n NamespacesV2) since8(ctx context.Context) error {
	return n.c.require(ctx, "the second version of the namespace API", Version{Major: 8})
}

// Get returns a namespace. Errors match [viaduct.ErrNotFound] when there is
// none of this name.
func (n NamespacesV2) Get(ctx context.Context, name string) (NamespaceV2, error) {
	if err := n.since8(ctx); err != nil {
		return NamespaceV2{}, err
	}
	ns := NamespaceV2{Name: name}
	err := n.c.get(ctx, "get namespace", name, namespacesV2Route+"/{namespace}", &ns, name)
	if err != nil {
		return NamespaceV2{}, err
	}
	return ns, nil
}

// List returns all namespaces of all Supervisors. The list has no pages.
func (n NamespacesV2) List(ctx context.Context) ([]NamespaceV2Summary, error) {
	if err := n.since8(ctx); err != nil {
		return nil, err
	}
	var list []NamespaceV2Summary
	err := n.c.get(ctx, "list namespaces", "all", namespacesV2Route, &list)
	return list, err
}

// All iterates over what [NamespacesV2.List] returns, fetched when the loop
// starts. It yields at most one error, last.
func (n NamespacesV2) All(ctx context.Context) iter.Seq2[NamespaceV2Summary, error] {
	return all(func() ([]NamespaceV2Summary, error) { return n.List(ctx) })
}

// Create creates a namespace, as [Namespaces.Create] does.
func (n NamespacesV2) Create(ctx context.Context, spec NamespaceV2Spec) error {
	const op = "create namespace"
	if err := checkNamespace(spec.Name, spec.Resources, spec.Storage); err != nil {
		return fmt.Errorf("vcenter: %s %q: %w", op, spec.Name, err)
	}
	if spec.Supervisor == "" {
		return fmt.Errorf("vcenter: %s %q: %w: no Supervisor", op, spec.Name, viaduct.ErrInvalid)
	}
	if err := n.since8(ctx); err != nil {
		return err
	}
	return n.c.do(ctx, call{op: op, object: spec.Name, method: http.MethodPost, route: namespacesV2Route, body: spec})
}
