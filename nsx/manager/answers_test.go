// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package manager_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/manager"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
)

// answers is a manager that says what it is told to, by path; the rest is 404.
type answers map[string]string

func (a answers) RoundTrip(req *http.Request) (*http.Response, error) {
	status, body := http.StatusOK, a[req.URL.Path]
	if body == "" {
		status, body = http.StatusNotFound, `{"error_code":202,"error_message":"no such object"}`
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Request: req,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

func (a answers) finder(t *testing.T) *manager.Finder {
	t.Helper()
	client, err := nsx.NewClient("nsx.example.com", nsx.BasicAuth("admin", "secret"),
		nsx.WithHTTPClient(&http.Client{Transport: a}), nsx.WithRetry(nsx.RetryPolicy{Attempts: 1}))
	if err != nil {
		t.Fatal(err)
	}
	return manager.NewFinder(client)
}

const version = `{"product_version":"3.1.3.7.0.19381482"}`

// What older versions and unlucky moments answer, which the simulator does not.
func TestUnusualAnswers(t *testing.T) {
	t.Parallel()
	server := func(more string) string {
		return `{"results":[{"id":"v","ip_address":"192.168.30.66","ip_protocol":"TCP",` + more +
			`"tags":[{"scope":"ncp/service_uid","tag":"u"}]}],"cursor":"0000"}`
	}
	services := `{"results":[{"id":"s","virtual_server_ids":["v"]}]}`
	tests := map[string]struct {
		reason string
		answer answers
		want   ncp.VirtualServer
	}{
		"one port": {
			reason: "NSX before 2.3 has a port and no ports",
			answer: answers{"/api/v1/loadbalancer/virtual-servers": server(`"port":"80",`), "/api/v1/loadbalancer/services": `{"results":[]}`},
			want:   ncp.VirtualServer{Ports: []string{"80"}, Realization: ncp.Realization{State: "UNREALIZED"}},
		},
		"load balancer in error": {
			reason: "an error of the load balancer is one of its virtual servers",
			answer: answers{
				"/api/v1/loadbalancer/virtual-servers": server(""), "/api/v1/loadbalancer/services": services,
				"/api/v1/loadbalancer/services/s/status": `{"service_id":"s","service_status":"ERROR","error_message":"no edge","virtual_servers":[{"virtual_server_id":"v","status":"DOWN"}]}`,
			},
			want: ncp.VirtualServer{
				LBServicePath: "/loadbalancer/services/s", Status: "DOWN",
				Realization: ncp.Realization{State: "ERROR", Message: "no edge"},
			},
		},
		"load balancer gone": {
			reason: "what vanished between two requests is no error",
			answer: answers{"/api/v1/loadbalancer/virtual-servers": server(`"pool_id":"p",`), "/api/v1/loadbalancer/services": services},
			want: ncp.VirtualServer{
				LBServicePath: "/loadbalancer/services/s", PoolPath: "/loadbalancer/pools/p",
				Realization: ncp.Realization{State: "UNREALIZED"},
			},
		},
		"members of a group": {
			reason: "the members of a pool with a group are in its status only",
			answer: answers{
				"/api/v1/loadbalancer/virtual-servers": server(`"pool_id":"p",`), "/api/v1/loadbalancer/services": services,
				"/api/v1/loadbalancer/pools/p":           `{"id":"p","member_group":{}}`,
				"/api/v1/loadbalancer/services/s/status": `{"service_id":"s","service_status":"UP","pools":[{"pool_id":"p","status":"UP","members":[{"ip_address":"10.0.0.1","port":"80","status":"UP"}]}]}`,
			},
			want: ncp.VirtualServer{
				LBServicePath: "/loadbalancer/services/s", PoolPath: "/loadbalancer/pools/p",
				Realization: ncp.Realization{State: "UNREALIZED"},
				Members:     []ncp.Member{{IP: "10.0.0.1", Port: "80", Status: "UP"}},
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.answer["/api/v1/node/version"] = version
			got, err := tc.answer.finder(t).VirtualServers(t.Context(), "u")
			if err != nil || len(got) != 1 {
				t.Fatalf("%s: %v, %v", tc.reason, got, err)
			}
			tc.want.Path, tc.want.IP, tc.want.Protocol = "/loadbalancer/virtual-servers/v", "192.168.30.66", "TCP"
			tc.want.Tags = nsx.Tags{{Scope: "ncp/service_uid", Tag: "u"}}
			tc.want.Owner = ncp.Owner{Kind: ncp.OwnerService, ServiceUID: "u"}
			if diff := cmp.Diff(tc.want, got[0]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestListErrors(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	finder := answers{"/api/v1/node/version": version}.finder(t)
	_, pools := finder.Pools(ctx, manager.Selector{})
	_, all := finder.AllVirtualServers(ctx, manager.Selector{})
	_, sections := finder.FirewallSections(ctx, manager.Selector{})
	_, addresses := finder.IPPools(ctx, manager.Selector{})
	for name, err := range map[string]error{"pools": pools, "virtual servers": all, "sections": sections, "ip pools": addresses} {
		if !errors.Is(err, viaduct.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
	}
}

func TestPoolUsage(t *testing.T) {
	t.Parallel()
	pools, err := answers{"/api/v1/pools/ip-pools": `{"results":[{"id":"p","tags":[{"scope":"ncp/cluster","tag":"c"}],
		"subnets":[{"cidr":"10.0.0.0/29","gateway_ip":"10.0.0.1","allocation_ranges":[{"start":"10.0.0.2","end":"10.0.0.6"}]}],
		"pool_usage":{"total_ids":5,"allocated_ids":2,"free_ids":3}}]}`}.finder(t).IPPools(t.Context(), manager.Selector{Cluster: "c"})
	want := []manager.IPPool{{
		ID: "p", Total: 5, Allocated: 2, Free: 3, Tags: nsx.Tags{{Scope: "ncp/cluster", Tag: "c"}},
		Subnets: []manager.IPPoolSubnet{{CIDR: "10.0.0.0/29", Gateway: "10.0.0.1", Ranges: []string{"10.0.0.2-10.0.0.6"}}},
	}}
	if diff := cmp.Diff(want, pools); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
