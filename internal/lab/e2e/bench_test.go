// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applydiscoveryv1 "k8s.io/client-go/applyconfigurations/discovery/v1"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct/bridge"
)

// requests counts what goes to an API server.
type requests struct {
	mu                   sync.Mutex
	writes, lists, reads int
}

func (r *requests) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		r.mu.Lock()
		switch last := req.URL.Path[strings.LastIndex(req.URL.Path, "/")+1:]; {
		case req.Method != http.MethodGet:
			r.writes++
		case last == "services" || last == "endpointslices":
			r.lists++
		default:
			r.reads++
		}
		r.mu.Unlock()
		return next.RoundTrip(req)
	})
}

// BenchmarkImports imports 1,000 services into one cluster, against a floor that
// applies the same objects with client-go alone, as many at a time. Both start
// in a fresh namespace, one after the other in each iteration. It prints the
// ratio of time, the requests of the first and the second run, and the memory
// that the library allocates for an import.
func BenchmarkImports(b *testing.B) {
	const count, concurrency = 1000, 16
	ctx := b.Context()
	config := rest.CopyConfig(world.TKCluster("acme-fitness").Config)
	config.QPS = -1
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		b.Fatal(err)
	}
	var ours, floor time.Duration
	var first, second requests
	var allocated uint64
	for n := range b.N {
		oursIn, floorIn := fmt.Sprintf("bench-ours-%d-%d", b.N, n), fmt.Sprintf("bench-floor-%d-%d", b.N, n)
		for _, ns := range []string{oursIn, floorIn} {
			if _, err := kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{}); err != nil {
				b.Fatal(err)
			}
		}
		first, second = requests{}, requests{}
		documents := manyDocuments(oursIn, count)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		importAll(b, config, &first, documents)
		ours += time.Since(start)
		runtime.ReadMemStats(&after)
		allocated += after.TotalAlloc - before.TotalAlloc
		importAll(b, config, &second, documents)

		start = time.Now()
		group, groupCtx := errgroup.WithContext(ctx)
		group.SetLimit(concurrency)
		for _, e := range manyDocuments(floorIn, count) {
			group.Go(func() error { return applyAlone(groupCtx, kube, e) })
		}
		if err := group.Wait(); err != nil {
			b.Fatal(err)
		}
		floor += time.Since(start)
	}
	b.ReportMetric(ours.Seconds()/floor.Seconds(), "ours/floor")
	b.ReportMetric(float64(allocated)/float64(b.N*count)/1024, "KB/import")
	b.Logf("%d imports: %v, floor %v, ratio %.2f; first run %d writes, %d lists, %d reads; second run %d writes, %d lists, %d reads; %d KB allocated for an import",
		count, ours/time.Duration(b.N), floor/time.Duration(b.N), ours.Seconds()/floor.Seconds(),
		first.writes, first.lists, first.reads, second.writes, second.lists, second.reads, allocated/uint64(b.N*count)/1024)
	if first.writes != 2*count || second.writes != 0 || second.lists+second.reads > 8 {
		b.Errorf("got %d writes, then %d writes and %d reads; want %d, then none and a handful", first.writes, second.writes, second.lists+second.reads, 2*count)
	}
}

func importAll(b *testing.B, config *rest.Config, count *requests, documents []*bridge.Exported) {
	b.Helper()
	config = rest.CopyConfig(config)
	config.Wrap(count.wrap)
	c, err := bridge.NewCluster("acme-fitness", config)
	if err != nil {
		b.Fatal(err)
	}
	report, err := bridge.ImportAll(b.Context(), c, documents)
	if err == nil {
		err = report.Err()
	}
	if err != nil {
		b.Fatal(err)
	}
}

func manyDocuments(ns string, count int) []*bridge.Exported {
	documents := make([]*bridge.Exported, count)
	address := netip.MustParseAddr("192.0.2.1")
	for i := range documents {
		documents[i] = documentFor(ns, "supervisor", address.String())
		documents[i].Source.Name = fmt.Sprintf("db-%04d", i)
	}
	return documents
}

// applyAlone is what a program writes that knows what it wants and looks at
// nothing.
func applyAlone(ctx context.Context, kube kubernetes.Interface, e *bridge.Exported) error {
	opts := metav1.ApplyOptions{FieldManager: "floor", Force: true}
	labels := map[string]string{"app.kubernetes.io/managed-by": "floor", "floor/role": "import", "floor/id": "0123456789"}
	annotations := map[string]string{"floor/source": `{"cluster":"supervisor","namespace":"` + e.Source.Namespace + `","name":"` + e.Source.Name + `"}`}
	s, err := kube.CoreV1().Services(e.Source.Namespace).Apply(ctx, applycorev1.Service(e.Source.Name, e.Source.Namespace).
		WithLabels(labels).WithAnnotations(annotations).
		WithSpec(applycorev1.ServiceSpec().WithType(corev1.ServiceTypeClusterIP).
			WithPorts(applycorev1.ServicePort().WithName("main").WithProtocol(corev1.ProtocolTCP).WithPort(5432))), opts)
	if err != nil {
		return err
	}
	labels[discoveryv1.LabelServiceName] = e.Source.Name
	_, err = kube.DiscoveryV1().EndpointSlices(e.Source.Namespace).Apply(ctx, applydiscoveryv1.EndpointSlice(e.Source.Name+"-floor", e.Source.Namespace).
		WithLabels(labels).WithAnnotations(annotations).
		WithOwnerReferences(applymetav1.OwnerReference().WithAPIVersion("v1").WithKind("Service").WithName(s.Name).WithUID(s.UID).
			WithController(true).WithBlockOwnerDeletion(false)).
		WithAddressType(discoveryv1.AddressTypeIPv4).
		WithEndpoints(applydiscoveryv1.Endpoint().WithAddresses(e.Addresses[0].String()).
			WithConditions(applydiscoveryv1.EndpointConditions().WithReady(true).WithServing(true).WithTerminating(false))).
		WithPorts(applydiscoveryv1.EndpointPort().WithName("main").WithProtocol(corev1.ProtocolTCP).WithPort(5432)), opts)
	return err
}
