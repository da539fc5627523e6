// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package supervisorsim_test runs supervisorsim on the lab's real API servers.
package supervisorsim_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"

	"github.com/viaduct-sdk/viaduct/internal/lab"
	"github.com/viaduct-sdk/viaduct/internal/poll"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
	"github.com/viaduct-sdk/viaduct/supervisor/supervisorsim"
	"github.com/viaduct-sdk/viaduct/vcenter/vcentersim"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// world is a Supervisor with what stands around it.
type world struct {
	t       *testing.T
	lab     *lab.Lab
	cluster *lab.Cluster
	kube    kubernetes.Interface
	nsx     *nsxsim.Server
	vc      *vcentersim.Server
	config  supervisorsim.Config
	sim     *supervisorsim.Simulator
}

func newWorld(t *testing.T, labConfig lab.Config, change ...func(*supervisorsim.Config)) *world {
	t.Helper()
	labConfig.ControlPlanesOnly = true // the tests bring simulators of their own
	l, err := lab.Start(t.Context(), labConfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, lab: l, cluster: l.Supervisor, nsx: nsxsim.NewServer()}
	t.Cleanup(w.nsx.Close)
	if w.vc, err = vcentersim.NewServer(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.vc.Close)
	if w.kube, err = kubernetes.NewForConfig(l.Supervisor.Config); err != nil {
		t.Fatal(err)
	}
	w.config = supervisorsim.Config{Kubernetes: l.Supervisor.Config, NSX: w.nsx, VCenter: w.vc}
	for _, c := range l.TKClusters() {
		w.config.TKG.Clusters = &oneCluster{config: c.Config}
	}
	for _, f := range change {
		f(&w.config)
	}
	w.start()
	return w
}

// start starts the simulator, again after w.sim.Close.
func (w *world) start() {
	w.t.Helper()
	sim, err := supervisorsim.Start(w.t.Context(), w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(sim.Close)
	w.sim = sim
}

// eventually waits until look reports no difference, and fails with the last
// one when it never does.
func (w *world) eventually(what string, look func(ctx context.Context) string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	err := poll.Until(ctx, func(ctx context.Context) (string, bool, error) {
		diff := look(ctx)
		return diff, diff == "", nil
	})
	if err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
}

func (w *world) namespace(name string) *corev1.Namespace {
	w.t.Helper()
	if err := w.sim.CreateNamespace(w.t.Context(), name); err != nil {
		w.t.Fatal(err)
	}
	ns, err := w.kube.CoreV1().Namespaces().Get(w.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return ns
}

func (w *world) pod(namespace, name string, annotations map[string]string) {
	w.t.Helper()
	_, err := w.kube.CoreV1().Pods(namespace).Create(w.t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "redis"}, Annotations: annotations},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: new(bool),
			Containers: []corev1.Container{{
				Name: "redis", Image: "redis",
				Ports: []corev1.ContainerPort{{Name: "redis", ContainerPort: 6379}},
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) service(namespace, name string, change ...func(*corev1.Service)) *corev1.Service {
	w.t.Helper()
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Type:     corev1.ServiceTypeLoadBalancer,
			Selector: map[string]string{"app": "redis"},
			Ports:    []corev1.ServicePort{{Name: "redis", Port: 6379, TargetPort: intstr.FromString("redis")}},
		},
	}
	for _, f := range change {
		f(svc)
	}
	svc, err := w.kube.CoreV1().Services(namespace).Create(w.t.Context(), svc, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return svc
}

func (w *world) getService(ctx context.Context, namespace, name string) *corev1.Service {
	svc, err := w.kube.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return &corev1.Service{}
	}
	return svc
}

// vip waits for the Service's address.
func (w *world) vip(namespace, name string) string {
	w.t.Helper()
	var vip string
	w.eventually("address of "+namespace+"/"+name, func(ctx context.Context) string {
		addresses := ingress(w.getService(ctx, namespace, name))
		if len(addresses) == 0 {
			return "no address"
		}
		vip = addresses[0]
		return ""
	})
	return vip
}

func ingress(svc *corev1.Service) []string {
	var all []string
	for _, i := range svc.Status.LoadBalancer.Ingress {
		all = append(all, i.IP)
	}
	return all
}

// policyObject is what the tests read of objects in NSX.
type policyObject struct {
	Path     string
	Address  string   `json:"ip_address"`
	Ports    []string `json:"ports"`
	PoolPath string   `json:"pool_path"`
	LBS      string   `json:"lb_service_path"`
	Profile  string   `json:"application_profile_path"`
	Members  []struct {
		Address string `json:"ip_address"`
		Port    string `json:"port"`
	} `json:"members"`
	Tags []struct{ Scope, Tag string } `json:"tags"`
}

func (o policyObject) tag(scope string) string {
	for _, t := range o.Tags {
		if t.Scope == scope {
			return t.Tag
		}
	}
	return ""
}

// tagged returns the objects beneath prefix that have the tag, by path.
func (w *world) tagged(prefix, scope, tag string) []policyObject {
	w.t.Helper()
	var all []policyObject
	for _, path := range w.nsx.Paths(prefix) {
		var o policyObject
		if err := w.nsx.Read(path, &o); err != nil {
			continue // it went in the meantime
		}
		o.Path = path
		if o.tag(scope) == tag {
			all = append(all, o)
		}
	}
	return all
}

// members waits until the pool of the Service's only port has these members.
func (w *world) members(svc *corev1.Service, want ...string) {
	w.t.Helper()
	w.eventually("members of "+svc.Name, func(context.Context) string {
		pools := w.tagged("/infra/lb-pools/", "ncp/service_uid", string(svc.UID))
		if len(pools) != 1 {
			return fmt.Sprintf("%d pools", len(pools))
		}
		var got []string
		for _, m := range pools[0].Members {
			got = append(got, m.Address+":"+m.Port)
		}
		if !slices.Equal(got, want) {
			return fmt.Sprintf("members %v, want %v", got, want)
		}
		return ""
	})
}

// newPaths are the objects that NSX has and did not have before.
func newPaths(before, after []string) string {
	var extra []string
	for _, path := range after {
		if !slices.Contains(before, path) {
			extra = append(extra, path)
		}
	}
	return strings.Join(extra, "\n")
}
