// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v3"

	"github.com/viaduct-sdk/viaduct"
)

// extensionName marks the entries of a kubeconfig file that this package wrote.
// The mark says which TK cluster an entry is for and under which name it was
// written, so that a copy under another name is not taken for ours.
const extensionName = "viaduct-sdk.github.io/source"

// YAML returns the kubeconfig as a file. It holds credentials.
//
// The error matches [viaduct.ErrUnsupported] when the kubeconfig has a [Risk]
// that was allowed: such a file is not made anew.
func (k Kubeconfig) YAML() ([]byte, error) {
	file, err := k.file(names{cluster: k.Cluster, user: k.User, context: k.Context})
	if err != nil {
		return nil, err
	}
	return encode(file)
}

// names are those of the three entries that make up a kubeconfig.
type names struct{ cluster, user, context string }

// entries are the three, each with the list that it belongs to and the field of
// the list's items that holds it.
func (k Kubeconfig) entries(n names) ([]listed, error) {
	if !reflect.ValueOf(k.risky).IsZero() || len(k.CA) == 0 {
		return nil, fmt.Errorf("tkc: write kubeconfig: %w: it has a risk that was allowed for reading", viaduct.ErrUnsupported)
	}
	cluster := pairs{{"server", k.Server}, {"tls-server-name", k.ServerName}, {"certificate-authority-data", encoded(k.CA)}}
	user := pairs{
		{"client-certificate-data", encoded(k.ClientCertificate)},
		{"client-key-data", encoded(k.ClientKey)},
		{"token", k.Token},
	}
	context := pairs{{"cluster", n.cluster}, {"user", n.user}, {"namespace", k.Namespace}}
	return []listed{
		{"clusters", "cluster", n.cluster, cluster},
		{"users", "user", n.user, user},
		{"contexts", "context", n.context, context},
	}, nil
}

// listed is an entry of one of the lists of a kubeconfig.
type listed struct {
	list, field, name string
	content           pairs
}

// pairs are the fields of a mapping, in order. Those without value are left out.
type pairs [][2]string

func encoded(data []byte) string { return base64.StdEncoding.EncodeToString(data) }

// file is a kubeconfig file that has nothing else.
func (k Kubeconfig) file(n names) (*yaml.Node, error) {
	file := mapping(text("apiVersion"), text("v1"), text("kind"), text("Config"))
	if err := k.insert(file, n); err != nil {
		return nil, err
	}
	set(file, "current-context", text(n.context))
	return file, nil
}

func text(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

func mapping(content ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: content}
}

func get(m *yaml.Node, name string) *yaml.Node {
	if m == nil || m.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i < len(m.Content); i += 2 {
		if m.Content[i].Value == name {
			return m.Content[i+1]
		}
	}
	return nil
}

// set sets a field and keeps its place and its comments if it is there.
func set(m *yaml.Node, name string, value *yaml.Node) {
	if old := get(m, name); old != nil {
		value.HeadComment, value.LineComment, value.FootComment = old.HeadComment, old.LineComment, old.FootComment
		if old.Kind == value.Kind {
			value.Style = old.Style
		}
		*old = *value
		return
	}
	m.Content = append(m.Content, text(name), value)
}

func unset(m *yaml.Node, name string) {
	for i := 0; i < len(m.Content); i += 2 {
		if m.Content[i].Value == name {
			m.Content = append(m.Content[:i], m.Content[i+2:]...)
			return
		}
	}
}

// encode writes a document and reads it back: a file of somebody's is not
// replaced by one that says something else.
func encode(root *yaml.Node) ([]byte, error) {
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(root); err != nil {
		return nil, fmt.Errorf("tkc: write kubeconfig: %w: it can't be written as YAML", viaduct.ErrInvalid)
	}
	if err := encoder.Close(); err != nil {
		return nil, fmt.Errorf("tkc: write kubeconfig: %w: it can't be written as YAML", viaduct.ErrInvalid)
	}
	back, err := readDocument(b.Bytes())
	if err != nil || !same(root, back.yaml) {
		return nil, fmt.Errorf("tkc: write kubeconfig: %w: the file can't be written without changing what it says", viaduct.ErrInvalid)
	}
	return b.Bytes(), nil
}

// same reports whether two documents say the same, apart from comments and style.
func same(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.ShortTag() != b.ShortTag() || a.Value != b.Value || len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !same(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}
