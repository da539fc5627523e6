// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package netfilter writes the nftables tables of the lab's data planes and
// hands them to the kernel of a host, all or nothing.
package netfilter

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// Host runs commands in its network namespace.
type Host interface {
	Command(ctx context.Context, name string, args ...string) *exec.Cmd
}

// Table is a table in the making: what keeps a state of its own in the kernel
// and survives new rules, and chains, which are replaced. Make it with
// [NewTable].
type Table struct {
	name  string
	kept  []kept
	names []string // of the chains
	text  strings.Builder
}

// kept is a counter or a set.
type kept struct{ kind, name, text string }

// NewTable returns an empty table of the family inet.
func NewTable(name string) *Table { return &Table{name: name} }

// Keep adds a counter or a set, once.
func (t *Table) Keep(kind, name, text string) {
	k := kept{kind, name, text}
	i, found := slices.BinarySearchFunc(t.kept, k, func(a, b kept) int { return strings.Compare(a.name, b.name) })
	if !found {
		t.kept = slices.Insert(t.kept, i, k)
	}
}

// Chain adds a chain of rules.
func (t *Table) Chain(name string, lines ...string) {
	t.names = append(t.names, name)
	fmt.Fprintf(&t.text, "\n\tchain %s {\n", name)
	for _, line := range lines {
		fmt.Fprintf(&t.text, "\t\t%s\n", line)
	}
	t.text.WriteString("\t}\n")
}

// Comment adds a line that explains the chains after it.
func (t *Table) Comment(text string) { fmt.Fprintf(&t.text, "\n\t# %s", text) }

// Equal reports whether both tables are the same. Nil equals nothing.
func (t *Table) Equal(o *Table) bool {
	return t != nil && o != nil && t.name == o.name && slices.Equal(t.kept, o.kept) && t.text.String() == o.text.String()
}

// Script is what nft must read to put the table in place of the old one, whose
// counters and sets go on. Without an old one it replaces whatever is there.
func (t *Table) Script(old *Table) string {
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %s\n", t.name)
	if old == nil {
		fmt.Fprintf(&b, "delete table inet %s\n", t.name)
	} else {
		fmt.Fprintf(&b, "flush table inet %s\n", t.name) // the rules, nothing else
		for _, name := range old.names {
			if !slices.Contains(t.names, name) {
				fmt.Fprintf(&b, "delete chain inet %s %s\n", t.name, name)
			}
		}
		for _, k := range old.kept {
			if !slices.Contains(t.kept, k) {
				fmt.Fprintf(&b, "delete %s inet %s %s\n", k.kind, t.name, k.name)
			}
		}
	}
	fmt.Fprintf(&b, "table inet %s {\n", t.name)
	for _, k := range t.kept {
		fmt.Fprintf(&b, "\t%s %s { %s }\n", k.kind, k.name, k.text)
	}
	b.WriteString(t.text.String())
	b.WriteString("}\n")
	return b.String()
}

// Run runs a command on the host with the input and returns what it printed. An
// error has what it complained of.
func Run(ctx context.Context, host Host, input, name string, args ...string) ([]byte, error) {
	cmd := host.Command(ctx, name, args...)
	cmd.Stdin = strings.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(stderr.String()))
	}
	return stdout.Bytes(), nil
}

// Apply has the host's kernel take a script, all of it or nothing.
func Apply(ctx context.Context, host Host, script string) error {
	_, err := Run(ctx, host, script, "nft", "-f", "-")
	return err
}

// Count is what a counter says.
type Count struct{ Packets, Bytes uint64 }

// Counters reads the counters of a table by their names.
func Counters(ctx context.Context, host Host, table string) (map[string]Count, error) {
	out, err := Run(ctx, host, "", "nft", "-json", "list", "counters", "table", "inet", table)
	if err != nil {
		return nil, err
	}
	var listing struct {
		Objects []struct {
			Counter struct {
				Name string
				Count
			} `json:"counter"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal(out, &listing); err != nil {
		return nil, fmt.Errorf("counters of %s: %w", table, err)
	}
	all := map[string]Count{}
	for _, o := range listing.Objects {
		if o.Counter.Name != "" {
			all[o.Counter.Name] = o.Counter.Count
		}
	}
	return all, nil
}
