// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct/bridge"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/manager"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// TestExportFromTKGI exports from a cluster whose NCP writes the older Manager
// API, as TKGI's does. The test is that NCP: it makes the virtual server and
// the Service's status by hand.
func TestExportFromTKGI(t *testing.T) {
	t.Parallel()
	const ns, vip = "acme-tkgi", "198.51.100.7"
	name := types.NamespacedName{Namespace: ns, Name: "order-postgres"}
	ctx := testContext(t)
	namespace(t, ns)
	kube := tkCluster(t)
	services := kube.CoreV1().Services(ns)
	if _, err := services.Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name.Name},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "postgres"}, Ports: []corev1.ServicePort{{Name: "pg", Port: 5432}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	client, err := nsx.NewClient(world.NSX.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword), nsx.WithHTTPClient(world.NSX.Client()))
	if err != nil {
		t.Fatal(err)
	}
	tkgi := end(t, "tkgi", world.TKCluster("acme-fitness").Config, nil, bridge.WithNSX(manager.NewFinder(client)))

	// NCP sees the companion, serves it, and writes its status.
	served := make(chan *managerObjects, 1)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go func() { served <- playNCP(t, watching, ns, vip) }()
	exported, err := bridge.Export(ctx, tkgi, name)
	if err != nil {
		t.Fatal(err)
	}
	if exported.Proof.Source != bridge.ProofNSX || len(exported.Proof.VirtualServers) != 1 || exported.Addresses[0] != netip.MustParseAddr(vip) {
		t.Errorf("got %v, proved by %+v; want %s, proved by NSX", exported.Addresses, exported.Proof, vip)
	}
	imported, err := bridge.Import(ctx, exporter(t, nil), exported)
	if err != nil {
		t.Fatal(err)
	}
	if len(imported.ClusterIPs) != 1 {
		t.Errorf("got cluster IPs %v, want one", imported.ClusterIPs)
	}
	if _, err := bridge.Unimport(ctx, exporter(t, nil), name); err != nil {
		t.Error(err)
	}
	(<-served).remove()
	if plan, err := bridge.Unexport(ctx, tkgi, name); err != nil || len(plan.Steps) != 1 {
		t.Errorf("unexport: got %v, %v; want one step", plan, err)
	}
}

// managerObjects are objects of the Manager API that a test made.
type managerObjects struct {
	t     *testing.T
	paths []string
}

// playNCP serves the first LoadBalancer Service of the namespace.
func playNCP(t *testing.T, ctx context.Context, ns, vip string) *managerObjects { //nolint:revive // a test comes first
	m := &managerObjects{t: t}
	services := tkCluster(t).CoreV1().Services(ns)
	watch, err := services.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Error(err)
		return m
	}
	defer watch.Stop()
	for event := range watch.ResultChan() {
		s, ok := event.Object.(*corev1.Service)
		if !ok || s.Spec.Type != corev1.ServiceTypeLoadBalancer {
			continue
		}
		tags := []map[string]string{{"scope": "ncp/cluster", "tag": "pks-e2e"}, {"scope": "ncp/service_uid", "tag": string(s.UID)}}
		var servers []string
		for _, port := range s.Spec.Ports {
			servers = append(servers, m.serve(port, vip, tags))
		}
		router := m.create("logical-routers", map[string]any{"router_type": "TIER1"})
		m.create("loadbalancer/services", map[string]any{
			"enabled": true, "virtual_server_ids": servers,
			"attachment": map[string]any{"target_type": "LogicalRouter", "target_id": router},
		})
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: vip}}
		if _, err := services.UpdateStatus(ctx, s, metav1.UpdateOptions{}); err != nil && !apierrors.IsConflict(err) {
			t.Error(err)
		}
		return m
	}
	return m
}

// serve makes the virtual server of a port and returns its id.
func (m *managerObjects) serve(port corev1.ServicePort, vip string, tags []map[string]string) string {
	number := strconv.Itoa(int(port.Port))
	kind := map[corev1.Protocol]string{corev1.ProtocolTCP: "LbFastTcpProfile", corev1.ProtocolUDP: "LbFastUdpProfile"}[port.Protocol]
	profile := m.create("loadbalancer/application-profiles", map[string]any{"resource_type": kind, "tags": tags})
	pool := m.create("loadbalancer/pools", map[string]any{"tags": tags, "members": []map[string]any{{"ip_address": "10.200.1.2", "port": number}}})
	return m.create("loadbalancer/virtual-servers", map[string]any{
		"ip_address": vip, "ports": []string{number}, "ip_protocol": port.Protocol, "enabled": true,
		"application_profile_id": profile, "pool_id": pool, "tags": tags,
	})
}

// create makes an object and returns its id.
func (m *managerObjects) create(collection string, object map[string]any) string {
	data, err := json.Marshal(object)
	if err != nil {
		m.t.Error(err)
		return ""
	}
	var made struct{ ID string }
	m.do(http.MethodPost, collection, data, &made)
	m.paths = append(m.paths, collection+"/"+made.ID)
	return made.ID
}

// remove deletes the objects, the last one first.
func (m *managerObjects) remove() {
	for i := len(m.paths) - 1; i >= 0; i-- {
		m.do(http.MethodDelete, m.paths[i], nil, nil)
	}
}

func (m *managerObjects) do(method, path string, body []byte, into any) {
	req, err := http.NewRequestWithContext(context.WithoutCancel(m.t.Context()), method, world.NSX.URL()+"/api/v1/"+path, bytes.NewReader(body))
	if err != nil {
		m.t.Error(err)
		return
	}
	req.SetBasicAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword)
	req.Header.Set("Content-Type", "application/json")
	res, err := world.NSX.Client().Do(req)
	if err != nil {
		m.t.Error(err)
		return
	}
	defer res.Body.Close()
	if res.StatusCode >= http.StatusBadRequest {
		var text bytes.Buffer
		_, _ = text.ReadFrom(res.Body)
		m.t.Errorf("%s %s: %s: %s", method, path, res.Status, text.String())
		return
	}
	if into != nil {
		if err := json.NewDecoder(res.Body).Decode(into); err != nil {
			m.t.Error(err)
		}
	}
}
