// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package ncp_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

const uid = "b2b9ae15-4d0c-4b4e-9d9f-0b7a4f1f2a10"

// start returns a simulator, a Finder, and a function to put objects as NCP.
func start(t *testing.T, opts ...nsxsim.Option) (*nsxsim.Server, *ncp.Finder, func(path string, object any)) {
	t.Helper()
	srv := nsxsim.NewServer(opts...)
	t.Cleanup(srv.Close)
	client, err := nsx.NewClient(srv.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword),
		nsx.WithHTTPClient(srv.Client()))
	if err != nil {
		t.Fatal(err)
	}
	return srv, ncp.NewFinder(client), func(path string, object any) {
		t.Helper()
		if err := srv.Put(path, object); err != nil {
			t.Fatal(err)
		}
	}
}

func tags(pairs ...string) nsx.Tags {
	t := nsx.Tags{{Scope: "ncp/cluster", Tag: "domain-c8:0a1b"}}
	for i := 0; i+1 < len(pairs); i += 2 {
		t = append(t, nsx.Tag{Scope: pairs[i], Tag: pairs[i+1]})
	}
	return t
}

// putService puts what NCP makes for a Service of type LoadBalancer.
func putService(put func(string, any), name string, t nsx.Tags) {
	put("/infra/lb-services/lb", nsx.LBService{Size: nsx.LBServiceSmall})
	put("/infra/lb-pools/"+name, nsx.Pool{
		Resource: nsx.Resource{Tags: t},
		Members:  []nsx.PoolMember{{IPAddress: "10.244.0.5", Port: "5432"}, {IPAddress: "10.244.0.6", Port: "5432"}},
	})
	put("/infra/lb-virtual-servers/"+name, nsx.VirtualServer{
		Resource:  nsx.Resource{DisplayName: name, Tags: t},
		IPAddress: "192.168.30.66", Ports: []string{"5432"},
		PoolPath: nsx.Path("/infra/lb-pools/" + name), LBServicePath: "/infra/lb-services/lb",
		ApplicationProfilePath: nsx.DefaultTCPProfilePath,
	})
}

func TestVirtualServers(t *testing.T) {
	t.Parallel()
	srv, finder, put := start(t)
	mine := tags("ncp/service_uid", uid, "ncp/ip_pool_id", "ingress")
	putService(put, "vs-postgres", mine)
	// The scope of one tag and the value of another: a search finds it.
	putService(put, "vs-decoy", tags("ncp/service_uid", "another", "ncp/project_uid", uid))
	srv.SetMemberStatus("/infra/lb-pools/vs-postgres", "10.244.0.6", "DOWN")

	got, err := finder.VirtualServers(t.Context(), uid)
	if err != nil {
		t.Fatal(err)
	}
	want := []ncp.VirtualServer{{
		Path: "/infra/lb-virtual-servers/vs-postgres", DisplayName: "vs-postgres",
		IP: "192.168.30.66", Ports: []string{"5432"}, Protocol: "TCP",
		LBServicePath: "/infra/lb-services/lb", PoolPath: "/infra/lb-pools/vs-postgres",
		Realization: ncp.Realization{State: "REALIZED"}, Status: "PARTIALLY_UP",
		Members: []ncp.Member{
			{IP: "10.244.0.5", Port: "5432", Status: "UP"},
			{IP: "10.244.0.6", Port: "5432", Status: "DOWN", FailureCause: "Connect to Peer Failure"},
		},
		Tags: mine, IPPool: "ingress", Owner: ncp.Owner{Kind: ncp.OwnerService, Cluster: cluster, ServiceUID: uid},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestVirtualServersThatAreNotRealized(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		state, message string
		want           ncp.Realization
	}{
		"pending": {"UNREALIZED", "", ncp.Realization{State: "UNREALIZED"}},
		"failed":  {"ERROR", "edge cluster is full", ncp.Realization{State: "ERROR", Message: "edge cluster is full"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, finder, put := start(t)
			putService(put, "vs", tags("ncp/service_uid", uid))
			srv.SetRealization("/infra/lb-virtual-servers/vs", tc.state, tc.message)
			got, err := finder.VirtualServers(t.Context(), uid)
			if err != nil || len(got) != 1 {
				t.Fatalf("got %v, %v", got, err)
			}
			if diff := cmp.Diff(tc.want, got[0].Realization); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestVirtualServersOfNobody(t *testing.T) {
	t.Parallel()
	_, finder, _ := start(t)
	if got, err := finder.VirtualServers(t.Context(), uid); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v; want none", got, err)
	}
	if _, err := finder.VirtualServers(t.Context(), ""); !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("got %v, want invalid", err)
	}
}
