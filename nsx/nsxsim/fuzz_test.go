// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// FuzzRequest sends any request. Whatever it is, it gets an answer, the answer
// is JSON, and a refused request leaves nothing behind.
func FuzzRequest(f *testing.F) {
	for _, seed := range [][3]string{
		{"PATCH", "/infra/segments/s", `{"subnets":[{"gateway_address":"10.0.0.1/24"}]}`},
		{"PATCH", "/infra/domains/default/groups/g", `{"expression":[{"resource_type":"Condition","member_type":"Segment","key":"Tag","value":"a|b"}]}`},
		{"PATCH", "/infra/domains/default/groups/g", `{"expression":[{"resource_type":"NestedExpression","expressions":[]}]}`},
		{"PUT", "/infra/domains/default/security-policies/p", `{"rules":[{"id":"r","source_groups":[""]}]}`},
		{"POST", "/infra/domains/default/security-policies/p?action=revise", `{}`},
		{"PATCH", "/infra", `{"children":[{"resource_type":"ChildSegment","Segment":{"id":"s","children":[]}}]}`},
		{"PATCH", "/infra", `{"children":[{"resource_type":"ChildResourceReference","target_type":"Domain","id":"default","children":[7]}]}`},
		{"PATCH", "/infra/ip-pools/p/ip-subnets/s", `{"resource_type":"IpAddressPoolBlockSubnet","size":16,"ip_block_path":"/infra"}`},
		{"PATCH", "/infra/ip-blocks/b", `{"cidr":"::/0"}`},
		{"GET", "/search/query?query=a:(b%20OR%20[1%20TO%20*])%20NOT%20c%5C", ""},
		{"GET", "/infra/segments?cursor=MTov&page_size=0&sort_by=tags", ""},
		{"GET", "/infra/domains/default/groups/g/members/ip-addresses", ""},
		{"GET", "/infra/realized-state/status?intent_path=%00", ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, method, path, body string) {
		target, err := url.Parse("https://nsx.sim" + policy + path)
		if err != nil || target.Host != "nsx.sim" {
			return
		}
		srv := nsxsim.NewServer()
		request := &http.Request{Method: method, URL: target, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
		request.SetBasicAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword)
		response, err := srv.Client().Transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		data, err := io.ReadAll(response.Body)
		if err != nil || (len(data) > 0 && !json.Valid(data)) {
			t.Errorf("%s %s: %v: %s", method, path, err, data)
		}
		if left := srv.Paths(""); response.StatusCode >= 300 && len(left) > 0 {
			t.Errorf("%s %s was refused with %d and left %v", method, path, response.StatusCode, left)
		}
	})
}
