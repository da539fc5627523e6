// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package sdk_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/vmware/vsphere-automation-sdk-go/runtime/log"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra"

	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/sdk"
)

// Whatever a server or a proxy says of an error, the generated code neither
// panics nor loses the status.
func FuzzErrorBody(f *testing.F) {
	for _, body := range []string{
		``, `null`, `[]`, `7`, `"text"`, `{}`, `{"error_code":"102"}`, `{"error_code":500030,"error_message":"in use"}`,
		`{"related_errors":[{"error_code":"7"},[],null]}`, `{"details":{},"module_name":[],"error_message":1.5}`,
		`{"httpStatus":"OK","error_data":[1]}`, `<html>`, `{"error_code":1e400}`, `{"a":1}{"b":2}`,
	} {
		f.Add(uint16(412), "application/json", body)
	}
	f.Add(uint16(503), "text/html", "<html>no</html>")
	log.SetLogger(quiet{})
	f.Fuzz(func(t *testing.T, status uint16, contentType, body string) {
		code := 400 + int(status)%200
		client, err := nsx.NewClient("nsx.example.com", nsx.BasicAuth("admin", "secret"),
			nsx.WithHTTPClient(&http.Client{Transport: answers{status: code, contentType: contentType, body: body}}),
			nsx.WithRetry(nsx.RetryPolicy{Attempts: 1}), nsx.WithLimit(nsx.Limit{}))
		if err != nil {
			t.Fatal(err)
		}
		_, err = infra.NewLbPoolsClient(sdk.NewConnector(t.Context(), client)).Get("p")
		var answer *nsx.Error
		if err := sdk.Error(err); !errors.As(err, &answer) {
			t.Fatalf("%d %q %q: %v holds no answer", code, contentType, body, err)
		}
		if http.StatusText(code) != "" && answer.Status != code {
			t.Fatalf("%d %q %q: the error has status %d", code, contentType, body, answer.Status)
		}
	})
}

// quiet silences the SDK, which otherwise writes lines for each request.
type quiet struct{}

func (quiet) Error(...any)          {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Info(...any)           {}
func (quiet) Infof(string, ...any)  {}
func (quiet) Debug(...any)          {}
func (quiet) Debugf(string, ...any) {}
