// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && e2etraffic

package traffic_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// The library runs in the management namespace, of which all packets come and
// go by one link, the node's. These rules count, on every host that web-app's
// packets may pass, those from or to the ports of the shop's services and of
// DNS.
const counting = `table inet counting {
	counter passing { }
	set ports { type inet_service; elements = { 53, 5432, 6379, 27017 } }
	chain prerouting {
		type filter hook prerouting priority raw
		iifname != "lo" meta l4proto { tcp, udp } th dport @ports counter name passing
		iifname != "lo" meta l4proto { tcp, udp } th sport @ports counter name passing
	}
	chain output {
		type filter hook output priority raw
		oifname != "lo" meta l4proto { tcp, udp } th dport @ports counter name passing
		oifname != "lo" meta l4proto { tcp, udp } th sport @ports counter name passing
	}
}`

// startCounting counts on the hosts of the way, and where the library runs.
func (w *world) startCounting() {
	for _, h := range append(w.way(), host(w.hosts.Management())) {
		cmd := h.Command(w.ctx, "nft", "-f", "-")
		cmd.Stdin = strings.NewReader(counting)
		w.must(run(cmd))
	}
}

// throughKernels says where the packets have passed.
func (w *world) throughKernels() {
	w.t.Helper()
	var seen []string
	for _, h := range w.way() {
		n := w.counted(h)
		seen = append(seen, fmt.Sprintf("%s %d", h.Name(), n))
		if n == 0 {
			w.t.Errorf("no packet of the shop passed %s, which is on the way", h.Name())
		}
	}
	w.check(row{
		step: "all the while", from: "every host's nftables", tried: "count the shop's packets", expected: "Viaduct's own process 0",
	}, func(context.Context) string {
		return strings.Join(seen, ", ") + fmt.Sprintf("; Viaduct's own process %d", w.counted(w.hosts.Management()))
	})
}

// counted is how many packets a host has counted.
func (w *world) counted(h host) int {
	w.t.Helper()
	cmd := h.Command(w.ctx, "nft", "-j", "list", "counter", "inet", "counting", "passing")
	out, err := cmd.Output()
	w.must(err)
	var listed struct {
		Nftables []struct {
			Counter struct{ Packets int }
		}
	}
	w.must(json.Unmarshal(out, &listed))
	n := 0
	for _, l := range listed.Nftables {
		n += l.Counter.Packets
	}
	return n
}

// way is the hosts of web-app's way to order-postgres.
func (w *world) way() []host {
	return []host{w.node.webApp, w.node, w.router, w.edge, w.pods[orders+"-0"]}
}
