// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim_test

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

func TestChanged(t *testing.T) {
	t.Parallel()
	member := netip.MustParseAddrPort("10.0.0.1:6379")
	cases := map[string]struct {
		reason string
		change func(t *testing.T, srv *nsxsim.Server)
		want   bool
	}{
		"put": {"an object is new", func(t *testing.T, srv *nsxsim.Server) {
			mustPut(t, srv, "/infra/tier-1s/y", object{})
		}, true},
		"remove": {"an object is gone", func(t *testing.T, srv *nsxsim.Server) {
			if err := srv.Remove("/infra/lb-virtual-servers/x"); err != nil {
				t.Error(err)
			}
		}, true},
		"refused": {"a write that NSX refuses changes nothing", func(t *testing.T, srv *nsxsim.Server) {
			if err := srv.Put("/infra/lb-virtual-servers/x", object{"ip_address": "nonsense"}); err == nil {
				t.Error("the nonsense was taken")
			}
		}, false},
		"remove nothing": {"there was nothing to remove", func(t *testing.T, srv *nsxsim.Server) {
			if err := srv.Remove("/infra/lb-virtual-servers/z"); err != nil {
				t.Error(err)
			}
		}, false},
		"read": {"reading changes nothing", func(t *testing.T, srv *nsxsim.Server) {
			if err := srv.Read("/infra/tier-1s/x", &object{}); err != nil {
				t.Error(err)
			}
		}, false},
		"member status": {"the status shows in the pool's", func(_ *testing.T, srv *nsxsim.Server) {
			srv.SetMemberStatus("/infra/lb-pools/x", "10.0.0.1", "DOWN")
		}, true},
		"monitor status": {"the status shows in the pool's", func(_ *testing.T, srv *nsxsim.Server) {
			srv.SetMonitorStatus("/infra/lb-pools/x", member, "DOWN")
		}, true},
		"same monitor status": {"the monitor found what it found before", func(_ *testing.T, srv *nsxsim.Server) {
			srv.SetMonitorStatus("/infra/lb-pools/x", member, "")
		}, false},
		"realization": {"the state of an object is another", func(_ *testing.T, srv *nsxsim.Server) {
			srv.SetRealization("/infra/tier-1s/x", "ERROR", "no edge cluster")
		}, true},
		"manager": {"who could not read may read again", func(t *testing.T, srv *nsxsim.Server) {
			if err := srv.Managers()[0].Start(); err != nil {
				t.Error(err)
			}
		}, true},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := nsxsim.NewServer()
			t.Cleanup(srv.Close)
			loadBalancer(t, srv, object{})
			changed := srv.Changed()
			if again := srv.Changed(); again != changed {
				t.Error("two who wait for the same change got different channels")
			}
			test.change(t, srv)
			got := false
			select {
			case <-changed:
				got = true
			default:
			}
			if got != test.want {
				t.Errorf("changed = %v, want %v: %s", got, test.want, test.reason)
			}
		})
	}
}

func TestMonitorStatus(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason            string
		reported, monitor string
		port              uint16
		want              string
	}{
		"nobody says anything": {"a member without monitor is up", "", "", 6379, "UP"},
		"down":                 {"the monitor decides", "", "DOWN", 6379, "DOWN"},
		"up":                   {"the monitor decides", "", "UP", 6379, "UP"},
		"other port":           {"another member of that address is down", "", "DOWN", 6380, "UP"},
		"reported down":        {"both must find it up", "DOWN", "UP", 6379, "DOWN"},
		"reported unknown":     {"what is not known stays so", "UNKNOWN", "UP", 6379, "UNKNOWN"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := nsxsim.NewServer()
			c := newCaller(t, srv)
			loadBalancer(t, srv, object{"members": []any{object{"ip_address": "10.0.0.1", "port": "6379"}}})
			srv.SetMemberStatus("/infra/lb-pools/x", "10.0.0.1", test.reported)
			srv.SetMonitorStatus("/infra/lb-pools/x", netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), test.port), test.monitor)
			path := policy + "/infra/lb-services/x/lb-pools/x/detailed-status"
			members := firstResult(c.must(http.MethodGet, path, nil))["members"].([]any)
			if got := members[0].(object)["status"]; got != test.want {
				t.Errorf("%v, want %s: %s", got, test.want, test.reason)
			}
		})
	}
}
