// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/ncp"
)

const ncpCluster = "domain-c8:0a1b"

func addressPool(id, first, last string, egress bool) ncp.AddressPool {
	return ncp.AddressPool{
		Path: nsx.Path("/infra/ip-pools/" + id), DisplayName: id, Cluster: ncpCluster, Egress: egress,
		Ranges: []nsx.IPRange{{Start: first, End: last}},
	}
}

// acmePools are those of the reference installation.
func acmePools() []ncp.AddressPool {
	return []ncp.AddressPool{
		addressPool("egress", "192.168.30.97", "192.168.30.126", true),
		addressPool("ingress", "192.168.30.65", "192.168.30.94", false),
	}
}

func TestJudgePool(t *testing.T) {
	t.Parallel()
	both := []ncp.AddressPool{addressPool("floating", "192.168.40.1", "192.168.40.200", true)}
	six := append(acmePools(), addressPool("six", "2001:db8::40", "2001:db8::7f", false))
	cases := map[string]struct {
		reason  string
		pools   []ncp.AddressPool
		named   string // by the virtual server
		address string
		unknown string
		err     string
	}{
		"from ingress":        {"NCP took it from there", acmePools(), "ingress", "192.168.30.66", "", ""},
		"first":               {"a range has its ends", acmePools(), "ingress", "192.168.30.65", "", ""},
		"last":                {"a range has its ends", acmePools(), "ingress", "192.168.30.94", "", ""},
		"before":              {"the network's own address is not given out", acmePools(), "ingress", "192.168.30.64", "", "none of the exporting cluster's pools egress, ingress"},
		"after":               {"nor the broadcast address", acmePools(), "ingress", "192.168.30.95", "", "none of"},
		"elsewhere":           {"a virtual server by hand has the address that somebody chose", acmePools(), "ingress", "10.0.0.11", "", "none of"},
		"a pod":               {"the class of CVE-2021-25740", acmePools(), "", "10.244.0.34", "", "none of"},
		"from egress":         {"behind it is another namespace's way out", acmePools(), "ingress", "192.168.30.98", "", "pool egress, from which namespaces get"},
		"egress, untagged":    {"the same when the virtual server tells nothing", acmePools(), "", "192.168.30.98", "", "pool egress, from which"},
		"egress, and tagged":  {"NCP may be configured with one pool for both", both, "floating", "192.168.40.7", "", ""},
		"untagged":            {"no tag says that a pool is for ingress", acmePools(), "", "192.168.30.66", "what pool ingress is for is not known", ""},
		"tag of another pool": {"the tag says where it is from, and there it is not", acmePools(), "egress", "192.168.30.66", "what pool ingress is for is not known", ""},
		"no pools":            {"nothing known is said", nil, "", "192.168.30.66", "no pool with the tag of cluster " + ncpCluster, ""},
		"no ranges":           {"a pool without subnets gives nothing out", []ncp.AddressPool{{Path: "/infra/ip-pools/empty"}}, "", "192.168.30.66", "", "pools empty"},
		"odd range":           {"what cannot be read gives nothing out", []ncp.AddressPool{addressPool("odd", "x", "y", false)}, "odd", "192.168.30.66", "", "pools odd"},
		"IPv6":                {"each family has pools of its own", six, "six", "2001:db8::41", "", ""},
		"IPv6 elsewhere":      {"each family has pools of its own", six, "six", "2001:db8::80", "", "none of"},
		"IPv4 among IPv6":     {"an address is of its family's pool", six, "ingress", "192.168.30.66", "", ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := ncp.VirtualServer{IPPool: tc.named, Owner: ncp.Owner{Cluster: ncpCluster}}
			unknown, err := judgePool(netip.MustParseAddr(tc.address), s, tc.pools)
			if (unknown == "") != (tc.unknown == "") || !strings.Contains(unknown, tc.unknown) {
				t.Errorf("%s: got unknown %q, want %q", tc.reason, unknown, tc.unknown)
			}
			if (err == nil) != (tc.err == "") || err != nil && (!errors.Is(err, viaduct.ErrInvalid) || !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("%s: got %v, want %q", tc.reason, err, tc.err)
			}
		})
	}
}

