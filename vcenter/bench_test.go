// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcenter_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"

	"github.com/viaduct-sdk/viaduct/vcenter"
	"github.com/viaduct-sdk/viaduct/vcenter/vcentersim"
)

// BenchmarkSegmentPortGroups lists and indexes 5,000 port groups, 2,000 of them
// NSX's, over TLS: as this package does, and as programs do that ask each
// object for its properties. The simulator's own work is in both; the second
// pair adds a millisecond to each request, as a network does.
func BenchmarkSegmentPortGroups(b *testing.B) {
	const total, segments = 5000, 2000
	srv := start(b, vcentersim.WithListener("127.0.0.1:0"))
	for i := range total {
		var err error
		if i < segments {
			id := fmt.Sprintf("seg-%04d", i)
			err = srv.AddSegmentPortGroup(b.Context(), vcentersim.SegmentPortGroup{Name: id, SegmentPath: "/infra/segments/" + id})
		} else {
			err = srv.AddPortGroup(b.Context(), fmt.Sprintf("vlan-%04d", i))
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	c := connect(b, srv)
	vim, err := c.VIM(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for _, away := range []time.Duration{0, time.Millisecond} {
		if away > 0 {
			srv.Inject(vcentersim.Fault{Kind: vcentersim.FaultDelay, Delay: away, Times: -1})
		}
		var fast float64
		b.Run(fmt.Sprintf("index, %v away", away), func(b *testing.B) {
			fast = measure(b, srv, func() (int, error) { return indexed(b.Context(), c) }, segments)
		})
		b.Run(fmt.Sprintf("find and ask each, %v away", away), func(b *testing.B) {
			slow := measure(b, srv, func() (int, error) { return asked(b.Context(), vim) }, segments)
			b.ReportMetric(slow/fast, "x-index")
		})
	}
}

// measure runs work until the benchmark has enough, and reports the round trips
// of one run. It returns the nanoseconds of one.
func measure(b *testing.B, srv *vcentersim.Server, work func() (int, error), want int) float64 {
	b.Helper()
	b.ReportAllocs()
	before, runs := len(srv.Requests()), 0
	for b.Loop() {
		runs++
		if n, err := work(); err != nil || n != want {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(len(srv.Requests())-before)/float64(runs), "trips/op")
	return float64(b.Elapsed().Nanoseconds()) / float64(runs)
}

// indexed returns how many segments have a port group, by this package.
func indexed(ctx context.Context, c *vcenter.Client) (int, error) {
	list, err := c.SegmentPortGroups().List(ctx)
	if err != nil {
		return 0, err
	}
	index, found := vcenter.NewSegmentIndex(list), 0
	for _, p := range list {
		found += len(index.BySegment(p.Segment))
	}
	return found, nil
}

// asked does the same with a finder and the properties of each object.
func asked(ctx context.Context, vim *vim25.Client) (int, error) {
	finder := find.NewFinder(vim, false)
	networks, err := finder.NetworkList(ctx, "/DC0/network/*")
	if err != nil {
		return 0, err
	}
	segments := map[string][]string{}
	for _, network := range networks {
		pg, ok := network.(*object.DistributedVirtualPortgroup)
		if !ok {
			continue
		}
		var props mo.DistributedVirtualPortgroup
		if err := pg.Properties(ctx, pg.Reference(), []string{"name", "key", "config"}, &props); err != nil {
			return 0, err
		}
		if props.Config.BackingType == "nsx" {
			segments[props.Config.SegmentId] = append(segments[props.Config.SegmentId], props.Key)
		}
	}
	return len(segments), nil
}
