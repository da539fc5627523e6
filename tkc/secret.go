// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
)

// The Secret of a TK cluster's kubeconfig (cluster-api util/secret).
const (
	secretSuffix = "-kubeconfig" //nolint:gosec // part of a name
	secretKey    = "value"
)

const opKubeconfig = "get kubeconfig"

// Kubeconfig returns the administrator's kubeconfig of a TK cluster, from its
// Secret on the Supervisor. It is read each time.
//
// Errors match [viaduct.ErrNotFound] when there is no such cluster, or no
// kubeconfig of it yet; [viaduct.ErrForbidden] when the user may not read the
// Secret; [viaduct.ErrInvalid] when the kubeconfig is refused, see
// [ParseKubeconfig].
func (c *Client) Kubeconfig(ctx context.Context, namespace, name string) (*Kubeconfig, error) {
	key := types.NamespacedName{Namespace: namespace, Name: name}
	k, _, err := c.readSecret(ctx, key)
	return k, err
}

// readSecret returns the kubeconfig and the version of the Secret.
func (c *Client) readSecret(ctx context.Context, key types.NamespacedName) (*Kubeconfig, string, error) {
	if key.Namespace == "" || key.Name == "" {
		return nil, "", invalid(opKubeconfig, key.String(), "both namespace and name are needed")
	}
	secret, err := c.dynamic.Resource(secretResource()).Namespace(key.Namespace).Get(ctx, key.Name+secretSuffix, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		// Which of the two is missing is worth a request.
		if _, gone := c.get(ctx, opKubeconfig, key); errors.Is(gone, viaduct.ErrNotFound) {
			return nil, "", gone
		}
		return nil, "", &Error{Op: opKubeconfig, Object: key.String(), Message: "the Supervisor has no Secret " + key.Name + secretSuffix + " yet", kind: viaduct.ErrNotFound}
	}
	if err != nil {
		return nil, "", serverError(opKubeconfig, key.String(), err)
	}
	k, err := c.parseSecret(key, secret)
	return k, secret.GetResourceVersion(), err
}

func (c *Client) parseSecret(key types.NamespacedName, secret *unstructured.Unstructured) (*Kubeconfig, error) {
	data, err := base64.StdEncoding.DecodeString(tree{secret.Object}.at("data", secretKey).text())
	if err != nil || len(data) == 0 {
		return nil, &Error{
			Op: opKubeconfig, Object: key.String(), kind: viaduct.ErrNotFound,
			Message: fmt.Sprintf("the Secret %s has no key %q", secret.GetName(), secretKey),
		}
	}
	k, err := ParseKubeconfig(data, c.opts.allow...)
	if err != nil {
		return nil, &Error{Op: opKubeconfig, Object: key.String(), err: err}
	}
	k.owner = key.String()
	return k, nil
}

// LoginKubeconfig logs in to a TK cluster as the user of [WithGuestLogin] and
// returns a kubeconfig with the token. The token ends after some hours, and
// nothing renews it in a file.
//
// Errors match [viaduct.ErrUnsupported] when the client has no login;
// [viaduct.ErrNotFound] when the Supervisor knows no such cluster;
// [viaduct.ErrUnauthenticated] when it refuses the user.
func (c *Client) LoginKubeconfig(ctx context.Context, namespace, name string) (*Kubeconfig, error) {
	key := types.NamespacedName{Namespace: namespace, Name: name}
	if c.opts.login == nil {
		return nil, unsupported(opKubeconfig, key.String(), "the client was made without WithGuestLogin")
	}
	if namespace == "" || name == "" {
		return nil, invalid(opKubeconfig, key.String(), "both namespace and name are needed")
	}
	guest, err := c.opts.login.Guest(ctx, namespace, name)
	if err != nil {
		return nil, &Error{Op: opKubeconfig, Object: key.String(), kind: sentinelOf(err), err: err}
	}
	token, err := guest.TokenSource().Token(ctx)
	if err != nil {
		return nil, &Error{Op: opKubeconfig, Object: key.String(), kind: sentinelOf(err), err: err}
	}
	if !areCertificates(guest.CA) {
		return nil, &Error{Op: opKubeconfig, Object: key.String(), Message: "the login's answer has no authority to verify the cluster with", kind: viaduct.ErrUnavailable}
	}
	return &Kubeconfig{
		Cluster: name, User: "wcp:" + name, Context: name,
		Server: guest.Server, CA: guest.CA, Token: token.Value, owner: key.String(),
	}, nil
}

// sentinelOf returns which of package viaduct's errors err matches, or nil.
func sentinelOf(err error) error {
	for _, sentinel := range []error{
		viaduct.ErrNotFound, viaduct.ErrInvalid, viaduct.ErrUnauthenticated, viaduct.ErrForbidden,
		viaduct.ErrRateLimited, viaduct.ErrUnavailable, viaduct.ErrUnsupported,
	} {
		if errors.Is(err, sentinel) {
			return sentinel
		}
	}
	return nil
}
