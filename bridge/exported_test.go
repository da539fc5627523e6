// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
)

func TestDocumentIsReadAsWritten(t *testing.T) {
	t.Parallel()
	golden, err := filepath.Glob("testdata/exported/*.json") // of all releases, for all time
	if err != nil || len(golden) < 2 {
		t.Fatalf("got documents %v, %v; want two and more", golden, err)
	}
	for _, file := range golden {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var e Exported
		if err := json.Unmarshal(data, &e); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		again, err := json.MarshalIndent(&e, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.TrimSpace(string(data)), string(again)); diff != "" {
			t.Errorf("%s: written again (-want +got):\n%s", file, diff)
		}
	}
}

func TestDamagedDocumentIsRefused(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason string
		change func(map[string]any)
		want   error
		says   string
	}{
		"newer version":   {"a newer release may mean something else", func(d map[string]any) { d["version"] = 2 }, viaduct.ErrUnsupported, "upgrade the importing side"},
		"newer and other": {"the version is read before anything else", func(d map[string]any) { d["version"], d["ports"] = 2, "all" }, viaduct.ErrUnsupported, "version 2"},
		"no version":      {"a document says what it is", func(d map[string]any) { delete(d, "version") }, viaduct.ErrInvalid, "version is 0"},
		"unknown field":   {"a misspelt field is not ignored", func(d map[string]any) { d["adresses"] = []string{} }, viaduct.ErrInvalid, "adresses"},
		"no address":      {"there is nothing to lead to", func(d map[string]any) { d["addresses"] = []string{} }, viaduct.ErrInvalid, "no address"},
		"bad address":     {"an address is an IP", func(d map[string]any) { d["addresses"] = []string{"vip.example.com"} }, viaduct.ErrInvalid, "vip.example.com"},
		"loopback":        {"an import must not lead to the node", func(d map[string]any) { d["addresses"] = []string{"127.0.0.1"} }, viaduct.ErrInvalid, "loopback"},
		"empty address":   {"an address is there", func(d map[string]any) { d["addresses"] = []string{""} }, viaduct.ErrInvalid, "missing"},
		"no ports":        {"there is nothing to serve", func(d map[string]any) { d["ports"] = []any{} }, viaduct.ErrInvalid, "no port"},
		"port 0":          {"ports are 1 to 65535", func(d map[string]any) { d["ports"] = []any{map[string]any{"protocol": "TCP", "port": 0}} }, viaduct.ErrInvalid, "out of range"},
		"protocol":        {"only TCP and UDP pass", func(d map[string]any) { d["ports"] = []any{map[string]any{"protocol": "SCTP", "port": 1}} }, viaduct.ErrInvalid, "SCTP"},
		"unnamed of two": {"ports are matched by name", func(d map[string]any) {
			d["ports"] = []any{map[string]any{"protocol": "TCP", "port": 1}, map[string]any{"protocol": "TCP", "port": 2}}
		}, viaduct.ErrInvalid, "no name beside others"},
		"port name": {"a port's name is a label", func(d map[string]any) {
			d["ports"] = []any{map[string]any{"name": "Not_A_Label", "protocol": "TCP", "port": 1}}
		}, viaduct.ErrInvalid, "DNS label"},
		"port twice": {"a port is there once", func(d map[string]any) {
			d["ports"] = []any{map[string]any{"name": "a", "protocol": "TCP", "port": 1}, map[string]any{"name": "b", "protocol": "TCP", "port": 1}}
		}, viaduct.ErrInvalid, "twice"},
		"cluster":   {"the cluster's name becomes part of ours", func(d map[string]any) { source(d)["cluster"] = "a/b" }, viaduct.ErrInvalid, "source.cluster"},
		"namespace": {"the name must be one that an API server takes", func(d map[string]any) { source(d)["namespace"] = "../kube-system" }, viaduct.ErrInvalid, "source.namespace"},
		"name":      {"the name must be one that an API server takes", func(d map[string]any) { source(d)["name"] = "" }, viaduct.ErrInvalid, "source.name"},
		"consumer":  {"a consumer is a cluster's name", func(d map[string]any) { d["consumers"] = []any{"acme-fitness", "A B"} }, viaduct.ErrInvalid, "consumer"},
		"uid":       {"the UID tells the exporting cluster apart", func(d map[string]any) { source(d)["uid"] = "" }, viaduct.ErrInvalid, "uid is missing"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := json.Unmarshal(changedDocument(t, tc.change), new(Exported))
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%s: got %v, want an error that matches %q and says %q", tc.reason, err, tc.want, tc.says)
			}
		})
	}
	for n := range changedDocument(t, func(map[string]any) {}) {
		if err := new(Exported).UnmarshalJSON(changedDocument(t, func(map[string]any) {})[:n]); !errors.Is(err, viaduct.ErrInvalid) {
			t.Errorf("cut off after %d bytes: got %v, want an error that matches ErrInvalid", n, err)
		}
	}
}

