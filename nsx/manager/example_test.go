// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//nolint:bodyclose // go-vmware-nsxt closes the bodies of its answers
package manager_test

import (
	"context"
	"fmt"

	nsxt "github.com/vmware/go-vmware-nsxt"
	"github.com/vmware/go-vmware-nsxt/common"
	mp "github.com/vmware/go-vmware-nsxt/manager"

	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/manager"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

func ExampleFinder_LogicalSwitches() {
	srv := nsxsim.NewServer()
	defer srv.Close()
	ctx := context.Background()
	// What NCP does for the namespace acme-data.
	ncp, _ := nsxt.NewAPIClient(&nsxt.Configuration{
		BasePath: srv.URL() + "/api/v1", UserName: nsxsim.DefaultUser, Password: nsxsim.DefaultPassword, HTTPClient: srv.Client(),
	})
	_, _, err := ncp.LogicalSwitchingApi.CreateLogicalSwitch(ctx, mp.LogicalSwitch{
		DisplayName: "acme-data-0", TransportZoneId: "tz", AdminState: "UP",
		Tags: []common.Tag{{Scope: "ncp/cluster", Tag: "pks-1"}, {Scope: "ncp/project", Tag: "acme-data"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	client, err := nsx.NewClient(srv.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword), nsx.WithHTTPClient(srv.Client()))
	if err != nil {
		fmt.Println(err)
		return
	}
	switches, err := manager.NewFinder(client).LogicalSwitches(ctx, manager.Selector{Cluster: "pks-1", Namespace: "acme-data"})
	for _, s := range switches {
		fmt.Println(s.DisplayName, err)
	}
	// Output:
	// acme-data-0 <nil>
}
