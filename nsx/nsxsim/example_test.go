// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// send sends a request as the default user and returns the status and body.
func send(client *http.Client, method, url, body string) string {
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	request.SetBasicAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword)
	response, err := client.Do(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", response.StatusCode, data))
}

// A simulator in process, used through its own client.
func ExampleNewServer() {
	srv := nsxsim.NewServer()
	defer srv.Close()
	pool := srv.URL() + "/policy/api/v1/infra/lb-pools/db"

	fmt.Println(send(srv.Client(), http.MethodPatch, pool, `{"members":[{"ip_address":"10.244.0.18","port":"5432"}]}`))
	fmt.Println(send(srv.Client(), http.MethodPatch, pool, `{"colour":"red"}`))
	fmt.Println(srv.Paths("/infra/lb-"))
	// Output:
	// 200
	// 400 {"error_code":287,"error_message":"Json de-serialization error: property colour is unrecognized.","httpStatus":"BAD_REQUEST","module_name":"common-services"}
	// [/infra/lb-pools/db]
}

// The first two requests to any pool fail as an overloaded NSX Manager fails.
func ExampleServer_Inject() {
	srv := nsxsim.NewServer()
	defer srv.Close()
	srv.Inject(nsxsim.Fault{
		Method: http.MethodGet, Route: "/infra/lb-pools/{pool}",
		Kind: nsxsim.FaultStatus, Status: http.StatusTooManyRequests, Code: 102, TextCode: true, Times: 2,
	})
	for range 3 {
		fmt.Println(send(srv.Client(), http.MethodGet, srv.URL()+"/policy/api/v1/infra/lb-pools/db", "")[:3])
	}
	// Output:
	// 429
	// 429
	// 404
}

// What the data plane reports shows in the status of the virtual server.
func ExampleServer_SetMemberStatus() {
	srv := nsxsim.NewServer()
	defer srv.Close()
	for _, object := range []struct {
		path string
		body map[string]any
	}{
		{"/infra/lb-services/lb", map[string]any{}},
		{"/infra/lb-pools/db", map[string]any{"members": []any{map[string]any{"ip_address": "10.244.0.18", "port": "5432"}}}},
		{"/infra/lb-virtual-servers/db", map[string]any{
			"ip_address": "192.168.30.66", "ports": []string{"5432"},
			"pool_path": "/infra/lb-pools/db", "lb_service_path": "/infra/lb-services/lb",
			"application_profile_path": "/infra/lb-app-profiles/default-tcp-lb-app-profile",
		}},
	} {
		if err := srv.Put(object.path, object.body); err != nil {
			fmt.Println(err)
		}
	}
	status := srv.URL() + "/policy/api/v1/infra/lb-services/lb/lb-virtual-servers/db/detailed-status"
	for _, member := range []string{"UP", "DOWN"} {
		srv.SetMemberStatus("/infra/lb-pools/db", "10.244.0.18", member)
		answer := send(srv.Client(), http.MethodGet, status, "")
		fmt.Println(strings.Contains(answer, `"status":"UP"`))
	}
	// Output:
	// true
	// false
}
