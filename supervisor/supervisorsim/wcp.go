// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/poll"
)

// What WCP and NCP write on the namespace of a vSphere Namespace.
const (
	labelClusterID          = "vSphereClusterID"
	annotationResourcePool  = "vmware-system-resource-pool"
	annotationFolder        = "vmware-system-vm-folder"
	annotationLogicalSwitch = "ls_id-%d"
	annotationSubnet        = "ncp/subnet-%d"
	annotationRouter        = "ncp/router_id"
	annotationSNAT          = "ncp/snat_ip"
	annotationExternalPool  = "ncp/extpoolid"
)

// CreateNamespace makes a vSphere Namespace on the Supervisor as WCP does when
// vCenter is asked for one: a Kubernetes namespace with NCP's annotations, and
// its network in NSX and vCenter. It returns when all of that is there. A
// namespace that it finished or left unfinished before is completed.
//
// Errors match [viaduct.ErrInvalid] when the name can't be a namespace's,
// [viaduct.ErrExists] when a namespace of that name is there that WCP did not
// make, and [viaduct.ErrConflict] while one is on its way out. While the API
// server does not answer it tries until ctx ends.
func (s *Simulator) CreateNamespace(ctx context.Context, name string) error {
	if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
		return fmt.Errorf("supervisorsim: create namespace %q: %s: %w", name, strings.Join(problems, ", "), viaduct.ErrInvalid)
	}
	var ns *corev1.Namespace
	err := s.persist(ctx, func(ctx context.Context) (err error) {
		ns, err = s.createNamespace(ctx, name)
		return err
	})
	if err != nil {
		return fmt.Errorf("supervisorsim: create namespace %q: %w", name, err)
	}
	return s.persist(ctx, func(ctx context.Context) error { return s.equip(ctx, ns) })
}

// persist calls attempt until it does not fail for want of an API server.
func (s *Simulator) persist(ctx context.Context, attempt func(context.Context) error) error {
	return poll.Until(ctx, func(ctx context.Context) (string, bool, error) {
		err := attempt(ctx)
		switch {
		case err == nil:
			return "", true, nil
		case unavailable(err):
			return "the API server does not answer", false, nil
		default:
			return "", false, err
		}
	})
}

func (s *Simulator) createNamespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	number := fnv.New32a()
	_, _ = number.Write([]byte(name))
	n := 1000 + number.Sum32()%9000
	ns, err := s.kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name:   name,
		Labels: map[string]string{labelClusterID: s.cfg.ClusterID},
		Annotations: map[string]string{
			annotationResourcePool: fmt.Sprintf("resgroup-%d", n),
			annotationFolder:       fmt.Sprintf("group-v%d", n+1),
		},
	}}, metav1.CreateOptions{FieldManager: "wcp"})
	if !apierrors.IsAlreadyExists(err) {
		return ns, err
	}
	ns, err = s.kube.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	switch {
	case err != nil:
		return nil, err
	case ns.Labels[labelClusterID] != s.cfg.ClusterID:
		return nil, fmt.Errorf("the Supervisor has a namespace of that name: %w", viaduct.ErrExists)
	case ns.DeletionTimestamp != nil:
		return nil, fmt.Errorf("the namespace of that name is being deleted: %w", viaduct.ErrConflict)
	default:
		return ns, nil
	}
}

// equip gives a namespace its network, and the annotations that say so.
func (s *Simulator) equip(ctx context.Context, ns *corev1.Namespace) error {
	annotations, err := s.nets.ensure(ctx, networkID{uid: string(ns.UID), project: string(ns.UID), namespace: ns.Name})
	if err != nil {
		return err
	}
	missing := map[string]string{}
	for name, value := range annotations {
		if ns.Annotations[name] != value {
			missing[name] = value
		}
	}
	if len(missing) == 0 {
		return s.admit(ctx, ns.Name)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": ns.UID, "annotations": missing}})
	if err != nil {
		return err
	}
	_, err = s.kube.CoreV1().Namespaces().Patch(ctx, ns.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if err != nil {
		return fmt.Errorf("supervisorsim: annotate namespace %q: %w", ns.Name, err)
	}
	return s.admit(ctx, ns.Name)
}

// reconcileNamespace is NCP's part: it completes the network of a namespace
// that WCP made, and removes that of one that is gone.
func (s *Simulator) reconcileNamespace(ctx context.Context, key objectKey) error {
	if string(key.uid) == s.m.cluster {
		_, err := s.nets.ensure(ctx, s.shared())
		return err
	}
	ns, err := s.view.namespaces.Get(key.Name)
	switch {
	case err != nil || ns.UID != key.uid:
		return s.nets.remove(ctx, string(key.uid))
	case ns.DeletionTimestamp != nil || !s.view.isVSphere(ns):
		return nil
	}
	err = s.equip(ctx, ns)
	if errors.Is(err, errGone) || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// DeleteNamespace removes a vSphere Namespace with all that is in it, its
// network in NSX and its port groups in vCenter. It returns when all of that is
// gone; the namespace need not exist. Where no kube-controller-manager runs, it
// does the namespace controller's work. An object that holds on to a finalizer
// holds the namespace, as it does in Kubernetes, until ctx ends.
func (s *Simulator) DeleteNamespace(ctx context.Context, name string) error {
	var uid types.UID
	err := s.persist(ctx, func(ctx context.Context) error {
		ns, err := s.kube.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if ns.Labels[labelClusterID] != s.cfg.ClusterID {
			return fmt.Errorf("it is not a vSphere Namespace: %w", viaduct.ErrNotOwned)
		}
		uid = ns.UID
		err = s.kube.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("supervisorsim: delete namespace %q: %w", name, err)
	}
	if uid == "" {
		return nil
	}
	if err := s.finish(ctx, name, uid); err != nil {
		return fmt.Errorf("supervisorsim: delete namespace %q: %w", name, err)
	}
	if err := s.nets.remove(ctx, string(uid)); err != nil {
		return err
	}
	return s.lb.evict(string(uid))
}