// pooledBalancers is NSX with pools.
type pooledBalancers struct {
	balancers
	asked []string
	pools []ncp.AddressPool
	err   error
}

type balancers struct{ servers []ncp.VirtualServer }

func (b balancers) VirtualServers(context.Context, string) ([]ncp.VirtualServer, error) {
	return b.servers, nil
}

func (b *pooledBalancers) AddressPools(_ context.Context, cluster string, named ...string) ([]ncp.AddressPool, error) {
	b.asked = append(b.asked, cluster+" "+strings.Join(named, " "))
	if b.pools == nil {
		b.pools = acmePools()
	}
	return b.pools, b.err
}

func TestPoolsAreReadFromNSX(t *testing.T) {
	t.Parallel()
	vip := []netip.Addr{netip.MustParseAddr("192.168.30.66")}
	server := func(cluster string) []ncp.VirtualServer {
		return []ncp.VirtualServer{{IP: vip[0].String(), IPPool: "ingress", Owner: ncp.Owner{Cluster: cluster}}}
	}
	for name, tc := range map[string]struct {
		lb      LoadBalancers
		servers []ncp.VirtualServer
		want    string // that is not known
		err     error
	}{
		"told":          {&pooledBalancers{}, server(ncpCluster), "", nil},
		"no NSX":        {nil, nil, "no NSX was given", nil},
		"not told":      {balancers{}, server(ncpCluster), "does not tell them", nil},
		"untagged":      {&pooledBalancers{}, server(""), "has no tag of a cluster", nil},
		"no server":     {&pooledBalancers{}, nil, "has no tag of a cluster", nil},
		"no permission": {&pooledBalancers{err: viaduct.ErrForbidden}, server(ncpCluster), "no permission", nil},
		"away":          {&pooledBalancers{err: viaduct.ErrUnavailable}, server(ncpCluster), "", viaduct.ErrUnavailable},
	} {
		c := newListServer().cluster(t)
		if tc.lb != nil {
			WithNSX(tc.lb)(c)
		}
		got, err := c.checkNSXPools(t.Context(), vip, tc.servers)
		if !errors.Is(err, tc.err) {
			t.Errorf("%s: got %v, want %v", name, err, tc.err)
		}
		if all := strings.Join(got, "; "); (all == "") != (tc.want == "") || !strings.Contains(all, tc.want) {
			t.Errorf("%s: got unknown %q, want %q", name, all, tc.want)
		}
	}
}

func TestPoolsAreReadOnceInAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lb := &pooledBalancers{}
		c := newListServer().cluster(t)
		WithNSX(lb)(c)
		vip := []netip.Addr{netip.MustParseAddr("192.168.30.66")}
		check := func(pool string) {
			t.Helper()
			servers := []ncp.VirtualServer{{IP: vip[0].String(), IPPool: pool, Owner: ncp.Owner{Cluster: ncpCluster}}}
			if _, err := c.checkNSXPools(t.Context(), vip, servers); err != nil {
				t.Fatal(err)
			}
		}
		for range 1000 {
			check("ingress")
		}
		check("other")
		time.Sleep(guardAge)
		check("ingress")
		// Before anything is refused, it is looked at again.
		time.Sleep(time.Second)
		grown := append(acmePools(), addressPool("grown", "192.168.31.1", "192.168.31.9", false))
		lb.pools = grown
		vip[0] = netip.MustParseAddr("192.168.31.3")
		check("ingress")
		want := []string{ncpCluster + " ingress", ncpCluster + " other", ncpCluster + " ingress", ncpCluster + " ingress"}
		if diff := cmp.Diff(want, lb.asked); diff != "" {
			t.Errorf("asked (-want +got):\n%s", diff)
		}
	})
}
