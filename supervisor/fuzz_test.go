// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisor_test

import (
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/viaduct-sdk/viaduct/supervisor"
)

// FuzzParseNamespace holds that what is parsed says what was written, and that
// nothing else is taken for an address.
func FuzzParseNamespace(f *testing.F) {
	f.Add("domain-c8:u-ippool-10-0-0-1-10-0-0-9", "10.0.0.1", "10.244.0.16/28", "0")
	f.Add("x-ippool-1-2-3", "", "/", "-1")
	f.Add("-ippool-1-2-3-4-5-6-7-8", "fe80::1%eth0", "::/0", "99999999999999999999")
	f.Fuzz(func(t *testing.T, pool, snat, subnet, index string) {
		ns := supervisor.ParseNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{
			"ncp/extpoolid": pool, "ncp/snat_ip": snat, "ncp/subnet-" + index: subnet,
		}}})
		p := ns.ExternalPool
		if p.ID != pool {
			t.Errorf("pool %q became %q", pool, p.ID)
		}
		if p.First.IsValid() != p.Last.IsValid() || (p.First.IsValid() && !strings.Contains(pool, "-ippool-")) {
			t.Errorf("pool %q has addresses %v to %v", pool, p.First, p.Last)
		}
		problems := strings.Join(ns.Problems, "\n")
		if snat != "" && ns.SNATAddress.IsValid() == strings.Contains(problems, "ncp/snat_ip") {
			t.Errorf("address %q became %v, with the problems %q", snat, ns.SNATAddress, problems)
		}
		for _, n := range ns.Networks {
			want, err := netip.ParsePrefix(subnet)
			if n.Subnet != want || (err != nil) != strings.Contains(problems, "ncp/subnet-") {
				t.Errorf("subnet %q became %v, with the problems %q", subnet, n.Subnet, problems)
			}
		}
	})
}
