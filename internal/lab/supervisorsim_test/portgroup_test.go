// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim_test

import (
	"context"
	"errors"
	"net/url"
	"testing"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/vim25/soap"

	"github.com/viaduct-sdk/viaduct/internal/lab"
)

// finder logs in to vCenter as govc does.
func (w *world) finder() *find.Finder {
	w.t.Helper()
	address, err := w.vc.ListenTLS("127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	u, err := soap.ParseURL(address)
	if err != nil {
		w.t.Fatal(err)
	}
	u.User = url.UserPassword(w.vc.Username(), w.vc.Password())
	client, err := govmomi.NewClient(w.t.Context(), u, true)
	if err != nil {
		w.t.Fatal(err)
	}
	f := find.NewFinder(client.Client)
	dc, err := f.DefaultDatacenter(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return f.SetDatacenter(dc)
}

// TestPortGroups finds the port group of a namespace by the id that NCP's
// annotation has, also after the simulator was started anew.
func TestPortGroups(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Config{})
	finder := w.finder()
	ns := w.namespace("acme-data")
	id := ns.Annotations["ls_id-0"]
	before, err := finder.Network(t.Context(), id)
	if err != nil {
		t.Fatalf("port group of %s: %v", id, err)
	}
	w.sim.Close()
	w.start()
	w.namespace("acme-data") // completes it again
	after, err := finder.Network(t.Context(), id)
	if err != nil || after.Reference() != before.Reference() {
		t.Errorf("port group %v, %v; want %v as before", after, err, before)
	}
	if err := w.sim.DeleteNamespace(t.Context(), "acme-data"); err != nil {
		t.Fatal(err)
	}
	w.eventually("the port group is gone", func(ctx context.Context) string {
		var missing *find.NotFoundError
		if _, err := finder.Network(ctx, id); !errors.As(err, &missing) {
			return "it is there"
		}
		return ""
	})
}
