// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A Secret holds a megabyte at most, and no kubeconfig is nested deeply.
const (
	maxKubeconfig = 1 << 20
	maxDepth      = 20
)

// node is a value in a YAML document, and where it is. Nothing is expanded or
// converted: what is read is what is written there.
type node struct {
	yaml *yaml.Node
	path string
}

// readDocument returns the mapping that data holds. Anything by which two readers
// may understand a document differently, or by which a small one becomes large,
// is refused: aliases, merge keys, tags, names given twice, more than one
// document.
func readDocument(data []byte) (node, error) {
	if len(data) > maxKubeconfig {
		return node{}, &KubeconfigError{Message: "it is larger than a megabyte"}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, more yaml.Node
	if err := decoder.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			return node{}, &KubeconfigError{Message: "it is empty"}
		}
		return node{}, &KubeconfigError{Message: "it is neither YAML nor JSON"}
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return node{}, &KubeconfigError{Line: more.Line, Message: "something follows the first document"}
	}
	root := document.Content[0]
	if err := plain(root, 0); err != nil {
		return node{}, err
	}
	if root.Kind != yaml.MappingNode {
		return node{}, &KubeconfigError{Line: root.Line, Message: "it is no mapping"}
	}
	return node{yaml: root}, nil
}

// plain refuses what readDocument says.
func plain(n *yaml.Node, depth int) error {
	refuse := func(message string) error { return &KubeconfigError{Line: n.Line, Message: message} }
	switch {
	case depth > maxDepth:
		return refuse("it is nested too deeply")
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return refuse("it has an anchor or an alias")
	case n.Style&yaml.TaggedStyle != 0:
		return refuse("it has a tag")
	}
	if n.Kind == yaml.MappingNode {
		seen := map[string]bool{}
		for i := 0; i < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Kind != yaml.ScalarNode || key.Tag != "!!str" {
				return &KubeconfigError{Line: key.Line, Message: "the name of a field is no text"}
			}
			if seen[key.Value] {
				return &KubeconfigError{Line: key.Line, Message: "a field is there twice"}
			}
			seen[key.Value] = true
		}
	}
	for _, child := range n.Content {
		if err := plain(child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (n node) malformed(message string) error { return n.refuse("", message) }

func (n node) refuse(risk Risk, message string) error {
	return &KubeconfigError{Risk: risk, Field: n.path, Line: n.yaml.Line, Message: message}
}

func (n node) isNull() bool { return n.yaml.Tag == "!!null" }

// fields says what a mapping may have, and what to do with each.
type fields map[string]func(node) error

// mapping reads a mapping that has none but the fields given. One that is null
// counts as not there.
func (n node) mapping(known fields) error {
	if n.yaml.Kind != yaml.MappingNode {
		return n.malformed("it is no mapping")
	}
	content := n.yaml.Content
	// In the order of the names, so that the same file gets the same error.
	values := map[string]*yaml.Node{}
	for i := 0; i < len(content); i += 2 {
		key, value := content[i], content[i+1]
		if known[key.Value] == nil {
			return &KubeconfigError{Field: n.path, Line: key.Line, Message: "it has a field that is not known"}
		}
		values[key.Value] = value
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		path := name
		if n.path != "" {
			path = n.path + "." + name
		}
		child := node{yaml: values[name], path: path}
		if child.isNull() {
			continue
		}
		if err := known[name](child); err != nil {
			return err
		}
	}
	return nil
}

// each reads the items of a sequence.
func (n node) each(read func(node) error) error {
	if n.yaml.Kind != yaml.SequenceNode {
		return n.malformed("it is no list")
	}
	for i, item := range n.yaml.Content {
		if err := read(node{yaml: item, path: n.path + "[" + strconv.Itoa(i) + "]"}); err != nil {
			return err
		}
	}
	return nil
}

// text reads text without control characters.
func (n node) text(into *string) error {
	if n.yaml.Kind != yaml.ScalarNode || n.yaml.Tag != "!!str" {
		return n.malformed("it is no text")
	}
	if strings.ContainsFunc(n.yaml.Value, isControl) {
		return n.malformed("it has a control character")
	}
	*into = n.yaml.Value
	return nil
}

// isControl also knows those that make a terminal or a reader see something else
// than what is there.
func isControl(r rune) bool {
	return r < ' ' || (r >= 0x7f && r < 0xa0) || r == 0xfeff || r == 0xfffd ||
		(r >= 0x200b && r <= 0x200f) || (r >= 0x2028 && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069)
}

func (n node) flag(into *bool) error {
	if n.yaml.Kind != yaml.ScalarNode || n.yaml.Tag != "!!bool" {
		return n.malformed("it is neither true nor false")
	}
	return n.yaml.Decode(into)
}

// data reads base64.
func (n node) data(into *[]byte) error {
	var text string
	if n.yaml.Kind == yaml.ScalarNode {
		// Folded over several lines, it is still base64.
		text = strings.NewReplacer("\n", "", "\r", "").Replace(n.yaml.Value)
	}
	if n.yaml.Tag != "!!str" {
		return n.malformed("it is no text")
	}
	data, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return n.malformed("it is not base64")
	}
	*into = data
	return nil
}

func (n node) texts(into *[]string) error {
	return n.each(func(item node) error {
		var s string
		err := item.text(&s)
		*into = append(*into, s)
		return err
	})
}

// anything accepts what no client acts on.
func anything(node) error { return nil }
