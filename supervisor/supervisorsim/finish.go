// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/discovery"

	"github.com/viaduct-sdk/viaduct/internal/poll"
)

// finish does for a namespace that is being deleted what the namespace
// controller does: it deletes what is inside, kind by kind, and then lets the
// namespace go. It returns when the namespace with this UID is gone, whoever
// did the work.
func (s *Simulator) finish(ctx context.Context, name string, uid types.UID) error {
	return poll.Until(ctx, func(ctx context.Context) (string, bool, error) {
		left, err := s.empty(ctx, name)
		switch {
		case unavailable(err):
			return "the API server does not answer", false, nil
		case err != nil:
			return "", false, err
		case left != "":
			return left + " are left", false, nil
		}
		gone, err := s.finalize(ctx, name, uid)
		if unavailable(err) {
			return "the API server does not answer", false, nil
		}
		return "its finalizer is left", gone, err
	})
}

// empty deletes what the namespace holds and names a resource of which
// something is left.
func (s *Simulator) empty(ctx context.Context, name string) (left string, err error) {
	resources, err := s.namespaced()
	if err != nil {
		return "", err
	}
	now := int64(0)
	for _, gvr := range resources {
		client := s.dynamic.Resource(gvr).Namespace(name)
		err := client.DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsMethodNotSupported(err) {
			return "", fmt.Errorf("delete %s: %w", gvr.GroupResource(), err)
		}
		list, err := client.List(ctx, metav1.ListOptions{Limit: 1})
		if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("list %s: %w", gvr.GroupResource(), err)
		}
		if len(list.Items) > 0 {
			left = gvr.GroupResource().String()
		}
	}
	return left, nil
}

// namespaced are the namespaced resources that the API server can list and
// delete, each in the version that it prefers.
func (s *Simulator) namespaced() ([]schema.GroupVersionResource, error) {
	lists, err := s.kube.Discovery().ServerPreferredNamespacedResources()
	var partial *discovery.ErrGroupDiscoveryFailed
	if err != nil && !errors.As(err, &partial) {
		return nil, err
	}
	var all []schema.GroupVersionResource
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, r := range list.APIResources {
			if slices.Contains(r.Verbs, "list") && slices.Contains(r.Verbs, "delete") {
				all = append(all, gv.WithResource(r.Name))
			}
		}
	}
	return all, nil
}

// finalize takes the namespace's own finalizer away, and reports whether the
// namespace is gone.
func (s *Simulator) finalize(ctx context.Context, name string, uid types.UID) (gone bool, err error) {
	ns, err := s.kube.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || (err == nil && ns.UID != uid) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	ns.Spec.Finalizers = nil
	_, err = s.kube.CoreV1().Namespaces().Finalize(ctx, ns, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return false, nil
	}
	return false, err
}

// unavailable reports whether err says that the API server can't be reached or
// can't answer for now.
func unavailable(err error) bool {
	var timeout net.Error
	return utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err) ||
		utilnet.IsHTTP2ConnectionLost(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsServerTimeout(err) ||
		apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err) || apierrors.IsInternalError(err) ||
		(errors.As(err, &timeout) && timeout.Timeout())
}
