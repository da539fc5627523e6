// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/viaduct-sdk/viaduct/internal/lab"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
	"github.com/viaduct-sdk/viaduct/supervisor/supervisorsim"
)

// memberStatus asks NSX over its API for the status of a pool member.
func (w *world) memberStatus(svc *corev1.Service, address string) string {
	w.t.Helper()
	servers := w.tagged("/infra/lb-virtual-servers/", "ncp/service_uid", string(svc.UID))
	if len(servers) != 1 {
		w.t.Fatalf("%d virtual servers", len(servers))
	}
	url := w.nsx.URL() + "/policy/api/v1" + servers[0].LBS + servers[0].PoolPath[len("/infra"):] + "/detailed-status"
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	req.SetBasicAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword)
	resp, err := w.nsx.Client().Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	var status struct {
		Results []struct {
			Members []struct {
				Address string `json:"ip_address"`
				Status  string `json:"status"`
			} `json:"members"`
		} `json:"results"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&status); err != nil {
		w.t.Fatalf("%s: %d: %v", url, resp.StatusCode, err)
	}
	for _, r := range status.Results {
		for _, m := range r.Members {
			if m.Address == address {
				return m.Status
			}
		}
	}
	return fmt.Sprintf("absent (%d)", resp.StatusCode)
}

// errorOf waits for NCP's error on the Service.
func (w *world) errorOf(namespace, name, want string) {
	w.t.Helper()
	w.eventually("error of "+name, func(ctx context.Context) string {
		svc := w.getService(ctx, namespace, name)
		if got := svc.Annotations["ncp/error.loadbalancer"]; got != want {
			return fmt.Sprintf("error %q, want %q", got, want)
		}
		if len(svc.Status.LoadBalancer.Ingress) > 0 {
			return "it has an address all the same"
		}
		return ""
	})
}

func asking(address string) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Spec.LoadBalancerIP = address } // NCP reads it
}

// TestIngressPool uses a pool of two addresses, 192.168.30.65 and .66.
func TestIngressPool(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Config{}, func(c *supervisorsim.Config) {
		c.IngressCIDR = netip.MustParsePrefix("192.168.30.64/30")
	})
	w.namespace("acme-data")
	w.service("acme-data", "second", asking("192.168.30.66"))
	if got := w.vip("acme-data", "second"); got != "192.168.30.66" {
		t.Errorf("got %s, want the address that was asked for", got)
	}
	w.service("acme-data", "thief", asking("192.168.30.66"))
	w.errorOf("acme-data", "thief", "LB_VIP_CONFLICT")
	w.service("acme-data", "elsewhere", asking("10.0.0.1"))
	w.errorOf("acme-data", "elsewhere", "IP_POOL_NOT_FOUND")
	w.service("acme-data", "first")
	if got := w.vip("acme-data", "first"); got != "192.168.30.65" {
		t.Errorf("got %s, want the address that is left", got)
	}
	w.service("acme-data", "late")
	w.errorOf("acme-data", "late", "IP_POOL_EXHAUSTED")

	if err := w.kube.CoreV1().Services("acme-data").Delete(t.Context(), "first", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := w.vip("acme-data", "late"); got != "192.168.30.65" {
		t.Errorf("got %s, want the address that came free", got)
	}
	late := w.getService(t.Context(), "acme-data", "late")
	if reason, ok := late.Annotations["ncp/error.loadbalancer"]; ok {
		t.Errorf("the error stays: %s", reason)
	}
	addresses := map[string]int{}
	for _, path := range w.nsx.Paths("/infra/lb-virtual-servers/") {
		var vs policyObject
		if err := w.nsx.Read(path, &vs); err == nil {
			addresses[vs.Address]++
		}
	}
	if diff := cmp.Diff(map[string]int{"192.168.30.65": 1, "192.168.30.66": 1}, addresses); diff != "" {
		t.Errorf("virtual servers at each address (-want +got):\n%s", diff)
	}
}

func TestOlderNCP(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Config{}, func(c *supervisorsim.Config) { c.Switches.DoubleIngress = true })
	w.namespace("acme-data")
	w.service("acme-data", "cart-redis")
	w.vip("acme-data", "cart-redis")
	svc := w.getService(t.Context(), "acme-data", "cart-redis")
	addresses := ingress(svc)
	if len(addresses) != 2 || addresses[1] != svc.Annotations["ncp/internal_ip_for_policy"] ||
		!netip.MustParsePrefix("100.64.0.0/10").Contains(netip.MustParseAddr(addresses[1])) {
		t.Errorf("addresses %v and annotation %q, want the internal one second and annotated", addresses, svc.Annotations["ncp/internal_ip_for_policy"])
	}
}

// TestSwitches turns on what is off by default.
func TestSwitches(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Config{}, func(c *supervisorsim.Config) {
		c.IngressCIDR = netip.MustParsePrefix("192.168.30.64/30")
		c.Switches = supervisorsim.Switches{RemoveNotReady: true, StickyErrors: true, NoInternalAddress: true}
	})
	w.namespace("acme-data")
	first := w.service("acme-data", "first")
	w.vip("acme-data", "first")
	if svc := w.getService(t.Context(), "acme-data", "first"); svc.Annotations["ncp/internal_ip_for_policy"] != "" {
		t.Error("the internal address is written although it should not be")
	}
	w.pod("acme-data", "redis-0", map[string]string{supervisorsim.AnnotationHold: supervisorsim.HoldNotReady})
	w.pod("acme-data", "redis-1", nil)
	w.eventually("both pods run", func(ctx context.Context) string {
		pods, err := w.kube.CoreV1().Pods("acme-data").List(ctx, metav1.ListOptions{FieldSelector: "status.phase=Running"})
		if err != nil || len(pods.Items) != 2 {
			return fmt.Sprintf("%d run, %v", len(pods.Items), err)
		}
		return ""
	})
	ready, err := w.kube.CoreV1().Pods("acme-data").Get(t.Context(), "redis-1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.members(first, ready.Status.PodIP+":6379")

	w.service("acme-data", "second")
	w.vip("acme-data", "second")
	w.service("acme-data", "late")
	w.errorOf("acme-data", "late", "IP_POOL_EXHAUSTED")
	if err := w.kube.CoreV1().Services("acme-data").Delete(t.Context(), "first", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.service("acme-data", "new")
	w.vip("acme-data", "new")
	w.errorOf("acme-data", "late", "IP_POOL_EXHAUSTED")
}
