// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package svg draws a topology.Graph as a picture for people.
//
//	err := svg.Write(file, graph, svg.Options{Title: "ACME Fitness"})
//
// Each system is a lane: TK clusters on top, NSX beneath them, then the
// Supervisor, and vCenter at the bottom. Within a lane, groups (namespaces,
// gateways, load balancers) are boxes, and objects of one kind stand side by
// side. A connection runs from the import at the top to the pods, along the thick
// lines. What could not be read is named in its lane.
//
// The layout is layered: rows are given by system and kind; the order within a
// row comes from the mean place of the neighbours, under the constraint that
// groups stay together; places are those with the shortest lines that overlap
// nothing, in the narrowest picture. A line that passes a row has a place of its
// own there, so that it crosses no object, and titles stand where no line
// passes. docs/adr/0006 says why the layout is the package's own.
//
// Graphs that are too wide to be read are folded (topology.Fold). The picture
// has a light background of its own and explicit colours, so that it looks the
// same on a dark page; states differ in shape as well as in colour. It needs no
// script and no font, and all text in it is escaped. Equal graphs give equal
// bytes.
package svg
