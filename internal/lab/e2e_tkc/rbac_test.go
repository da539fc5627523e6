// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_tkc_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/lab"
	"github.com/viaduct-sdk/viaduct/supervisor/supervisorsim"
	"github.com/viaduct-sdk/viaduct/tkc"
)

// roles are those of the manifest.
func roles(t *testing.T) map[string]*rbacv1.Role {
	t.Helper()
	data, err := os.ReadFile("../../../docs/rbac/tkc.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*rbacv1.Role{}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	for {
		role := &rbacv1.Role{}
		err := decoder.Decode(role)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if role.Kind != "Role" || role.Namespace != "acme-app" {
			t.Fatalf("the manifest has a %s %s/%s", role.Kind, role.Namespace, role.Name)
		}
		all[role.Name] = role
	}
}

// granted lists what roles allow, as "verb group/resource".
func granted(all map[string]*rbacv1.Role, names ...string) []string {
	set := map[string]bool{}
	for _, name := range names {
		for _, rule := range all[name].Rules {
			for _, verb := range rule.Verbs {
				set[verb+" "+rule.APIGroups[0]+"/"+rule.Resources[0]] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// recorder notes which rights requests need.
type recorder struct {
	mu   sync.Mutex
	used map[string]bool
}

func (r *recorder) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		if right, ok := rightOf(req); ok {
			r.mu.Lock()
			r.used[right] = true
			r.mu.Unlock()
		}
		return next.RoundTrip(req)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// rightOf returns the right that a request needs, and false for discovery.
func rightOf(req *http.Request) (string, bool) {
	parts := strings.Split(strings.Trim(req.URL.Path, "/"), "/")
	if parts[0] == "api" {
		parts = append([]string{"apis", ""}, parts[1:]...)
	}
	if len(parts) < 6 { // apis group version namespaces namespace resource [name]
		return "", false
	}
	verb := map[string]string{http.MethodGet: "get", http.MethodPost: "create", http.MethodDelete: "delete"}[req.Method]
	if verb == "get" && len(parts) == 6 {
		verb = "list"
		if req.URL.Query().Get("watch") != "" {
			verb = "watch"
		}
	}
	return verb + " " + parts[1] + "/" + parts[5], true
}

// account makes a service account with these roles and returns a client that
// works as it does.
func account(ctx context.Context, t *testing.T, l *lab.Lab, name string, all map[string]*rbacv1.Role, roleNames ...string) (*tkc.Client, *recorder) {
	t.Helper()
	config, err := l.Supervisor.ServiceAccountConfig(ctx, "acme-app", name)
	if err != nil {
		t.Fatal(err)
	}
	kube, err := kubernetes.NewForConfig(l.Supervisor.Config)
	if err != nil {
		t.Fatal(err)
	}
	for _, roleName := range roleNames {
		if all[roleName] == nil {
			t.Fatalf("the manifest has no role %s", roleName)
		}
		_, err := kube.RbacV1().RoleBindings("acme-app").Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name + "-" + roleName},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: roleName},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "acme-app", Name: name}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	r := &recorder{used: map[string]bool{}}
	config = rest.CopyConfig(config)
	config.Wrap(r.wrap)
	c, err := tkc.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	return c, r
}

// TestLeastPrivilege does everything as service accounts with the roles of the
// manifest, and compares the rights that were used with those that it gives.
func TestLeastPrivilege(t *testing.T) {
	t.Parallel()
	l := newLab(t, supervisorsim.VSphere8())
	ctx := testContext(t)
	all := roles(t)
	kube, err := kubernetes.NewForConfig(l.Supervisor.Config)
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range all {
		if _, err := kube.RbacV1().Roles("acme-app").Create(ctx, role, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	manager, managed := account(ctx, t, l, "manager", all, "viaduct-tkc-view", "viaduct-tkc-manage")
	user, used := account(ctx, t, l, "user", all, "viaduct-tkc-view", "viaduct-tkc-access")

	// The authorizer hears of new roles a moment later.
	here := tkc.ListOptions{Namespace: "acme-app"}
	until(ctx, t, "the roles are in force", func() bool {
		_, first := manager.List(ctx, here)
		_, second := user.List(ctx, here)
		return first == nil && second == nil
	})
	watching, stop := context.WithCancel(ctx)
	defer stop()
	streams := []<-chan tkc.Event{collect(watching, t, manager, here), collect(watching, t, user, here)}
	fitness, other := spec("acme-fitness", ""), spec("other", tkc.ClusterV1beta1)
	for _, s := range []tkc.Spec{fitness, other} {
		if err := persist(ctx, func() error { _, err := manager.Create(ctx, s); return err }); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := user.WaitReady(ctx, "acme-app", "acme-fitness", tkc.WaitOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, events := range streams {
		await(ctx, t, events, tkc.EventReady, other.Name)
	}
	access, err := user.Access(ctx, "acme-app", "acme-fitness")
	if err != nil {
		t.Fatal(err)
	}
	follow(ctx, t, l, user, access)
	for name, forbidden := range map[string]error{
		"another's kubeconfig": second(user.Kubeconfig(ctx, "acme-app", "other")),
		"the manager's":        second(manager.Kubeconfig(ctx, "acme-app", "acme-fitness")),
		"creating":             second(user.Create(ctx, spec("third", ""))),
		"deleting":             user.Delete(ctx, "acme-app", "acme-fitness", tkc.DeleteOptions{}),
		"all namespaces":       second(user.List(ctx, tkc.ListOptions{})),
	} {
		if !errors.Is(forbidden, viaduct.ErrForbidden) {
			t.Errorf("%s: %v; want forbidden", name, forbidden)
		}
	}
	refused := []string{
		"get /secrets", // the manager's attempt above
		"create run.tanzu.vmware.com/tanzukubernetesclusters", "delete run.tanzu.vmware.com/tanzukubernetesclusters",
	}
	for _, s := range []tkc.Spec{fitness, other} {
		if err := manager.Delete(ctx, "acme-app", s.Name, tkc.DeleteOptions{}); err != nil {
			t.Error(err)
		}
		if err := manager.WaitGone(ctx, "acme-app", s.Name, ""); err != nil {
			t.Error(err)
		}
		// Through the watches, which must be open for that.
		for _, events := range streams {
			await(ctx, t, events, tkc.EventGone, s.Name)
		}
	}
	compare(t, used, granted(all, "viaduct-tkc-view", "viaduct-tkc-access"), refused[1:])
	compare(t, managed, granted(all, "viaduct-tkc-view", "viaduct-tkc-manage"), refused[:1])
}

func second[T any](_ T, err error) error { return err }

// follow runs an access through a replacement of the credentials.
func follow(ctx context.Context, t *testing.T, l *lab.Lab, c *tkc.Client, access *tkc.Access) {
	t.Helper()
	running, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	background.Go(func() {
		if err := access.Run(running); !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v", err)
		}
	})
	if err := l.SupervisorSim.RotateKubeconfig(ctx, "acme-app", "acme-fitness"); err != nil {
		t.Fatal(err)
	}
	fresh, err := c.Kubeconfig(ctx, "acme-app", "acme-fitness")
	if err != nil {
		t.Fatal(err)
	}
	until(ctx, t, "the new credentials are in use", func() bool {
		k, err := access.Kubeconfig()
		return err == nil && bytes.Equal(k.ClientCertificate, fresh.ClientCertificate)
	})
	stop()
	background.Wait()
}

// compare fails on rights that were used and not granted, and on rights that were
// granted and never used. refused are those that were tried in vain on purpose.
func compare(t *testing.T, r *recorder, granted, refused []string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	used := slices.DeleteFunc(slices.Sorted(maps.Keys(r.used)), func(right string) bool {
		return slices.Contains(refused, right) && !slices.Contains(granted, right)
	})
	if diff := cmp.Diff(granted, used); diff != "" {
		t.Error(diff)
	}
}
