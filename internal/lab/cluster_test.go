// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package lab_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/lab"
)

// namespace makes a Kubernetes namespace.
func namespace(t *testing.T, c kubernetes.Interface, name string) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := c.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return name
}

func configMap(name string, owners ...metav1.OwnerReference) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: owners}}
}

func TestAccess(t *testing.T) {
	t.Parallel()
	cluster := world.TKCluster("acme-fitness")
	ns := namespace(t, client(t, cluster.Config), "access")
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "viewers"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "viewers"}},
	}
	if _, err := client(t, cluster.Config).RbacV1().RoleBindings(ns).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	with := func(change func(*rest.Config)) func() (*rest.Config, error) {
		return func() (*rest.Config, error) {
			config := rest.CopyConfig(cluster.Config)
			change(config)
			return config, nil
		}
	}
	cases := map[string]struct {
		reason string
		config func() (*rest.Config, error)
		want   func(error) bool
	}{
		"Kubeconfig": {
			reason: "the file holds what Config holds",
			config: func() (*rest.Config, error) { return clientcmd.BuildConfigFromFlags("", cluster.Kubeconfig) },
			want:   func(err error) bool { return err == nil },
		},
		"WrongToken": {
			reason: "only tokens of the token file are known",
			config: with(func(c *rest.Config) { c.BearerToken = "wrong" }),
			want:   apierrors.IsUnauthorized,
		},
		"TokenOfAnotherCluster": {
			reason: "each cluster has tokens of its own",
			config: with(func(c *rest.Config) { c.BearerToken = world.Supervisor.Config.BearerToken }),
			want:   apierrors.IsUnauthorized,
		},
		"AuthorityOfAnotherCluster": {
			reason: "each cluster has an authority of its own",
			config: with(func(c *rest.Config) { c.CAData = world.Supervisor.Config.CAData }),
			want:   func(err error) bool { return err != nil && !isStatus(err) },
		},
		"UserWithoutRole": {
			reason: "RBAC is on",
			config: func() (*rest.Config, error) { return cluster.UserConfig("somebody") },
			want:   apierrors.IsForbidden,
		},
		"UserWithRole": {
			reason: "RBAC knows the groups of a client certificate",
			config: func() (*rest.Config, error) { return cluster.UserConfig("somebody", "viewers") },
			want:   func(err error) bool { return err == nil },
		},
		"ServiceAccount": {
			reason: "its token is good, and it has no role",
			config: func() (*rest.Config, error) { return cluster.ServiceAccountConfig(t.Context(), ns, "robot") },
			want:   apierrors.IsForbidden,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, err := tc.config()
			if err != nil {
				t.Fatal(err)
			}
			_, err = client(t, config).CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
			if !tc.want(err) {
				t.Errorf("%s: got %v", tc.reason, err)
			}
		})
	}
}

func isStatus(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status)
}

// TestControllers shows that kube-controller-manager does its part: endpoint
// slices, garbage collection, and the end of a namespace.
func TestControllers(t *testing.T) {
	t.Parallel()
	cluster := world.TKCluster("acme-fitness")
	c := client(t, cluster.Config)
	ns := namespace(t, c, "controllers")
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	service, err := c.CoreV1().Services(ns).Create(t.Context(), service, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if ip := netip.MustParseAddr(service.Spec.ClusterIP); !cluster.ServiceCIDR.Contains(ip) {
		t.Errorf("cluster IP %s is outside of %s", ip, cluster.ServiceCIDR)
	}
	eventually(t, func(ctx context.Context) string {
		found, err := c.DiscoveryV1().EndpointSlices(ns).List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=web"})
		if err != nil || len(found.Items) != 1 {
			return fmt.Sprintf("no endpoint slice of the Service (%v)", err)
		}
		return ""
	})

	owner, err := c.CoreV1().ConfigMaps(ns).Create(t.Context(), configMap("owner"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	owned := configMap("owned", metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID})
	if _, err := c.CoreV1().ConfigMaps(ns).Create(t.Context(), owned, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := c.CoreV1().ConfigMaps(ns).Delete(t.Context(), "owner", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) string {
		if _, err := c.CoreV1().ConfigMaps(ns).Get(ctx, "owned", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Sprintf("an orphan (%v)", err)
		}
		return ""
	})

	if err := c.CoreV1().Namespaces().Delete(t.Context(), ns, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) string {
		if _, err := c.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Sprintf("a namespace (%v)", err)
		}
		return ""
	})
}

// TestKillAndRestart takes the servers of a cluster away and brings them back.
func TestKillAndRestart(t *testing.T) {
	t.Parallel()
	cluster, err := world.StartTKCluster(t.Context(), "short-lived")
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, cluster.Config)
	maps := c.CoreV1().ConfigMaps(metav1.NamespaceDefault)
	want, err := maps.Create(t.Context(), configMap("kept"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		got, err := maps.Get(t.Context(), "kept", metav1.GetOptions{})
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", when, diff)
		}
	}

	cluster.Kill()
	if _, err := maps.Get(t.Context(), "kept", metav1.GetOptions{}); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("without an API server: got %v, want connection refused", err)
	}
	cluster.Kill() // again, to no effect
	if err := cluster.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("after Kill and Restart")
	if err := cluster.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("after Restart of a running server")

	cluster.KillEtcd()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := maps.Create(ctx, configMap("lost"), metav1.CreateOptions{}); err == nil {
		t.Error("a write without etcd succeeded")
	}
	if err := cluster.RestartEtcd(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("after KillEtcd and RestartEtcd")

	if err := world.StopTKCluster(cluster.Name); err != nil {
		t.Fatal(err)
	}
	if world.TKCluster(cluster.Name) != nil {
		t.Error("the lab has a cluster that was stopped")
	}
	if _, err := os.Stat(cluster.Kubeconfig); err == nil {
		t.Error("the kubeconfig of a cluster that was stopped is there")
	}
	if err := cluster.Restart(t.Context()); err == nil {
		t.Error("a cluster that was stopped was restarted")
	}
	if err := world.StopTKCluster(cluster.Name); err != nil {
		t.Errorf("stopping again: %v", err)
	}
}

func TestRefusedNames(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason string
		name   string
		want   error
	}{
		"Taken":      {reason: "the lab has a cluster of that name", name: "acme-fitness", want: viaduct.ErrExists},
		"Supervisor": {reason: "the name is the Supervisor's", name: "supervisor", want: viaduct.ErrInvalid},
		"Path":       {reason: "the name is one of a directory, too", name: "../x", want: viaduct.ErrInvalid},
		"Empty":      {reason: "a cluster has a name", name: "", want: viaduct.ErrInvalid},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := world.StartTKCluster(t.Context(), tc.name); !errors.Is(err, tc.want) {
				t.Errorf("%s: got %v, want %v", tc.reason, err, tc.want)
			}
		})
	}
	for reason, config := range map[string]lab.Config{
		"a name twice":         {TKClusters: []string{"a", "a"}},
		"no single address":    {Address: netip.IPv4Unspecified()},
		"no vCenter to ask":    {Namespaces: []string{"acme-data"}, ControlPlanesOnly: true},
		"binaries not there":   {Assets: t.TempDir()},
		"a name with a slash":  {TKClusters: []string{"a/b"}},
		"the Supervisor's own": {TKClusters: []string{"supervisor"}},
	} {
		if _, err := lab.Start(t.Context(), config); !errors.Is(err, viaduct.ErrInvalid) {
			t.Errorf("%s: got %v, want an error that matches ErrInvalid", reason, err)
		}
	}
}
