// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/tkc"
	"github.com/viaduct-sdk/viaduct/vcenter"
)

func TestJoinStates(t *testing.T) {
	t.Parallel()
	type want struct {
		kind           Kind
		label          string
		state          State
		reasonIncludes string
	}
	cases := map[string]struct {
		change func(*world)
		want   []want
	}{
		"a member is down": {
			func(w *world) { w.setMember("cart-redis-0", nsx.LBDown) },
			[]want{
				{KindVirtualServer, "192.168.0.4:6379", StateDown, "down"},
				{KindExport, "cart-redis-viaduct", StateDown, "its virtual server"},
				{KindImport, "cart-redis", StateDown, "its virtual server"},
				{KindService, "cart-redis", StateUp, ""},
			},
		},
		"a pod is not ready": {
			func(w *world) { w.clusters[0].pods[0].Status.Conditions = nil },
			[]want{
				{KindPod, "cart-redis-0", StateDown, "not ready"},
				{KindService, "cart-redis", StateDown, "none of its pods"},
			},
		},
		"no virtual server": {
			func(w *world) { w.nsx.virtualServers = nil },
			[]want{
				{KindExport, "cart-redis-viaduct", StateDegraded, "NSX has no virtual server"},
				{KindImport, "cart-redis", StateDown, "no virtual server has its address"},
			},
		},
		"a load balancer of a TK cluster": {
			func(w *world) { w.guestService() },
			[]want{{KindService, "frontend", StateUp, ""}, {KindService, "acme-fitness-d41d8", StateUp, ""}},
		},
		"a load balancer of a TK cluster whose virtual server is gone": {
			func(w *world) {
				w.guestService()
				w.nsx.virtualServers = w.nsx.virtualServers[:len(w.nsx.virtualServers)-1]
			},
			[]want{
				{KindService, "frontend", StateDegraded, "NSX has no virtual server"},
				{KindService, "acme-fitness-d41d8", StateDegraded, "NSX has no virtual server"},
			},
		},
		"a load balancer of a TKGI cluster": {
			func(w *world) {
				w.guestService()
				w.tkClusters = nil
				w.nsx.virtualServers = nil
			},
			[]want{{KindService, "frontend", StateUnknown, "the Policy API has no virtual server"}},
		},
		"an import from a TKGI cluster": {
			func(w *world) {
				w.nsx.virtualServers = nil
				w.clusters[0].name = "another"
			},
			[]want{{KindImport, "cart-redis", StateUnknown, "the Policy API has no virtual server"}},
		},
		"NSX not asked": {
			func(w *world) { w.nsx = nil },
			[]want{
				{KindExport, "cart-redis-viaduct", StateUnknown, "NSX was not to be asked"},
				{KindImport, "cart-redis", StateUnknown, "NSX was not to be asked"},
			},
		},
		"NSX dead": {
			func(w *world) {
				*w.nsx = nsxSeen{owner: w.nsx.owner}
				for _, object := range []string{objectVirtualServers, objectSegments} {
					w.nsx.found = append(w.nsx.found, Hole{System: SystemNSX, Object: object, Reason: "not reachable"})
				}
			},
			[]want{
				{KindImport, "cart-redis", StateUnknown, "NSX was not to be asked"},
				{KindNamespace, "acme-data", "", ""},
				{KindPortGroup, "vnet-acme-data-0", "", ""},
			},
		},
		"pods may not be read": {
			func(w *world) {
				w.clusters[0].pods = nil
				w.clusters[0].found = []Hole{{System: SystemSupervisor, Object: objectPods + " of namespace acme-data"}}
			},
			[]want{{KindService, "cart-redis", StateUnknown, "may not be read"}},
		},
		"the source is gone": {
			func(w *world) {
				w.clusters[0].services = slices.DeleteFunc(w.clusters[0].services, func(s corev1.Service) bool { return s.Name == "cart-redis" })
			},
			[]want{
				{KindExport, "cart-redis-viaduct", StateDegraded, "is gone"},
				{KindImport, "cart-redis", StateDegraded, "is gone"},
			},
		},
		"an import without endpoints": {
			func(w *world) { w.clusters[1].backends = w.clusters[1].backends[1:] },
			[]want{{KindImport, "cart-redis", StateDown, "no endpoints"}},
		},
		"an import that leads to two, one of them gone": {
			func(w *world) {
				w.clusters[1].backends[0].addresses = append(w.clusters[1].backends[0].addresses, "192.168.99.99")
			},
			[]want{{KindImport, "cart-redis", StateDegraded, "some of its addresses"}},
		},
		"no segment": {
			func(w *world) { w.nsx.segments = nil },
			[]want{{KindNamespace, "acme-data", StateDegraded, "no segment"}},
		},
		"vCenter says ERROR": {
			func(w *world) { w.vcenter.namespaces[0].Status = vcenter.ConfigStatusError },
			[]want{{KindVSphereNamespace, "acme-data", StateDown, "ERROR"}},
		},
		"a TK cluster that is being made": {
			func(w *world) { w.tkClusters[0].Phase = tkc.PhaseCreating },
			[]want{{KindTKCluster, "acme-fitness", StateDegraded, "creating"}},
		},
		"a pool without members": {
			func(w *world) { w.nsx.pools[0].Members = nil },
			[]want{{KindPool, "no members", StateDown, "no members"}},
		},
		"an unknown status": {
			func(w *world) { w.nsx.status = map[nsx.Path]nsx.LBServiceStatus{} },
			[]want{{KindVirtualServer, "192.168.0.4:6379", StateUnknown, "not known"}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := shop()
			tc.change(w)
			g := join(w.observed)
			for _, want := range tc.want {
				n := find(t, g, want.kind, want.label)
				if n.State != want.state || !strings.Contains(n.Reason, want.reasonIncludes) {
					t.Errorf("%s %s is %q because %q, want %q because %q",
						n.Kind, n.Label, n.State, n.Reason, want.state, want.reasonIncludes)
				}
			}
		})
	}
}
