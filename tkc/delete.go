// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/poll"
)

// DeleteOptions change what [Client.Delete] does.
type DeleteOptions struct {
	// UID refuses to delete any cluster but the one with this [Cluster] UID.
	UID types.UID
}

// Delete asks for the removal of a TK cluster and all that is in it;
// [Client.WaitGone] waits for that. It does nothing when there is no such
// cluster, or when its removal is under way.
//
// The error matches [viaduct.ErrConflict] when the cluster is another one than
// opts names, or was replaced by another meanwhile.
func (c *Client) Delete(ctx context.Context, namespace, name string, opts DeleteOptions) error {
	const op = "delete cluster"
	key := types.NamespacedName{Namespace: namespace, Name: name}
	if namespace == "" || name == "" {
		return invalid(op, key.String(), "both namespace and name are needed")
	}
	p, err := c.get(ctx, op, key)
	if err != nil {
		return ignoreNotFound(err)
	}
	cluster := p.view()
	if opts.UID != "" && cluster.UID != opts.UID {
		return &Error{Op: op, Object: key.String(), Message: "the cluster of this name is another one", kind: viaduct.ErrConflict}
	}
	// The TanzuKubernetesCluster, where there is one, takes its Cluster along.
	o := p.tanzu
	if o == nil {
		o = p.cluster
	}
	if o.GetDeletionTimestamp() != nil {
		return nil
	}
	uid := o.GetUID()
	err = c.objects(API(o.GetAPIVersion()), namespace).Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return serverError(op, key.String(), err)
}

// WaitGone waits until there is no TK cluster of this name, or one with another
// UID than uid, if that is not empty. The deadline is that of ctx; the error then
// wraps [context.Cause] and names the last phase that was seen. It goes on while
// the server can't be reached.
func (c *Client) WaitGone(ctx context.Context, namespace, name string, uid types.UID) error {
	const op = "wait until gone"
	key := types.NamespacedName{Namespace: namespace, Name: name}
	err := poll.Until(ctx, func(ctx context.Context) (string, bool, error) {
		p, err := c.get(ctx, op, key)
		switch {
		case errors.Is(err, viaduct.ErrNotFound):
			return "", true, nil
		case isTransient(err):
			return "the Supervisor does not answer: " + err.Error(), false, nil
		case err != nil:
			return "", false, err
		}
		cluster := p.view()
		return "its phase is " + string(cluster.Phase), uid != "" && cluster.UID != uid, nil
	})
	return waitError(op, key, err)
}

// isTransient reports whether asking again may help.
func isTransient(err error) bool {
	return errors.Is(err, viaduct.ErrUnavailable) || errors.Is(err, viaduct.ErrRateLimited)
}

// waitError makes an Error of what ended a wait, unless it is one.
func waitError(op string, key types.NamespacedName, err error) error {
	var own *Error
	if err == nil || errors.As(err, &own) {
		return err
	}
	return &Error{Op: op, Object: key.String(), err: err}
}
