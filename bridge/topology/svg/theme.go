// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package svg

import "github.com/viaduct-sdk/viaduct/bridge/topology"

// Colours of text and lines on white or on the tints of the lanes; text has a
// contrast of at least 4.5 to 1, lines of 3 to 1.
const (
	colorPaper   = "#ffffff"
	colorText    = "#0f172a"
	colorMuted   = "#475569"
	colorBorder  = "#94a3b8"
	colorFrame   = "#cbd5e1"
	colorData    = "#1d4ed8"
	colorControl = "#64748b"
	colorBeneath = "#7b8794"
	colorUp      = "#047857"
	colorWarn    = "#b45309"
	colorDown    = "#b91c1c"
	colorUnknown = "#64748b"
	colorNotice  = "#fffbeb"
)

// tint is the background of a lane, and its accent.
func tint(s topology.System) (background, accent string) {
	switch s {
	case topology.SystemTKCluster:
		return "#eff6ff", "#1d4ed8"
	case topology.SystemNSX:
		return "#f5f3ff", "#6d28d9"
	case topology.SystemSupervisor:
		return "#ecfdf5", "#047857"
	default:
		return "#f8fafc", "#475569"
	}
}

// style is how a line looks.
type style struct {
	class string
	name  string
}

// styleOf returns the look of an edge.
func styleOf(e topology.Edge) style {
	if e.State == topology.StateDown {
		return style{"down", "down"}
	}
	switch e.Kind {
	case topology.EdgeResolves, topology.EdgeForwards, topology.EdgeMember:
		return style{"data", "way of a connection"}
	case topology.EdgeExports, topology.EdgePublishes:
		return style{"control", "made for it"}
	case topology.EdgeSelects, topology.EdgeSource:
		return style{"odd", "refers to it, and is not connected"}
	default:
		return style{"beneath", "network and firewall beneath"}
	}
}

// styles returns all looks, in the order of the legend.
func styles() []style {
	return []style{
		styleOf(topology.Edge{Kind: topology.EdgeResolves}),
		styleOf(topology.Edge{Kind: topology.EdgeExports}),
		styleOf(topology.Edge{Kind: topology.EdgeRealizes}),
		styleOf(topology.Edge{Kind: topology.EdgeSelects}),
		styleOf(topology.Edge{State: topology.StateDown}),
	}
}

// stylesheet holds for the whole picture.
const stylesheet = `
text{font-family:` + fontFamily + `;fill:` + colorText + `}
.title{font-size:22px;font-weight:700}
.subtitle{font-size:13px;fill:` + colorMuted + `}
.lane{font-size:13px;font-weight:700;letter-spacing:.04em}
.label{font-size:13px;font-weight:700}
.detail{font-size:11.5px;fill:` + colorMuted + `}
.bad{fill:` + colorDown + `}
.caption{font-size:11px;fill:` + colorMuted + `}
.group{font-size:11.5px;fill:` + colorMuted + `}
.over{paint-order:stroke;stroke:` + colorPaper + `;stroke-width:4px;stroke-linejoin:round}
.name{font-weight:700;fill:` + colorText + `}
.mark{font-size:9.5px;font-weight:700;fill:` + colorPaper + `;text-anchor:middle}
.node{fill:` + colorPaper + `;stroke:` + colorBorder + `;stroke-width:1}
.box{fill:` + colorPaper + `;fill-opacity:.62;stroke:` + colorFrame + `;stroke-width:1.2}
.notice{fill:` + colorNotice + `;stroke:` + colorWarn + `;stroke-width:1;stroke-dasharray:4 3}
.e{fill:none}
.data{stroke:` + colorData + `;stroke-width:2}
.control{stroke:` + colorControl + `;stroke-width:1.4}
.beneath{stroke:` + colorBeneath + `;stroke-width:1.2;stroke-dasharray:5 4}
.odd{stroke:` + colorWarn + `;stroke-width:1.5;stroke-dasharray:2 3}
.down{stroke:` + colorDown + `;stroke-width:2;stroke-dasharray:8 4}
.a-data{fill:` + colorData + `}
.a-control{fill:` + colorControl + `}
.a-beneath{fill:` + colorBeneath + `}
.a-odd{fill:` + colorWarn + `}
.a-down{fill:` + colorDown + `}
`
