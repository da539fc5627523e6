// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct"
)

// acme is a guard with something of each kind.
func acme() Guard {
	return Guard{
		Pods:     prefixes("10.244.0.0/20", "fd10:244::/56"),
		Services: prefixes("10.96.0.0/23", "10.99.0.7", "fd10:96::/112"),
		Nodes:    prefixes("10.0.0.11", "10.0.0.12", "10.0.5.0/24", "2001:db8:0:5::11"),
		Virtual:  []netip.Addr{netip.MustParseAddr("192.168.30.70"), netip.MustParseAddr("2001:db8::70")},
	}
}

func TestGuardCheck(t *testing.T) {
	t.Parallel()
	open, pooled := acme(), acme()
	pooled.Pools = prefixes("192.168.30.64/27", "2001:db8::40/122")
	narrowed := open.and(Guard{Pods: prefixes("192.168.200.0/24"), Pools: prefixes("192.168.40.0/24")}).and(Guard{Pools: prefixes("192.168.41.0/24")})
	for name, tc := range map[string]struct {
		guard Guard
		want  map[string]string // the reason by address; empty when it is accepted
	}{
		"nothing known": {Guard{}, map[string]string{
			"192.168.30.66": "", "10.0.0.1": "", "2001:db8::1": "", "fd12::1": "", "8.8.8.8": "",
			"100.63.255.255": "", "100.128.0.0": "",
			"10.244.0.9":             "", // nobody said that these are pods
			"0.0.0.0":                "unspecified",
			"::":                     "unspecified",
			"127.0.0.1":              "loopback",
			"127.8.8.8":              "loopback",
			"127.255.255.254":        "loopback",
			"::1":                    "loopback",
			"169.254.0.1":            "link-local",
			"169.254.169.254":        "metadata",
			"169.254.170.2":          "metadata",
			"fe80::1":                "link-local",
			"fe80::a9fe:a9fe":        "metadata",
			"fe80::1%eth0":           "zone",
			"224.0.0.1":              "multicast",
			"239.255.255.250":        "multicast",
			"ff02::1":                "multicast",
			"ff05::2":                "multicast",
			"255.255.255.255":        "broadcast",
			"fd00:ec2::254":          "a metadata service",
			"100.64.0.1":             "internal to NCP",
			"100.100.100.200":        "internal to NCP",
			"100.127.255.255":        "internal to NCP",
			"::ffff:127.0.0.1":       "IPv6 form",
			"::ffff:169.254.169.254": "IPv6 form",
			"::ffff:192.168.30.66":   "IPv6 form",
		}},
		"importing cluster known": {open, map[string]string{
			"10.243.255.255":   "",
			"10.244.0.0":       "10.244.0.0/20, where the importing cluster's pods are",
			"10.244.15.255":    "importing cluster's pods",
			"10.244.16.0":      "",
			"fd10:244::9":      "importing cluster's pods",
			"fd10:244:0:100::": "",
			"10.95.255.255":    "",
			"10.96.0.1":        "importing cluster's Services", // the API server itself
			"10.96.1.255":      "importing cluster's Services",
			"10.96.2.0":        "",
			"10.99.0.7":        "importing cluster's Services",
			"10.99.0.8":        "",
			"fd10:96::1":       "importing cluster's Services",
			"fd10:96::1:0":     "",
			"10.0.0.11":        "importing cluster's nodes",
			"10.0.0.12":        "importing cluster's nodes",
			"10.0.0.13":        "",
			"10.0.5.200":       "10.0.5.0/24, where the importing cluster's nodes are",
			"2001:db8:0:5::11": "importing cluster's nodes",
			"2001:db8:0:5::12": "",
			"192.168.30.70":    "a virtual address of the importing cluster itself",
			"192.168.30.71":    "",
			"2001:db8::70":     "a virtual address of the importing cluster itself",
			"2001:db8::71":     "",
			"::ffff:10.0.0.11": "IPv6 form",
		}},
		"exporting cluster's pools known": {pooled, map[string]string{
			"192.168.30.63": "none of the exporting cluster's pools",
			"192.168.30.64": "", "192.168.30.95": "",
			"192.168.30.96": "none of the exporting cluster's pools", // egress
			"192.168.30.70": "a virtual address of the importing cluster itself",
			"2001:db8::41":  "",
			"2001:db8::80":  "none of the exporting cluster's pools",
			"8.8.8.8":       "none of the exporting cluster's pools",
			"10.244.0.9":    "importing cluster's pods",
			"127.0.0.1":     "loopback",
		}},
		"several given": {narrowed, map[string]string{
			"192.168.40.1": "", "192.168.41.1": "",
			"192.168.42.1":  "none of the exporting cluster's pools",
			"192.168.200.1": "importing cluster's pods",
			"10.244.0.9":    "importing cluster's pods",
		}},
	} {
		for address, want := range tc.want {
			err := tc.guard.Check(netip.MustParseAddr(address))
			switch {
			case want == "" && err != nil:
				t.Errorf("%s: %s: got %v, want it accepted", name, address, err)
			case want != "" && (!errors.Is(err, viaduct.ErrInvalid) || !strings.Contains(err.Error(), want)):
				t.Errorf("%s: %s: got %v, want it invalid: %s", name, address, err, want)
			}
		}
	}
	if err := open.Check(netip.Addr{}); !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("no address: got %v, want invalid", err)
	}
}

