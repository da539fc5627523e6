// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/vcenter"
	"github.com/viaduct-sdk/viaduct/vcenter/vcentersim"
)

// simulated starts a simulator and a client of it, as the examples need.
// Against a real vCenter it is NewClient alone.
func simulated(opts ...vcentersim.Option) (*vcentersim.Server, *vcenter.Client) {
	srv, err := vcentersim.NewServer(opts...)
	if err != nil {
		log.Fatal(err)
	}
	auth := vcenter.PasswordAuth(srv.Username(), srv.Password())
	client, err := vcenter.NewClient(srv.URL(), auth, vcenter.WithHTTPClient(srv.Client()))
	if err != nil {
		log.Fatal(err)
	}
	return srv, client
}

func ExampleNamespaces_List() {
	ctx := context.Background()
	srv, client := simulated()
	defer srv.Close()
	defer client.Close(ctx)
	for _, name := range []string{"acme-app", "acme-data"} {
		if err := client.Namespaces().Create(ctx, vcenter.NamespaceSpec{Name: name, Cluster: "domain-c8"}); err != nil {
			log.Fatal(err)
		}
	}
	list, err := client.Namespaces().List(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, ns := range list {
		fmt.Println(ns.Name, "on", ns.Cluster, "is", ns.Status)
	}
	// Output:
	// acme-app on domain-c8 is RUNNING
	// acme-data on domain-c8 is RUNNING
}

// slow is a Supervisor that takes its time.
type slow chan struct{}

func (s slow) CreateNamespace(context.Context, string) error { <-s; return nil }

func (s slow) DeleteNamespace(context.Context, string) error { return nil }

func ExampleNamespaces_Create() {
	ctx := context.Background()
	supervisor := make(slow)
	srv, client := simulated(vcentersim.WithNamespaceController(supervisor))
	defer srv.Close()
	defer client.Close(ctx)
	limit := int64(10240)
	spec := vcenter.NamespaceSpec{
		Name: "acme-data", Cluster: "domain-c8", Description: "the shop's databases",
		Storage: []vcenter.StorageSpec{{Policy: vcentersim.StoragePolicy, Limit: &limit}},
	}
	if err := client.Namespaces().Create(ctx, spec); err != nil {
		log.Fatal(err)
	}
	ns, err := client.Namespaces().Wait(ctx, "acme-data", vcenter.WaitOptions[vcenter.Namespace]{
		OnProgress: func(ns vcenter.Namespace) {
			fmt.Println(ns.Status)
			if ns.Status == vcenter.ConfigStatusConfiguring {
				close(supervisor)
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ns.Name, "is ready:", ns.IsReady())
	err = client.Namespaces().Create(ctx, spec)
	fmt.Println("again:", errors.Is(err, viaduct.ErrExists))
	// Output:
	// CONFIGURING
	// RUNNING
	// acme-data is ready: true
	// again: true
}

func ExampleSegmentPortGroups_List() {
	ctx := context.Background()
	srv, client := simulated()
	defer srv.Close()
	defer client.Close(ctx)
	for _, pg := range []vcentersim.SegmentPortGroup{
		{Name: "seg-db", SegmentPath: "/infra/segments/db", LogicalSwitchUUID: "7f1c1d52-0000-4000-8000-000000000001"},
		{Name: "seg-web", SegmentPath: "/infra/segments/web", LogicalSwitchUUID: "7f1c1d52-0000-4000-8000-000000000002"},
		{Name: "seg-web", SegmentPath: "/infra/segments/web", LogicalSwitchUUID: "7f1c1d52-0000-4000-8000-000000000002", Switch: "DVS1"},
	} {
		if err := srv.AddSegmentPortGroup(ctx, pg); err != nil {
			log.Fatal(err)
		}
	}
	list, err := client.SegmentPortGroups().List(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, pg := range list {
		fmt.Println(pg)
	}
	fmt.Println(len(vcenter.NewSegmentIndex(list).BySegment("/infra/segments/web")), "port groups of one segment")
	// Output:
	// seg-db on DVS0 of /infra/segments/db
	// seg-web on DVS0 of /infra/segments/web
	// seg-web on DVS1 of /infra/segments/web
	// 2 port groups of one segment
}

func ExampleSegmentPortGroups_Watch() {
	ctx := context.Background()
	srv, client := simulated()
	defer srv.Close()
	defer client.Close(ctx)
	pg := vcentersim.SegmentPortGroup{Name: "seg-web", SegmentPath: "/infra/segments/web", LogicalSwitchUUID: "ls-web"}
	for event, err := range client.SegmentPortGroups().Watch(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event)
		switch event.Kind {
		case vcenter.SegmentSynced:
			err = srv.AddSegmentPortGroup(ctx, pg)
		case vcenter.SegmentAdded:
			err = srv.RemoveSegmentPortGroup(ctx, "ls-web")
		default:
		}
		if err != nil {
			log.Fatal(err)
		}
		if event.Kind == vcenter.SegmentRemoved {
			break
		}
	}
	// Output:
	// synced
	// added seg-web on DVS0 of /infra/segments/web
	// removed seg-web on DVS0 of /infra/segments/web
}

func ExampleSupervisorClusters_Get() {
	ctx := context.Background()
	srv, client := simulated()
	defer srv.Close()
	defer client.Close(ctx)
	cluster, err := client.SupervisorClusters().Get(ctx, "domain-c8")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cluster.ConfigStatus, cluster.KubernetesStatus, "at", cluster.Endpoint)
	fmt.Println("pods", cluster.NSX.PodCIDRs, "ingress", cluster.NSX.IngressCIDRs)
	fmt.Println("certificate known:", cluster.EndpointCertificate != "")
	// Output:
	// RUNNING READY at 192.168.30.65
	// pods [10.244.0.0/20] ingress [192.168.30.64/27]
	// certificate known: true
}

func ExampleSoftwareClusters_Upgrade() {
	ctx := context.Background()
	srv, client := simulated()
	defer srv.Close()
	defer client.Close(ctx)
	software, err := client.Software().Get(ctx, "domain-c8")
	if err != nil {
		log.Fatal(err)
	}
	next := software.AvailableVersions[0]
	if err := client.Software().Upgrade(ctx, "domain-c8", next); err != nil {
		log.Fatal(err)
	}
	software, err = client.Software().Wait(ctx, "domain-c8", next, vcenter.WaitOptions[vcenter.Software]{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(software.State, software.CurrentVersion == next)
	// Output: READY true
}

func ExampleCompatibility_Clusters() {
	ctx := context.Background()
	srv, client := simulated()
	defer srv.Close()
	defer client.Close(ctx)
	clusters, err := client.Compatibility().Clusters(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range clusters {
		fmt.Println(c.Cluster, c.Compatible, c.Reasons)
	}
	// Output:
	// domain-c8 false [The cluster domain-c8 is enabled already.]
	// domain-c9 true []
}

func ExampleSupervisors_List() {
	ctx := context.Background()
	srv, client := simulated() // vCenter 7.0.3
	defer srv.Close()
	defer client.Close(ctx)
	_, err := client.Supervisors().List(ctx)
	fmt.Println(err)
	fmt.Println(errors.Is(err, viaduct.ErrUnsupported))
	// Output:
	// vcenter: the Supervisor API needs vCenter 8.0.0, the server has 7.0.3
	// true
}

func ExampleClient_VIM() {
	ctx := context.Background()
	srv, client := simulated()
	defer srv.Close()
	defer client.Close(ctx)
	vim, err := client.VIM(ctx) // govmomi's client, with this client's session
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(vim.ServiceContent.About.ApiType, vim.ServiceContent.About.Version)
	// Output: VirtualCenter 7.0.3
}
