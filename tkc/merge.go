// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc

import (
	"cmp"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/viaduct-sdk/viaduct"
)

// insert puts the three entries into a kubeconfig file. Entries that are there
// and are ours are brought up to date, with what others added to them kept. It
// changes nothing when it returns an error.
//
// The error matches [viaduct.ErrNotOwned] when a name is taken by an entry that is
// not ours and says something else.
func (k Kubeconfig) insert(file *yaml.Node, n names) error {
	entries, err := k.entries(n)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := k.mayWrite(file, e); err != nil {
			return err
		}
	}
	for _, e := range entries {
		k.write(file, e)
	}
	return nil
}

func (k Kubeconfig) mayWrite(file *yaml.Node, e listed) error {
	list := get(file, e.list)
	if list != nil && list.Kind != yaml.SequenceNode && list.ShortTag() != "!!null" {
		return fmt.Errorf("tkc: merge kubeconfig: %w: %s is no list", viaduct.ErrInvalid, e.list)
	}
	old := entryNamed(list, e.name)
	if old == nil || ownerOf(get(old, e.field), e.name) == k.owner || says(get(old, e.field), e.content) {
		return nil
	}
	if get(old, e.field) == nil {
		return fmt.Errorf("tkc: merge kubeconfig: %w: an entry of %s is incomplete", viaduct.ErrInvalid, e.list)
	}
	return fmt.Errorf("tkc: merge kubeconfig: %s has an entry named %q that leads elsewhere: %w", e.list, e.name, viaduct.ErrNotOwned)
}

// entryNamed returns the item of a list with this name, or nil.
func entryNamed(list *yaml.Node, name string) *yaml.Node {
	if list == nil {
		return nil
	}
	for _, item := range list.Content {
		if n := get(item, "name"); n != nil && n.Value == name {
			return item
		}
	}
	return nil
}

// says reports whether a mapping has all that content has, and nothing else of
// that kind.
func says(m *yaml.Node, content pairs) bool {
	if m == nil {
		return false
	}
	for _, p := range content {
		var value string
		if n := get(m, p[0]); n != nil {
			value = n.Value
		}
		if value != p[1] && p[0] != "namespace" {
			return false
		}
	}
	return true
}

// ownerOf returns the TK cluster that the mark in an entry names, "" when there
// is no mark or it was written under another name.
func ownerOf(m *yaml.Node, name string) string {
	mark := get(entryNamed(get(m, "extensions"), extensionName), "extension")
	entry, owner := get(mark, "entry"), get(mark, "cluster")
	if entry == nil || owner == nil || entry.Value != name {
		return ""
	}
	return owner.Value
}

// write makes or updates an entry, which may be written.
func (k Kubeconfig) write(file *yaml.Node, e listed) {
	list := get(file, e.list)
	if list == nil || list.Kind != yaml.SequenceNode {
		set(file, e.list, &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"})
		list = get(file, e.list)
	}
	if len(list.Content) == 0 {
		list.Style = file.Style // "[]" would go on as one line
	}
	item := entryNamed(list, e.name)
	if item == nil {
		item = mapping(text("name"), text(e.name), text(e.field), mapping())
		list.Content = append(list.Content, item)
	}
	m := get(item, e.field)
	if ownerOf(m, e.name) != k.owner && says(m, e.content) {
		return // another's, and as it should be
	}
	for _, p := range e.content {
		switch {
		case p[1] != "":
			set(m, p[0], text(p[1]))
		case p[0] != "namespace": // which the user may have chosen
			unset(m, p[0])
		}
	}
	if ownerOf(m, e.name) != k.owner {
		mark := mapping(text("name"), text(extensionName), text("extension"), mapping(text("cluster"), text(k.owner), text("entry"), text(e.name)))
		extensions := get(m, "extensions")
		if extensions == nil || extensions.Kind != yaml.SequenceNode {
			set(m, "extensions", &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"})
			extensions = get(m, "extensions")
		}
		extensions.Content = append(slices.DeleteFunc(extensions.Content, isMark), mark)
	}
}

func isMark(n *yaml.Node) bool {
	name := get(n, "name")
	return name != nil && name.Value == extensionName
}

// remove takes the entries out that are for a TK cluster, and reports whether
// there were any.
func remove(file *yaml.Node, owner string) bool {
	removed := false
	for _, l := range []listed{{list: "clusters", field: "cluster"}, {list: "users", field: "user"}, {list: "contexts", field: "context"}} {
		list := get(file, l.list)
		if list == nil || list.Kind != yaml.SequenceNode {
			continue
		}
		before := len(list.Content)
		list.Content = slices.DeleteFunc(list.Content, func(item *yaml.Node) bool {
			name := get(item, "name")
			if name == nil || ownerOf(get(item, l.field), name.Value) != owner {
				return false
			}
			current := get(file, "current-context")
			if l.list == "contexts" && current != nil && current.Value == name.Value {
				set(file, "current-context", text(""))
			}
			return true
		})
		removed = removed || len(list.Content) < before
	}
	return removed
}

// MergeOptions change what [Kubeconfig.MergeFile] does.
type MergeOptions struct {
	// Name of the context, the cluster and the user in the file; empty means
	// those that the kubeconfig has.
	Name string
	// SetCurrent makes the context the current one. Otherwise it becomes so only
	// if the file has none.
	SetCurrent bool
}

func (k Kubeconfig) names(opts MergeOptions) names {
	return names{cmp.Or(opts.Name, k.Cluster), cmp.Or(opts.Name, k.User), cmp.Or(opts.Name, k.Context)}
}
