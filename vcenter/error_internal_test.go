// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter

import (
	"errors"
	"net/http"
	"testing"

	"github.com/viaduct-sdk/viaduct/internal/rest"
)

// FuzzDecodeError takes any body for an error's, and wants an error of it that
// can be printed.
func FuzzDecodeError(f *testing.F) {
	f.Add(404, []byte(`{"error_type":"NOT_FOUND","messages":[{"id":"x","default_message":"y","args":[]}],"data":null}`))
	f.Add(404, []byte(`{"type":"com.vmware.vapi.std.errors.not_found","value":{"messages":[]}}`))
	f.Add(500, []byte(`<Envelope><Body><Fault><faultstring>x</faultstring><detail><A xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:type="v:A"/></detail></Fault></Body></Envelope>`))
	f.Add(503, []byte("upstream\nconnect error"))
	f.Add(0, []byte(nil))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		failure := rest.Failure{Server: "vcenter", Op: "get namespace", Object: "ns", Method: http.MethodGet, Status: status, Body: body}
		if status == 0 {
			failure.Err = errors.New("no route")
		}
		var e *Error
		if err := decodeError(failure); !errors.As(err, &e) || err.Error() == "" || e.Status != status {
			t.Fatalf("got %v", err)
		}
		_ = e.LogValue()
	})
}

// FuzzCIDR reads what it writes.
func FuzzCIDR(f *testing.F) {
	f.Add([]byte(`{"address":"10.244.0.0","prefix":20}`))
	f.Add([]byte(`{"address":"fd00::","prefix":64}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var first, second CIDR
		if first.UnmarshalJSON(data) != nil || !first.IsValid() {
			return
		}
		text, err := first.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if err := second.UnmarshalJSON(text); err != nil || first != second {
			t.Errorf("%v became %v: %v", first, second, err)
		}
	})
}
