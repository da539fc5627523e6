// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package sdk_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/model"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
	"github.com/viaduct-sdk/viaduct/nsx/sdk"
)

func ExampleNewConnector() {
	srv := nsxsim.NewServer()
	defer srv.Close()
	client, err := nsx.NewClient(srv.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword), nsx.WithHTTPClient(srv.Client()))
	if err != nil {
		fmt.Println(err)
		return
	}
	segments := infra.NewSegmentsClient(sdk.NewConnector(context.Background(), client))
	if err := segments.Patch("web", model.Segment{DisplayName: new("web")}); err != nil {
		fmt.Println(sdk.Error(err))
		return
	}
	segment, err := segments.Get("web")
	fmt.Println(*segment.DisplayName, err)
	_, err = segments.Get("db")
	fmt.Println(errors.Is(sdk.Error(err), viaduct.ErrNotFound))
	// Output:
	// web <nil>
	// true
}
