// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Topology draws what lies between a service and those who use it: vSphere
// Namespaces, port groups, segments, load balancers, virtual servers, pools,
// Services, pods, exports and imports, in one picture.
//
// You learn: collecting a graph from several servers, of which each may be
// missing, and drawing it. Without flags it runs on the lab, makes the ACME
// Fitness shop there, and imports it into a TK cluster. On real systems it only
// reads:
//
//	VCENTER_PASSWORD=… NSX_PASSWORD=… topology -supervisor sv.kubeconfig -tk-cluster acme-fitness=tk.kubeconfig \
//		-vcenter https://vc.example.com -nsx https://nsx.example.com -focus acme-fitness/acme-data -svg topology.svg
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/viaduct-sdk/viaduct/bridge/topology"
	"github.com/viaduct-sdk/viaduct/bridge/topology/svg"
)

// flags of the program, those of real systems aside.
type flags struct {
	systems systems
	// files to write, by format.
	svg, mermaid, dot, json string
	title, focus            string
}

func main() {
	var f flags
	f.systems.register(flag.CommandLine)
	flag.StringVar(&f.svg, "svg", "", "write a picture to `file`")
	flag.StringVar(&f.mermaid, "mermaid", "", "write Mermaid to `file`")
	flag.StringVar(&f.dot, "dot", "", "write DOT, for Graphviz, to `file`")
	flag.StringVar(&f.json, "json", "", "write the graph as JSON to `file`")
	flag.StringVar(&f.title, "title", "", "title of the picture")
	flag.StringVar(&f.focus, "focus", "", "only what a service or a namespace depends on: `cluster/namespace[/service]`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, f, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, f flags, out io.Writer) (err error) {
	sources, done, err := f.systems.open(ctx, os.Stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if f.title == "" && f.systems.none() {
		f.title = "The ACME Fitness shop"
	}

	// From here on it is what your own program would do.
	graph, err := topology.Collect(ctx, sources)
	if err != nil {
		return err
	}
	if f.focus != "" {
		if graph, err = focus(graph, f.focus); err != nil {
			return err
		}
	}
	describe(out, graph)
	return errors.Join(
		write(f.svg, func(w io.Writer) error { return svg.Write(w, graph, svg.Options{Title: f.title}) }),
		write(f.mermaid, func(w io.Writer) error { return topology.WriteMermaid(w, topology.Simplify(graph)) }),
		write(f.dot, func(w io.Writer) error { return topology.WriteDOT(w, topology.Simplify(graph)) }),
		write(f.json, func(w io.Writer) error {
			e := json.NewEncoder(w)
			e.SetIndent("", "  ")
			return e.Encode(graph)
		}),
	)
}

// write writes a file, unless nobody asked for it.
func write(path string, content func(io.Writer) error) error {
	if path == "" {
		return nil
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(content(file), file.Close())
}
