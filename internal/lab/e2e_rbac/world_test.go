// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package e2e_rbac runs what the manifests of docs/rbac are for as the service
// account of each, on a lab, and without each of their verbs in turn.
package e2e_rbac_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/bridge"
	"github.com/viaduct-sdk/viaduct/internal/lab"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
	"github.com/viaduct-sdk/viaduct/supervisor/supervisorsim"
)

// The names of the manifests.
const (
	data    = "acme-data"
	app     = "acme-app"
	fitness = "acme-fitness"
)

var world *lab.Lab

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	guests := &oneCluster{ready: make(chan struct{})}
	var err error
	world, err = lab.Start(ctx, lab.Config{
		TKClusters: []string{fitness}, Namespaces: []string{data, app}, ControllerManager: true, Progress: os.Stderr,
		SupervisorSim: supervisorsim.Config{TKG: supervisorsim.TKGConfig{Clusters: guests}},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	guests.config = world.TKCluster(fitness).Config
	close(guests.ready)
	code := m.Run()
	if err := world.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// oneCluster is what is behind every TK cluster of the Supervisor: starting one
// costs nothing.
type oneCluster struct {
	ready  chan struct{}
	config *rest.Config
}

func (o *oneCluster) StartCluster(ctx context.Context, _, _ string) (*rest.Config, error) {
	select {
	case <-o.ready:
		return o.config, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (o *oneCluster) StopCluster(context.Context, string, string) error { return nil }

// timeout bounds every wait of a test; nothing is asserted about time.
const timeout = time.Minute

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	t.Cleanup(cancel)
	return ctx
}

func client(t *testing.T, c *lab.Cluster) kubernetes.Interface {
	t.Helper()
	k, err := kubernetes.NewForConfig(quick(c.Config))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func finder(t *testing.T) *ncp.Finder {
	t.Helper()
	c, err := nsx.NewClient(world.NSX.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword),
		nsx.WithHTTPClient(world.NSX.Client()))
	if err != nil {
		t.Fatal(err)
	}
	return ncp.NewFinder(c)
}

// supervisorEnd and tkEnd are the ends of the bridge, for whoever config is.
func supervisorEnd(t *testing.T, config *rest.Config) *bridge.Cluster {
	t.Helper()
	return end(t, "supervisor", config, bridge.WithNSX(finder(t)))
}

func tkEnd(t *testing.T, config *rest.Config) *bridge.Cluster {
	t.Helper()
	return end(t, fitness, config)
}

func end(t *testing.T, name string, config *rest.Config, opts ...bridge.ClusterOption) *bridge.Cluster {
	t.Helper()
	c, err := bridge.NewCluster(name, config, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// eventually waits until check returns an empty string.
func eventually(t *testing.T, check func(context.Context) string) {
	t.Helper()
	ctx := testContext(t)
	tick := time.NewTicker(20 * time.Millisecond)
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

// use is what some manifests, taken together, are for.
type use struct {
	cluster *lab.Cluster
	// files are applied together; verbs are taken from the last of them.
	files []string
	// setUp makes what the calls need, as administrator, before each run,
	// whatever the run before has left.
	setUp func(t *testing.T)
	// run makes the calls, as the account.
	run func(t *testing.T, account *rest.Config) error
	// optional are the grants that nothing fails without, and why they are there.
	optional map[string]string
	// otherwise are the grants without which the error is another one than
	// ErrForbidden, and why.
	otherwise map[string]error
}

// check runs a use with all rights, without the optional ones, and without each
// of the others. It returns how many verbs it has proved necessary.
func (u use) check(t *testing.T) int {
	t.Helper()
	admin := adminOf(t, u.cluster)
	var last manifest
	var granted []grant
	for _, file := range u.files {
		last = readManifest(t, file)
		admin.install(t, last)
		granted = append(granted, last.grants...)
	}
	account, err := u.cluster.ServiceAccountConfig(testContext(t), last.account.Namespace, last.account.Name)
	if err != nil {
		t.Fatal(err)
	}
	var refused atomic.Int64
	account.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			res, err := next.RoundTrip(req)
			if err == nil && res.StatusCode == http.StatusForbidden {
				refused.Add(1)
			}
			return res, err
		})
	})
	with := func(taken []grant) error {
		t.Helper()
		if err := admin.apply(testContext(t), last.without(t, taken)); err != nil {
			t.Fatal(err)
		}
		awaitRights(t, account, granted, taken)
		if u.setUp != nil {
			u.setUp(t)
		}
		refused.Store(0)
		return u.run(t, account)
	}
	if err := with(nil); err != nil {
		t.Errorf("with all of %v: %v", u.files, err)
	}
	var optional []grant
	proved := 0
	for _, g := range last.grants {
		if u.optional[g.String()] != "" {
			optional = append(optional, g)
			continue
		}
		want := viaduct.ErrForbidden
		if other := u.otherwise[g.String()]; other != nil {
			want = other
		}
		if err := with([]grant{g}); !errors.Is(err, want) || refused.Load() == 0 {
			t.Errorf("without %q of %s: got %v and %d refusals, want an error that matches %v", g, last.file, err, refused.Load(), want)
			continue
		}
		proved++
	}
	if len(optional) != len(u.optional) || strings.Count(string(last.text), "# Optional") != len(optional) {
		t.Errorf("%s: optional are %v; want those of %v, each marked in the file", last.file, optional, u.optional)
	}
	if len(optional) > 0 {
		if err := with(optional); err != nil {
			t.Errorf("without the optional %v of %s: %v", optional, last.file, err)
		}
	}
	return proved
}

func TestManifests(t *testing.T) {
	createNamespace(t, client(t, world.TKCluster(fitness)), data)
	uses := slices.Concat(bridgeUses(), supervisorUses())
	files, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	proved := map[string]int{}
	total := 0
	for _, u := range uses {
		file := u.files[len(u.files)-1]
		t.Run(strings.TrimSuffix(file, ".yaml"), func(t *testing.T) {
			n := u.check(t)
			proved[file] += n
			total += n
			t.Logf("%d verbs are necessary, %d are optional", n, len(u.optional))
		})
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".yaml") && proved[f.Name()] == 0 {
			t.Errorf("nothing was proved of %s", f.Name())
		}
	}
	t.Logf("%d verbs of %d manifests are necessary", total, len(proved))
}

// createNamespace makes a namespace unless it exists.
func createNamespace(t *testing.T, c kubernetes.Interface, name string) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := c.CoreV1().Namespaces().Create(testContext(t), ns, metav1.CreateOptions{}); ignoreExists(err) != nil {
		t.Fatal(err)
	}
}
