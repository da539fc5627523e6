// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_rbac_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct/internal/lab"
)

// directory is where the manifests are.
const directory = "../../../docs/rbac"

// manifest is one of the files.
type manifest struct {
	file    string
	text    []byte
	objects []*unstructured.Unstructured
	role    *unstructured.Unstructured // one of objects
	account types.NamespacedName       // that the role is bound to
	grants  []grant
}

// grant is the smallest part of a role: one verb on one resource.
type grant struct {
	group, resource, verb string
	resourceName          string
	namespace             string // of the role; empty: all
}

func (g grant) String() string { return g.verb + " " + g.resource }

func readManifest(t *testing.T, file string) manifest {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(directory, file))
	if err != nil {
		t.Fatal(err)
	}
	m := manifest{file: file, text: text}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), len(text))
	for {
		o := &unstructured.Unstructured{}
		err := decoder.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if len(o.Object) > 0 {
			m.add(t, o)
		}
	}
	if m.role == nil || m.account.Name == "" || len(m.grants) == 0 {
		t.Fatalf("%s: got role %v of %v with %v, want all three", file, m.role, m.account, m.grants)
	}
	return m
}

func (m *manifest) add(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	m.objects = append(m.objects, o)
	switch o.GetKind() {
	case "Role", "ClusterRole":
		m.role = o
		for _, rule := range rulesOf(t, o) {
			for _, verb := range rule.Verbs {
				g := grant{group: rule.APIGroups[0], resource: rule.Resources[0], verb: verb, namespace: o.GetNamespace()}
				if len(rule.ResourceNames) > 0 {
					g.resourceName = rule.ResourceNames[0]
				}
				m.grants = append(m.grants, g)
			}
			if len(rule.APIGroups) != 1 || len(rule.Resources) != 1 || len(rule.ResourceNames) > 1 {
				t.Fatalf("%s: got rule %+v, want one group, one resource and at most one name", m.file, rule)
			}
		}
	case "RoleBinding", "ClusterRoleBinding":
		var b rbacv1.RoleBinding
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &b); err != nil || len(b.Subjects) != 1 {
			t.Fatalf("%s: got subjects %v, %v; want one", m.file, b.Subjects, err)
		}
		m.account = types.NamespacedName{Namespace: b.Subjects[0].Namespace, Name: b.Subjects[0].Name}
	}
}

func rulesOf(t *testing.T, role *unstructured.Unstructured) []rbacv1.PolicyRule {
	t.Helper()
	var r rbacv1.ClusterRole
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(role.Object, &r); err != nil {
		t.Fatal(err)
	}
	return r.Rules
}

// without returns the role less some grants.
func (m *manifest) without(t *testing.T, taken []grant) *unstructured.Unstructured {
	t.Helper()
	role := m.role.DeepCopy()
	var rules []any
	for _, rule := range rulesOf(t, m.role) {
		rule.Verbs = slices.DeleteFunc(rule.Verbs, func(verb string) bool {
			return slices.ContainsFunc(taken, func(g grant) bool {
				return g.verb == verb && g.resource == rule.Resources[0] && g.group == rule.APIGroups[0]
			})
		})
		if len(rule.Verbs) == 0 {
			continue
		}
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&rule)
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, fields)
	}
	if rules == nil {
		rules = []any{}
	}
	role.Object["rules"] = rules
	return role
}

// admin is the administrator of a cluster, who applies manifests.
type admin struct{ objects dynamic.Interface }

func adminOf(t *testing.T, c *lab.Cluster) admin {
	t.Helper()
	objects, err := dynamic.NewForConfig(quick(c.Config))
	if err != nil {
		t.Fatal(err)
	}
	return admin{objects}
}

// quick returns a configuration without a rate limit.
func quick(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	return config
}

func (a admin) resource(o *unstructured.Unstructured) dynamic.ResourceInterface {
	gvr, _ := meta.UnsafeGuessKindToResource(o.GroupVersionKind())
	if o.GetNamespace() == "" {
		return a.objects.Resource(gvr)
	}
	return a.objects.Resource(gvr).Namespace(o.GetNamespace())
}

func (a admin) apply(ctx context.Context, o *unstructured.Unstructured) error {
	_, err := a.resource(o).Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: "admin", Force: true})
	return err
}

// install applies a manifest and removes it after the test.
func (a admin) install(t *testing.T, m manifest) {
	t.Helper()
	for _, o := range m.objects {
		if err := a.apply(testContext(t), o); err != nil {
			t.Fatalf("%s: %s: %v", m.file, o.GetKind(), err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), timeout)
			defer cancel()
			if err := a.resource(o).Delete(ctx, o.GetName(), metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
				t.Error(err)
			}
		})
	}
}

// awaitRights waits until the API server grants an account what it should, and
// no longer what it should not.
func awaitRights(t *testing.T, account *rest.Config, granted, taken []grant) {
	t.Helper()
	client, err := kubernetes.NewForConfig(account)
	if err != nil {
		t.Fatal(err)
	}
	allows := func(ctx context.Context, g grant) (bool, error) {
		answer, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: g.namespace, Verb: g.verb, Group: g.group, Resource: g.resource, Name: g.resourceName,
			}},
		}, metav1.CreateOptions{})
		if err != nil {
			return false, err
		}
		return answer.Status.Allowed, nil
	}
	eventually(t, func(ctx context.Context) string {
		for _, g := range granted {
			if slices.Contains(taken, g) {
				continue
			}
			if allowed, err := allows(ctx, g); err != nil || !allowed {
				return fmt.Sprintf("not allowed to %s: %v", g, err)
			}
		}
		for _, g := range taken {
			if allowed, err := allows(ctx, g); err != nil || allowed {
				return fmt.Sprintf("allowed to %s: %v", g, err)
			}
		}
		return ""
	})
}
