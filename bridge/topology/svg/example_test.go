// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package svg_test

import (
	"bytes"
	"fmt"

	"github.com/viaduct-sdk/viaduct/bridge/topology"
	"github.com/viaduct-sdk/viaduct/bridge/topology/svg"
)

func ExampleWrite() {
	graph := &topology.Graph{
		Nodes: []topology.Node{
			{ID: "vs", Kind: topology.KindVirtualServer, System: topology.SystemNSX, Label: "192.168.30.66:5432", State: topology.StateUp},
			{ID: "db", Kind: topology.KindService, System: topology.SystemSupervisor, Label: "order-postgres", State: topology.StateUp},
		},
		Edges: []topology.Edge{{Kind: topology.EdgePublishes, From: "db", To: "vs"}},
		Holes: []topology.Hole{{System: topology.SystemVCenter, Object: "port groups", Reason: "forbidden"}},
	}
	var picture bytes.Buffer
	if err := svg.Write(&picture, graph, svg.Options{Title: "ACME Fitness"}); err != nil {
		fmt.Println(err)
		return
	}
	for _, text := range []string{"ACME Fitness", "order-postgres", "Not read: port groups (forbidden)"} {
		fmt.Println(text, bytes.Contains(picture.Bytes(), []byte(text)))
	}
	// Output:
	// ACME Fitness true
	// order-postgres true
	// Not read: port groups (forbidden) true
}
