// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package e2e runs the bridge on a lab: real API servers, simulated NSX.
package e2e_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct/bridge"
	"github.com/viaduct-sdk/viaduct/internal/lab"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// world is the lab that all tests share; each test has namespaces of its own.
var world *lab.Lab

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	world, err = lab.Start(ctx, lab.Config{TKClusters: []string{"acme-fitness"}, ControllerManager: true, Progress: os.Stderr})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := world.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// timeout bounds every wait of a test; nothing is asserted about time.
const timeout = 5 * time.Minute

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	t.Cleanup(cancel)
	return ctx
}

// client returns a client that the bridge does not use.
func client(t *testing.T, config *rest.Config) kubernetes.Interface {
	t.Helper()
	config = rest.CopyConfig(config)
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func supervisor(t *testing.T) kubernetes.Interface { return client(t, world.Supervisor.Config) }

func tkCluster(t *testing.T) kubernetes.Interface {
	return client(t, world.TKCluster("acme-fitness").Config)
}

// finder returns what proves a VIP in the lab's NSX.
func finder(t *testing.T) *ncp.Finder {
	t.Helper()
	c, err := nsx.NewClient(world.NSX.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword),
		nsx.WithHTTPClient(world.NSX.Client()))
	if err != nil {
		t.Fatal(err)
	}
	return ncp.NewFinder(c)
}

// exporter and importer return the two ends of the bridge, their requests
// passing through wrap when it is not nil.
func exporter(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) *bridge.Cluster {
	t.Helper()
	return end(t, "supervisor", world.Supervisor.Config, wrap, bridge.WithNSX(finder(t)))
}

func importer(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) *bridge.Cluster {
	t.Helper()
	return end(t, "acme-fitness", world.TKCluster("acme-fitness").Config, wrap)
}

func end(t *testing.T, name string, config *rest.Config, wrap func(http.RoundTripper) http.RoundTripper, opts ...bridge.ClusterOption) *bridge.Cluster {
	t.Helper()
	config = rest.CopyConfig(config)
	if wrap != nil {
		config.Wrap(wrap)
	}
	c, err := bridge.NewCluster(name, config, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// namespace makes a vSphere Namespace on the Supervisor and a namespace of the
// same name in the TK cluster, and removes both after the test.
func namespace(t *testing.T, name string) {
	t.Helper()
	ctx := testContext(t)
	if err := world.SupervisorSim.CreateNamespace(ctx, name); err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := tkCluster(t).CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), timeout)
		defer cancel()
		if err := world.SupervisorSim.DeleteNamespace(ctx, name); err != nil {
			t.Error(err)
		}
		if err := tkCluster(t).CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// workload makes a pod and a Service in front of it on the Supervisor.
func workload(t *testing.T, name types.NamespacedName, port int32, change func(*corev1.Service)) *corev1.Service {
	t.Helper()
	ctx := testContext(t)
	labels := map[string]string{"app": name.Name}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name + "-0", Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "registry.example.com/" + name.Name}}},
	}
	if _, err := supervisor(t).CoreV1().Pods(name.Namespace).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name},
		Spec: corev1.ServiceSpec{
			Selector: labels,
			Ports:    []corev1.ServicePort{{Name: "main", Port: port, TargetPort: intstr.FromInt32(port)}},
		},
	}
	if change != nil {
		change(s)
	}
	s, err := supervisor(t).CoreV1().Services(name.Namespace).Create(ctx, s, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// versions lists what a namespace of a cluster holds, with UID and resource
// version: equal lists mean that nothing was written. Slices that Kubernetes'
// controller keeps for Services with a selector are left out: it writes them
// when it gets round to it.
func versions(t *testing.T, c kubernetes.Interface, namespace string) []string {
	t.Helper()
	ctx := testContext(t)
	var found []string
	add := func(kind string, obj metav1.Object) {
		name := cmp.Or(obj.GetGenerateName(), obj.GetName()) // Kubernetes' own slices have names drawn at random
		found = append(found, fmt.Sprintf("%s %s uid=%s rv=%s", kind, name, obj.GetUID(), obj.GetResourceVersion()))
	}
	services, err := c.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range services.Items {
		add("Service", &services.Items[i])
	}
	endpointSlices, err := c.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range endpointSlices.Items {
		if endpointSlices.Items[i].Labels[discoveryv1.LabelManagedBy] == "endpointslice-controller.k8s.io" {
			continue
		}
		add("EndpointSlice", &endpointSlices.Items[i])
	}
	slices.Sort(found)
	return found
}

// names is versions without UIDs and versions.
func names(t *testing.T, c kubernetes.Interface, namespace string) []string {
	t.Helper()
	found := versions(t, c, namespace)
	for i, line := range found {
		found[i], _, _ = strings.Cut(line, " uid=")
	}
	return found
}

// eventually waits until check returns an empty string.
func eventually(t *testing.T, check func(context.Context) string) {
	t.Helper()
	ctx := testContext(t)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		missing := check(ctx)
		if missing == "" {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("still %s", missing)
		case <-tick.C:
		}
	}
}

// cutter lets a number of writes pass and then cuts the client off: every later
// request fails as if the process had died. The write that it cuts off either
// never reaches the server, or does and its answer is lost.
type cutter struct {
	passes      int
	afterEffect bool

	mu     sync.Mutex
	writes int
	dead   bool
}

func (c *cutter) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.dead {
			return nil, errCut
		}
		if req.Method == http.MethodGet {
			return next.RoundTrip(req)
		}
		c.writes++
		if c.writes <= c.passes {
			return next.RoundTrip(req)
		}
		c.dead = true
		if c.afterEffect {
			res, err := next.RoundTrip(req)
			if err == nil {
				_ = res.Body.Close()
			}
		}
		return nil, errCut
	})
}

var errCut = errors.New("cut off")

// counter records the writes of all clients that it wraps.
type counter struct {
	mu     sync.Mutex
	writes []string
}

func (c *counter) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		if req.Method != http.MethodGet {
			c.mu.Lock()
			c.writes = append(c.writes, req.Method+" "+req.URL.Path)
			c.mu.Unlock()
		}
		return next.RoundTrip(req)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
