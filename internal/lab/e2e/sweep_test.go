// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/bridge"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// fault is what happens to one request.
type fault struct {
	name   string
	status int   // answered instead of the server
	err    error // or this is what the client gets
	after  bool  // the request takes effect first
	dead   bool  // and the process is gone: nothing follows
}

func faults() []fault {
	return []fault{
		{name: "cut before", err: errCut, dead: true},
		{name: "cut after", err: errCut, dead: true, after: true},
		{name: "409", status: http.StatusConflict},
		{name: "412", status: http.StatusPreconditionFailed},
		{name: "422", status: http.StatusUnprocessableEntity},
		{name: "429", status: http.StatusTooManyRequests},
		{name: "500", status: http.StatusInternalServerError},
		{name: "503", status: http.StatusServiceUnavailable},
		{name: "reset", err: syscall.ECONNRESET},
		{name: "reset after", err: syscall.ECONNRESET, after: true},
		{name: "timeout", err: os.ErrDeadlineExceeded},
		{name: "timeout after", err: os.ErrDeadlineExceeded, after: true},
	}
}

// injector lets a fault happen to the nth request, whichever server it goes to.
type injector struct {
	fault
	nth  int
	kill context.CancelCauseFunc

	mu   sync.Mutex
	seen int
	hit  bool
}

func (i *injector) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		i.mu.Lock()
		defer i.mu.Unlock()
		number := i.seen
		i.seen++
		switch {
		case i.hit && i.dead:
			return nil, errCut
		case number != i.nth:
			return next.RoundTrip(req)
		}
		i.hit = true
		if i.after {
			if res, err := next.RoundTrip(req); err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
		} else if req.Body != nil {
			_ = req.Body.Close()
		}
		if i.dead {
			i.kill(errCut)
		}
		if i.err != nil {
			return nil, i.err
		}
		return &http.Response{
			Request: req, StatusCode: i.status, Status: http.StatusText(i.status), Proto: "HTTP/1.1",
			Header: http.Header{"Content-Type": {"text/plain"}}, Body: io.NopCloser(strings.NewReader("injected")),
		}, nil
	})
}

// a wrapper puts something before a client's transport.
type wrapper = func(http.RoundTripper) http.RoundTripper

// verb is something to be swept: run and undo lead from one state to the other.
type verb struct {
	name  string
	run   func(ctx context.Context, wrap wrapper) error
	undo  func(ctx context.Context) error
	state func() string
}

// sweep runs a verb once for each of its requests and each kind of fault, then
// again without fault: that must succeed and lead to the same state as a run
// that nothing happened to.
func (v verb) sweep(t *testing.T) (cases int) {
	t.Helper()
	ctx := t.Context()
	if err := v.run(ctx, nil); err != nil {
		t.Fatalf("%s: %v", v.name, err)
	}
	want := v.state()
	for _, f := range faults() {
		for n := 0; ; n++ {
			if err := v.undo(ctx); err != nil {
				t.Fatalf("undo %s: %v", v.name, err)
			}
			life, kill := context.WithCancelCause(ctx)
			i := &injector{fault: f, nth: n, kill: kill}
			err := v.run(life, i.wrap)
			kill(nil)
			if !i.hit {
				if err != nil {
					t.Errorf("%s, no fault: %v", v.name, err)
				}
				break
			}
			cases++
			if err != nil && !documented(err) {
				t.Errorf("%s, request %d, %s: got %v, want an error that matches a sentinel", v.name, n, f.name, err)
			}
			if err := v.run(ctx, nil); err != nil {
				t.Errorf("%s, request %d, %s, then again: %v", v.name, n, f.name, err)
			}
			if diff := v.settle(t, want); diff != "" {
				t.Errorf("%s, request %d, %s, then again: state (-want +got):\n%s", v.name, n, f.name, diff)
			}
		}
	}
	return cases
}

