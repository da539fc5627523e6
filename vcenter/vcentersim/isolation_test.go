// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcentersim_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/viaduct-sdk/viaduct/vcenter/vcentersim"
)

// TestSimulatorsShareNothing works on several simulators of one process at the
// same time. Each sees its own work and nothing else.
func TestSimulatorsShareNothing(t *testing.T) {
	t.Parallel()
	const worlds, rounds = 4, 15
	servers := make([]*vcentersim.Server, worlds)
	var wg sync.WaitGroup
	for i := range worlds {
		wg.Go(func() { servers[i] = start(t, vcentersim.WithVersion("8.0.2")) })
	}
	wg.Wait()
	for i, srv := range servers {
		wg.Go(func() { live(t, srv, i, rounds) })
	}
	wg.Wait()
	uuids := map[string]bool{}
	for i, srv := range servers {
		uuids[srv.InstanceUUID()] = true
		_, list := admin(t, srv).do(http.MethodGet, "/api/vcenter/namespaces/instances", nil)
		namespaces, _ := list.([]any)
		if len(namespaces) != rounds || !strings.HasPrefix(field(namespaces[0], "namespace"), fmt.Sprintf("world-%d-", i)) {
			t.Errorf("world %d has %v", i, list)
		}
		var names []string
		for name := range portGroups(t, vimClient(t, srv)) {
			names = append(names, name)
			if !strings.HasPrefix(name, fmt.Sprintf("world-%d-", i)) {
				t.Errorf("world %d has the port group %s", i, name)
			}
		}
		if len(names) != rounds {
			t.Errorf("world %d has %v", i, names)
		}
	}
	if len(uuids) != worlds {
		t.Errorf("%d instances of %d", len(uuids), worlds)
	}
	servers[0].ExpireSessions()
	if status, _ := admin(t, servers[1]).do(http.MethodGet, "/api/vcenter/namespaces/instances", nil); status != http.StatusOK {
		t.Errorf("got %d", status)
	}
}

// live creates things by REST and by SOAP, and changes what govmomi's own
// simulators would share: an option and a license.
func live(t *testing.T, srv *vcentersim.Server, i, rounds int) {
	a, c := admin(t, srv), vimClient(t, srv)
	options := object.NewOptionManager(c, *c.ServiceContent.Setting)
	name := fmt.Sprintf("vc-%d", i)
	if err := options.Update(t.Context(), []types.BaseOptionValue{&types.OptionValue{Key: "VirtualCenter.InstanceName", Value: name}}); err != nil {
		t.Error(err)
	}
	for n := range rounds {
		id := fmt.Sprintf("world-%d-%d", i, n)
		spec := map[string]any{"cluster": vcentersim.SupervisorCluster, "namespace": id}
		if status, answer := a.do(http.MethodPost, "/api/vcenter/namespaces/instances", spec); status != http.StatusNoContent {
			t.Errorf("create: %d %v", status, answer)
		}
		if err := srv.AddSegmentPortGroup(t.Context(), vcentersim.SegmentPortGroup{Name: id, SegmentPath: "/infra/segments/" + id}); err != nil {
			t.Error(err)
		}
		if got := len(portGroups(t, c)); got != n+1 {
			t.Errorf("world %d has %d port groups, want %d", i, got, n+1)
		}
	}
	got, err := options.Query(t.Context(), "VirtualCenter.InstanceName")
	if err != nil {
		t.Error(err)
		return
	}
	if diff := cmp.Diff(name, got[0].GetOptionValue().Value); diff != "" {
		t.Error(diff)
	}
}
