// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/bridge"
)

func ExampleTraced_String() {
	traced := &bridge.Traced{
		Cluster: "acme-fitness", Namespace: "acme-data", Name: "order-postgres",
		Hops: []bridge.Hop{
			{Name: bridge.HopNamed, State: bridge.HopOK, Evidence: []string{"Service acme-data/order-postgres exists"}},
			{Name: bridge.HopExport, State: bridge.HopUnknown, Evidence: []string{"the exporting cluster supervisor was not given (TraceExporter)"}},
			{
				Name: bridge.HopMembers, State: bridge.HopBroken,
				Cause:  "no member of pool /infra/lb-pools/p is up: 10.244.0.5:5432 DOWN Connect to Peer Failure",
				Remedy: "see whether the pods listen on that port and are ready",
			},
			{Name: bridge.HopPods, State: bridge.HopSkipped, Evidence: []string{"there is no Service of type LoadBalancer"}},
		},
	}
	fmt.Println(traced)
	// Output:
	// acme-data/order-postgres in acme-fitness: broken at members
	// ✓ name     Service acme-data/order-postgres exists
	// ? export   the exporting cluster supervisor was not given (TraceExporter)
	// ✗ members
	//            cause:  no member of pool /infra/lb-pools/p is up: 10.244.0.5:5432 DOWN Connect to Peer Failure
	//            remedy: see whether the pods listen on that port and are ready
	// - pods     there is no Service of type LoadBalancer
}

// dead is an API server that answers nothing.
type dead func(*http.Request) error

func (d dead) RoundTrip(req *http.Request) (*http.Response, error) { return nil, d(req) }

func deadCluster(t *testing.T, d dead) *bridge.Cluster {
	t.Helper()
	c, err := bridge.NewCluster("acme-fitness", &rest.Config{Host: "https://tk.example.com", Transport: d})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestTraceErrors: only bad arguments and the end of the context are errors.
func TestTraceErrors(t *testing.T) {
	t.Parallel()
	name := types.NamespacedName{Namespace: "acme-data", Name: "db"}
	refused := deadCluster(t, func(*http.Request) error { return errors.New("connection refused") })
	ended, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	cancel(reason)
	cases := map[string]struct {
		reason  string
		ctx     context.Context
		cluster *bridge.Cluster
		name    types.NamespacedName
		opts    []bridge.TraceOption
		want    error
	}{
		"no cluster":        {"nothing to trace in", t.Context(), nil, name, nil, viaduct.ErrInvalid},
		"no name":           {"a namespace is no Service", t.Context(), refused, types.NamespacedName{Namespace: "acme-data"}, nil, viaduct.ErrInvalid},
		"no exporter":       {"an option without its value", t.Context(), refused, name, []bridge.TraceOption{bridge.TraceExporter(nil)}, viaduct.ErrInvalid},
		"client without ip": {"the firewall goes by addresses", t.Context(), refused, name, []bridge.TraceOption{bridge.TraceFrom(bridge.TraceClient{})}, viaduct.ErrInvalid},
		"context ended":     {"the caller gave up", ended, refused, name, nil, reason},
		"server away":       {"unknown is no error", t.Context(), refused, name, nil, nil},
	}
	for what, tc := range cases {
		traced, err := bridge.Trace(tc.ctx, tc.cluster, tc.name, tc.opts...)
		if !errors.Is(err, tc.want) || (traced == nil) != (tc.want != nil) {
			t.Errorf("%s: got %v, %v; want %v: %s", what, traced, err, tc.want, tc.reason)
		}
	}
}

// TestTraceOfServerThatHangs: a server that does not answer costs half of the
// time, and the trace comes nevertheless.
func TestTraceOfServerThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hangs := deadCluster(t, func(req *http.Request) error {
			<-req.Context().Done()
			return req.Context().Err()
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		traced, err := bridge.Trace(ctx, hangs, types.NamespacedName{Namespace: "acme-data", Name: "db"})
		if err != nil {
			t.Fatal(err)
		}
		if traced.Hops[0].State != bridge.HopUnknown || time.Since(start) != 5*time.Second {
			t.Errorf("got %s after %s, want unknown after 5s", traced.Hops[0].State, time.Since(start))
		}
	})
}