func source(d map[string]any) map[string]any { return d["source"].(map[string]any) }

func changedDocument(t *testing.T, change func(map[string]any)) []byte {
	t.Helper()
	data, err := json.Marshal(exportedPostgres())
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	change(fields)
	if data, err = json.Marshal(fields); err != nil {
		t.Fatal(err)
	}
	return data
}

// FuzzDocument feeds documents from elsewhere: whatever is accepted can be
// planned, and is written as it was read.
func FuzzDocument(f *testing.F) {
	data, err := os.ReadFile("testdata/exported/v1.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var e Exported
		if json.Unmarshal(data, &e) != nil {
			return
		}
		if _, err := planImport("here", &e, importObserved{api: slicesV1}, newImportOptions(nil)); err != nil {
			t.Fatalf("accepted and then refused: %v", err)
		}
		again, err := json.Marshal(&e)
		if err != nil {
			t.Fatal(err)
		}
		var same Exported
		if err := json.Unmarshal(again, &same); err != nil {
			t.Fatalf("written and then refused: %v\n%s", err, again)
		}
	})
}

func TestCheckVIP(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.168.30.66":          "",
		"10.0.0.1":               "",
		"2001:db8::1":            "",
		"fd12::1":                "",
		"100.63.255.255":         "",
		"100.128.0.0":            "",
		"0.0.0.0":                "unspecified",
		"::":                     "unspecified",
		"127.0.0.1":              "loopback",
		"127.8.8.8":              "loopback",
		"::1":                    "loopback",
		"169.254.169.254":        "link-local",
		"fe80::1":                "link-local",
		"fe80::1%eth0":           "zone",
		"224.0.0.1":              "multicast",
		"ff02::1":                "multicast",
		"255.255.255.255":        "broadcast",
		"fd00:ec2::254":          "metadata",
		"100.64.0.1":             "internal to NCP",
		"100.127.255.255":        "internal to NCP",
		"::ffff:127.0.0.1":       "IPv6 form",
		"::ffff:169.254.169.254": "IPv6 form",
		"::ffff:192.168.30.66":   "IPv6 form",
	} {
		err := checkVIP(netip.MustParseAddr(address))
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", address, err, want)
		}
	}
	if err := checkVIP(netip.Addr{}); err == nil {
		t.Error("no address: got no error")
	}
}

