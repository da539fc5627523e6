// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Render is pure: a trace in, text out. JSON comes from the struct tags.

// String returns a headline and a line for each hop: ✓ for ok, ✗ for broken, ?
// for unknown and - for skipped, with the evidence. Beneath the first broken
// hop stand its cause and its remedy.
func (t *Traced) String() string {
	var b strings.Builder
	broken, isBroken := t.Broken()
	fmt.Fprintf(&b, "%s/%s in %s: ", t.Namespace, t.Name, t.Cluster)
	unknown := t.count(HopUnknown)
	switch {
	case isBroken:
		fmt.Fprintf(&b, "broken at %s", broken.label())
	case unknown > 0:
		fmt.Fprintf(&b, "nothing is broken as far as is known; %d of %d hops are unknown", unknown, len(t.Hops))
	default:
		b.WriteString("every hop is ok")
	}
	width := 0
	for _, h := range t.Hops {
		width = max(width, utf8.RuneCountInString(h.label()))
	}
	told := false
	for _, h := range t.Hops {
		first := h.State == HopBroken && !told
		line := fmt.Sprintf("%s %-*s  %s", h.State.sign(), width, h.label(), h.summary(!first))
		b.WriteString("\n" + strings.TrimRight(line, " "))
		if first {
			told = true
			fmt.Fprintf(&b, "\n  %-*s  cause:  %s", width, "", h.Cause)
			if h.Remedy != "" {
				fmt.Fprintf(&b, "\n  %-*s  remedy: %s", width, "", h.Remedy)
			}
		}
	}
	return b.String()
}

func (t *Traced) count(state HopState) int {
	n := 0
	for _, h := range t.Hops {
		if h.State == state {
			n++
		}
	}
	return n
}

func (h Hop) label() string {
	if h.Exporter == "" {
		return string(h.Name)
	}
	return fmt.Sprintf("%s (%s)", h.Name, h.Exporter)
}

// summary is what stands behind the hop's name: the evidence, and the cause
// unless it has a line of its own.
func (h Hop) summary(withCause bool) string {
	parts := slices.Clone(h.Evidence)
	if withCause && h.Cause != "" {
		parts = append(parts, h.Cause)
	}
	return strings.Join(parts, "; ")
}

func (s HopState) sign() string {
	switch s {
	case HopOK:
		return "✓"
	case HopBroken:
		return "✗"
	case HopSkipped:
		return "-"
	default:
		return "?"
	}
}
