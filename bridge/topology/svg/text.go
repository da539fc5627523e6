// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package svg

import (
	"fmt"
	"math"
	"strings"
	"unicode"

	"github.com/viaduct-sdk/viaduct/bridge/topology"
)

// Sizes of text, in pixels.
const (
	sizeTitle   = 22.0
	sizeLane    = 13.0
	sizeLabel   = 13.0
	sizeDetail  = 11.5
	sizeCaption = 11.0
)

const (
	narrowest = 104.0
	widest    = 142.0
	nodePad   = 18.0 // accent and margins
	iconRoom  = 18.0
	stackRoom = 6.0 // of the cards behind a card
	titlePad  = 12.0
)

// fontFamily begins with fonts of the same widths, which most machines have
// one of.
const fontFamily = `'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif`

// advance returns about how wide a character is in these fonts, in thousandths
// of the size.
func advance(r rune) float64 {
	switch {
	case strings.ContainsRune("ijl'|", r):
		return 222
	case strings.ContainsRune(" !,./:;I[]\\ft", r):
		return 278
	case strings.ContainsRune("()-`r{}\"*", r):
		return 355
	case strings.ContainsRune("cksvxyzJ^", r):
		return 500
	case strings.ContainsRune("mM%W", r):
		return 900
	case r == '@':
		return 1015
	case strings.ContainsRune("w", r):
		return 722
	case unicode.IsUpper(r):
		return 722
	case r < unicode.MaxASCII:
		return 570
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case r < 0x1100:
		return 650
	default:
		return 1000 // scripts of East Asia, emoji
	}
}

// textWidth is how wide a text is, with some to spare for other fonts.
func textWidth(text string, size float64, bold bool) float64 {
	sum := 0.0
	for _, r := range text {
		sum += advance(r)
	}
	spare := 1.03
	if bold {
		spare = 1.08
	}
	return sum / 1000 * size * spare
}

// shorten cuts a text to a width.
func shorten(text string, size float64, bold bool, width float64) string {
	if textWidth(text, size, bold) <= width {
		return text
	}
	runes := []rune(text)
	for n := len(runes) - 1; n > 0; n-- {
		if cut := strings.TrimRight(string(runes[:n]), " ") + "…"; textWidth(cut, size, bold) <= width {
			return cut
		}
	}
	return "…"
}

// escape makes text fit for XML, element or attribute: what XML cannot hold at
// all becomes U+FFFD.
func escape(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '&':
			b.WriteString("&amp;")
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '"':
			b.WriteString("&#34;")
		case r == '\'':
			b.WriteString("&#39;")
		case r == '\t' || r == '\n' || r == '\r':
			b.WriteByte(' ')
		case r < ' ' || r == 0x7f || r == 0xfffe || r == 0xffff:
			b.WriteRune(unicode.ReplacementChar)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// captions are the kinds as the picture names them.
func caption(n topology.Node) string {
	if n.Count > 0 {
		return ""
	}
	switch n.Kind {
	case topology.KindTier1:
		return "tier-1 gateway"
	case topology.KindLoadBalancer:
		return "load balancer"
	case topology.KindVirtualServer:
		return "virtual server"
	case topology.KindFirewallPolicy:
		return "firewall policy"
	case topology.KindPortGroup:
		return "port group"
	case topology.KindVSphereNamespace:
		return "vSphere Namespace"
	case topology.KindTKCluster:
		return "TK cluster"
	case topology.KindVMService:
		return "VM service"
	case topology.KindService:
		if n.Attributes["type"] == "LoadBalancer" {
			return "LoadBalancer"
		}
		return "Service"
	default:
		return strings.ReplaceAll(string(n.Kind), "-", " ")
	}
}

// lines are the first two lines of an object: what it is, and its name. What
// stands for many takes both: "… and 12 more", "pods".
func lines(n topology.Node) (first, second string) {
	if head, tail, ok := strings.Cut(n.Label, " more "); ok && n.Count > 0 {
		return head + " more", tail
	}
	return caption(n), n.Label
}

// fitLabel returns the size, of a label's and down to a detail's, at which a text
// fits into a width, and cuts it when none does.
func fitLabel(text string, width float64) (fitting string, size float64) {
	size = sizeLabel
	if w := textWidth(text, size, true); w > width {
		size = max(math.Floor(10*size*width/w)/10, sizeCaption)
	}
	return shorten(text, size, true, width), size
}

// nodeWidth is how wide an object would like to be.
func nodeWidth(n topology.Node) float64 {
	first, second := lines(n)
	w := max(
		textWidth(first, sizeCaption, false)+iconRoom,
		textWidth(second, sizeLabel, true),
		textWidth(n.Detail, sizeDetail, false),
	)
	if n.Count > 0 {
		w += stackRoom
	}
	return clamp(w+nodePad, narrowest, widest)
}

// titleWidth is how wide a group must be for its title, the detail aside.
func titleWidth(n topology.Node) float64 {
	const longest = 300
	return clamp(textWidth(caption(n)+"  "+n.Label, sizeDetail, true)+2*titlePad+iconRoom, narrowest, longest)
}

// title names the system, and the cluster where the lane is one.
func (l *lane) title() string {
	title := laneTitle(l.system)
	if l.name == "" || strings.EqualFold(l.name, title) {
		return title
	}
	return title + " " + l.name
}

func laneTitle(s topology.System) string {
	switch s {
	case topology.SystemVCenter:
		return "vCenter"
	case topology.SystemNSX:
		return "NSX"
	case topology.SystemSupervisor:
		return "Supervisor"
	case topology.SystemTKCluster:
		return "TK clusters"
	default:
		return string(s)
	}
}

// summary says in a line what a graph has.
func summary(g *topology.Graph) string {
	kinds := map[topology.Kind]int{}
	states := map[topology.State]int{}
	for _, n := range g.Nodes {
		kinds[n.Kind] += max(1, n.Count)
		if !n.Kind.IsGroup() {
			states[n.State] += max(1, n.Count)
		}
	}
	var parts []string
	for _, k := range []struct {
		kind topology.Kind
		noun string
	}{
		{topology.KindImport, "import"},
		{topology.KindService, "Service"},
		{topology.KindVirtualServer, "virtual server"},
		{topology.KindPod, "pod"},
	} {
		if n := kinds[k.kind]; n == 1 {
			parts = append(parts, "1 "+k.noun)
		} else if n > 1 {
			parts = append(parts, fmt.Sprintf("%d %ss", n, k.noun))
		}
	}
	for _, s := range []topology.State{topology.StateDown, topology.StateDegraded, topology.StateUnknown} {
		if states[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", states[s], s))
		}
	}
	if states[topology.StateDown]+states[topology.StateDegraded]+states[topology.StateUnknown] == 0 && states[topology.StateUp] > 0 {
		parts = append(parts, "all up")
	}
	return strings.Join(parts, " · ")
}
