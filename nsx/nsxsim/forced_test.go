// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim_test

import (
	"net/http"
	"testing"

	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// TestForcedDeletionLeavesStatusReadable deletes a pool by force while a virtual
// server names it. What is told of the load balancer afterwards leaves it out.
func TestForcedDeletionLeavesStatusReadable(t *testing.T) {
	t.Parallel()
	srv := nsxsim.NewServer()
	t.Cleanup(srv.Close)
	for _, object := range []struct {
		path   string
		fields map[string]any
	}{
		{"/infra/tier-1s/t1", map[string]any{}},
		{"/infra/lb-services/lb", map[string]any{"connectivity_path": "/infra/tier-1s/t1", "size": "SMALL"}},
		{"/infra/lb-pools/gone", map[string]any{"members": []map[string]any{{"ip_address": "10.0.0.1", "port": "80"}}}},
		{"/infra/lb-pools/stays", map[string]any{"members": []map[string]any{{"ip_address": "10.0.0.2", "port": "80"}}}},
	} {
		if err := srv.Put(object.path, object.fields); err != nil {
			t.Fatal(err)
		}
	}
	for id, pool := range map[string]string{"a": "gone", "b": "stays"} {
		server := map[string]any{
			"ip_address": "192.0.2.1", "ports": []string{map[string]string{"a": "80", "b": "81"}[id]},
			"lb_service_path": "/infra/lb-services/lb", "pool_path": "/infra/lb-pools/" + pool,
			"application_profile_path": "/infra/lb-app-profiles/default-tcp-lb-app-profile",
		}
		if err := srv.Put("/infra/lb-virtual-servers/"+id, server); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(method, path string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL()+"/policy/api/v1"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword)
		req.Header.Set("X-Allow-Overwrite", "true")
		res, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	if status := ask(http.MethodDelete, "/infra/lb-pools/gone?force=true"); status != http.StatusOK {
		t.Fatalf("forced deletion: got %d", status)
	}
	for _, path := range []string{
		"/infra/lb-services/lb/detailed-status", "/infra/lb-services/lb/statistics", "/infra/lb-services/lb/service-usage",
		"/infra/lb-services/lb/lb-virtual-servers/a/detailed-status", "/infra/lb-services/lb/lb-virtual-servers/a/statistics",
		"/infra/lb-services/lb/lb-pools/stays/detailed-status",
	} {
		if status := ask(http.MethodGet, path); status != http.StatusOK {
			t.Errorf("%s: got %d, want 200", path, status)
		}
	}
	if status := ask(http.MethodGet, "/infra/lb-services/lb/lb-pools/gone/detailed-status"); status != http.StatusNotFound {
		t.Errorf("the status of the pool itself: got %d, want 404", status)
	}
}