// settle waits for controllers to finish, and returns what still differs.
func (v verb) settle(t *testing.T, want string) string {
	t.Helper()
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	for {
		diff := cmp.Diff(want, v.state())
		if diff == "" {
			return ""
		}
		select {
		case <-deadline.C:
			return diff
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func documented(err error) bool {
	for _, sentinel := range []error{
		viaduct.ErrConflict, viaduct.ErrInvalid, viaduct.ErrRateLimited, viaduct.ErrUnavailable,
		viaduct.ErrForbidden, viaduct.ErrNotFound, viaduct.ErrUnsupported, errCut,
	} {
		if errors.Is(err, sentinel) {
			return true
		}
	}
	return false
}

// faultyExporter is exporter with the NSX client's requests wrapped too, and
// quick retries.
func faultyExporter(t *testing.T, wrap wrapper) *bridge.Cluster {
	t.Helper()
	transport := world.NSX.Client().Transport
	if wrap != nil {
		transport = wrap(transport)
	}
	c, err := nsx.NewClient(world.NSX.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword),
		nsx.WithHTTPClient(&http.Client{Transport: transport}),
		nsx.WithRetry(nsx.RetryPolicy{Attempts: 3, MinWait: time.Millisecond, MaxWait: 5 * time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	return end(t, "supervisor", world.Supervisor.Config, wrap, bridge.WithNSX(ncp.NewFinder(c)))
}

// TestSweepImports sweeps everything that an importing cluster goes through.
func TestSweepImports(t *testing.T) {
	t.Parallel()
	var total atomic.Int64
	t.Run("all", func(t *testing.T) {
		for name, c := range map[string]struct {
			server oldServer
			opts   []bridge.ImportOption
			adopt  bool
		}{
			"plain":     {server: oldServer{discovery: "v1"}},
			"v1beta1":   {server: oldServer{discovery: "v1beta1"}},
			"endpoints": {server: oldServer{}},
			"no-apply":  {server: oldServer{discovery: "v1", noApply: true}},
			"merge":     {server: oldServer{discovery: "v1"}, opts: []bridge.ImportOption{bridge.WithMerge()}},
			"adopt":     {server: oldServer{discovery: "v1"}, opts: []bridge.ImportOption{bridge.WithAdopt()}, adopt: true},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				total.Add(int64(sweepImport(t, "sweep-"+name, c.server, c.adopt, c.opts)))
			})
		}
	})
	t.Logf("%d cases", total.Load())
	if total.Load() < 500 {
		t.Errorf("swept %d cases, want at least 500", total.Load())
	}
}

func sweepImport(t *testing.T, ns string, server oldServer, adopt bool, opts []bridge.ImportOption) (cases int) {
	t.Helper()
	ctx := t.Context()
	name := types.NamespacedName{Namespace: ns, Name: "order-postgres"}
	kube := tkCluster(t)
	if _, err := kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if adopt {
		foreign := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name.Name}, Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "postgres"}, Ports: []corev1.ServicePort{{Name: "main", Port: 5432}},
		}}
		if _, err := kube.CoreV1().Services(ns).Create(ctx, foreign, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	through := func(wrap wrapper) *bridge.Cluster {
		return importer(t, func(next http.RoundTripper) http.RoundTripper {
			next = server.wrap(next)
			if wrap != nil {
				next = wrap(next)
			}
			return next
		})
	}
	document, moved := documentFor(ns, "supervisor", "192.168.30.66"), documentFor(ns, "supervisor", "192.168.30.67")
	moved.Ports = append(moved.Ports, bridge.Port{Name: "metrics", Protocol: corev1.ProtocolTCP, Port: 9187})
	moved.Addresses = append(moved.Addresses, netip.MustParseAddr("2001:db8::67"))
	importing := func(e *bridge.Exported) func(context.Context, wrapper) error {
		return func(ctx context.Context, wrap wrapper) error {
			_, err := bridge.Import(ctx, through(wrap), e, opts...)
			return err
		}
	}
	unimporting := func(ctx context.Context, wrap wrapper) error {
		_, err := bridge.Unimport(ctx, through(wrap), name)
		return err
	}
	without := func(run func(context.Context, wrapper) error) func(context.Context) error {
		return func(ctx context.Context) error { return run(ctx, nil) }
	}
	state := func() string {
		s, err := kube.CoreV1().Services(ns).Get(context.WithoutCancel(ctx), name.Name, metav1.GetOptions{})
		if err != nil {
			return fmt.Sprint(absentName(err), backing(t, ns, "EndpointSlice"), backing(t, ns, "Endpoints"))
		}
		return fmt.Sprint(s.Spec.Selector, s.Spec.Ports, s.Labels, s.Annotations, backing(t, ns, "EndpointSlice"), backing(t, ns, "Endpoints"))
	}
	for _, v := range []verb{
		{"import", importing(document), without(unimporting), state},
		{"switch", importing(moved), without(importing(document)), state},
		{"unimport", unimporting, without(importing(document)), state},
	} {
		cases += v.sweep(t)
	}
	return cases
}

func absentName(err error) string { return strings.ReplaceAll(err.Error(), "\n", " ") }

// TestSweepExports sweeps the exporting side: the Supervisor and NSX.
func TestSweepExports(t *testing.T) {
	t.Parallel()
	var total atomic.Int64
	t.Run("all", func(t *testing.T) {
		for name, opts := range map[string][]bridge.ExportOption{
			"companion": nil,
			"convert":   {bridge.WithConversion()},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				ns := "sweep-" + name
				key := types.NamespacedName{Namespace: ns, Name: "order-postgres"}
				namespace(t, ns)
				workload(t, key, 5432, nil)
				exporting := func(ctx context.Context, wrap wrapper) error {
					_, err := bridge.Export(ctx, faultyExporter(t, wrap), key, opts...)
					return err
				}
				unexporting := func(ctx context.Context, wrap wrapper) error {
					_, err := bridge.Unexport(ctx, faultyExporter(t, wrap), key)
					return err
				}
				state := func() string {
					services, err := supervisor(t).CoreV1().Services(ns).List(t.Context(), metav1.ListOptions{})
					if err != nil {
						return err.Error()
					}
					var text strings.Builder
					for _, s := range services.Items {
						fmt.Fprint(&text, s.Name, s.Spec.Type, s.Labels, s.Annotations["viaduct-sdk.github.io/converted-from"], len(s.Status.LoadBalancer.Ingress), len(servers(t, s.UID)), "\n")
					}
					return text.String()
				}
				total.Add(int64(verb{"export", exporting, func(ctx context.Context) error { return unexporting(ctx, nil) }, state}.sweep(t)))
				total.Add(int64(verb{"unexport", unexporting, func(ctx context.Context) error { return exporting(ctx, nil) }, state}.sweep(t)))
			})
		}
	})
	t.Logf("%d cases", total.Load())
	if total.Load() < 200 {
		t.Errorf("swept %d cases, want at least 200", total.Load())
	}
}
