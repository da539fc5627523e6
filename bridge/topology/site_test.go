// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"context"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
	"github.com/viaduct-sdk/viaduct/tkc"
	"github.com/viaduct-sdk/viaduct/vcenter"
	"github.com/viaduct-sdk/viaduct/vcenter/vcentersim"
)

// site is a world on simulated servers.
type site struct {
	nsx     *nsxsim.Server
	vcenter *vcentersim.Server
	// kube are the clusters' API servers by name.
	kube    map[string]*fake.Clientset
	sources Sources
}

type listed []tkc.Cluster

func (l listed) List(context.Context, tkc.ListOptions) ([]tkc.Cluster, error) { return l, nil }

// serve puts a world onto simulated servers.
func serve(t *testing.T, w *world) *site {
	t.Helper()
	s := &site{nsx: nsxsim.NewServer(), kube: map[string]*fake.Clientset{}}
	t.Cleanup(s.nsx.Close)
	var err error
	if s.vcenter, err = vcentersim.NewServer(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.vcenter.Close)
	s.serveNSX(t, w)
	s.sources.VCenter, err = vcenter.NewClient(s.vcenter.URL(), vcenter.PasswordAuth(s.vcenter.Username(), s.vcenter.Password()),
		vcenter.WithHTTPClient(s.vcenter.Client()), vcenter.WithRetry(vcenter.RetryPolicy{Attempts: 1}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.sources.VCenter.Close(context.Background()) })
	for _, ns := range w.vcenter.namespaces {
		if err := s.sources.VCenter.Namespaces().Create(t.Context(), vcenter.NamespaceSpec{Name: ns.Name, Cluster: ns.Cluster}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range w.vcenter.portGroups {
		pg := &w.vcenter.portGroups[i]
		pg.LogicalSwitch = w.nsx.segments[i].UniqueID
		err := s.vcenter.AddSegmentPortGroup(t.Context(), vcentersim.SegmentPortGroup{
			Name: pg.Name, SegmentPath: pg.Segment, LogicalSwitchUUID: pg.LogicalSwitch,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range w.clusters {
		c := &w.clusters[i]
		s.kube[c.name] = fake.NewClientset(objects(c)...)
		one := Cluster{Name: c.name, Kubernetes: s.kube[c.name], Endpoint: c.endpoint}
		if i == 0 {
			s.sources.Supervisor = &one
		} else {
			s.sources.Clusters = append(s.sources.Clusters, one)
		}
	}
	s.sources.TKClusters = listed(w.tkClusters)
	s.sources.NSX, err = nsx.NewClient(s.nsx.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword),
		nsx.WithHTTPClient(s.nsx.Client()), nsx.WithRetry(nsx.RetryPolicy{Attempts: 1}))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serveNSX puts the world's NSX onto a simulated one, and takes over the ids that
// this gives to segments.
func (s *site) serveNSX(t *testing.T, w *world) {
	t.Helper()
	put := func(path nsx.Path, object any) {
		t.Helper()
		if err := s.nsx.Put(path.String(), object); err != nil {
			t.Fatal(err)
		}
	}
	bare := func(r nsx.Resource) nsx.Resource {
		return nsx.Resource{DisplayName: r.DisplayName, Tags: r.Tags}
	}
	for _, o := range w.nsx.tier1s {
		put(o.Path, nsx.Tier1{Resource: bare(o.Resource)})
	}
	for i := range w.nsx.segments {
		o := &w.nsx.segments[i]
		put(o.Path, nsx.Segment{
			Resource: bare(o.Resource), ConnectivityPath: o.ConnectivityPath,
			Subnets: []nsx.SegmentSubnet{{GatewayAddress: "10.244.0.17/28"}},
		})
		var live nsx.Segment
		if err := s.nsx.Read(o.Path.String(), &live); err != nil {
			t.Fatal(err)
		}
		for k := range w.clusters[0].namespaces {
			if a := w.clusters[0].namespaces[k].Annotations; a["ls_id-0"] == o.UniqueID {
				a["ls_id-0"] = live.UniqueID
			}
		}
		o.UniqueID = live.UniqueID
	}
	for _, o := range w.nsx.loadBalancers {
		put(o.Path, nsx.LBService{Resource: bare(o.Resource), ConnectivityPath: o.ConnectivityPath, Size: o.Size})
	}
	for _, o := range w.nsx.pools {
		put(o.Path, nsx.Pool{Resource: bare(o.Resource), Members: o.Members})
	}
	for _, o := range w.nsx.virtualServers {
		path := o.Path
		o.Resource = bare(o.Resource)
		put(path, o)
	}
	for _, o := range w.nsx.groups {
		put(o.Path, nsx.Group{Resource: bare(o.Resource), Expression: []nsx.Expression{nsx.Paths(o.Expression[0].Paths...)}})
	}
	for _, o := range w.nsx.policies {
		put(o.Path, nsx.SecurityPolicy{Resource: bare(o.Resource), Category: o.Category, Scope: o.Scope})
	}
	for _, o := range w.nsx.rules {
		scope := w.nsx.groups[0].Path
		put(o.Path, nsx.Rule{
			Resource: bare(o.Resource), Action: o.Action, Direction: "IN", Scope: []nsx.Path{nsx.Any},
			SourceGroups: []nsx.Path{scope}, DestinationGroups: []nsx.Path{nsx.Any}, Services: []nsx.Path{nsx.Any},
		})
	}
}

// objects are what the API server of a cluster has.
func objects(c *clusterSeen) []runtime.Object {
	var all []runtime.Object
	for i := range c.namespaces {
		all = append(all, &c.namespaces[i])
	}
	for i := range c.services {
		all = append(all, &c.services[i])
	}
	for i := range c.pods {
		all = append(all, &c.pods[i])
	}
	for _, s := range slicesOf(c) {
		all = append(all, s)
	}
	return all
}

// slicesOf are the slices that the cluster's imports have.
func slicesOf(c *clusterSeen) []*discoveryv1.EndpointSlice {
	var all []*discoveryv1.EndpointSlice
	yes := true
	for i := range c.backends {
		b := &c.backends[i]
		k := slices.IndexFunc(c.services, func(s corev1.Service) bool { return s.UID == b.service })
		all = append(all, &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: c.services[k].Namespace, Name: c.services[k].Name + "-slice", Labels: c.services[k].Labels,
				OwnerReferences: []metav1.OwnerReference{{Kind: "Service", UID: b.service, Controller: &yes}},
			},
			Endpoints: []discoveryv1.Endpoint{{Addresses: b.addresses}},
			Ports:     []discoveryv1.EndpointPort{{Protocol: &b.ports[0].protocol, Port: &b.ports[0].number}},
		})
	}
	return all
}

func collect(t *testing.T, s *site) *Graph {
	t.Helper()
	g, err := Collect(t.Context(), s.sources)
	if err != nil {
		t.Fatal(err)
	}
	return g
}