// listServer answers lists with documents by path, or a status.
type listServer struct {
	answers  map[string]string
	status   map[string]int
	requests []string
}

func (s *listServer) RoundTrip(req *http.Request) (*http.Response, error) {
	s.requests = append(s.requests, req.URL.Path)
	status, body := http.StatusOK, s.answers[req.URL.Path]
	if code, ok := s.status[req.URL.Path]; ok {
		reason := map[int]string{403: "Forbidden", 404: "NotFound", 503: "ServiceUnavailable"}[code]
		status, body = code, fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d}`, reason, code)
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), Request: req,
	}, nil
}

const (
	pathServiceCIDRs = "/apis/networking.k8s.io/v1/servicecidrs"
	pathNodes        = "/api/v1/nodes"
	pathServices     = "/api/v1/services"
)

func newListServer() *listServer {
	return &listServer{status: map[string]int{}, answers: map[string]string{
		pathServiceCIDRs: `{"kind":"ServiceCIDRList","apiVersion":"networking.k8s.io/v1","items":[
			{"kind":"ServiceCIDR","metadata":{"name":"kubernetes"},"spec":{"cidrs":["10.96.0.0/23","fd10:96::/112"]}}]}`,
		pathNodes: `{"kind":"NodeList","apiVersion":"v1","items":[
			{"kind":"Node","metadata":{"name":"b"},"spec":{"podCIDR":"10.244.1.0/24","podCIDRs":["10.244.1.0/24","fd10:244:1::/64"]},
			 "status":{"addresses":[{"type":"InternalIP","address":"10.0.0.12"},{"type":"Hostname","address":"b"}]}},
			{"kind":"Node","metadata":{"name":"a"},"spec":{"podCIDR":"10.244.0.0/24"},"status":{"addresses":[{"type":"InternalIP","address":"10.0.0.11"}]}}]}`,
		pathServices: `{"kind":"ServiceList","apiVersion":"v1","items":[
			{"kind":"Service","metadata":{"name":"x"},"spec":{"clusterIP":"10.96.0.9"},"status":{"loadBalancer":{"ingress":[{"ip":"192.168.30.70"},{"hostname":"lb.example.com"}]}}},
			{"kind":"Service","metadata":{"name":"headless"},"spec":{"clusterIP":"None"}},
			{"kind":"Service","metadata":{"name":"guest","ownerReferences":[{"apiVersion":"vmoperator.vmware.com/v1alpha1","kind":"VirtualMachineService","name":"g","uid":"u"}]},
			 "spec":{"clusterIP":"10.96.0.10"},"status":{"loadBalancer":{"ingress":[{"ip":"192.168.30.71"}]}}}]}`,
	}}
}

func (s *listServer) cluster(t *testing.T) *Cluster {
	t.Helper()
	return clusterOf(t, s)
}

func clusterOf(t *testing.T, transport http.RoundTripper) *Cluster {
	t.Helper()
	c, err := NewCluster("acme-fitness", &rest.Config{Host: "https://tk.example.com", Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestGuardIsRead(t *testing.T) {
	t.Parallel()
	whole := Guard{
		Pods:     prefixes("10.244.0.0/24", "10.244.1.0/24", "fd10:244:1::/64"),
		Services: prefixes("10.96.0.0/23", "10.96.0.9", "10.96.0.10", "fd10:96::/112"),
		Nodes:    prefixes("10.0.0.11", "10.0.0.12"),
		Virtual:  []netip.Addr{netip.MustParseAddr("192.168.30.70")},
	}
	addresses := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	ranges := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	for name, tc := range map[string]struct {
		status map[string]int
		want   func(*Guard)
	}{
		"all served": {nil, func(*Guard) {}},
		"an old API server": {map[string]int{pathServiceCIDRs: 404}, func(g *Guard) {
			g.Services = prefixes("10.96.0.9", "10.96.0.10")
			g.Unknown = []string{"the range of the cluster's Services: the API server has no ServiceCIDR objects"}
		}},
		"a user of one namespace": {map[string]int{pathServiceCIDRs: 403, pathNodes: 403, pathServices: 403}, func(g *Guard) {
			*g = Guard{Unknown: []string{
				"the range of the cluster's Services: no permission to list ServiceCIDR objects",
				"the cluster's machines and the ranges of its pods: no permission to list Node objects",
				"the cluster's own virtual addresses: no permission to list Service objects",
			}}
		}},
	} {
		server := newListServer()
		server.status = tc.status
		want := whole
		tc.want(&want)
		got, err := server.cluster(t).Guard(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want = want.sorted()
		if len(want.Virtual) == 0 {
			got.Virtual = nil
			want.Virtual = nil
		}
		if diff := cmp.Diff(want, got, addresses, ranges); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestGuardIsReadOnceInAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newListServer()
		c := server.cluster(t)
		read := func(lists int, why string) {
			t.Helper()
			if _, err := c.ownGuard(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := len(server.requests); got != lists {
				t.Errorf("%s: got %d lists, want %d", why, got, lists)
			}
		}
		read(3, "first")
		for range 1000 {
			read(3, "again")
		}
		time.Sleep(guardAge)
		read(6, "grown old")
		if _, err := c.Guard(t.Context()); err != nil {
			t.Fatal(err)
		}
		read(9, "asked for")

		// An address that was its own, and is not any more.
		moved := netip.MustParseAddr("192.168.30.70")
		time.Sleep(time.Second)
		server.answers[pathServices] = `{"kind":"ServiceList","apiVersion":"v1","items":[]}`
		if g, err := c.ownGuard(t.Context(), netip.MustParseAddr("192.168.30.99"), moved); err != nil || g.Check(moved) != nil {
			t.Errorf("a moved address: got %v, %v; want it accepted", g.Check(moved), err)
		}
		read(12, "moved")
		if _, err := c.ownGuard(t.Context(), moved); err != nil {
			t.Fatal(err)
		}
		read(12, "moved, and known to be")

		time.Sleep(guardAge)
		server.status[pathNodes] = 503
		if _, err := c.ownGuard(t.Context()); !errors.Is(err, viaduct.ErrUnavailable) {
			t.Errorf("API server away: got %v, want unavailable", err)
		}
	})
}

func TestGuardRefusesImport(t *testing.T) {
	t.Parallel()
	e := exportedPostgres()
	guard := Guard{Virtual: e.Addresses}
	_, err := planImport("acme-fitness", e, importObserved{api: slicesV1, guard: guard}, newImportOptions(nil))
	if !errors.Is(err, viaduct.ErrInvalid) || !strings.Contains(err.Error(), "itself") {
		t.Errorf("got %v, want a refusal", err)
	}
	if _, err := planImport("acme-fitness", e, importObserved{api: slicesV1, guard: acme()}, newImportOptions(nil)); err != nil {
		t.Errorf("an address outside the ranges: got %v", err)
	}
}
