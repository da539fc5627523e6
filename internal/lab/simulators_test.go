// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package lab_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
	"github.com/viaduct-sdk/viaduct/supervisor/supervisorsim"
)

// TestVSphereNamespace makes a vSphere Namespace in vCenter and follows it to
// the Supervisor, to NSX, and to an address for a Service.
func TestVSphereNamespace(t *testing.T) {
	t.Parallel()
	const name = "acme-test"
	if err := world.CreateNamespace(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	c := client(t, world.Supervisor.Config)
	ns, err := c.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	gateway := ns.Annotations["ncp/router_id"]
	if err := world.NSX.Read("/infra/tier-1s/"+gateway, &struct{}{}); err != nil {
		t.Errorf("the namespace's gateway %q in NSX: %v", gateway, err)
	}
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	if _, err := c.CoreV1().Services(name).Create(t.Context(), service, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) string {
		s, err := c.CoreV1().Services(name).Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if len(s.Status.LoadBalancer.Ingress) == 0 {
			return "no address"
		}
		if ip := netip.MustParseAddr(s.Status.LoadBalancer.Ingress[0].IP); !netip.MustParsePrefix("192.168.30.64/27").Contains(ip) {
			return "an address outside of the ingress range: " + ip.String()
		}
		return ""
	})
	if err := world.CreateNamespace(t.Context(), name); !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("a namespace that exists: got %v, want an error that matches ErrInvalid", err)
	}
	if err := world.SupervisorSim.DeleteNamespace(t.Context(), name); err != nil {
		t.Error(err)
	}
}

// TestListeners reaches the simulators as other programs do: over TLS, verified.
func TestListeners(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		url            string
		ca             []byte
		user, password string
		method, path   string
	}{
		"NSX": {
			url: world.NSX.URL(), ca: world.NSX.CACertPEM(),
			user: nsxsim.DefaultUser, password: nsxsim.DefaultPassword, method: http.MethodGet, path: "/policy/api/v1/infra/tier-1s",
		},
		"VCenter": {
			url: world.VCenter.URL(), ca: world.VCenter.CACertPEM(),
			user: world.VCenter.Username(), password: world.VCenter.Password(), method: http.MethodPost, path: "/rest/com/vmware/cis/session",
		},
		"Supervisor": {
			url: world.SupervisorSim.WCP().URL(), ca: world.SupervisorSim.WCP().CACertPEM(),
			user: supervisorsim.DefaultUser, password: supervisorsim.DefaultPassword, method: http.MethodPost, path: "/wcp/login",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			roots := x509.NewCertPool()
			if !roots.AppendCertsFromPEM(tc.ca) {
				t.Fatal("no certificate authority")
			}
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
			defer transport.CloseIdleConnections()
			req, err := http.NewRequestWithContext(t.Context(), tc.method, tc.url+tc.path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.SetBasicAuth(tc.user, tc.password)
			res, err := (&http.Client{Transport: transport}).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusCreated {
				t.Errorf("%s %s: %s", tc.method, tc.path, res.Status)
			}
		})
	}
}
