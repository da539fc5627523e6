// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"context"
	"fmt"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// clusterRoleOf is the name of the ClusterRole behind a role of vCenter. The
// roles edit and view of Kubernetes have no rules where no
// kube-controller-manager puts them together.
func clusterRoleOf(role Role) string { return "wcp:" + strings.ToLower(string(role)) }

// openLogin makes the Supervisor's login.
func (s *Simulator) openLogin() (err error) {
	cfg := s.cfg.Login
	cfg.Kubernetes = s.cfg.Kubernetes
	cfg.Namespaces = s.vSphereNamespaces
	cfg.Guests = func() []GuestEndpoint {
		if s.tkg == nil {
			return nil
		}
		return s.tkg.endpoints()
	}
	s.wcp, err = NewWCP(cfg)
	return err
}

// vSphereNamespaces are the names of the namespaces that WCP made.
func (s *Simulator) vSphereNamespaces() []string {
	namespaces, _ := s.view.namespaces.List(labels.Everything())
	var names []string
	for _, ns := range namespaces {
		if s.view.isVSphere(ns) && ns.DeletionTimestamp == nil {
			names = append(names, ns.Name)
		}
	}
	return names
}

// ensureRoles makes the ClusterRoles that users get in their namespaces.
func (s *Simulator) ensureRoles(ctx context.Context) error {
	for _, role := range []Role{RoleEdit, RoleView} {
		want := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: clusterRoleOf(role)}, Rules: rulesOf(role)}
		roles := s.kube.RbacV1().ClusterRoles()
		_, err := roles.Create(ctx, want, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			_, err = roles.Update(ctx, want, metav1.UpdateOptions{})
		}
		if err != nil {
			return fmt.Errorf("supervisorsim: cluster role %s: %w", want.Name, err)
		}
	}
	return nil
}

// rulesOf are what a role may do in its namespaces.
func rulesOf(role Role) []rbacv1.PolicyRule {
	read := []string{"get", "list", "watch"}
	verbs := read
	if role == RoleEdit {
		verbs = []string{"*"}
	}
	rules := []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"namespaces", "resourcequotas", "limitranges", "events"}, Verbs: read},
		{APIGroups: []string{""}, Resources: []string{
			"configmaps", "endpoints", "persistentvolumeclaims", "pods", "pods/log", "pods/status", "services", "services/status",
		}, Verbs: verbs},
		{APIGroups: []string{"apps", "batch", "discovery.k8s.io", "networking.k8s.io"}, Resources: []string{"*"}, Verbs: verbs},
		{APIGroups: []string{tkcGroup, capiGroup, vmOperatorGroup, ncpGroup}, Resources: []string{"*"}, Verbs: verbs},
	}
	if role == RoleEdit {
		// The kubeconfigs of TK clusters among them. Nobody may write Secrets.
		rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: read})
	}
	return rules
}

// admit gives the users of vCenter their roles in a vSphere Namespace.
func (s *Simulator) admit(ctx context.Context, namespace string) error {
	for _, u := range s.wcp.cfg.Users {
		role, ok := u.role(namespace)
		if !ok {
			continue
		}
		name, domain, _ := strings.Cut(u.Name, "@")
		_, err := s.kube.RbacV1().RoleBindings(namespace).Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("wcp:%s:user:%s:%s", namespace, domain, name)},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: clusterRoleOf(role)},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: subject(u.Name)}},
		}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("supervisorsim: admit %s to namespace %q: %w", u.Name, namespace, err)
		}
	}
	return nil
}
