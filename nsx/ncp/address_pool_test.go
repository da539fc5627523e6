// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package ncp_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

func putPool(put func(string, any), id string, t nsx.Tags, ranges ...nsx.IPRange) {
	put("/infra/ip-pools/"+id, nsx.IPPool{Resource: nsx.Resource{DisplayName: id, Tags: t}})
	for i, r := range ranges {
		put("/infra/ip-pools/"+id+"/ip-subnets/s"+string(rune('0'+i)), nsx.IPSubnet{
			Resource: nsx.Resource{ResourceType: nsx.IPStaticSubnet}, CIDR: "192.168.30.0/24", AllocationRanges: []nsx.IPRange{r},
		})
	}
}

func TestAddressPools(t *testing.T) {
	t.Parallel()
	_, finder, put := start(t)
	ranges := func(first, last string) nsx.IPRange {
		return nsx.IPRange{Start: "192.168.30." + first, End: "192.168.30." + last}
	}
	other := nsx.Tags{{Scope: "ncp/cluster", Tag: "domain-c9:0a1b"}}
	putPool(put, "ingress", tags("ncp/external", "true"), ranges("65", "80"), ranges("82", "94"))
	putPool(put, "egress", tags("ncp/external", "true"), ranges("97", "126"))
	putPool(put, "given", nsx.Tags{{Scope: "ncp/owner", Tag: "cluster:" + cluster}}, ranges("130", "140"))
	putPool(put, "shared", nsx.Tags{{Scope: "ncp/shared_resource", Tag: "true"}}, ranges("150", "160"))
	putPool(put, "nobody's", nil, ranges("170", "180"))
	putPool(put, "pods", tags("ncp/project", "acme-data", "ncp/project_uid", "ns-1"), ranges("190", "200"))
	putPool(put, "others", other, ranges("210", "220"))
	put("/infra/tier-1s/t1", nsx.Tier1{Resource: nsx.Resource{Tags: tags("ncp/extpoolid", "egress")}})
	put("/infra/tier-1s/t2", nsx.Tier1{Resource: nsx.Resource{Tags: other.With("ncp/extpoolid", "ingress")}})
	put("/infra/ip-blocks/block", nsx.IPBlock{CIDR: "203.0.113.0/24"})
	put("/infra/ip-pools/cut", nsx.IPPool{Resource: nsx.Resource{DisplayName: "cut", Tags: tags()}})
	put("/infra/ip-pools/cut/ip-subnets/s", nsx.IPSubnet{
		Resource: nsx.Resource{ResourceType: nsx.IPBlockSubnet}, IPBlockPath: "/infra/ip-blocks/block", Size: 32,
	})

	pool := func(id, cluster string, egress bool, ranges ...nsx.IPRange) ncp.AddressPool {
		return ncp.AddressPool{Path: nsx.Path("/infra/ip-pools/" + id), DisplayName: id, Ranges: ranges, Cluster: cluster, Egress: egress}
	}
	tagged := []ncp.AddressPool{
		pool("cut", cluster, false, nsx.IPRange{Start: "203.0.113.0", End: "203.0.113.31"}),
		pool("egress", cluster, true, ranges("97", "126")),
		pool("given", cluster, false, ranges("130", "140")),
		pool("ingress", cluster, false, ranges("65", "80"), ranges("82", "94")),
	}
	for name, tc := range map[string]struct {
		reason string
		named  []string
		want   []ncp.AddressPool
	}{
		"by tag":     {"what is tagged for the cluster, and not for a namespace of it", nil, tagged},
		"named too":  {"a pool without a cluster is the cluster's when it is named", []string{"shared", "ingress", ""}, append(tagged[:4:4], pool("shared", "", false, ranges("150", "160")))},
		"others'":    {"a name does not make another cluster's pool this one's", []string{"others"}, tagged},
		"a subnet's": {"nor the pool of pods", []string{"pods"}, tagged},
		"gone":       {"a pool that is gone has no addresses", []string{"gone"}, tagged},
	} {
		got, err := finder.AddressPools(t.Context(), cluster, tc.named...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", name, tc.reason, diff)
		}
	}
	if _, err := finder.AddressPools(t.Context(), ""); !errors.Is(err, viaduct.ErrInvalid) {
		t.Errorf("no cluster: got %v, want invalid", err)
	}
}

func TestAddressPoolsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, route := range []string{"/search/query", "/infra/ip-pools/{id}", "/infra/ip-pools/{id}/ip-subnets"} {
		srv, finder, put := start(t)
		putPool(put, "ingress", tags("ncp/external", "true"), nsx.IPRange{Start: "192.168.30.65", End: "192.168.30.94"})
		srv.Inject(nsxsim.Fault{Method: http.MethodGet, Route: route, Kind: nsxsim.FaultStatus, Status: http.StatusForbidden, Times: -1})
		if got, err := finder.AddressPools(t.Context(), cluster); !errors.Is(err, viaduct.ErrForbidden) {
			t.Errorf("%s: got %v, %v; want forbidden", route, got, err)
		}
	}
}