func TestJudgeStatus(t *testing.T) {
	t.Parallel()
	ingress := func(all ...corev1.LoadBalancerIngress) func(*corev1.Service) {
		return func(s *corev1.Service) { s.Status.LoadBalancer.Ingress = all }
	}
	cases := map[string]struct {
		reason  string
		change  func(*corev1.Service)
		want    []string
		waiting string
		err     error
	}{
		"none":     {reason: "NCP is not done", change: ingress(), waiting: "no address in its status"},
		"one":      {reason: "the usual case", change: ingress(corev1.LoadBalancerIngress{IP: "192.168.30.66"}), want: []string{"192.168.30.66"}},
		"two":      {reason: "older NCP adds its internal address", change: ingress(corev1.LoadBalancerIngress{IP: "192.168.30.66"}, corev1.LoadBalancerIngress{IP: "100.64.16.7"}), want: []string{"192.168.30.66"}},
		"internal": {reason: "the internal address alone is no VIP", change: ingress(corev1.LoadBalancerIngress{IP: "100.64.16.7"}), waiting: "no address"},
		"hostname": {reason: "a slice holds addresses", change: ingress(corev1.LoadBalancerIngress{Hostname: "lb.example.com"}), err: viaduct.ErrUnsupported},
		"loopback": {reason: "whoever can write a status must not reach the node", change: ingress(corev1.LoadBalancerIngress{IP: "127.0.0.1"}), err: viaduct.ErrInvalid},
		"annotated": {reason: "NCP says which of the two is its own", want: []string{"192.168.30.66"}, change: func(s *corev1.Service) {
			s.Annotations = map[string]string{annotationInternalAddress: "172.16.0.9"}
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "172.16.0.9"}, {IP: "192.168.30.66"}}
		}},
		"exhausted": {reason: "NCP's error comes first", err: viaduct.ErrUnavailable, change: func(s *corev1.Service) {
			s.Annotations = map[string]string{annotationLoadBalancerError: "IP_POOL_EXHAUSTED"}
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, err := judgeStatus(serviceWith(tc.change))
			if !errors.Is(err, tc.err) || (tc.waiting == "") != (v.waiting == "") || !strings.Contains(v.waiting, tc.waiting) {
				t.Errorf("%s: got waiting %q, %v; want %q, %v", tc.reason, v.waiting, err, tc.waiting, tc.err)
			}
			var got []string
			for _, a := range v.addresses {
				got = append(got, a.String())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: addresses (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestJudgeNSX(t *testing.T) {
	t.Parallel()
	healthy := func(change func(*ncp.VirtualServer)) []ncp.VirtualServer {
		s := ncp.VirtualServer{
			Path: "/infra/lb-virtual-servers/vs-1", IP: "192.168.30.66", Ports: []string{"5432"}, Protocol: "TCP",
			PoolPath:    "/infra/lb-pools/pool-1",
			Realization: ncp.Realization{State: "REALIZED"},
			Members: []ncp.Member{
				{IP: "10.244.0.34", Port: "5432", Status: "UP"},
				{IP: "10.244.0.35", Port: "5432", Status: "DOWN", FailureCause: "Connect to Peer Failure"},
			},
		}
		if change != nil {
			change(&s)
		}
		return []ncp.VirtualServer{s}
	}
	cases := map[string]struct {
		reason  string
		servers []ncp.VirtualServer
		waiting string
		err     error
	}{
		"healthy":        {reason: "one member up serves", servers: healthy(nil)},
		"none":           {reason: "NCP is not done", waiting: "no virtual server for postgres 5432/TCP on 192.168.30.66"},
		"other address":  {reason: "the VIP of before is not the VIP", servers: healthy(func(s *ncp.VirtualServer) { s.IP = "192.168.30.67" }), waiting: "no virtual server"},
		"other protocol": {reason: "UDP on the port is another virtual server", servers: healthy(func(s *ncp.VirtualServer) { s.Protocol = "UDP" }), waiting: "no virtual server"},
		"range":          {reason: "NSX may hold ports as a range", servers: healthy(func(s *ncp.VirtualServer) { s.Ports = []string{"5000-6000"} })},
		"beside a range": {reason: "a range ends", servers: healthy(func(s *ncp.VirtualServer) { s.Ports = []string{"5433-6000", "x-y"} }), waiting: "no virtual server"},
		"unrealized":     {reason: "an intent is not a load balancer", servers: healthy(func(s *ncp.VirtualServer) { s.Realization.State = "UNREALIZED" }), waiting: "vs-1 is UNREALIZED"},
		"unknown":        {reason: "nothing known is not realized", servers: healthy(func(s *ncp.VirtualServer) { s.Realization.State = "" }), waiting: "not realized"},
		"failed":         {reason: "NSX's own reason is returned", servers: healthy(func(s *ncp.VirtualServer) { s.Realization = ncp.Realization{State: "ERROR", Message: "no edge"} }), err: viaduct.ErrUnavailable},
		"no members":     {reason: "a VIP without members refuses connections", servers: healthy(func(s *ncp.VirtualServer) { s.Members = nil }), waiting: "pool-1 has no members"},
		"members down":   {reason: "the reason of each is told", servers: healthy(func(s *ncp.VirtualServer) { s.Members = s.Members[1:] }), waiting: "10.244.0.35:5432 DOWN Connect to Peer Failure"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := exportedPostgres()
			v, err := judgeNSX(vip{addresses: e.Addresses}, e.Ports, tc.servers)
			if !errors.Is(err, tc.err) || (tc.waiting == "") != (v.waiting == "") || !strings.Contains(v.waiting, tc.waiting) {
				t.Errorf("%s: got waiting %q, %v; want %q, %v", tc.reason, v.waiting, err, tc.waiting, tc.err)
			}
			if tc.waiting == "" && tc.err == nil && (v.proof.Source != ProofNSX || len(v.proof.VirtualServers) != 1) {
				t.Errorf("%s: got proof %+v, want NSX's with one virtual server", tc.reason, v.proof)
			}
		})
	}
}

func TestCompanionName(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, name := range []string{"a", "order-postgres", strings.Repeat("a", 55), strings.Repeat("a", 56), strings.Repeat("a", 62) + "b", strings.Repeat("a", 62) + "c"} {
		key := postgres
		key.Name = name
		got := companionOf(key).Name
		if len(got) > 63 || seen[got] || !strings.HasSuffix(got, "-viaduct") {
			t.Errorf("companion of %s: got %s (%d characters), want a new name of at most 63 that ends in -viaduct", name, got, len(got))
		}
		seen[got] = true
	}
}
