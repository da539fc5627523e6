// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package dfw

import (
	"math/rand/v2"
	"net/netip"

	"github.com/viaduct-sdk/viaduct/nsx/firewall"
)

// RandomScript is what the kernel would be told in one of the random worlds of
// the property test.
func RandomScript(seed uint64) (string, error) {
	w := world{rand.New(rand.NewPCG(seed, 0))}
	s := w.snapshot()
	rules, err := firewall.Compile(s)
	if err != nil {
		return "", err
	}
	own := []netip.Addr{w.addr(true), w.addr(false)}
	all, err := sheets(rules, cut(s), own, firewall.Interface{ID: w.port(), Within: []string{w.segment()}})
	if err != nil {
		return "", err
	}
	return render("viaduct_dfw_eth0", "eth0", all, Switches{}).Script(nil), nil
}
