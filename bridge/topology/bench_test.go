// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology_test

import (
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/viaduct-sdk/viaduct/bridge/topology"
	"github.com/viaduct-sdk/viaduct/bridge/topology/svg"
)

// BenchmarkCrowd joins thousands of objects, and simplifies, folds and draws
// them. The floor, in the same run, is to encode the graph as JSON: what nobody
// who looks at all of it can do without. join/floor and draw/floor are how many
// times that they take; they should not grow with the number of objects.
func BenchmarkCrowd(b *testing.B) {
	for name, size := range map[string][4]int{
		"5000 objects":  {20, 25, 3, 4},
		"20000 objects": {40, 50, 3, 4},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			collect := topology.Crowd(size[0], size[1], size[2], size[3])
			var join, draw, floor time.Duration
			objects := 0
			for b.Loop() {
				begin := time.Now()
				g := collect()
				joined := time.Now()
				if err := svg.Write(io.Discard, g, svg.Options{}); err != nil {
					b.Fatal(err)
				}
				drawn := time.Now()
				if err := json.NewEncoder(io.Discard).Encode(g); err != nil {
					b.Fatal(err)
				}
				join += joined.Sub(begin)
				draw += drawn.Sub(joined)
				floor += time.Since(drawn)
				objects = len(g.Nodes)
			}
			b.ReportMetric(float64(objects), "objects")
			b.ReportMetric(join.Seconds()/floor.Seconds(), "join/floor")
			b.ReportMetric(draw.Seconds()/floor.Seconds(), "draw/floor")
		})
	}
}
