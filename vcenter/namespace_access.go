// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/viaduct-sdk/viaduct"
)

// SubjectType is whether access is given to a user or to a group. It is an open
// set: servers may return others.
type SubjectType string

// The documented types.
const (
	SubjectUser  SubjectType = "USER"
	SubjectGroup SubjectType = "GROUP"
)

// AccessRole is what somebody may do in a namespace. It is an open set: servers
// may return others.
type AccessRole string

// The documented roles.
const (
	AccessOwner AccessRole = "OWNER"
	AccessEdit  AccessRole = "EDIT"
	AccessView  AccessRole = "VIEW"
)

// NamespaceAccess lets a user or a group of vCenter Single Sign-On into a
// namespace.
type NamespaceAccess struct {
	SubjectType SubjectType `json:"subject_type"`
	Subject     string      `json:"subject"` // the name without the domain
	Domain      string      `json:"domain"`  // such as vsphere.local
	Role        AccessRole  `json:"role"`
}

// String returns the subject and its role.
func (a NamespaceAccess) String() string { return a.Subject + "@" + a.Domain + " " + string(a.Role) }

const accessRoute = namespaceRoute + "/access/{domain}/{subject}"

// accessRole is the body of the calls that give access.
type accessRole struct {
	Role AccessRole `json:"role"`
}

func (a NamespaceAccess) call(op, namespace, method string) call {
	return call{
		op: op, object: namespace + " " + a.Subject + "@" + a.Domain, method: method, route: accessRoute,
		args: []string{namespace, a.Domain, a.Subject}, query: url.Values{"type": {string(a.SubjectType)}},
	}
}

func (a NamespaceAccess) check(op, namespace string) error {
	if a.Subject == "" || a.Domain == "" || a.SubjectType == "" {
		return fmt.Errorf("vcenter: %s %q: %w: access needs a subject, its domain and its type", op, namespace, viaduct.ErrInvalid)
	}
	return nil
}

// GetAccess returns what access a subject has to a namespace. The role of
// access is ignored.
//
// Errors match [viaduct.ErrNotFound] when it has none, or when there is no such
// namespace.
func (n Namespaces) GetAccess(ctx context.Context, namespace string, access NamespaceAccess) (NamespaceAccess, error) {
	const op = "get access to namespace"
	if err := access.check(op, namespace); err != nil {
		return NamespaceAccess{}, err
	}
	var role accessRole
	r := access.call(op, namespace, http.MethodGet)
	r.into = &role
	if err := n.c.do(ctx, r); err != nil {
		return NamespaceAccess{}, err
	}
	access.Role = role.Role
	return access, nil
}

// Grant gives access to a namespace, or changes the role when the subject has
// access already. Granting what is granted changes nothing.
//
// Errors match [viaduct.ErrNotFound] when there is no such namespace,
// [viaduct.ErrInvalid] when vCenter knows no such subject or role.
func (n Namespaces) Grant(ctx context.Context, namespace string, access NamespaceAccess) error {
	const op = "grant access to namespace"
	if err := access.check(op, namespace); err != nil {
		return err
	}
	r := access.call(op, namespace, http.MethodPost)
	r.body = accessRole{access.Role}
	err := n.c.do(ctx, r)
	if !errors.Is(err, viaduct.ErrExists) {
		return err
	}
	r.method = http.MethodPut
	return n.c.do(ctx, r)
}

// Revoke takes access to a namespace away. A subject without access is no
// error, nor is a namespace that does not exist.
func (n Namespaces) Revoke(ctx context.Context, namespace string, access NamespaceAccess) error {
	const op = "revoke access to namespace"
	if err := access.check(op, namespace); err != nil {
		return err
	}
	err := n.c.do(ctx, access.call(op, namespace, http.MethodDelete))
	if errors.Is(err, viaduct.ErrNotFound) {
		return nil
	}
	return err
}

// UserNamespace is a namespace that the client's own user may use.
type UserNamespace struct {
	Name string `json:"namespace"`
	// APIServer is the address of the Supervisor that the namespace is on.
	// Namespaces of one user may be on several.
	APIServer string `json:"master_host"`
}

// Mine returns the namespaces that the client's own user may use, on all
// Supervisors of the vCenter. It needs no privilege.
func (n Namespaces) Mine(ctx context.Context) ([]UserNamespace, error) {
	var list []UserNamespace
	err := n.c.get(ctx, "list namespaces of the user", "all", "/api/vcenter/namespaces-user/namespaces", &list)
	return list, err
}
