// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_tkc_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct/internal/poll"
	"github.com/viaduct-sdk/viaduct/supervisor/supervisorsim"
	"github.com/viaduct-sdk/viaduct/tkc"
)

func kubeClient(t *testing.T, access *tkc.Access) kubernetes.Interface {
	t.Helper()
	config := access.Config()
	config.QPS = -1
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return kube
}

// TestRotationUnderLoad replaces the credentials of a TK cluster while many use
// it: requests all succeed, a watch stays open, and the new credentials are used.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	l := newLab(t, supervisorsim.VSphere8())
	ctx := testContext(t)
	c := adminClient(t, l)
	create(ctx, t, c, spec("acme-fitness", ""))
	access, err := c.Access(ctx, "acme-app", "acme-fitness")
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	var background sync.WaitGroup
	background.Go(func() { _ = access.Run(running) })
	kube := kubeClient(t, access)
	maps := kube.CoreV1().ConfigMaps("default")
	open, err := maps.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=rotation"})
	if err != nil {
		t.Fatal(err)
	}
	defer open.Stop()

	var requests, failures atomic.Int64
	loading, unload := context.WithCancel(ctx)
	defer unload()
	var load sync.WaitGroup
	const users = 16
	for i := range users {
		load.Go(func() {
			for n := 0; loading.Err() == nil; n++ {
				requests.Add(1)
				name := fmt.Sprintf("user-%d-%d", i, n)
				_, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
				if err == nil {
					err = maps.Delete(ctx, name, metav1.DeleteOptions{})
				}
				if err != nil {
					failures.Add(1)
					t.Errorf("request: %v", err)
				}
			}
		})
	}
	const rotations = 10
	for i := range rotations {
		before := requests.Load()
		if err := l.SupervisorSim.RotateKubeconfig(ctx, "acme-app", "acme-fitness"); err != nil {
			t.Fatal(err)
		}
		fresh, err := c.Kubeconfig(ctx, "acme-app", "acme-fitness")
		if err != nil {
			t.Fatal(err)
		}
		until(ctx, t, "the new credentials are in use", func() bool {
			k, err := access.Kubeconfig()
			return err == nil && bytes.Equal(k.ClientCertificate, fresh.ClientCertificate) && requests.Load() > before+users
		})
		touch(ctx, t, maps, i)
		if event := <-open.ResultChan(); event.Type != watch.Added && event.Type != watch.Modified {
			t.Errorf("the open watch: %v", event)
		}
	}
	unload()
	load.Wait()
	t.Logf("%d rotations, %d requests, %d failures", rotations, requests.Load(), failures.Load())
	stop()
	background.Wait()
}

// touch creates or updates the object that the watch looks at.
func touch(ctx context.Context, t *testing.T, maps interface {
	Create(context.Context, *corev1.ConfigMap, metav1.CreateOptions) (*corev1.ConfigMap, error)
	Update(context.Context, *corev1.ConfigMap, metav1.UpdateOptions) (*corev1.ConfigMap, error)
}, n int,
) {
	t.Helper()
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "rotation"}, Data: map[string]string{"n": fmt.Sprint(n)}}
	var err error
	if n == 0 {
		_, err = maps.Create(ctx, cm, metav1.CreateOptions{})
	} else {
		_, err = maps.Update(ctx, cm, metav1.UpdateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestRevoked has the API server refuse the certificate that everybody uses; one
// look at the Secret brings the next.
func TestRevoked(t *testing.T) {
	t.Parallel()
	l := newLab(t, supervisorsim.VSphere9())
	ctx := testContext(t)
	c := adminClient(t, l)
	create(ctx, t, c, spec("acme-fitness", ""))
	access, err := c.Access(ctx, "acme-app", "acme-fitness")
	if err != nil {
		t.Fatal(err)
	}
	kube := kubeClient(t, access)
	static, err := access.Kubeconfig()
	if err != nil {
		t.Fatal(err)
	}
	list := func(kube kubernetes.Interface) error {
		_, err := kube.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
		return err
	}
	if err := list(kube); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := l.SupervisorSim.RevokeKubeconfig("acme-app", "acme-fitness"); err != nil {
			t.Fatal(err)
		}
		if err := list(kube); err == nil {
			t.Error("a revoked certificate is accepted")
		}
		if err := l.SupervisorSim.RotateKubeconfig(ctx, "acme-app", "acme-fitness"); err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		const many = 64
		for range many {
			group.Go(func() {
				if err := list(kube); err != nil {
					t.Errorf("after the rotation: %v", err)
				}
			})
		}
		group.Wait()
	}
	old, err := kubernetes.NewForConfig(rest.CopyConfig(static.Config()))
	if err != nil {
		t.Fatal(err)
	}
	if err := list(old); err == nil {
		t.Error("the first certificate is accepted again")
	}
}

// until waits until is reports true.
func until(ctx context.Context, t *testing.T, what string, is func() bool) {
	t.Helper()
	err := poll.Until(ctx, func(context.Context) (string, bool, error) { return "waiting until " + what, is(), nil })
	if err != nil {
		t.Fatal(err)
	}
}
